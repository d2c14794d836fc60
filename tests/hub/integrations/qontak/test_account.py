"""Settings in, parts out."""

import pytest

from hub.config import parse_config
from hub.errors import ConfigError
from hub.integrations.qontak.account import connect
from hub.integrations.qontak.crm.mirror import CrmMirror
from hub.store import Database
from tests.fakes.manual_clock import ManualClock

NUMBER = """
[[numbers]]
name = "brand"
channel = "qontak"
serves = "customers"
phone = "6281100000001"
channel_integration_id = "b3a2"
"""


@pytest.fixture
def account(tmp_path):
    """What these settings, with these files, give."""
    database = Database(f"sqlite:///{tmp_path}/hub.db")

    def made(settings="", *, secret="s3cret\nuser\np4ss\n", word="a-word\n", numbers=NUMBER):
        (tmp_path / "secret").write_text(secret, encoding="utf-8")
        (tmp_path / "word").write_text(word, encoding="utf-8")
        text = f'[server]\npublic_url = "https://hub.example"\n[qontak]\n{settings}\n{numbers}'
        config = parse_config(text.replace("@", f"{tmp_path}/"))
        return connect(config, database, ManualClock())

    yield made
    database.close()


KNOWN = 'client_id = "c"\nclient_secret_file = "@secret"\n'


def test_a_number_at_qontak(account):
    """One channel by its name, the door's word, and no secret in what is shown."""
    found = account(KNOWN + 'webhook_secret_file = "@word"')

    assert {"b3a2": "brand"} == found.numbers
    assert ["brand"] == [channel.name for channel in found.channels.values()]
    assert "a-word" == found.webhook_secret
    assert ("s3cret", "user", "p4ss") == (
        found.api.settings.client_secret,
        found.api.settings.username,
        found.api.settings.password,
    )
    assert "s3cret" not in repr(found)
    assert "a-word" not in repr(found)


def test_the_crm_needs_a_user_and_a_pipeline(account):
    """Without them leads stay in the hub; where Qontak sees no customer, it is told their words."""
    assert account(KNOWN).mirror(None, ManualClock(), None, lambda _, code: code) is None
    found = account(KNOWN + 'crm_sso_id = "7"\ncrm_pipeline = "1"', numbers="")

    assert not found.sees_customers
    assert account(KNOWN).sees_customers
    made = found.mirror(Database("sqlite://"), ManualClock(), None, lambda _, code: code)
    assert isinstance(made, CrmMirror)


def test_a_hub_without_qontak(account):
    """Nothing of it, and no door."""
    assert account(numbers="") is None
    assert not account(KNOWN).webhook_secret


@pytest.mark.parametrize(
    ("settings", "change"),
    [
        ("", {}),
        ('client_id = "c"', {}),
        (KNOWN.replace("@secret", "@nowhere"), {}),
        (KNOWN, {"secret": "\n"}),
        (KNOWN + 'auth = "oauth"', {"secret": "only the secret"}),
        (KNOWN + 'webhook_secret_file = "@word"', {"word": "a/b"}),
        (KNOWN + 'webhook_secret_file = "@word"', {"word": "two\nlines"}),
        (KNOWN + 'webhook_secret_file = "@word"', {"word": ""}),
    ],
)
def test_settings_that_cannot_work(account, settings, change):
    """Said at the start, with the setting's name, not found out by the first message."""
    with pytest.raises(ConfigError, match=r"\[qontak\]"):
        account(settings, **change)
