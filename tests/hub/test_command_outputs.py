"""What a script reads of `kickstand-hub`: one JSON document with named keys, and the exit code."""

import contextlib
import json
from dataclasses import dataclass

import click
import pytest
from click.testing import CliRunner
from sqlalchemy import delete, inspect, text

from hub.__main__ import Program, cli
from hub.accounts.tokens import SCOPES
from hub.app import create_app
from hub.config import load_config
from hub.devices.keys import KEY_CACHE_MS
from hub.devices.store import DEVICE_STATUS
from hub.errors import HubError
from hub.keys import create_keys, load_keys
from hub.wiring import elect_sequencer, open_hub
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import Box, DoorClient
from tests.fakes.manual_clock import ManualClock

SETTINGS = """
[server]
public_url = "https://hub.example"
keys_dir = "{folder}/keys"
database = "{url}"
"""
# The same commands, without the step that makes a program of its own for every call.
COMMANDS = click.Group("kickstand-hub", commands=cli.commands)
HEAD = "/v1/devices/self/head"
IMPORT_KEYS = ["rows", "created", "changed", "unchanged", "refused", "dry_run"]
TOKEN_KEYS = {"id", "scopes", "dealer", "created_at", "revoked_at"}
API = ("/leads", "/alerts", "/inbox", "/outbox")

REGIONS = "code,name,timezone\nJATIM,Jawa Timur,WIB\nJABAR,Jawa Barat,WIB\n"
DEALERS = (
    "code,name,region,lat,lon,timezone,hours,authorised\n"
    "SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-24:00,yes\n"
    "BDG01,Bandung,JABAR,-6.9175,107.6191,WIB,Mon-Sun 00:00-24:00,yes\n"
)
PEOPLE = "id,name,role,dealers\nper_s,Siti,rep,SBY01\nper_b,Budi,rep,BDG01\n"
LEADS = (
    "source,external_id,name,phone,lat,lon\n"
    "walk_in,s,Ani,081299990001,-7.26,112.75\n"
    "walk_in,b,Joko,081299990002,-6.92,107.62\n"
)
LANDLINE = LEADS + "walk_in,x,Rumah,0315551234,-7.26,112.75\n"


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it wrote."""

    code: int
    out: str
    err: str


class Machine:
    """A hub's settings and keys, and its commands."""

    def __init__(self, folder, url):
        self.folder = folder
        self.path = folder / "hub.toml"
        self.path.write_text(SETTINGS.format(folder=folder, url=url))
        self.config = load_config(self.path)
        create_keys(self.config.server.keys_dir)

    def run(self, *words):
        """One command, as a process of its own would run and end."""
        program = Program(self.path)
        try:
            ran = CliRunner().invoke(COMMANDS, words, obj=program, catch_exceptions=False)
        except HubError as error:
            return Said(1, "", f"Error: {error}\n")  # as `main` tells it
        finally:
            if "hub" in vars(program):
                program.hub.close()
        return Said(ran.exit_code, ran.stdout, ran.stderr)

    def json(self, *words, code=0):
        """The one document of a command that ends with this code, and says nothing else."""
        said = self.run(*words, "--json")
        assert (code, "") == (said.code, said.err), said
        assert 1 == said.out.count("\n"), said.out
        return json.loads(said.out)

    def file(self, name, rows):
        """A file of these rows; its path."""
        path = self.folder / f"{name}.csv"
        path.write_text(rows)
        return str(path)

    def hub(self, clock=None):
        """The hub itself, as long as the block lasts."""
        return contextlib.closing(open_hub(self.config, clock=clock))

    def rows(self):
        """All that the database holds, by table."""
        with self.hub() as hub, hub.database.read() as connection:
            return {
                name: sorted(
                    repr(tuple(row))
                    for row in connection.execute(text(f'SELECT * FROM "{name}"'))  # noqa: S608 - a test
                )
                for name in inspect(connection).get_table_names()
            }


@pytest.fixture
def machine(tmp_path, database_url):
    """A hub on each engine, with keys and nothing else."""
    return Machine(tmp_path, database_url)


@pytest.fixture
def one_engine(tmp_path, sqlite_url):
    """For what is refused alike whatever the database is."""
    return Machine(tmp_path, sqlite_url)


@pytest.fixture
def market(machine):
    """Two dealers far from each other, each with a rep who has one lead."""
    for noun, rows in (("region", REGIONS), ("dealer", DEALERS), ("person", PEOPLE)):
        assert 2 == machine.json(noun, "import", machine.file(noun, rows))["created"]
    assert 2 == machine.json("lead", "import", machine.file("lead", LEADS))["created"]
    owners = {"6281299990001": "per_s", "6281299990002": "per_b"}
    made = machine.json("token", "create", "--scope", "leads:read,customers:read")
    for lead in get(machine, made["token"], "/leads")[1]["items"]:
        owner = owners[lead["customer"]["phone"]]
        given = {"lead": lead["id"], "state": "CLAIMED"}
        assert given == machine.json("lead", "transfer", lead["id"], owner)
    machine.json("token", "revoke", made["id"])
    return machine


def get(machine, secret, path):
    """Status and answer of the API for who holds this secret."""
    with machine.hub() as hub:
        answer = create_app(hub).test_client().get(
            f"/api/v1{path}", headers={"Authorization": f"Bearer {secret}"}
        )  # fmt: skip
        return answer.status_code, answer.json


def opened(machine, secret):
    """What each list of the API answers."""
    return [get(machine, secret, path)[0] for path in API]


# --- tokens ---


def test_a_token_opens_what_it_was_made_for_until_it_is_revoked(market):
    """Its scopes' lists alone, of all dealers; from `token revoke` on nothing at all."""
    made = market.json("token", "create", "--scope", "leads:read,inbox:read")
    secret = made.pop("token")
    assert set(made) == TOKEN_KEYS
    assert (made["scopes"], made["dealer"]) == (["leads:read", "inbox:read"], None)
    assert opened(market, secret) == [200, 403, 200, 200]
    leads = get(market, secret, "/leads")[1]["items"]
    assert {lead["owner"]["dealer"] for lead in leads} == {"SBY01", "BDG01"}
    assert {lead["customer"]["phone"] for lead in leads} == {None}

    assert market.json("token", "revoke", made["id"]) == {"id": made["id"], "revoked": True}
    assert opened(market, secret) == [401] * 4
    again = market.run("token", "revoke", made["id"], "--json")
    assert (again.code, again.out) == (1, "")
    assert f"there is no live token '{made['id']}'" in again.err


def test_a_token_of_a_dealer_reads_that_dealer_alone(market):
    """The code as people write it; another dealer's lead does not exist for it."""
    made = market.json("token", "create", "--scope", "leads:read", "--dealer", "sby01")
    assert (made["dealer"], opened(market, made["token"])) == ("SBY01", [200, 403, 403, 403])
    [mine] = get(market, made["token"], "/leads")[1]["items"]
    assert (mine["owner"]["dealer"], mine["owner"]["rep"]) == ("SBY01", "per_s")

    theirs = market.json("token", "create", "--scope", "leads:read", "--dealer", "BDG01")
    [other] = get(market, theirs["token"], "/leads")[1]["items"]
    assert get(market, made["token"], f"/leads/{mine['id']}")[0] == 200
    assert get(market, made["token"], f"/leads/{other['id']}")[0] == 404


def test_tokens_are_listed_without_their_secrets(machine):
    """The oldest first, a revoked one with the time it ended; a person sees the secret once."""
    first = machine.json("token", "create", "--scope", "alerts:read")
    shown = machine.run("token", "create", "--scope", "inbox:read")
    machine.json("token", "revoke", first["id"])
    listed = machine.json("token", "list")

    assert listed.keys() == {"items", "next"}
    assert listed["next"] is None
    assert all(set(item) == TOKEN_KEYS for item in listed["items"])
    assert [item["scopes"] for item in listed["items"]] == [["alerts:read"], ["inbox:read"]]
    assert [item["revoked_at"] is None for item in listed["items"]] == [False, True]
    assert (shown.code, shown.out.count("\n")) == (0, 1)
    assert shown.err.startswith(f"{listed['items'][1]['id']}; it is shown this once")
    assert opened(machine, shown.out.strip()) == [403, 403, 200, 200]
    plain = machine.run("token", "list")
    assert [line.split()[1] for line in plain.out.splitlines()] == ["revoked", "live"]
    for secret in (first["token"], shown.out.strip()):
        assert secret not in plain.out + json.dumps(listed)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--scope", "leads:write"], f"leads:write: it must be of {' '.join(SCOPES)}"),
        (["--scope", "leads:read,all"], f"all: it must be of {' '.join(SCOPES)}"),
        (["--scope", ","], f"no scope: it must be of {' '.join(SCOPES)}"),
        (["--scope", "leads:read", "--dealer", "NONE"], "no dealer 'NONE': import it first"),
        (["--scope", "inbox:read", "--dealer", "SBY01"], "inbox:read is not for a token of one"),
    ],
)
def test_a_token_of_nothing_there_is_is_refused_in_words(one_engine, options, says):
    """Exit 1, one sentence that names what was wrong, and no token."""
    one_engine.json("region", "import", one_engine.file("region", REGIONS))
    one_engine.json("dealer", "import", one_engine.file("dealer", DEALERS))
    said = one_engine.run("token", "create", *options, "--json")

    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("Error: ")
    assert says in said.err
    assert one_engine.json("token", "list") == {"items": [], "next": None}


def test_a_token_without_a_scope_is_wrong_usage(one_engine):
    """Exit 2: nothing is a good default for what a program may read."""
    said = one_engine.run("token", "create")
    assert (said.code, "--scope" in said.err) == (2, True)


# --- lead import ---


def answered(created=0, unchanged=0, *, dry_run=False):
    """The contract's answer for both rows of LEADS."""
    values = [2, created, 0, unchanged, [], dry_run]
    return dict(zip(IMPORT_KEYS, values, strict=True))


def test_leads_come_in_once_and_a_dry_run_changes_nothing(machine):
    """Dry: what would be, and not a row differs anywhere; then created; then unchanged."""
    path = machine.file("leads", LEADS)
    before = machine.rows()
    dry = machine.json("lead", "import", path, "--dry-run")
    assert (list(dry), dry) == (IMPORT_KEYS, answered(created=2, dry_run=True))
    assert machine.rows() == before

    assert machine.json("lead", "import", path) == answered(created=2)
    stored = machine.rows()
    assert (len(before["lead"]), len(stored["lead"])) == (0, 2)
    for options in ([], ["--dry-run"]):
        again = machine.json("lead", "import", path, *options)
        assert again == answered(unchanged=2, dry_run=bool(options))
        assert machine.rows() == stored


def test_one_refused_row_keeps_a_file_of_leads_out(machine):
    """Exit 1 with row, column, code and message, dry or not; with --partial the others come in."""
    path = machine.file("leads", LANDLINE)
    before = machine.rows()
    for options in ([], ["--dry-run"]):
        found = machine.json("lead", "import", path, *options, code=1)
        [refusal] = found.pop("refused")
        assert refusal.keys() == {"row", "column", "code", "message"}
        assert (refusal["row"], refusal["column"]) == (3, "phone")
        assert refusal["code"] == "not_mobile"
        assert "0315551234" not in refusal["message"]
        counts = {"rows": 3, "created": 0, "changed": 0, "unchanged": 0}
        assert found == {**counts, "dry_run": bool(options)}
        assert machine.rows() == before

    partial = machine.json("lead", "import", path, "--partial", code=1)
    assert (partial["created"], len(partial["refused"])) == (2, 1)
    assert len(machine.rows()["lead"]) == 2
    assert machine.run("lead", "import", "nowhere.csv", "--json").code == 2


# --- boxes ---


def facts(hub):
    """(type, data) of the hub's own facts about the boxes and its keys, in the ledger's order."""
    hub.devices.keys.place_facts()
    events = [json.loads(raw) for batch in hub.ledger.batches(0, 10**6) for raw in batch.events]
    return [
        (event["type"], event["data"])
        for event in events
        if event["type"].startswith(("device.", "key.", "hub."))
    ]


def refusal(hub, box):
    """Why the door refuses a box, None when it does not; later than the door's memory lasts."""
    hub.clock.advance(KEY_CACHE_MS + 1)
    answer = DoorClient(hub).get(HEAD, box)
    return None if answer.status == 200 else answer.refusal


def test_boxes_are_listed_with_what_the_ledger_says_of_them(machine):
    """By dealer; a box was last seen when it enrolled, or later when it delivered."""
    assert machine.json("device", "list") == {"items": [], "next": None}
    with machine.hub(ManualClock()) as hub:
        Box(1).enrolled(hub, "SBY01")
        box = Box(2).enrolled(hub, "BDG01")
        not_followed = machine.json("device", "list")["items"]
        assert [(item["seen_at"], item["events"]) for item in not_followed] == [(None, 0)] * 2
        hub.clock.advance(1500)
        assert DoorClient(hub).send(box, box.batch(3).body).status == 200
        hub.ledger.followers.catch_up()
    listed = machine.json("device", "list")

    assert listed["next"] is None
    sent, silent = listed["items"]
    keys = {"device", "dealer", "state", "version", "enrolled_at", "seen_at", "events"}
    assert sent.keys() == silent.keys() == keys
    assert (sent["device"], sent["dealer"], sent["events"]) == (box.device, "BDG01", 3)
    assert (silent["dealer"], silent["events"]) == ("SBY01", 0)
    enrolled = {sent["enrolled_at"], silent["enrolled_at"], silent["seen_at"]}
    assert enrolled == {"2027-01-15T08:00:00.000Z"}
    assert sent["seen_at"] == "2027-01-15T08:00:01.500Z"
    assert {item["state"] for item in listed["items"]} == {"active"}
    assert len(machine.run("device", "list").out.splitlines()) == 2


def test_a_box_is_suspended_let_in_again_and_revoked(machine):
    """Each says what became of it, again with 0; the running hub's door follows within seconds."""
    with machine.hub(ManualClock()) as hub:
        box = Box(1).enrolled(hub, "SBY01")
        for noun, state, refused in (
            ("suspend", "suspended", (403, "suspended")),
            ("resume", "active", None),
        ):
            for changed in (True, False):
                said = machine.json("device", noun, box.device, "--reason", "lost card")
                assert said == {"device": box.device, "state": state, "changed": changed}
            assert [item["state"] for item in machine.json("device", "list")["items"]] == [state]
            assert refusal(hub, box) == refused
        for ended in (1, 0):
            said = machine.json("device", "revoke", box.device, "--reason", "stolen")
            assert said == {"device": box.device, "revoked": ended}
        assert [item["state"] for item in machine.json("device", "list")["items"]] == ["revoked"]
        assert refusal(hub, box) == (403, "key-revoked")

        kinds = ["device.enrolled", "device.suspended", "device.resumed", "key.revoked"]
        found = facts(hub)
        assert [kind for kind, _ in found] == kinds
        reasons = [data["reason"] for _, data in found[1:]]
        assert reasons == ["lost card", "lost card", "stolen"]
        assert findings(hub) == []


def test_one_key_of_a_box_is_revoked_alone(machine):
    """--key: the box, whose other key is good, stays."""
    with machine.hub(ManualClock()) as hub:
        box = Box(1).enrolled(hub, "SBY01")
        first = box.key.public.keyid
        enrolled, _ = hub.devices.keys.find(first)
        hub.devices.keys.rotate(enrolled, box.rotation(2))
        said = machine.json("device", "revoke", box.device, "--key", first, "--reason", "copied")
        assert said == {"device": box.device, "revoked": 1}
        assert refusal(hub, box) == (403, "key-revoked")
        assert [item["state"] for item in machine.json("device", "list")["items"]] == ["active"]


@pytest.mark.parametrize("noun", ["suspend", "resume", "revoke"])
def test_what_cannot_become_of_a_box_is_refused_in_words(machine, noun):
    """An unknown box, and for ever a revoked one: exit 1; without a reason: exit 2."""
    with machine.hub() as hub:
        box = Box(1).enrolled(hub, "SBY01").device
    unknown = machine.run("device", noun, "dev_none", "--reason", "x", "--json")
    assert (unknown.code, unknown.out) == (1, "")
    assert unknown.err.startswith("Error: no such box")
    assert "dev_none" in unknown.err
    unsaid = machine.run("device", noun, box, "--json")
    assert (unsaid.code, "--reason" in unsaid.err) == (2, True)
    machine.json("device", "revoke", box, "--reason", "stolen")
    if noun != "revoke":
        ended = machine.run("device", noun, box, "--reason", "x", "--json")
        assert (ended.code, ended.out) == (1, "")
        assert f"{box} is revoked, for ever" in ended.err


# --- keys, projections ---


def test_the_http_key_is_followed_by_a_new_one(machine):
    """The answer names the key that signs from now on; each time a version and a fact more."""
    server = machine.config.server
    seen = [load_keys(server).http.public.keyid]
    for version in (2, 3):
        said = machine.json("keys", "rotate", "http", "--reason", "yearly")
        seen.append(load_keys(server).http.public.keyid)
        assert said == {"key": "http", "is": seen[-1], "version": version}
    assert len(set(seen)) == 3
    with machine.hub() as hub:
        assert hub.keys.keyset.version == 3
        followed = [{"key": "http", "follows": key, "reason": "yearly"} for key in seen[1:]]
        assert facts(hub) == [("hub.key_rotated", fact) for fact in followed]
        assert findings(hub) == []


def test_what_is_no_rotation_changes_no_key(one_engine):
    """The root key, or no reason: exit 2; while another process orders the ledger: exit 1."""
    before = load_keys(one_engine.config.server).http.public
    assert one_engine.run("keys", "rotate", "root", "--reason", "x", "--json").code == 2
    assert one_engine.run("keys", "rotate", "http", "--json").code == 2
    with one_engine.hub() as hub:
        lock = elect_sequencer(hub)
        assert lock is not None
        with lock:
            busy = one_engine.run("keys", "rotate", "http", "--reason", "x", "--json")
    assert (busy.code, busy.out) == (1, "")
    assert busy.err.startswith("Error: another process orders the ledger")
    assert load_keys(one_engine.config.server).http.public == before


def test_a_rebuild_says_whether_all_was_the_fold_of_the_ledger(machine):
    """0 and nothing differs; 1 and the table's name where it was not; mended by that."""
    assert machine.json("rebuild") == {"entries": 0, "rows": 0, "differing": []}
    with machine.hub(ManualClock()) as hub:
        box = Box(1).enrolled(hub, "SBY01")
        assert DoorClient(hub).send(box, box.batch(3).body).status == 200
        entries = hub.ledger.size()
    whole = machine.json("rebuild")
    assert (whole["entries"], whole["differing"]) == (entries, [])
    assert whole["rows"] > 0
    with machine.hub() as hub:
        hub.database.write(lambda connection: connection.execute(delete(DEVICE_STATUS)))
    lost = machine.json("rebuild", code=1)
    assert lost == {**whole, "differing": [DEVICE_STATUS.name]}
    assert machine.json("rebuild") == whole
