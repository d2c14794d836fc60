"""hub.toml: one case for each way to be wrong, each answered with a sentence that helps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.config import load_config, parse_config
from hub.errors import ConfigError

GOOD = '[server]\npublic_url = "https://hub.example"\n'


def test_one_setting_is_enough():
    """Everything but the hub's own address has a default."""
    config = parse_config(GOOD)
    assert (config.server.authority, config.server.origin) == ("hub.example", "hub.example/ledger")
    assert config.server.secure
    assert config.ingest.wait_s_max == 5


def test_every_setting_can_be_given():
    """And tables of features that are not part of this release are let be."""
    config = parse_config(
        '[server]\npublic_url = "http://127.0.0.1:8080"\nlisten = "[::1]:0"\nkeys_dir = "/k"\n'
        'database = "postgresql://u@h/d"\nthreads = 2\n[ingest]\nwait_s_max = 1\n'
        "queue_batches_max = 9\ninvitation_s = 60\n[leads]\nclaim_s = 1\n[map]\nx = 1\n"
        '[whatsapp]\nmessaging_limit = 250\naccess_token_file = "/t"\n[qontak]\nauth = "oauth"\n'
        '[templates]\noffer = ["one", "two"]\n[alerts]\ndigest_at = "06:15"\n'
        '[[numbers]]\nname = "brand"\nchannel = "qontak"\nserves = "customers"\n'
        'phone = "628110000000"\nchannel_integration_id = "c"\n'
        '[[numbers]]\nname = "reps"\nchannel = "meta"\nserves = "reps"\n'
        'phone = "628110000001"\nphone_number_id = "1"\n'
    )
    assert config.server.authority == "127.0.0.1:8080"
    assert not config.server.secure
    assert (config.server.threads, config.ingest.invitation_s) == (2, 60)
    assert (config.leads.claim_s, config.leads.contact_s) == (1, 1800)
    assert config.whatsapp.messaging_limit == 250
    assert config.templates.offer == ("one", "two")
    customers, reps = config.number_for("customers"), config.number_for("reps")
    assert customers is not None
    assert reps is not None
    assert (customers.name, reps.name) == ("brand", "reps")
    assert parse_config(GOOD).number_for("reps") is None


WRONG = {
    "not TOML": "not = = toml",
    "public_url is missing": "",
    "unknown table [servers]": GOOD + "[servers]\n",
    "unknown key 'pubic_url' in [server]; known keys": GOOD + 'pubic_url = "x"\n',
    "known keys: device_requests_per_s, invitation_s, key_overlap_s, queue_batches_max": GOOD
    + "[ingest]\nwait = 1\n",
    "[server] is not a table": "server = 5\n",
    "[ingest] is not a table": "ingest = 1\n" + GOOD,
    "threads = '8': expected int": GOOD + 'threads = "8"\n',
    "threads = True: expected int": GOOD + "threads = true\n",
    "threads = 0: expected at least 1": GOOD + "threads = 0\n",
    "wait_s_max = -1: expected at least 0": GOOD + "[ingest]\nwait_s_max = -1\n",
    "keys_dir = 5: expected Path": GOOD + "keys_dir = 5\n",
    "public_url = 5: expected str": "[server]\npublic_url = 5\n",
    "public_url = 'hub.example': expected": '[server]\npublic_url = "hub.example"\n',
    "public_url = 'ftp://h': expected": '[server]\npublic_url = "ftp://h"\n',
    "public_url = 'https://h/x': expected": '[server]\npublic_url = "https://h/x"\n',
    "public_url = 'https://a b': expected": '[server]\npublic_url = "https://a b"\n',
    "public_url = 'https://[::1': expected": '[server]\npublic_url = "https://[::1"\n',
    "public_url = 'https://me@h': expected": '[server]\npublic_url = "https://me@h"\n',
    "public_url = 'https://h?x': expected": '[server]\npublic_url = "https://h?x"\n',
    "listen = '127.0.0.1': expected": GOOD + 'listen = "127.0.0.1"\n',
    "listen = 'h:99999': expected": GOOD + 'listen = "h:99999"\n',
    "database = 'hub.db': expected": GOOD + 'database = "hub.db"\n',
    "claim_s = 0: expected at least 1": GOOD + "[leads]\nclaim_s = 0\n",
    "checkin_at = '8.30': expected a time": GOOD + '[leads]\ncheckin_at = "8.30"\n',
    "digest_at = '25:00': expected a time": GOOD + '[alerts]\ndigest_at = "25:00"\n',
    "auth = 'basic': expected hmac or oauth": GOOD + '[qontak]\nauth = "basic"\n',
    "messaging_limit = 'all': expected auto or int": GOOD + '[whatsapp]\nmessaging_limit = "all"\n',
    "offer = ['a', 1]: expected a list of texts": GOOD + '[templates]\noffer = ["a", 1]\n',
    "'brand': meta needs phone_number_id": GOOD
    + '[[numbers]]\nname="brand"\nchannel="meta"\nserves="both"\nphone="628110000000"\n',
    "phone = '0811': expected digits": GOOD
    + '[[numbers]]\nname="b"\nchannel="meta"\nserves="both"\nphone="0811"\nphone_number_id="1"\n',
    "every number needs a name of its own": GOOD
    + 2
    * (
        '[[numbers]]\nname="b"\nchannel="meta"\nserves="both"\n'
        'phone="62811000000"\nphone_number_id="1"\n'
    ),
    "[smtp] from is missing": GOOD + '[smtp]\nhost = "mail.example"\n',
    "unknown key 'from_' in [smtp]; known keys: from, host": GOOD + '[smtp]\nfrom_ = "a@b"\n',
    "port = 0: expected a port": GOOD + "[smtp]\nport = 0\n",
    "[[numbers]] is not a list": "numbers = 1\n" + GOOD,
    "database = 'mysql://h/d': expected": GOOD + 'database = "mysql://h/d"\n',
}


@pytest.mark.parametrize("sentence", WRONG)
def test_what_is_wrong_is_said(sentence):
    """The key, the value, and what was expected or is known."""
    with pytest.raises(ConfigError) as refused:
        parse_config(WRONG[sentence])
    assert sentence in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """Missing, a folder, or not UTF-8."""
    (tmp_path / "latin.toml").write_bytes(b"# \xff\n")
    for name in ("none.toml", "latin.toml", "."):
        with pytest.raises(ConfigError, match=str(tmp_path)):
            load_config(tmp_path / name)


def test_settings_that_are_wrong_name_their_file(tmp_path):
    """A machine may have several; one that is missing is told how another is named."""
    path = tmp_path / "hub.toml"
    for sentence in ("not TOML", "threads = 0: expected at least 1"):
        path.write_text(WRONG[sentence])
        with pytest.raises(ConfigError, match=f"^{path}: .*{sentence}"):
            load_config(path)
    with pytest.raises(ConfigError, match=r"No such file or directory; --config"):
        load_config(tmp_path / "none.toml")


@given(st.text() | st.text().map(lambda t: f'[server]\npublic_url = "https://{t}"\n'))
def test_any_text_is_settings_or_a_config_error(text):
    """Nothing else is ever raised."""
    try:
        parse_config(text)
    except ConfigError:
        return
