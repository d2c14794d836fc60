"""A day of leads on a stocked hub: in every state, tapped, told about, with alerts and mail."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection

from hub.inbox.incoming import Message, Sender, Tap
from hub.inbox.service import InboxRow, Outcome
from hub.leads import store
from hub.leads.service import Beginning
from hub.wiring import Hub

MINUTE_MS = 60_000
DEALERS = """code,name,company,region,address,lat,lon,timezone,hours,authorised,capacity
SBY01,Surabaya Darmo,PT Roda,R,Jl. Darmo 88,-7.2892,112.7344,WIB,Mon-Sun 00:00-24:00,yes,40
SBY02,Surabaya Kenjeran,PT Roda,R,Jl. Kenjeran 201,-7.2437,112.7914,WIB,Mon-Sun 00:00-24:00,yes,
SDA01,Sidoarjo Kota,,R,Jl. Pahlawan 12,-7.4478,112.7183,WIB,Mon-Sun 00:00-24:00,yes,12
DPS01,Denpasar Teuku Umar,,R,Jl. Teuku Umar 9,-8.6705,115.2126,WITA,Mon-Sun 09:00-21:00,yes,
JAP01,Jayapura Abepura,,R,Jl. Abepura 3,-2.5916,140.669,WIT,Mon-Sun 09:00-21:00,yes,
MLG01,Malang Kota,,R,Jl. Ijen 5,-7.9666,112.6326,WIB,Mon-Sat 09:00-17:00,no,
"""
PEOPLE = """id,name,role,dealers,regions,phone,email,wa_opt_in_at,language
per_mira,Mira Kusuma,dealer_manager,SBY01,,,mira@example.com,,id
per_rudi,Rudi Hartono,rep,SBY01,,081234560001,,2026-01-01,en
per_susi,Susi Lestari,rep,SBY01,,081234560002,,2026-01-01,id
per_agus,Agus Salim,rep,SBY02,,081234560003,,2026-01-01,id
per_dewi,Dewi Anggraini,rep,SDA01,,081234560004,,2026-01-01,id
per_tono,Tono Prasetyo,rep,SDA01,,081234560005,,,id
per_bambang,Bambang Wirawan,regional_manager,,R,,bambang@example.com,,en
"""
WISHES = (
    ("E8S Pro", "instalments", "now", "Wonokromo, Surabaya"),
    ("E8", "cash", "month", "Gubeng, Surabaya"),
    ("Kota 5", "unknown", "later", "Rungkut, Surabaya"),
    ("E8S Pro", "cash", "now", "Waru, Sidoarjo"),
)
SOURCES = ("whatsapp", "whatsapp_ad", "tiktok", "form", "walk_in")


class _Row:
    """A row of the inbox, as far as leads look at it."""

    def __init__(self, received_ms: int) -> None:
        self.received_ms = received_ms


class Stock:
    """Makes leads that began so many minutes ago."""

    def __init__(self, hub: Hub, now_ms: int) -> None:
        """Nothing yet."""
        self.hub = hub
        self.now_ms = now_ms
        self._made = 0

    def lead(self, ago_min: int, *, place: bool = True, **known: Any) -> str:
        """A lead of a new customer; with a place it is on the market."""
        self._made += 1
        number, at_ms = self._made, self.now_ms - ago_min * MINUTE_MS
        model, payment, buy_when, area = WISHES[number % len(WISHES)]

        def work(connection: Connection) -> str:
            leads = self.hub.leads.leads
            contact = self.hub.leads.contacts.meet(
                connection, phone=f"628129999{number:04d}", name=f"Customer {number}", now_ms=at_ms
            )
            began = Beginning(
                contact=contact,
                source=SOURCES[number % len(SOURCES)],
                consent_version="2026-11",
                consent_ms=at_ms,
            )
            lead = leads.begin(connection, began, at_ms)
            values: dict[str, Any] = {
                "model": model,
                "payment": payment,
                "buy_when": buy_when,
                "area": area,
                "region": "R",
            }
            if place:
                values |= {"lat_udeg": -7_290_000 - number * 1000, "lon_udeg": 112_740_000}
                store.change(connection, lead.id, **values | known)
                found = store.lock(connection, lead.id)
                assert found is not None
                leads.qualify(connection, found, at_ms)
            return lead.id

        return self.hub.database.write(work)

    def tap(self, person: str, kind: str, lead: str, ago_ms: int) -> None:
        """A tap of somebody."""
        pressed = Tap(f"{kind}_{lead}", kind)
        message = Message(
            id=f"wamid.{person}.{kind}.{lead}",
            channel="meta",
            number="brand",
            sender=Sender(phone="62811"),
            provider_ms=None,
            content=pressed,
        )
        row = _Row(self.now_ms - ago_ms)
        tap = partial(self.hub.leads.leads.tap, message=message, row=row)
        self.hub.database.write(lambda connection: tap(connection, person, pressed))


def stock_leads(hub: Hub, now_ms: int) -> Mapping[str, str]:
    """A day of them; the ids of some: offered, claimed, alert, delivery."""
    assert not hub.registry.dealers.import_file(DEALERS.encode()).refused
    assert not hub.registry.people.import_file(PEOPLE.encode()).refused
    stock = Stock(hub, now_ms)
    for ago_min, deeds in (
        (290, (("per_agus", "CLAIM"), ("per_agus", "CONTACTED"), ("per_agus", "LOST"))),
        (240, (("per_dewi", "CLAIM"), ("per_dewi", "CONTACTED"), ("per_dewi", "DEMO"))),
        (200, (("per_rudi", "CLAIM"), ("per_rudi", "CONTACTED"))),
        (55, (("per_susi", "CLAIM"),)),
    ):
        lead = stock.lead(ago_min)
        for place, (person, kind) in enumerate(deeds):
            stock.tap(person, kind, lead, (ago_min - 1 - place) * MINUTE_MS)
    claimed = stock.lead(12)
    stock.tap("per_rudi", "CLAIM", claimed, 12 * MINUTE_MS - 8421)
    stock.tap("per_agus", "CLAIM", claimed, 12 * MINUTE_MS - 9625)
    stock.tap("per_dewi", "SKIP", claimed, 12 * MINUTE_MS - 9900)
    stock.lead(9, place=False)
    stock.lead(7, human=True)
    offered = [stock.lead(ago_min) for ago_min in (3, 1)][-1]
    hub.database.write(lambda c: hub.leads.leads.test_offer(c, "per_susi", now_ms))
    return {
        "offered": offered,
        "claimed": claimed,
        "alert": _alerts(hub),
        "delivery": _mail(hub),
    }


def _alerts(hub: Hub) -> str:
    raise_ = hub.leads.alerts.raise_
    hub.database.write(
        lambda c: raise_(
            c,
            "P1",
            "template_worse",
            "template_worse/lead_offer_v1/id",
            what="The template lead_offer_v1 (id) is now PAUSED: low quality",
            consequence="The next one of its list is used, or nobody outside a window is told.",
            action="See `kickstand-hub whatsapp templates status`; mend and push it.",
        )
    )
    alert = hub.database.write(
        lambda c: raise_(
            c,
            "P0",
            "lead_unclaimed",
            "lead_unclaimed/R",
            what="2 leads in Jawa have waited for 9 minutes and nobody claims them",
            consequence="The customers are called by nobody and buy elsewhere.",
            action="Call a dealer near by, or hand the leads over.",
            region="R",
            dealer="SBY01",
            owner="per_bambang",
        )
    )
    hub.leads.alerts.deeds.ack(alert, by="per_bambang")
    return alert


def _mail(hub: Hub) -> str:
    contact = hub.database.write(
        lambda c: hub.leads.contacts.meet(c, phone="6281299990001", name=None, now_ms=1)
    )
    inbox = hub.leads.inbox
    body = {"object": "whatsapp_business_account", "entry": [{"from": "6281299990001"}]}
    kept = inbox.keep("whatsapp", json.dumps(body).encode(), {"Content-Length": "90"})
    inbox.keep("whatsapp", b"\xff\xfe", {})
    inbox.keep("qontak", b'{"text":"halo"}', {})

    def handle(_connection: Connection, row: InboxRow) -> Outcome:
        if row.body.startswith(b"\xff"):
            return Outcome("kept", "not JSON: byte 0xff at 0")
        return Outcome("done", None, (contact,))

    while inbox.step(handle):
        pass
    return kept
