"""Somebody changes one byte of the database: every page that speaks of it says so."""

import shutil
import sqlite3
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from hub.accounts.service import create_admin
from hub.app import create_app
from hub.config import parse_config
from hub.wiring import open_hub
from shared.wire.batch import pack_events
from tests.fakes.manual_clock import ManualClock
from tests.fakes.stocked_hub import enrol_boxes, open_empty_hub, stock
from tests.hub.portals.conftest import Visitor

NOW_MS = 1_795_000_000_000
INDEX = 40


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """The folder of a hub with a day of trade, one byte of entry 40 changed in its database."""
    hub = open_empty_hub(tmp_path, public_url="http://localhost", clock=ManualClock(wall_ms=NOW_MS))
    stock(hub, enrol_boxes(hub), NOW_MS, sales=8)
    batch = hub.ledger.batches(INDEX, 1)[0]
    assert (batch.first_index, batch.count) == (INDEX, 1)
    hub.close()
    shutil.copy(tmp_path / "hub.db", tmp_path / "copy.db")
    with sqlite3.connect(tmp_path / "copy.db") as connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (name,) in triggers.fetchall():
            connection.execute(f'DROP TRIGGER "{name}"')
        changed = batch.events[0].replace(b'"E8S Pro"', b'"E8S Prp"')
        assert changed != batch.events[0]
        connection.execute(
            "UPDATE batch SET events = ? WHERE first_index = ?", (pack_events([changed]), INDEX)
        )
    connection.close()
    return tmp_path


def test_one_changed_byte_turns_the_badge_in_both_languages(copied: Path) -> None:
    """The worker's check finds it; list, entry, readiness and metrics name it; it is logged."""
    config = parse_config(
        f'[server]\npublic_url = "http://localhost"\nkeys_dir = "{copied}/keys"\n'
        f'database = "sqlite:///{copied}/copy.db"\n'
    )
    clock = ManualClock(wall_ms=NOW_MS)
    hub = open_hub(config, clock=clock)
    with capture_logs() as logs:
        for _ in range(60):
            hub.ledger.checker.step()
            clock.advance(1000)
    app = create_app(hub)
    link = hub.database.write(
        lambda connection: create_admin(connection, "admin@kickstand.example", NOW_MS)
    )
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    visitor = Visitor(client)
    assert visitor.sign_in_by(link).status_code == 303

    assert f"Broken at entry {INDEX}" in visitor.text("/ledger")
    for index in (INDEX, INDEX + 1):
        assert "nothing can be proven" in visitor.text(f"/ledger/entry/{index}")
        assert visitor.get(f"/ledger/entry/{index}.tlog-proof").status_code == 503
    visitor.post("/language", language="id", back="/")
    assert f"Tidak utuh di entri {INDEX}" in visitor.text("/ledger")
    assert f"BROKEN at entry {INDEX}" in visitor.text("/readyz")
    assert "kickstand_ledger_broken 1.0" in visitor.text("/metrics")
    assert (logs[0]["event"], logs[0]["log_level"]) == ("ledger_broken", "critical")
    assert logs[0]["entry"] == INDEX
    hub.close()
