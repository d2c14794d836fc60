"""What a stranger's test may rely on: the contract's settings, pages of lists, and counters."""

import re
import tomllib
from pathlib import Path

import pytest

from hub.accounts.tokens import Tokens
from hub.app import create_app
from hub.config import LATER_TABLES, AlertsConfig, LeadsConfig, parse_config
from hub.errors import ConfigError
from hub.integrations.deliveries import BODY_BYTES_MAX
from hub.keys import create_keys
from hub.outbox.messages import Draft, Failed
from hub.wiring import open_hub
from tests.fakes.manual_clock import ManualClock
from tests.fakes.whatsapp_bodies import signed

# contract.md §1, word for word: `*` is required, `|` one of, in brackets what is said of a value.
CONTRACT = """
[server]   listen = "127.0.0.1:8080" (port 0 = any)   keys_dir = "/var/lib/kickstand/keys" (made by init, 0700)   public_url* = "https://hub.example"   database* = "sqlite:////var/lib/kickstand/hub.db"
[whatsapp] api_url = "https://graph.facebook.com"  api_version = "v25.0"  waba_id  messaging_limit = "auto"|250  app_secret_file  verify_token_file  access_token_file
[qontak]   api_url = "https://api.mekari.com"  auth = "hmac"|"oauth"  client_id  client_secret_file  webhook_secret_file  crm_sso_id  crm_pipeline
[tiktok]   webhook_secret_file    [google_ads] key_file    [meta_leads] verify_token_file  access_token_file    [feishu] api_url
[smtp]     host  port  username  password_file  from       [intake] keys_file        # keys_file: one "<key id> <secret>" per line
[[numbers]]                                                # none = no WhatsApp, leads wait as QUALIFIED; the first that serves a role is used for it
name* = "brand"   channel* = "meta"|"qontak"   serves* = "customers"|"reps"|"both"   phone*   phone_number_id   channel_integration_id
[templates]                                                # ordered lists: the first APPROVED one is used
offer = ["lead_offer_v1", "lead_offer_v2"]   won = []   reminder = []   greeting = []   checkin = []   customer_update = []   p0 = []
[leads]    dealers_per_ring = 3   max_rings = 3   reps_per_dealer = 3   max_distance_km = 75
           claim_s = 300   contact_s = 1800   confirm_contact_s = 1800   max_rounds = 3   nudge_s = 600   screening_s = 1800
           same_person_days = 90   won_wait_s = 604800   retention_days = 730   raw_body_days = 30   checkin_at = "08:30"
[alerts]   p0_ack_s = 900   p0_budget = 2   p0_budget_s = 43200   digest_at = "07:00"   # budget coalesces, never drops
[map]      sell_through = "observe"|"notice"   advertised = "off"|"notice"   counsel_signed_by   counsel_signed_on
"""  # noqa: E501 - as it stands in the contract
REMARK = re.compile(r"\([^)]*\)|#.*")
VALUE = r'"[^"]*"|\[[^\]]*\]|\d+'
WORD = re.compile(
    rf"(?P<table>\[\w+\]|\[\[\w+\]\])"
    rf"|(?P<key>\w+)\*?(?:\s*=\s*(?P<value>{VALUE})(?:\|(?:{VALUE}))*)?"
)
# For what the contract names without a value.
FILLED = {"phone": '"628110000000"', "port": "587", "from": '"hub@mail.invalid"'}
APP_SECRET, WEBHOOK_SECRET = "app-secret", "webhook-secret"
HELD = {"app_secret_file": APP_SECRET, "webhook_secret_file": WEBHOOK_SECRET}
ROWS = 6


def settings(folder, url, *, more=""):
    """The contract's block as TOML; `more`: a header, behind which a key of nobody's stands."""
    lines: list[str] = []
    said = REMARK.sub("", CONTRACT)
    assert WORD.sub("", said).strip() == ""
    replaced = {"keys_dir": f'"{folder}/keys"', "database": f'"{url}"'}
    for word in WORD.finditer(said):
        table, key, value = word["table"], word["key"], word["value"]
        if table is not None:
            lines += [table, *(["nonsense = 1"] if table == more else [])]
        elif key.endswith("_file"):
            path = folder / key
            path.write_text(HELD.get(key, "partner held-secret\n" if key == "keys_file" else "x"))
            lines.append(f'{key} = "{path}"')
        else:
            resolved = replaced.get(key) or value or FILLED.get(key, '"1"')
            lines.append(f"{key} = {resolved}")
    return "\n".join(lines)


def as_written(value):
    """A setting the way TOML gives it."""
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value


@pytest.fixture
def hub(tmp_path, database_url):
    """A hub with the contract's own settings, on each engine."""
    config = parse_config(settings(tmp_path, database_url))
    create_keys(config.server.keys_dir)
    opened = open_hub(config, clock=ManualClock())
    yield opened
    opened.close()


@pytest.fixture
def client(hub):
    """Asks its web application."""
    return create_app(hub).test_client()


# --- hub.toml ---


def test_the_contracts_settings_are_accepted_as_they_stand(tmp_path):
    """No key is unknown, every value arrives, and its leads and alerts are the defaults."""
    written = settings(tmp_path, f"sqlite:///{tmp_path}/hub.db")
    config = parse_config(written)
    document = tomllib.loads(written)

    [number] = document.pop("numbers")
    assert sum(len(table) for table in (number, *document.values())) == 65
    tables = [(config.numbers[0], number)]
    for name, table in document.items():
        if name not in LATER_TABLES:
            tables.append((getattr(config, name), table))
    assert len(tables) == 9
    for read, table in tables:
        for key, value in table.items():
            assert as_written(getattr(read, "from_" if key == "from" else key)) == value, key
    assert (config.leads, config.alerts) == (LeadsConfig(), AlertsConfig())


@pytest.mark.parametrize(
    "header",
    [
        *("[server]", "[whatsapp]", "[qontak]", "[smtp]", "[intake]"),
        *("[[numbers]]", "[templates]", "[leads]", "[alerts]"),
    ],
)
def test_an_unknown_key_is_refused_with_the_known_ones(tmp_path, header):
    """In every table that this release reads: its name, and each key of the contract."""
    url = f"sqlite:///{tmp_path}/hub.db"
    name = header.strip("[]")
    table = tomllib.loads(settings(tmp_path, url))[name]
    with pytest.raises(ConfigError) as refused:
        parse_config(settings(tmp_path, url, more=header))
    said, _, known = str(refused.value).partition("; known keys: ")

    assert said == f"unknown key 'nonsense' in [{name}]"
    assert set(table[0] if isinstance(table, list) else table) <= set(known.split(", "))


def test_an_unknown_table_is_refused_with_the_known_ones(tmp_path):
    """Those of the contract are among them, also the ones of later releases."""
    written = settings(tmp_path, f"sqlite:///{tmp_path}/hub.db")
    with pytest.raises(ConfigError) as refused:
        parse_config(written + "\n[nonsense]\n")
    said, _, known = str(refused.value).partition("; known tables: ")

    assert said == "unknown table [nonsense]"
    assert set(tomllib.loads(written)) <= set(known.split(", "))


# --- lists, a row at a time ---


def some_alerts(hub):
    """Ids of alerts in the order in which they were raised; the first was found twice."""
    alerts = hub.leads.alerts

    def found(connection, number):
        return alerts.raise_(
            connection,
            "P1",
            "lead_unclaimed",
            f"lead_unclaimed/{number}",
            what="a",
            consequence="b",
            action="c",
        )

    def all_found(connection):
        made = [found(connection, number) for number in range(ROWS)]
        assert found(connection, 0) == made[0]
        return made

    return hub.database.write(all_found)


def some_deliveries(hub):
    """Ids of what came in, all but the last two acted on."""
    inbox = hub.leads.inbox
    made = [inbox.keep("whatsapp", b"no json", {}) for _ in range(ROWS - 2)]
    while hub.leads.step():
        pass
    return [*made, *(inbox.keep("whatsapp", b"{}", {}) for _ in range(2))]


def some_messages(hub):
    """Ids of messages; the first was asked for twice, the second withdrawn."""
    outbox = hub.leads.outbox

    def draft(number):
        until_ms = hub.clock.wall_ms() + 60_000
        return Draft(
            key=f"offer/{number}",
            to="per_a",
            role="reps",
            kind="offer",
            ref=f"led_{number}",
            not_after_ms=until_ms,
        )

    def enqueued(connection):
        made = [outbox.enqueue(connection, draft(number)) for number in range(ROWS)]
        assert outbox.enqueue(connection, draft(0)) == made[0]
        outbox.withdraw(connection, ref="led_1")
        return made

    return hub.database.write(enqueued)


@pytest.mark.parametrize(
    ("path", "scope", "fill"),
    [
        ("/alerts", "alerts:read", some_alerts),
        ("/inbox", "inbox:read", some_deliveries),
        ("/outbox", "inbox:read", some_messages),
    ],
)
def test_every_row_is_met_once_and_in_order(hub, client, path, scope, fill):
    """One at a time behind the last; `next` is that row, and null behind the end of the list."""
    secret = Tokens(hub.database).create([scope], dealer=None, now_ms=1).secret

    def page(query):
        headers = {"Authorization": f"Bearer {secret}"}
        answer = client.get(f"/api/v1{path}?limit=1{query}", headers=headers)
        assert (answer.status_code, answer.json.keys()) == (200, {"items", "next"})
        return [item["id"] for item in answer.json["items"]], answer.json["next"]

    assert page("") == ([], None)
    made = fill(hub)
    assert len(set(made)) == ROWS
    after = ""
    for number, expected in enumerate(made, start=1):
        following = None if number == ROWS else expected
        assert page(after) == ([expected], following)
        after = f"&after={expected}"
    assert page(after) == ([], None)


# --- /metrics ---


def counters(client):
    """Samples of /metrics by name and labels."""
    answer = client.get("/metrics")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def refusals(client):
    """How many webhooks were turned away, by why; no zeros."""
    pattern = re.compile(r'kickstand_webhooks_refused\{why="([^"]+)"\}')
    found = ((pattern.fullmatch(name), count) for name, count in counters(client).items())
    return {match[1]: count for match, count in found if match is not None and count}


@pytest.mark.parametrize(
    ("why", "status", "path", "body"),
    [
        ("signature", 403, "/webhooks/whatsapp", b"{}"),
        ("too-large", 413, "/webhooks/whatsapp", b"x" * (BODY_BYTES_MAX + 1)),
        ("secret", 404, "/webhooks/qontak/another-word", b"{}"),
        ("challenge", 403, "/webhooks/whatsapp?hub.mode=subscribe&hub.verify_token=y", None),
    ],
)
def test_a_webhook_that_is_turned_away_is_counted_with_its_why(
    hub, client, why, status, path, body
):
    """Each one, and nothing of it is stored; what is let in is not counted."""
    headers = {"X-Hub-Signature-256": signed(b"{}", "another secret")}
    assert refusals(client) == {}
    assert f'kickstand_webhooks_refused{{why="{why}"}}' in counters(client)
    for count in (1, 2):
        method = "GET" if body is None else "POST"
        answer = client.open(path, method=method, data=body, headers=headers)
        assert answer.status_code == status
        assert refusals(client) == {why: count}
    assert hub.leads.inbox.page(None, 10)["items"] == []

    right = {"X-Hub-Signature-256": signed(b"{}", APP_SECRET)}
    assert client.post("/webhooks/whatsapp", data=b"{}", headers=right).status_code == 200
    assert client.post(f"/webhooks/qontak/{WEBHOOK_SECRET}", data=b"{}").status_code == 200
    assert refusals(client) == {why: 2}
    assert len(hub.leads.inbox.page(None, 10)["items"]) == 2


def test_an_attempt_that_a_vendor_left_unanswered_is_counted(hub, client):
    """Nobody knows whether the message went; a refusal that was heard is no doubt."""
    outbox = hub.leads.outbox
    doubtful = "kickstand_outbox_doubtful"
    first, second, *_ = some_messages(hub)[2:]
    assert counters(client)[doubtful] == 0

    def attempt(connection, number, out_id, failed):
        [row] = outbox.of(connection, f"led_{number}")
        outbox.take(connection, row, "brand")
        assert row.id == out_id
        assert outbox.settle(connection, out_id, failed, window_open=True) is not None

    unanswered, refused = Failed("unknown", None, "timed out"), Failed("permanent", 100, "no")
    hub.database.write(lambda connection: attempt(connection, 2, first, unanswered))
    assert counters(client)[doubtful] == 1
    hub.database.write(lambda connection: attempt(connection, 3, second, refused))
    assert counters(client)[doubtful] == 1
