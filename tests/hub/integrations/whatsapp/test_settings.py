"""What the account takes from `hub.toml`."""

import pytest

from hub.config import parse_config
from hub.errors import ConfigError
from hub.integrations.whatsapp.settings import MetaNumber, settings_from
from hub.integrations.whatsapp.template_files import template_files

SERVER = '[server]\npublic_url = "https://hub.example"\n'
NUMBERS = """
[[numbers]]
name = "brand"
channel = "qontak"
serves = "customers"
phone = "6281100000001"
channel_integration_id = "c1"
[[numbers]]
name = "reps"
channel = "meta"
serves = "reps"
phone = "6281100000002"
phone_number_id = "1122"
"""


def test_the_secrets_come_from_their_files(tmp_path):
    """Without the line break at a file's end; only numbers at Meta belong to the account."""
    for name in ("app_secret", "verify_token", "access_token"):
        (tmp_path / name).write_text(f"the-{name}\n")
    table = "".join(
        f'{name}_file = "{tmp_path}/{name}"\n'
        for name in ("app_secret", "verify_token", "access_token")
    )

    held = settings_from(
        parse_config(f'{SERVER}[leads]\nclaim_s = 60\n[whatsapp]\nwaba_id = "99"\n{table}{NUMBERS}')
    )

    assert ("the-app_secret", "the-verify_token", "the-access_token") == (
        held.app_secret,
        held.verify_token,
        held.access_token,
    )
    assert (MetaNumber(name="reps", phone="6281100000002", phone_number_id="1122"),) == held.numbers
    assert ("99", 60) == (held.waba_id, held.lifetimes_s["offer"])
    assert "the-" not in repr(held)


def test_a_hub_without_whatsapp():
    """Nothing is set, and nothing is an error."""
    held = settings_from(parse_config(SERVER))

    assert ("", "", "", ()) == (held.waba_id, held.app_secret, held.access_token, held.numbers)


@pytest.mark.parametrize("content", [None, b"", b" \n", b"two\nlines", b"\xff", "é".encode()])
def test_a_file_that_holds_no_secret(tmp_path, content):
    """A named file must hold one line; the error names the key and never the content."""
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    config = parse_config(f'{SERVER}[whatsapp]\napp_secret_file = "{path}"\n')

    with pytest.raises(ConfigError, match="app_secret_file") as error:
        settings_from(config)
    assert "two" not in str(error.value)


def test_every_template_of_the_settings_has_its_files():
    """What a hub uses without being told otherwise can be pushed, in both languages."""
    for purpose, names in settings_from(parse_config(SERVER)).templates.items():
        for name in names:
            for language in ("id", "en"):
                assert purpose == template_files()[name, language].purpose
