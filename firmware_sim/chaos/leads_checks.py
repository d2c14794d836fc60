"""What must be true of leads after any course of events."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from firmware_sim.chaos.leads_people import Network, Party, Vendor
from hub.leads import store
from hub.leads.records import Lead
from hub.leads.states import OWNED
from hub.leads.tables import LEAD
from hub.leads.timeline import store as timeline
from hub.ledger.batches import read_batches
from hub.wiring import Hub
from shared.wire.events import Fact, parse_event

ANSWERS = frozenset({"card", "too_slow", "yours", "expired"})
RACED = frozenset({"won", "too_slow", "expired"})
"""Decisions of taps that stand on the ledger."""


@dataclass(frozen=True, slots=True)
class Found:
    """Counts, and every promise that was broken."""

    leads: int
    claimed: int
    erased: int
    broken: list[str]


def violations(hub: Hub, vendor: Vendor, network: Network, customers: Sequence[Party]) -> Found:
    """Hold the tables against what the vendor and the people saw."""
    broken = [f"{out_id} was sent before it was stored" for out_id in vendor.unstored]
    with hub.database.read() as connection:
        ids = list(connection.scalars(select(LEAD.c.id)))
        leads = [lead for each in ids if (lead := store.get(connection, each)) is not None]
        races = _races(hub, connection)
        claimed = 0
        for lead in leads:
            won, said = _won(connection, lead)
            claimed += bool(won)
            broken += said
            broken += _told(hub, connection, lead, vendor)
            broken += _raced(connection, lead, races.get(lead.id, ()))
        broken += _lost(hub, connection, network, customers)
        asked = [customer for customer in customers if customer.erased and not customer.came_back]
        erased = sum(_is_erased(hub, connection, customer) for customer in asked)
        broken += ["who asked to be erased is still known"] * (len(asked) - erased)
        for out_id, times in vendor.arrivals.items():
            row = _row(hub, connection, leads, out_id)
            if row is not None and times > 1 + row:
                broken.append(f"{out_id} arrived {times} times, with {row} doubts")
    if not hub.leads.inbox.idle():
        broken.append("a delivery waits for ever")
    return Found(len(leads), claimed, erased, broken)


def _row(hub: Hub, connection: Connection, leads: Sequence[Lead], out_id: str) -> int | None:
    """How often it was doubted whether a message about a lead had gone."""
    for lead in leads:
        for row in hub.leads.outbox.of(connection, lead.id):
            if row.id == out_id:
                return row.doubts
    return None


def _won(connection: Connection, lead: Lead) -> tuple[int, list[str]]:
    """Wins of a lead: one, and one more for each time it was given back."""
    events = timeline.events_of(connection, lead.id)
    won = sum(event.decision == "won" for event in events)
    given_back = sum(event.kind == "lead.released" for event in events)
    if won > 1 + given_back:
        return won, [f"{lead.id} was won {won} times and given back {given_back} times"]
    return won, []


def _told(hub: Hub, connection: Connection, lead: Lead, vendor: Vendor) -> Iterator[str]:
    """Each tap is decided once, and whoever tapped has an answer."""
    events = timeline.events_of(connection, lead.id)
    decided = Counter(event.person for event in events if event.decision is not None)
    answered = {row.to for row in hub.leads.outbox.of(connection, lead.id) if row.kind in ANSWERS}
    for turn, rep in enumerate(sorted(p.phone for p in vendor.people.values() if p.rep)):
        taps = len(vendor.people[rep].tapped.get(lead.id, ()))
        person = f"per_{turn}"
        claims = decided[person] - sum(
            event.decision == "skipped" and event.person == person for event in events
        )
        if taps > claims:
            yield f"{taps} taps of {person} on {lead.id}, {claims} decided"
        elif claims > taps + len(vendor.people[rep].skips):
            yield f"{claims} decisions for {taps} taps of {person} on {lead.id}"
        if taps and person not in answered:
            yield f"{person} tapped {lead.id} and was told nothing"


def _races(hub: Hub, connection: Connection) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    """Every fact of a race, by its lead: on the ledger, and on its way there."""
    facts = [*hub.ledger.waiting(connection, ("lead.race",))]
    start = 0
    while batches := read_batches(connection, start, 1000):
        start = batches[-1].first_index + batches[-1].count
        events = [parse_event(raw) for batch in batches for raw in batch.events]
        facts += [
            event.data.values
            for event in events
            if event.type == "lead.race" and isinstance(event.data, Fact)
        ]
    races: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for fact in facts:
        races[str(fact["lead"])].append(fact)
    return races


def _raced(connection: Connection, lead: Lead, facts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The ledger hears of each tap that counts once, in order, when the winner's wait ends."""
    taps = [
        event
        for event in timeline.events_of(connection, lead.id)
        if event.person is not None and event.decision in RACED
    ]
    told = 0
    for fact in sorted(facts, key=lambda each: int(each["first"])):
        if fact["first"] <= told:
            yield f"taps of {lead.id} were told twice"
        told = fact["last"]
        meant = [tap for tap in taps if fact["first"] <= tap.seq <= told]
        order = list(dict.fromkeys((tap.person, tap.decision) for tap in meant))
        if order != [(tap["person"], tap["decision"]) for tap in fact["taps"]]:
            yield f"the race for {lead.id} was another than the ledger is told"
    if told != lead.taps_told:
        yield f"{lead.id} counts as told up to {lead.taps_told}, and is up to {told}"
    if lead.state not in OWNED and any(t.decision == "won" and t.seq > told for t in taps):
        yield f"who won {lead.id} was never told"


def _lost(
    hub: Hub, connection: Connection, network: Network, customers: Sequence[Party]
) -> Iterator[str]:
    for customer in customers:
        if customer.phone not in network.heard or customer.erased:
            continue
        contact = hub.leads.contacts.find(connection, phone=customer.phone)
        if contact is None or store.newest_of(connection, contact) is None:
            yield f"nothing is left of what {customer.phone} wrote"


def _is_erased(hub: Hub, connection: Connection, customer: Party) -> bool:
    return hub.leads.contacts.find(connection, phone=customer.phone) is None
