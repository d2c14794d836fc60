"""`serve --only leads`: the claim router by itself, without boxes, sales and ledger."""

import pytest

from hub.accounts.service import create_admin
from hub.app import create_app
from hub.commands import _elect
from hub.errors import AnotherSequencer
from hub.portals.services import entry_link, unit_link
from hub.wiring import elect_sequencer
from tests.fakes.manual_clock import ManualClock
from tests.fakes.stocked_hub import open_empty_hub
from tests.hub.portals.conftest import Visitor


@pytest.fixture
def hub(tmp_path):
    """A hub without any box."""
    hub = open_empty_hub(tmp_path, public_url="http://localhost", clock=ManualClock())
    yield hub
    hub.close()


def test_leads_are_served_and_boxes_are_not(hub):
    """Doors, pages and health of leads are there, whoever signs in lands on them."""
    client = create_app(hub, only_leads=True).test_client()
    assert client.get("/healthz").status_code == 200
    assert client.get("/webhooks/whatsapp").status_code == 403
    assert client.post("/api/v1/lead").status_code == 401
    assert client.get("/api/v1/leads").status_code == 401
    for path in ("/leads", "/alerts", "/dealers", "/people"):
        assert client.get(path).headers["location"].startswith("/login"), path
    for path in ("/", "/ledger"):
        assert client.get(path).headers["location"] == "/leads"
    for path in ("/units", "/sales.json", "/devices", "/ledger/entry/0", "/ledger/verify"):
        assert client.get(path).status_code == 404, path
    assert client.post("/v1/batches", data=b"").status_code == 404
    assert client.get("/ledger/checkpoint").status_code == 404


def test_the_navigation_leads_nowhere_else(hub):
    """Head office sees leads, alerts, stores and people, and nothing that is not here."""
    visitor = Visitor(create_app(hub, only_leads=True).test_client())
    now_ms = hub.clock.wall_ms()
    link = hub.database.write(lambda c: create_admin(c, "admin@kickstand.example", now_ms))
    visitor.sign_in_by(link)
    page = visitor.text("/leads")
    assert 'href="/leads"' in page
    others = ("/ledger", "/units", "/sales", "/devices")
    assert [] == [url for url in others if f'href="{url}"' in page]


def test_an_entry_is_named_and_not_linked(hub):
    """Its page is served by other processes, under addresses that this one does not know."""
    for only_leads in (False, True):
        app = create_app(hub, only_leads=only_leads)
        with app.test_request_context("/leads"):
            shown = f"{entry_link(4711)} {unit_link('KS9F2L7A8NJ000001')}"
        assert "4.711" in shown
        assert only_leads == ("href" not in shown)


def test_it_runs_beside_the_process_that_orders_the_ledger(hub):
    """On SQLite one process orders; the leads alone need not be it, a whole hub must."""
    held = elect_sequencer(hub)
    assert held is not None
    with held:
        assert _elect(hub, alone=False) == (None, False)
        with pytest.raises(AnotherSequencer):
            _elect(hub, alone=True)
    lock, sequences = _elect(hub, alone=False)
    assert sequences
    assert lock is not None
    lock.close()
