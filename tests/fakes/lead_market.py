"""A small market for leads: dealers, reps, an outbox that remembers, around the real leads."""

from dataclasses import dataclass, field, replace

import orjson
from sqlalchemy import func, select

from hub.config import LeadsConfig
from hub.inbox.incoming import Message, Sender, Tap, Text
from hub.leads import store
from hub.leads.desk import Desk
from hub.leads.intake import Intake
from hub.leads.lead_file import LeadFile
from hub.leads.needs import Customer, Rep
from hub.leads.race import Tapped
from hub.leads.renderer import LeadRenderer
from hub.leads.service import Beginning, Leads
from hub.leads.tables import LEAD
from hub.leads.timeline import store as timeline
from hub.leads.winning import Sold
from hub.ledger.service import Ledger
from hub.ledger.tables import PENDING
from hub.outbox.messages import Draft, Outgoing, Rendered, Withhold
from hub.registry.rules import Dealer, Model, Region
from tests.fakes.manual_clock import ManualClock

SURABAYA = (-7.2575, 112.7521)
START_MS = 1_795_000_000_000


@dataclass
class Arrived:
    """A row of the inbox, as far as leads look at it."""

    received_ms: int


def a_dealer(code, km=0.0, **changes):
    """A dealer so many kilometres east of the middle of Surabaya."""
    values = {
        "code": code,
        "name": f"Dealer {code}",
        "company": None,
        "region": "JATIM",
        "address": f"Jalan {code} 1",
        "lat": SURABAYA[0],
        "lon": SURABAYA[1] + km / 110.3,
        "timezone": "Asia/Jakarta",
        "phone": None,
        "email": None,
        "hours": "Mon-Sun 09:00-21:00",
        "closed_days": (),
        "capacity": None,
        "weight": 1.0,
        "authorised": True,
        "paused_until_ms": None,
        "opened_on": None,
        "closed_on": None,
    }
    return Dealer(**values | changes)


def a_rep(number, dealer, language="id"):
    """Rep number so and so of a dealer."""
    return Rep(id=f"per_{number}", name=f"Rep{number} Wijaya", language=language, dealers=(dealer,))


@dataclass
class Town:
    """Dealers and people; who is shut or off is said by the test."""

    stores: dict[str, Dealer] = field(default_factory=dict)
    people: dict[str, Rep] = field(default_factory=dict)
    shut: dict[str, int] = field(default_factory=dict)
    """Code to when it opens."""
    off: set[str] = field(default_factory=set)

    def add(self, dealer, *reps):
        """A dealer and its reps."""
        self.stores[dealer.code] = dealer
        self.people |= {rep.id: rep for rep in reps}

    def dealers(self, _connection):
        return [self.stores[code] for code in sorted(self.stores)]

    def dealer_later(self, connection, code):
        return lambda: self.dealer(connection, code)

    def dealer(self, _connection, code):
        return self.stores.get(code)

    def region(self, _connection, code):
        return Region(
            code=code, name=code, timezone="Asia/Jakarta", manager="per_boss", executives=()
        )

    def model(self, _connection, code):
        return Model(
            code=code,
            name=f"Model {code}",
            serial_pattern=None,
            has_telemetry=True,
            warranty_months=24,
            active=True,
        )

    def models_in(self, connection):
        return [self.model(connection, "E8")]

    def rep(self, _connection, person):
        return self.people.get(person)

    def on_duty(self, _connection, dealer, _now_ms):
        if dealer.code in self.shut:
            return []
        return [
            rep
            for rep in self.people.values()
            if dealer.code in rep.dealers and rep.id not in self.off
        ]

    def expected(self, _connection, dealer, _now_ms):
        everybody = self.people.values()
        return [rep for rep in everybody if dealer.code in rep.dealers and rep.id not in self.off]

    def hours_today(self, _connection, _dealer, now_ms):
        return now_ms, now_ms + 3_600_000

    def ready(self, _connection, rep, _until_ms):
        self.off.discard(rep.id)
        for code in rep.dealers:
            self.shut.pop(code, None)

    def off_today(self, _connection, rep, _now_ms):
        self.off.add(rep.id)

    def closed(self, _connection, dealer, _now_ms):
        return "closed" if dealer.code in self.shut else None

    def next_open_ms(self, _connection, dealer, now_ms):
        return self.shut.get(dealer.code, now_ms)

    def due_ms(self, _connection, dealer, start_ms, open_ms):
        return self.shut.get(dealer.code, start_ms) + open_ms


@dataclass
class Remembered:
    """An outbox that sends nothing."""

    drafts: dict[str, tuple[str, Draft]] = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)

    def enqueue(self, _connection, draft):
        out = f"out_{len(self.drafts)}"
        return self.drafts.setdefault(draft.key, (out, draft))[0]

    def enqueue_all(self, connection, drafts):
        for draft in drafts:
            self.enqueue(connection, draft)

    def newest(self, _connection, *, ref, kind):
        found = [d for _, d in self.drafts.values() if (d.ref, d.kind) == (ref, kind)]
        return orjson.loads(orjson.dumps(found[-1].data)) if found else None

    def withdraw_all(self, connection, refs, kinds):
        for ref in refs:
            self.withdraw(connection, ref=ref, kinds=kinds)

    def withdraw(self, _connection, *, ref, kinds, to=None):
        keys = {
            key
            for key, (_, draft) in self.drafts.items()
            if draft.ref == ref and draft.kind in kinds and to in {None, draft.to}
        }
        self.withdrawn |= keys

    def said(self, kind, to=None):
        """What was enqueued of a kind."""
        return [d for _, d in self.drafts.values() if d.kind == kind and to in {None, d.to}]


@dataclass
class Bells:
    """Alerts that were raised."""

    rung: list[dict[str, object]] = field(default_factory=list)

    def raise_(
        self,
        _connection,
        tier,
        rule,
        key,
        *,
        what,
        consequence,
        action,
        region=None,
        dealer=None,
        owner=None,
    ):
        assert all((tier, what, consequence, action))
        rung = {"rule": rule, "key": key, "region": region, "dealer": dealer, "owner": owner}
        self.rung.append(rung)
        return "alr_x"


@dataclass
class Book:
    """The contacts."""

    names: dict[str, Customer] = field(default_factory=dict)
    phone: str | None = "6281234567890"
    """Of everybody else."""

    def customer(self, _connection, contact):
        return self.names.get(contact, Customer(id=contact, name="Budi Santoso", phone=self.phone))

    def phones(self, connection, contacts):
        return {contact: self.customer(connection, contact).phone for contact in contacts}

    def transcript(self, _connection, _lead, _limit):
        return ["Pelanggan: halo"]


class Unasked:
    """No conversation."""

    def render(self, _connection, _lead, row):
        return Rendered(text=str(row.data["question"]))


class Units:
    """What the ledger says of units; the test fills it in."""

    def __init__(self):
        self.known: dict[str, Sold] = {}

    def unit(self, _connection, serial):
        return self.known.get(serial)


class Market:
    """The leads of one database with their surroundings."""

    def __init__(self, database, **settings):
        self.database = database
        self.town = Town()
        self.outbox = Remembered()
        self.bells = Bells()
        self.book = Book()
        self.clock = ManualClock(wall_ms=START_MS)
        self.settings = LeadsConfig(**settings)
        self.desk = Desk(
            directory=self.town,
            outbox=self.outbox,
            alerts=self.bells,
            facts=Ledger,
            customers=self.book,
            settings=self.settings,
            clock=self.clock,
            is_free=lambda _connection, person, _at_ms: person in self.free,
            is_mute=lambda _connection: self.mute,
        )
        self.mute = False
        self.free: set[str] = set()
        self.units = Units()
        self.leads = Leads(database, self.desk, self.units)
        self.intake: Intake | None = None
        self.file: LeadFile | None = None
        self.renderer = LeadRenderer(
            self.town, self.book, Unasked(), claim_s=300, contact_s=self.settings.contact_s,
            portal_url="https://hub.example",
        )  # fmt: skip
        self.messages = 0

    def pass_time(self, ms):
        """So much time passes, and what falls due in it is done, each at its moment."""
        end = self.clock.wall_ms() + ms
        while True:
            with self.database.read() as connection:
                due_ms = connection.execute(select(func.min(LEAD.c.next_step_ms))).scalar()
            if due_ms is None or due_ms > end:
                break
            self.clock.set_wall(max(due_ms, self.clock.wall_ms()))
            self.leads.step(self.clock.wall_ms(), 100)
        self.clock.set_wall(end)

    def do(self, work):
        """Run `work` in a write transaction."""
        return self.database.write(work)

    def lead(self, *, at=SURABAYA, contact="cus_a", **known):
        """A qualified lead at a place, routed."""

        def work(connection):
            now = self.clock.wall_ms()
            start = Beginning(contact=contact, source="whatsapp", consent_version="2026-11")
            lead = self.leads.begin(connection, replace(start, test=known.pop("test", False)), now)
            values = {"area": "Wonokromo, Surabaya", "model": "E8"} | known
            store.change(
                connection,
                lead.id,
                lat_udeg=round(at[0] * 1e6),
                lon_udeg=round(at[1] * 1e6),
                **values,
            )
            known_now = store.lock(connection, lead.id)
            assert known_now is not None
            self.leads.qualify(connection, known_now, now)
            return lead.id

        return self.do(work)

    def tap(self, party, button, at_ms=None, title="x"):
        """A tap arrives and is decided."""
        self.messages += 1
        pressed = Tap(button, title)
        message = Message(
            id=f"wamid.{self.messages}",
            channel="meta",
            number="brand",
            sender=Sender(phone="62811"),
            provider_ms=None,
            content=pressed,
        )
        row = Arrived(self.clock.wall_ms() if at_ms is None else at_ms)
        return self.do(
            lambda connection: self.leads.tap(connection, party, pressed, message=message, row=row)
        )

    def tap_all(self, taps):
        """Taps on *Claim*, each a person and a lead, arrive and are decided together."""
        at_ms = self.clock.wall_ms()
        run = [
            Tapped(
                lead=lead,
                person=self.town.people[person],
                at_ms=at_ms,
                message=f"wamid.{person}.{lead}",
                provider_ms=None,
            )
            for person, lead in taps
        ]
        return self.do(lambda connection: self.leads.claim(connection, run))

    def say(self, person, text):
        """A rep writes to us."""
        self.messages += 1
        message = Message(
            id=f"wamid.{self.messages}",
            channel="meta",
            number="brand",
            sender=Sender(phone="62811"),
            provider_ms=None,
            content=Text(text),
        )
        row = Arrived(self.clock.wall_ms())
        self.do(lambda connection: self.leads.rep_message(connection, person, message, row))

    def get(self, lead):
        """The lead as stored."""
        with self.database.read() as connection:
            return store.get(connection, lead)

    def offers(self, lead):
        """Its offers."""
        with self.database.read() as connection:
            return store.offers_of(connection, lead)

    def kinds(self, lead):
        """Kinds of its timeline, in order."""
        with self.database.read() as connection:
            return [entry.kind for entry in timeline.events_of(connection, lead)]

    def events(self, lead):
        """Its timeline."""
        with self.database.read() as connection:
            return timeline.events_of(connection, lead)

    def facts(self, kind):
        """Facts on their way to the ledger."""
        with self.database.read() as connection:
            rows = connection.execute(select(PENDING).where(PENDING.c.type == kind)).all()
        return [orjson.loads(row.data) for row in rows]

    def words(self, draft):
        """What an enqueued message says now."""
        row = Outgoing(
            id="out_x",
            to=draft.to,
            role=draft.role,
            kind=draft.kind,
            ref=draft.ref,
            data=draft.data,
            created_ms=draft.not_before_ms,
        )
        with self.database.read() as connection:
            said = self.renderer.render(connection, row)
        assert isinstance(said, Rendered | Withhold)
        return said
