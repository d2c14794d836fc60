"""The timelines of leads, and all SQL on them: what happened, in its order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

from sqlalchemy import Connection

from hub.leads.records import Decision, Happened
from hub.leads.tables import LEAD, LEAD_EVENT
from hub.store import Statement, Values, WideStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What happened to a lead, before it has its number. Ids and plain values only."""

    lead: str
    at_ms: int
    kind: str
    person: str | None = None
    dealer: str | None = None
    decision: Decision | None = None
    margin_ms: int | None = None
    provider_ms: int | None = None
    detail: str | None = None


_TOLD: Final = tuple(field.name for field in fields(Entry))
_COUNT: Final = WideStatement(
    LEAD,
    ("id", "events"),
    "UPDATE lead SET events = lead.events + said.events FROM said WHERE {meets}",
    meets=("lead.id", "id"),
)
_ADD: Final = WideStatement(
    LEAD_EVENT,
    _TOLD,
    # Behind `_COUNT`, whose lead nobody else counts for until this transaction ends.
    f"INSERT INTO lead_event ({', '.join(_TOLD)}, seq)"  # noqa: S608 - our own names
    f" SELECT {', '.join(f'said.{name}' for name in _TOLD)}, lead.events"
    " - count(*) OVER (PARTITION BY said.lead)"
    " + row_number() OVER (PARTITION BY said.lead ORDER BY said.place)"
    " FROM said CROSS JOIN lead WHERE {meets}",
    meets=("lead.id", "lead"),
)
_EVENTS: Final = Statement(
    "SELECT seq, at_ms, kind, person, dealer, decision, margin_ms, provider_ms, ledger_index,"
    " detail FROM lead_event WHERE lead = :lead ORDER BY seq"
)
_RACED: Final = (
    "kind = 'tap.received' AND person IS NOT NULL AND decision IN ('won', 'too_slow', 'expired')"
)
_CLAIM_ORDER: Final = Statement(
    "SELECT seq, person, dealer, decision, at_ms, margin_ms FROM lead_event"  # noqa: S608 - our own names
    f" WHERE lead = :lead AND seq > :after AND {_RACED} ORDER BY seq LIMIT :most"
)
_PLACED_RACE: Final = Statement(
    "UPDATE lead_event SET ledger_index = :place"  # noqa: S608 - our own names
    f" WHERE lead = :lead AND seq >= :first AND seq <= :last AND {_RACED}"
    " AND ledger_index IS NULL"
)
_PLACED_ONE: Final = (
    "UPDATE lead_event SET ledger_index = :place WHERE lead = :lead AND seq ="
    " (SELECT min(told.seq) FROM lead_event AS told WHERE told.lead = :lead"
    " AND told.kind IN {kinds} AND told.at_ms = :at_ms AND told.ledger_index IS NULL)"
)
_PLACED_HAND_OFF: Final = Statement(_PLACED_ONE.format(kinds="('lead.handoff')"))
_PLACED_CLOSING: Final = Statement(
    _PLACED_ONE.format(kinds="('lead.won', 'lead.lost', 'lead.expired')")
)


def note(
    connection: Connection,
    lead: str,
    kind: str,
    at_ms: int,
    *,
    person: str | None = None,
    dealer: str | None = None,
    detail: str | None = None,
) -> None:
    """Add to a lead's timeline."""
    entry = Entry(lead=lead, at_ms=at_ms, kind=kind, person=person, dealer=dealer, detail=detail)
    add(connection, [entry])


def add(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add to the timelines of leads, in this order. The leads must exist."""
    _COUNT.run(connection, sorted(Counter(entry.lead for entry in entries).items()))
    _ADD.run(connection, [tuple(getattr(entry, name) for name in _TOLD) for entry in entries])


def events_of(connection: Connection, lead: str) -> list[Happened]:
    """The whole timeline of a lead, in its order."""
    rows: list[Values] = _EVENTS.rows(connection, lead=lead)
    names = tuple(field.name for field in fields(Happened))
    return [Happened(**dict(zip(names, row, strict=True))) for row in rows]


@dataclass(frozen=True, slots=True)
class Race:
    """Who wanted a lead, in the order of arrival, of a stretch of its timeline."""

    first: int
    last: int
    taps: tuple[Mapping[str, object], ...]
    """Plain values as they stand on the ledger; whoever tapped again stands where they came first,
    once for each answer they got."""


def next_race(connection: Connection, lead: str, after: int, most: int) -> Race | None:
    """The taps behind the entry `after`, at most so many of them; None when there is none."""
    rows = _CLAIM_ORDER.rows(connection, lead=lead, after=after, most=most)
    if not rows:
        return None
    names = ("person", "dealer", "decision", "at", "margin_ms")
    taps: dict[tuple[object, object], dict[str, object]] = {}
    for row in rows:
        said = {
            name: value for name, value in zip(names, row[1:], strict=True) if value is not None
        }
        taps.setdefault((said["person"], said["decision"]), said)
    return Race(rows[0][0], rows[-1][0], tuple(taps.values()))


def race_placed(connection: Connection, lead: str, first: int, last: int, *, index: int) -> None:
    """Note on the timeline where the taps of a stretch stand on the ledger."""
    values = {"lead": lead, "first": first, "last": last, "place": index}
    _PLACED_RACE.run(connection, [values])


def placed(connection: Connection, fact: str, lead: str, *, at_ms: int, index: int) -> None:
    """Note on the timeline where a fact about a lead stands on the ledger."""
    statement = _PLACED_HAND_OFF if fact == "lead.handoff" else _PLACED_CLOSING
    statement.run(connection, [{"lead": lead, "at_ms": at_ms, "place": index}])
