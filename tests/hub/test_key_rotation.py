"""The hub's http and ledger keys are followed by new ones; what the old ones signed stays good."""

from dataclasses import replace
from typing import Literal

import pytest

from hub.commands import KEY_ROTATED
from hub.errors import ConfigError
from hub.keys import load_keys, rotate_key
from hub.ledger import claims
from hub.wiring import Hub, open_hub
from shared.checkpoint import open_checkpoint
from shared.crypto.keys import KeySet
from tests.checks.whole_ledger import findings
from tests.fakes.hub_boxes import Box, DoorClient, running
from tests.fakes.manual_clock import ManualClock


def rotated(hub: Hub, name: Literal["http", "ledger"]) -> Hub:
    """The hub stopped, its key followed, and the hub started, with a fact of it."""
    hub.close()
    rotate_key(hub.config.server, name)
    fresh = open_hub(hub.config, clock=hub.clock)
    fresh.database.write(lambda c: fresh.ledger.append(c, KEY_ROTATED, {"key": name}, now_ms=1))
    fresh.ledger.sequencer.sequence_facts()
    return fresh


@pytest.fixture
def hub(tmp_path, sqlite_url):
    """A hub with a box and its first batch."""
    with running(tmp_path, sqlite_url, clock=ManualClock()) as opened:
        yield opened


def test_facts_under_every_http_key_are_unbroken(hub):
    """`ledger verify` and the checker know who sealed before; answers are signed by the newest."""
    box = Box(1).enrolled(hub)
    first = hub.keys.http.public
    for _ in range(2):
        hub = rotated(hub, "http")
    door = DoorClient(hub)
    assert door.send(box, box.batch(2).body).status == 200
    keyset = KeySet.parse(door.call("GET", "/v1/keys").body, fingerprint=hub.keys.fingerprint)
    hub.ledger.checker.step()

    assert (keyset.version, set(keyset.http)) == (3, {hub.keys.http.public.keyid})
    assert (hub.keys.http_ever[0], len(hub.keys.http_ever)) == (first, 3)
    assert findings(hub) == []
    hub.close()


def test_a_tree_head_under_an_old_ledger_key_is_still_known_as_ours(hub):
    """A box may show one after a restore; new heads are the new key's, of the same ledger."""
    box = Box(1).enrolled(hub)
    DoorClient(hub).send(box, box.batch(2).body)
    old, shown = hub.ledger.key, hub.ledger.checkpoint()
    hub = rotated(hub, "ledger")
    door = DoorClient(hub)
    assert door.post("/v1/checkpoints", box, {"checkpoint": shown}).json["target"] is None
    assert hub.ledger.key.name == old.name
    assert hub.ledger.key != old
    assert open_checkpoint(hub.ledger.checkpoint(), hub.ledger.key).size == hub.ledger.size()
    with hub.database.read() as connection:
        assert claims.largest_claim(connection) is None
    hub.close()


def test_cut_after_the_history_was_written_the_new_key_comes_into_place(hub, monkeypatch):
    """The history decides: before it nothing has happened, after it whoever reads the keys ends
    what was begun."""
    server = hub.config.server

    def cut(*_args):
        raise InterruptedError

    before = load_keys(server)
    with monkeypatch.context() as patched:
        patched.setattr("hub.keys.write_history", cut)
        with pytest.raises(InterruptedError):
            rotate_key(server, "http")
    assert load_keys(server).http.public == before.http.public
    with monkeypatch.context() as patched:
        patched.setattr("hub.keys.load_keys", lambda _server: before)
        rotate_key(server, "http")
    after = load_keys(server)

    assert after.http.public != before.http.public
    assert after.http_ever == (before.http.public, after.http.public)
    assert not (server.keys_dir / "http.next.pem").exists()


def test_an_older_copy_of_a_key_is_not_used(hub, tmp_path):
    """Boxes would refuse it, and seals with it would look forged: better not to start."""
    server = hub.config.server
    old = (server.keys_dir / "http.pem").read_bytes()
    rotate_key(server, "http")
    (server.keys_dir / "http.pem").write_bytes(old)

    with pytest.raises(ConfigError, match="newest copy"):
        load_keys(replace(server))
