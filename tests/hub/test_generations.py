"""A new generation of the ledger: a restored hub goes on without what nobody can give back."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace

import orjson
import pytest

from hub.app import create_app
from hub.errors import StoreUnavailable
from hub.generations import NothingMissing, open_generation
from hub.ledger import claims
from hub.ledger.generations import OPENED
from hub.ledger.verify import Verifier
from hub.rebuild import rebuild
from hub.wiring import Hub, open_hub
from shared.checkpoint import NoteKey, open_checkpoint, parse_checkpoint
from shared.crypto.keys import KeySet, SigningKey
from shared.generation import read_chain
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import Batch, Box, DoorClient, running
from tests.fakes.manual_clock import ManualClock

ORIGIN = "hub.example/ledger"


@dataclass
class Site:
    """A restored hub that boxes have refilled as far as they could, and what there was before."""

    hub: Hub
    box: Box
    dead: Box
    ring: list[Batch]
    """Given back, and behind a hub fact that is in no ring."""
    checkpoint: str
    """The largest tree head before the disk died."""
    old: Batch

    def reopened(self, _config=None) -> Hub:
        """The hub under the keys that it has now."""
        self.hub.close()
        self.hub = open_hub(self.hub.config, clock=self.hub.clock)
        return self.hub

    def open(self, reason="the disk died"):
        """As the command does; then the hub is started again."""
        opened = open_generation(self.hub, reason=reason, again=self.reopened)
        self.reopened()
        return opened


def take(hub, box, batch):
    """A batch comes through the door and has its place."""
    device, _ = hub.devices.find(box.key.public.keyid)
    return hub.devices.take(device, batch.body, "zstd").result(timeout=30)


@contextmanager
def restored(folder, url) -> Iterator[Site]:
    """A day with two boxes and a fact; its backup is from before the fact."""
    box, dead = Box(1), Box(2)
    with running(folder, f"sqlite:///{folder}/died.db", clock=ManualClock()) as hub:
        old = morning(hub, box, dead)
        hub.database.write(lambda c: hub.ledger.append(c, "sim.fact", {}, now_ms=1))
        hub.ledger.sequencer.sequence_facts()
        ring = [each.batch(3) for each in (box, dead, box)]
        places = [
            take(hub, each, batch) for each, batch in zip((box, dead, box), ring, strict=True)
        ]
        note = hub.ledger.checkpoint()
    with running(folder, url, clock=ManualClock()) as hub:
        morning(hub, Box(1), Box(2))
        hub.database.write(lambda connection: claims.hold(connection, now_ms=0))
        site = Site(hub, box, dead, ring, note, old)
        for each, batch, place in zip((box, dead, box), ring, places, strict=True):
            device, _ = hub.devices.find(each.key.public.keyid)
            hub.devices.claim(device, note)
            hub.devices.give_back(
                device,
                batch.body,
                "zstd",
                first_index=place.first_index,
                received_ms=place.received_ms,
            )
        yield site
        site.hub.close()


def morning(hub, *boxes):
    """What the backup holds."""
    batches = [box.enrolled(hub).batch(2) for box in boxes]
    for box, batch in zip(boxes, batches, strict=True):
        take(hub, box, batch)
    return batches[0]


@pytest.fixture
def site(tmp_path, sqlite_url):
    """On SQLite: what differs between the engines is tested on both."""
    with restored(tmp_path, sqlite_url) as found:
        yield found


def test_the_ledger_goes_on_without_what_is_lost(tmp_path, database_url):
    """Its first own leaf is the root key's word, of the largest head of the old one too; what the
    boxes gave back has places, a dead box's as well; all checks and projections know it."""
    with restored(tmp_path, database_url) as site:
        size = site.hub.ledger.size()
        opened = site.open()

        hub = site.hub
        fact = hub.ledger.batches(size, 1)[0]
        assert orjson.loads(fact.events[0])["type"] == OPENED
        assert (opened.placed, opened.aside) == (3, 0)
        assert parse_checkpoint(site.checkpoint) == opened.opening.ended
        assert (opened.opening.begins.size, hub.ledger.size()) == (size, size + 1 + 9)
        assert not hub.ledger.refill.state().read_only
        take(hub, site.box, site.box.batch(1))
        assert findings(hub) == []
        assert rebuild(hub).differing == []


def test_boxes_and_auditors_learn_of_it_from_the_root_key(site):
    """The key set has a larger version and the new origin; beside it stands the signed opening."""
    site.open()
    door = DoorClient(site.hub)
    keyset = KeySet.parse(door.call("GET", "/v1/keys").body, fingerprint=site.hub.keys.fingerprint)
    key = NoteKey.parse(keyset.ledger_vkey)
    [opening] = read_chain(keyset.generations, origin=key.name, root=keyset.root)
    client = create_app(site.hub).test_client()

    assert (keyset.version, key.name) == (2, f"{ORIGIN}/2")
    shown = orjson.loads(client.get("/ledger/generations").data)
    assert shown["openings"] == [opening.values()]
    for path in ("/ledger/checkpoint", "/ledger/2/checkpoint"):
        assert open_checkpoint(client.get(path).text, key).size == site.hub.ledger.size()
    assert client.get("/ledger/1/checkpoint").status_code == 404
    caching = [
        client.get(f"/ledger/{p}tile/0/000.p/1").headers["cache-control"] for p in ("", "2/")
    ]
    assert ("immutable" in caching[0], "immutable" in caching[1]) == (False, True)


def test_a_ledger_that_lacks_nothing_has_no_new_generation(site):
    """Only one that is read-only; and once is enough."""
    site.open()

    with pytest.raises(NothingMissing, match="hold"):
        open_generation(site.hub, reason="again", again=site.reopened)
    assert site.hub.keys.history.generation == 2


@pytest.mark.parametrize("step", ["signed", "begun"])
def test_cut_in_the_midst_the_same_command_goes_on(site, monkeypatch, step):
    """The power goes after the history was written, or before what was given back has places."""

    class Cut(Exception):
        pass

    def cut(*_args, **_kwargs):
        raise Cut

    with monkeypatch.context() as patched:
        if step == "begun":
            patched.setattr("hub.devices.service.Devices.take_aside", cut)
        with pytest.raises(Cut):
            open_generation(site.hub, reason="x", again=cut if step == "signed" else site.reopened)
    site.reopened()
    assert site.hub.ledger.refill.state().read_only == (step == "signed")
    opened = site.open("another reason")

    assert (opened.opening.generation, opened.opening.reason, opened.placed) == (2, "x", 3)
    assert findings(site.hub) == []


def test_a_backup_from_before_a_generation_gets_the_next_one(site, tmp_path):
    """The generation has lived: opened once more, it would have two histories."""
    with closing(sqlite3.connect(tmp_path / "hub.db")) as now:
        now.execute("VACUUM INTO ?", [str(tmp_path / "older.db")])
    site.open()
    server = replace(site.hub.config.server, database=f"sqlite:///{tmp_path}/older.db")
    site.hub.close()
    site.hub = open_hub(replace(site.hub.config, server=server), clock=site.hub.clock)
    assert site.hub.ledger.refill.state().lacks_generation == 2
    # The same entries as at the opening: only the history beside the keys tells that it has lived.
    opened = site.open()

    assert (opened.opening.generation, opened.opening.ended.origin) == (3, f"{ORIGIN}/2")
    assert findings(site.hub) == []


def test_a_process_that_was_not_restarted_signs_nothing_any_more(site):
    """It would go on in the name of a generation that has ended."""
    stale = open_hub(site.hub.config, clock=site.hub.clock)
    site.open()

    with pytest.raises(StoreUnavailable, match="restart"):
        stale.ledger.checkpoint()
    with pytest.raises(StoreUnavailable, match="restart"):
        take(stale, site.box, site.box.batch(1))
    stale.close()


def test_an_opening_that_the_root_key_did_not_sign_is_found(site):
    """Whoever has the http key alone cannot end a generation."""
    site.open()
    stranger = SigningKey.generate().public
    with site.hub.database.read() as connection:
        keys = site.hub.keys
        found = Verifier(hub_keys=keys.http_ever, root=stranger).run(connection).findings

    assert any("opening of a generation" in finding for finding in found)


def test_a_box_may_open_an_epoch_above_those_that_were_lost(site):
    """One position never gets two meanings, though the hub forgot that it was given."""
    site.open()
    door = DoorClient(site.hub)
    wish = {"close": 1, "nonce": "n", "reason": "generation", "above": 4}

    assert door.post("/v1/devices/self/epochs", site.box, wish).json["epoch"] == 5
    assert findings(site.hub) == []
