"""The hub's web application: the boxes' door, the ledger for machines, health, and the pages."""

from collections.abc import Callable

from flask import Flask, Response
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from hub.accounts.service import Accounts
from hub.accounts.tokens import Tokens
from hub.devices.routes import MAX_REQUEST_BYTES, Door, DoorKeys
from hub.devices.routes import blueprint as devices_blueprint
from hub.doors import Handle, put_before
from hub.integrations.qontak import routes as qontak
from hub.integrations.whatsapp import routes as whatsapp
from hub.leads.routes import intake_blueprint
from hub.ledger.checker import read_check
from hub.ledger.routes import LedgerDoor
from hub.ledger.routes import blueprint as ledger_blueprint
from hub.ledger.tree import newest_checkpoint
from hub.portals.api import Sources, api_blueprint
from hub.portals.installing import install
from hub.portals.lead_desk import LeadDesk
from hub.portals.login import signed_in
from hub.portals.mail_desk import MailDesk
from hub.portals.network_desk import NetworkDesk
from hub.portals.numbers import install_numbers
from hub.portals.services import Portal
from hub.portals.stored_dealers import StoredDealers
from hub.portals.stored_devices import StoredDevices
from hub.portals.stored_ledger import StoredLedger
from hub.portals.stored_sales import StoredSales
from hub.wiring import Hub


def create_app(hub: Hub, *, only_leads: bool = False) -> Flask:
    """The WSGI application over an open hub.

    With `only_leads` the claim router alone: webhooks, intake, API, and the pages of leads, alerts,
    stores and people. No door for boxes, no ledger.
    """
    app = Flask("hub")
    app.config["MAX_CONTENT_LENGTH"] = MAX_REQUEST_BYTES
    install_numbers(app)
    quick: dict[tuple[str, str], Handle] = {}
    if not only_leads:
        boxes = door_of(hub)
        app.register_blueprint(devices_blueprint(boxes))
        quick |= boxes.quick()
        app.register_blueprint(ledger_blueprint(_ledger_door(hub)))
    leads = hub.leads
    meta = whatsapp.MetaDoor(leads.inbox, leads.whatsapp.webhook_settings, leads.refusals)
    app.register_blueprint(whatsapp.webhooks(meta))
    quick |= meta.quick()
    app.register_blueprint(intake_blueprint(leads.intake))
    if leads.qontak is not None:
        door = qontak.QontakDoor(leads.inbox, leads.qontak.webhook_secret, leads.refusals)
        app.register_blueprint(qontak.webhooks(door))
        quick |= door.quick()
    app.register_blueprint(
        api_blueprint(
            Sources(
                tokens=Tokens(hub.database),
                leads=leads.board,
                alerts=leads.alerts,
                inbox=leads.inbox,
                outbox=leads.outbox,
            )
        )
    )
    for path, handle in (
        ("/healthz", lambda: Response("ok\n", mimetype="text/plain")),
        ("/readyz", _readiness(hub)),
        ("/metrics", _metrics(hub)),
    ):
        app.add_url_rule(path, path[1:], handle)
    install(app, _portal(hub, only_leads=only_leads))
    put_before(app, quick)
    return app


def door_of(hub: Hub) -> Door:
    """The boxes' door of a hub."""
    return Door(
        hub.devices,
        hub.ledger,
        clock=hub.clock,
        keys=DoorKeys(
            authority=hub.config.server.authority, http=hub.keys.http, keyset=hub.keys.keyset
        ),
        wait_s_max=hub.config.ingest.wait_s_max,
        refusals=hub.refusals,
    )


def _ledger_door(hub: Hub) -> LedgerDoor:
    """The auditors' door."""
    return LedgerDoor(
        hub.database,
        hub.ledger,
        signed_in,
        openings=hub.keys.history.openings,
        root=hub.keys.root.public,
        keys=hub.keys.ledger_ever,
    )


def _portal(hub: Hub, *, only_leads: bool) -> Portal:
    """What the pages read from."""
    return Portal(
        accounts=Accounts(hub.database),
        only_leads=only_leads,
        ledger=StoredLedger(hub.database, hub.ledger, hub_keys=hub.keys.http_ever, clock=hub.clock),
        sales=StoredSales(hub.database, hub.clock),
        devices=StoredDevices(hub.database),
        dealers=StoredDealers(hub.registry, hub.clock),
        leads=LeadDesk(
            hub.database,
            hub.leads.board,
            hub.leads.leads,
            hub.leads.intake.intake,
            clock=hub.clock,
            press=hub.leads.tap_on_page,
        ),
        alerts=hub.leads.alerts,
        network=NetworkDesk(hub.database, hub.registry, hub.clock),
        mail=MailDesk(
            hub.database,
            hub.leads.inbox,
            hub.leads.contacts,
            clock=hub.clock,
            days=hub.config.leads.raw_body_days,
        ),
        clock=hub.clock,
        public_url=hub.config.server.public_url.rstrip("/"),
        vkey=hub.ledger.key.vkey,
    )


def _readiness(hub: Hub) -> Callable[[], Response]:
    def ready() -> Response:
        # Read-only it is ready too, for refilling it takes requests; broken it is, for nothing of
        # what the stores send may be lost.
        state = hub.ledger.refill.state()
        with hub.database.read() as connection:
            broken_at = read_check(connection).broken_at
        said = state.sentence() if state.read_only else f"ready, {state.size} entries"
        broken = "" if broken_at is None else f", BROKEN at entry {broken_at}"
        return Response(f"{said}{broken}\n", mimetype="text/plain")

    return ready


def _metrics(hub: Hub) -> Callable[[], Response]:
    """Counters for Prometheus; ids and sums only."""
    registry = CollectorRegistry()
    size = Gauge("kickstand_ledger_entries", "Entries on the ledger", registry=registry)
    lag = Gauge("kickstand_projection_lag", "Entries not yet projected", registry=registry)
    waiting = Gauge("kickstand_batches_waiting", "Batches without a place", registry=registry)
    closed = Gauge("kickstand_read_only", "1 while a restored hub is refilled", registry=registry)
    facts = Gauge("kickstand_facts_pending", "Hub facts without a place", registry=registry)
    doubtful = Gauge(
        "kickstand_outbox_doubtful", "Attempts left unanswered by a vendor", registry=registry
    )
    refused = Gauge(
        "kickstand_webhooks_refused", "Webhooks turned away", ["why"], registry=registry
    )
    boxes = Gauge(
        "kickstand_boxes_refused", "Requests of boxes refused", ["code"], registry=registry
    )
    broken = Gauge(
        "kickstand_ledger_broken", "1: an entry does not fit what was signed", registry=registry
    )
    verified = Gauge(
        "kickstand_ledger_verified_seconds", "When all was last found unbroken", registry=registry
    )

    def metrics() -> Response:
        with hub.database.read() as connection:
            entries, _ = newest_checkpoint(connection)
            size.set(entries)
            lag.set(entries - hub.ledger.followers.position(connection))
            facts.set(hub.ledger.pending(connection))
            doubts = hub.leads.outbox.doubtful(connection)
            known = read_check(connection)
        broken.set(known.broken_at is not None)
        verified.set((known.verified_ms or 0) / 1000)
        closed.set(hub.ledger.refill.state().read_only)
        waiting.set(hub.ledger.sequencer.waiting)
        doubtful.set(doubts)
        for why, count in hub.leads.refusals.counts().items():
            refused.labels(why).set(count)
        for code, count in hub.refusals.counts().items():
            boxes.labels(code).set(count)
        return Response(generate_latest(registry), mimetype="text/plain")

    return metrics
