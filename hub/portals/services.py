"""The services the pages stand on, and what every template may call."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

from flask import Flask, current_app, g, request
from markupsafe import Markup

from hub.accounts.rules import Account
from hub.accounts.service import Accounts
from hub.alerts.service import Alerts
from hub.leads.reads import Viewer
from hub.ledger import verifier as verifier_package
from hub.portals import formats, sentences
from hub.portals.assets import asset_url
from hub.portals.formats import NOTHING
from hub.portals.languages import LANGUAGES, current_language, say
from hub.portals.lead_desk import LeadDesk, viewer_of
from hub.portals.mail_desk import MailDesk
from hub.portals.network_desk import NetworkDesk
from hub.portals.read_models import (
    Count,
    Dealer,
    DealerReads,
    DeviceFilter,
    DeviceReads,
    LedgerReads,
    LedgerState,
    SalesReads,
)
from hub.portals.words import code
from hub.sales.views import SaleFilter, UnitFilter
from shared.clock import Clock
from shared.identifiers import HUB_DEVICE

EXTENSION = "kickstand_portal"
UNIT_LINK: Final = Markup('<a class="id" href="/units/{}">{}</a>')
ENTRY_LINK: Final = Markup('<a class="id" href="/ledger/entry/{}">{}</a>')
DEVICE_LINK: Final = Markup('<a class="id" href="/devices/{}">{}</a>')
BOXES_URLS: Final = frozenset({"/ledger", "/units", "/sales", "/devices"})
COUNTS_KEPT_MS = 5000
EVERYTHING: Final = Viewer(id="navigation", everything=True)
PLAIN: Final = Markup('<span class="id">{}</span>')
VERIFIER: Final = Path(verifier_package.__path__[0]) / "kickstand_verify.py"


@dataclass(frozen=True, kw_only=True)
class Portal:
    """Everything the pages need. `vkey` is the ledger's public key in C2SP form."""

    accounts: Accounts
    ledger: LedgerReads
    sales: SalesReads
    devices: DeviceReads
    dealers: DealerReads
    clock: Clock
    public_url: str
    vkey: str | None = None
    leads: LeadDesk | None = None
    """None: this hub has no leads, and no page of them."""
    alerts: Alerts | None = None
    mail: MailDesk | None = None
    network: NetworkDesk | None = None
    only_leads: bool = False
    """Whether the pages of boxes and sales are served by other processes."""

    def verifier(self) -> bytes:
        """The single-file verifier as it ships."""
        return VERIFIER.read_bytes()

    def everyones(self, unclaimed: int) -> "list[Item]":
        """The sections that people of dealers have too, and how many leads nobody has yet."""
        free = say("%(n)s free", n=formats.number(unclaimed)) if unclaimed else None
        leads = [] if self.leads is None else [Item(say("Leads"), "/leads", free)]
        alerts = [] if self.alerts is None else [Item(say("Alerts"), "/alerts", None)]
        network = [
            *([Item(say("Stores"), "/dealers", None)] if self.network is not None else []),
            *([Item(say("People"), "/people", None)] if self.network is not None else []),
        ]
        return leads + alerts + network

    @property
    def secure(self) -> bool:
        """Do people reach this hub over TLS?"""
        return self.public_url.startswith("https://")

    @cached_property
    def side_counts(self) -> "SideCounts":
        """The counters of the navigation."""
        return SideCounts(self)


def portal() -> Portal:
    """The services of the running app."""
    return cast("Portal", current_app.extensions[EXTENSION])


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the navigation."""

    label: str
    url: str
    count: str | None


class SideCounts:
    """Counters beside the navigation; the whole country's are asked for every five seconds."""

    def __init__(self, services: Portal) -> None:
        """Know nothing yet."""
        self._services = services
        self._asked_ms = -COUNTS_KEPT_MS
        self._counts: tuple[Count, Count, Count, int] | None = None

    def items(self, now_ms: int, viewer: Viewer) -> list[Item]:
        """The sections in reading order; leads are counted for whoever looks."""
        mono_ms = self._services.clock.mono_ms()
        if self._counts is None or mono_ms - self._asked_ms >= COUNTS_KEPT_MS:
            services = self._services
            since_ms = formats.day_start_ms(now_ms, None)
            self._counts = (
                services.sales.unit_counts(UnitFilter())["all"],
                services.sales.sale_counts(SaleFilter(since_ms=since_ms))["all"],
                services.devices.device_counts(DeviceFilter(), now_ms)["all"],
                0 if services.leads is None else services.leads.board.unclaimed(EVERYTHING),
            )
            self._asked_ms = mono_ms
        units, sales, devices, unclaimed = self._counts
        today = say("%(n)s today", n=formats.counted(sales)) if sales.n else None
        return [
            Item(say("Ledger"), "/ledger", None),
            Item(say("Units"), "/units", formats.counted(units) if units.n else None),
            Item(say("Sales"), "/sales", today),
            *self._services.everyones(unclaimed if viewer.everything else self._of(viewer)),
            Item(say("Devices"), "/devices", formats.counted(devices) if devices.n else None),
        ]

    def _of(self, viewer: Viewer) -> int:
        desk = self._services.leads
        return 0 if desk is None else desk.board.unclaimed(viewer)


def _on_offer(account: Account) -> int:
    """How many leads somebody of a dealer could claim now."""
    desk = portal().leads
    offered = [] if desk is None else desk.board.offers(viewer_of(account))
    return len({each.lead.id for each in offered})


def navigation() -> list[Item]:
    """The navigation of this request; its counts are of all dealers, so head office's alone."""
    account = g.get("account")
    if account is not None and not account.head_office:
        return portal().everyones(_on_offer(account))
    admins = account is not None and account.role == "admin" and portal().mail is not None
    viewer = EVERYTHING if account is None else viewer_of(account)
    items = portal().side_counts.items(g.now_ms, viewer) + (mail_items() if admins else [])
    if portal().only_leads:
        items = [item for item in items if item.url not in BOXES_URLS]
    return items


def mail_items() -> list[Item]:
    """What admins have besides."""
    return [Item(say("Inbox"), "/inbox", None), Item(say("Outbox"), "/outbox", None)]


def ledger_state() -> LedgerState:
    """The ledger as a whole, asked once a request."""
    if "ledger_state" not in g:
        g.ledger_state = portal().ledger.state()
    return cast("LedgerState", g.ledger_state)


def dealer_of(code: str | None) -> Dealer | None:
    """The dealer of a code; None when there is none."""
    if code is None:
        return None
    known: dict[str, Dealer | None] = g.setdefault("dealers", {})
    if code not in known:
        known[code] = portal().dealers.dealer(code)
    return known[code]


def zone_for(code: str | None) -> str | None:
    """The time zone of a dealer; None means head office's."""
    dealer = dealer_of(code)
    return None if dealer is None else dealer.timezone


def store_text(code: str | None) -> str:
    """A dealer's name as text; its code when it has none."""
    dealer = dealer_of(code)
    return dealer.name if dealer is not None else code or "\N{EN DASH}"


def store_name(code: str | None) -> str | Markup:
    """A dealer's name, its code when it has none, a dash when there is no dealer."""
    return NOTHING if code is None else store_text(code)


def unit_link(serial: str | None) -> Markup:
    """A serial as a link to its scooter, where its page is served."""
    if not serial:
        return NOTHING
    if portal().only_leads:
        return PLAIN.format(serial)
    return UNIT_LINK.format(quote(serial), serial)


def entry_link(index: int) -> Markup:
    """The number of an entry as a link to it, where its page is served."""
    if portal().only_leads:
        return PLAIN.format(formats.number(index))
    return ENTRY_LINK.format(index, formats.number(index))


def device_link(device: str) -> str | Markup:
    """A box as a link to its page; the hub itself has none."""
    if device == HUB_DEVICE:
        return say("the hub itself")
    return DEVICE_LINK.format(device, formats.short(device))


def every_page() -> dict[str, object]:
    """What templates see on every page."""
    path = request.full_path.removesuffix("?")
    # A form of a section stands under /portal, by the section's own name.
    section = "/" + request.path.removeprefix("/portal/").strip("/").split("/")[0]
    return {
        "ages": formats.AGES,
        "here": path if request.method == "GET" else request.path,
        "language": current_language(),
        "other_languages": [
            (code, name) for code, name in LANGUAGES.items() if code != current_language()
        ],
        "public_url": portal().public_url,
        "section": section,
    }


def install_templates(app: Flask) -> None:
    """Give every template its words and numbers."""
    app.context_processor(every_page)
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        asset=asset_url,
        code=code,
        counted=formats.counted,
        device_link=device_link,
        distance=formats.distance,
        duration=formats.duration,
        entry_link=entry_link,
        exact_time=formats.exact_time,
        fact=sentences.fact,
        ledger_state=ledger_state,
        mark_of=sentences.mark_of,
        money=formats.money,
        name_of=sentences.name_of,
        navigation=navigation,
        number=formats.number,
        or_none=formats.or_none,
        percent=formats.percent,
        short=formats.short,
        size=formats.size,
        store_name=store_name,
        unit_link=unit_link,
        when=formats.when,
        zone_for=zone_for,
    )
