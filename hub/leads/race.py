"""Who wins: taps decided in their order, and those on several leads by the same few statements."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.needs import Rep
from hub.leads.records import Decision, Lead, Offer, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Tapped:
    """A tap on an offer: by whom, and when it arrived and by which message."""

    lead: str
    person: Rep
    at_ms: int
    """When the hub stored it: decides the margin."""
    message: str
    """The vendor's id of the message: the same tap twice is answered once."""
    provider_ms: int | None


@dataclass(frozen=True, slots=True)
class Won:
    """The tap that was first, and the lead as it is its sender's."""

    tap: Tapped
    lead: Lead
    before: int
    """How many had tapped on it until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """A tap that won nothing, and why."""

    tap: Tapped
    lead: Standing
    offer: Offer | None
    decision: Decision
    margin_ms: int | None
    """Of the first tap of its sender: whoever taps again hears the same answer again."""


Ending: TypeAlias = Won | Late | None
"""What a tap was worth; None: there is no such lead."""
_Queue: TypeAlias = list[tuple[int, Tapped]]
"""Taps on one lead with their places in the run."""


def decide(
    connection: Connection,
    taps: Sequence[Tapped],
    beside: Callable[[Collection[str]], object],
) -> list[Ending]:
    """Give each lead to the first who may have it; what became of each tap, in their order.

    As if each had come alone: what is written of one lead depends on no other. `beside` is called
    with the dealers whose people may win, for what is to be asked with the question who does.
    """
    endings: list[Ending] = [None] * len(taps)
    # Before it is looked at how they stand: else who comes first may be told of a round that ends.
    store.lock_all(connection, [tap.lead for tap in taps])
    standings = store.standings(connection, [(tap.lead, tap.person.id) for tap in taps])()
    queues: dict[str, _Queue] = {}
    for place, tap in enumerate(taps):
        queues.setdefault(tap.lead, []).append((place, tap))
    while queues:
        # Looked at first because seven of eight come too late; what decides is the statement.
        asked = [queue[0][1] for queue in queues.values() if _is_open(standings, queue[0][1])]
        offers = [standings[tap.lead, tap.person.id][1] for tap in asked]
        beside({offer.dealer for offer in offers if offer is not None})
        claimed = store.claim(connection, [(tap.lead, tap.person.id, tap.at_ms) for tap in asked])
        tried = {tap.lead for tap in asked}
        now_stand = store.standings(
            connection,
            [(tap.lead, tap.person.id) for lead in tried for _, tap in queues[lead]],
        )
        won = claimed()
        standings |= now_stand()
        queues = {
            lead: left
            for lead, queue in queues.items()
            if (left := _ended(queue, endings, standings, won.get(lead)))
        }
    return endings


def _is_open(standings: Mapping[tuple[str, str], store.Standings], tap: Tapped) -> bool:
    found = standings.get((tap.lead, tap.person.id))
    return found is not None and found[0].state == "UNCLAIMED"


def _ended(
    queue: _Queue,
    endings: list[Ending],
    standings: dict[tuple[str, str], store.Standings],
    won: tuple[Lead, int] | None,
) -> _Queue:
    """Write down what has been decided of the taps on one lead; the others."""
    if won is not None:
        place, tap = queue[0]
        lead, noted = won
        ended = (each for each in endings[:place] if each is not None)
        endings[place] = Won(tap, lead, noted + sum(each.tap.lead == lead.id for each in ended))
        queue = queue[1:]
    # Who may not have it leaves it to the next, if it is still to be had.
    open_ = won is None and _is_open(standings, queue[0][1])
    lost, left = (queue[:1], queue[1:]) if open_ else (queue, [])
    for place, tap in lost:
        found = standings.get((tap.lead, tap.person.id))
        late = endings[place] = None if found is None else _late(tap, *found)
        if late is not None and late.offer is not None and late.margin_ms is not None:
            first = replace(late.offer, margin_ms=late.margin_ms)
            standings[tap.lead, tap.person.id] = (late.lead, first)
    return left


def _late(tap: Tapped, lead: Standing, offer: Offer | None) -> Late:
    decision = rules.late_tap(lead, tap.person.id, offer)
    margin_ms = None
    if decision == "too_slow" and offer is not None:
        margin_ms = offer.margin_ms
        if margin_ms is None:
            margin_ms = rules.margin_ms(lead.claimed_ms, tap.at_ms)
    return Late(tap=tap, lead=lead, offer=offer, decision=decision, margin_ms=margin_ms)
