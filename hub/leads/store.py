"""All SQL on the tables of leads that decides or changes something."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final

from sqlalchemy import Connection, Table, func, insert, select

from hub.leads.records import Happened, Lead, Offer, Standing
from hub.leads.states import CLOSED, OWNED, State
from hub.leads.tables import LEAD, LEAD_ANSWER, LEAD_OFFER
from hub.sales.tables import SALE
from hub.store import Statement, Values, set_columns

_TRUTHS: Final = frozenset({"human", "test", "reminded", "told", "live"})
_LEAD_COLUMNS: Final = tuple(field.name for field in fields(Lead))
_OFFER_COLUMNS: Final = tuple(field.name for field in fields(Offer))
_LEAD_LIST: Final = ", ".join(f'"{name}"' for name in _LEAD_COLUMNS)
_OFFER_LIST: Final = ", ".join(f'"{name}"' for name in _OFFER_COLUMNS)


def as_lead(row: Sequence[Any]) -> Lead:
    """A lead from its columns in the order of its fields."""
    return Lead(**_typed(dict(zip(_LEAD_COLUMNS, row, strict=True))))


def as_offer(row: Sequence[Any]) -> Offer:
    """An offer from its columns in the order of its fields."""
    return Offer(**_typed(dict(zip(_OFFER_COLUMNS, row, strict=True))))


def _typed(values: dict[str, Any]) -> dict[str, Any]:
    for name in _TRUTHS & values.keys():
        values[name] = bool(values[name])
    return values


def _plain(name: str, value: object) -> object:
    return int(bool(value)) if name in _TRUTHS else value


# --- one lead ---


_GET: Final = Statement(f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id")  # noqa: S608 - our own names
_LOCK: Final = Statement(
    f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id",  # noqa: S608 - our own names
    postgres=f"SELECT {_LEAD_LIST} FROM lead WHERE id = :id FOR UPDATE",  # noqa: S608 - our own names
)


def get(connection: Connection, lead: str) -> Lead | None:
    """The lead as it is now."""
    found = _GET.rows(connection, id=lead)
    return as_lead(found[0]) if found else None


def lock(connection: Connection, lead: str) -> Lead | None:
    """The lead, which no other transaction changes until this one ends."""
    found = _LOCK.rows(connection, id=lead)
    return as_lead(found[0]) if found else None


def create(connection: Connection, lead: Lead) -> None:
    """Store a new lead."""
    values = {name: _plain(name, value) for name, value in asdict(lead).items()}
    connection.execute(insert(LEAD).values(**values))


def _set(connection: Connection, table: Table, row_id: str, values: Mapping[str, object]) -> None:
    plain = {name: _plain(name, value) for name, value in values.items()}
    set_columns(connection, table, row_id, plain)


def change(connection: Connection, lead: str, **values: object) -> None:
    """Set some columns of a lead."""
    _set(connection, LEAD, lead, values)


_DUE: Final = Statement(
    "SELECT id FROM lead WHERE next_step_ms <= :now_ms ORDER BY next_step_ms LIMIT :limit"
)


def due(connection: Connection, now_ms: int, limit: int) -> list[str]:
    """Leads whose next step is due, the longest waiting first."""
    return [row[0] for row in _DUE.rows(connection, now_ms=now_ms, limit=limit)]


_NEWEST_OF: Final = Statement(
    f"SELECT {_LEAD_LIST} FROM lead WHERE contact = :contact AND state <> 'DUPLICATE' AND test = 0"  # noqa: S608 - our own names
    " ORDER BY received_ms DESC, id DESC LIMIT 1"
)


def newest_of(connection: Connection, contact: str) -> Lead | None:
    """The newest lead of a customer that is no duplicate: one step in an index."""
    found = _NEWEST_OF.rows(connection, contact=contact)
    return as_lead(found[0]) if found else None


def owned_by(connection: Connection, person: str, limit: int) -> list[Lead]:
    """The leads that a rep has in hand, the newest claim first."""
    rows = connection.execute(
        select(*(LEAD.c[name] for name in _LEAD_COLUMNS))
        .where(LEAD.c.rep == person, LEAD.c.state.in_(sorted(OWNED)))
        .order_by(LEAD.c.claimed_ms.desc(), LEAD.c.id)
        .limit(limit)
    )
    return [as_lead(row) for row in rows]


def waiting(connection: Connection, limit: int) -> list[str]:
    """Leads that wait for somebody to come on duty, the longest waiting first."""
    return list(
        connection.scalars(
            select(LEAD.c.id)
            .where(LEAD.c.next_step == "route", LEAD.c.next_step_ms.is_not(None))
            .order_by(LEAD.c.next_step_ms)
            .limit(limit)
        )
    )


def loads(connection: Connection) -> dict[str, int]:
    """How many leads each dealer has in hand."""
    rows = connection.execute(
        select(LEAD.c.dealer, func.count())
        .where(LEAD.c.dealer.is_not(None), LEAD.c.state.in_(["CLAIMED", "CONTACTED"]))
        .where(LEAD.c.test == 0)
        .group_by(LEAD.c.dealer)
    )
    return {row[0]: row[1] for row in rows}


# --- the race ---

# One statement decides: whoever comes second finds another state, on both engines. PostgreSQL
# waits for the first transaction and asks the condition again.
_CLAIM: Final = Statement(
    "UPDATE lead SET state = 'CLAIMED', rep = :person, claimed_ms = :at_ms,"  # noqa: S608 - our own names
    " dealer = (SELECT o.dealer FROM lead_offer o WHERE o.lead = lead.id"
    " AND o.person = :person AND o.round = lead.round),"
    " response_ms = CASE WHEN :at_ms > offered_ms THEN :at_ms - offered_ms ELSE 1 END"
    " WHERE id = :lead AND state = 'UNCLAIMED' AND EXISTS (SELECT 1 FROM lead_offer o"
    " WHERE o.lead = lead.id AND o.person = :person AND o.round = lead.round AND o.live = 1)"
    " RETURNING " + _LEAD_LIST
)


def claim(connection: Connection, lead: str, person: str, at_ms: int) -> Lead | None:
    """Give an unclaimed lead to a person who holds a live offer of it; None: not to them."""
    found = _CLAIM.rows(connection, lead=lead, person=person, at_ms=at_ms)
    return as_lead(found[0]) if found else None


_STANDING: Final = Statement(
    "SELECT lead.state, lead.rep, lead.dealer, lead.claimed_ms, lead.round, {}"  # noqa: S608 - our own names
    " FROM lead LEFT JOIN lead_offer o ON o.lead = lead.id AND o.person = :person"
    " WHERE lead.id = :lead ORDER BY o.round DESC LIMIT 1".format(
        ", ".join(f"o.{name}" for name in _OFFER_COLUMNS)
    )
)


def standing(
    connection: Connection, lead: str, person: str
) -> tuple[Standing, Offer | None] | None:
    """How the race for a lead stands, and the newest offer this person had of it."""
    for state, rep, dealer, claimed_ms, round_, *offer in _STANDING.rows(
        connection, lead=lead, person=person
    ):
        held = Standing(
            id=lead, state=state, rep=rep, dealer=dealer, claimed_ms=claimed_ms, round=round_
        )
        return held, None if offer[0] is None else as_offer(offer)
    return None


# --- offers ---


_OFFER: Final = Statement(
    f"SELECT {_OFFER_LIST} FROM lead_offer WHERE lead = :lead AND person = :person"  # noqa: S608 - our own names
    " ORDER BY round DESC LIMIT 1"
)
_ONE_OFFER: Final = Statement(f"SELECT {_OFFER_LIST} FROM lead_offer WHERE id = :id")  # noqa: S608 - our own names
_OFFERS: Final = Statement(
    f"SELECT {_OFFER_LIST} FROM lead_offer WHERE lead = :lead"  # noqa: S608 - our own names
    " ORDER BY round, ring, distance_m, person"
)
_TURNS: Final = Statement(
    "SELECT max(offered_ms) FROM lead_offer WHERE person = :person",
)
_WITHDRAW: Final = Statement(
    "UPDATE lead_offer SET live = 0, state = CASE WHEN person = :winner THEN 'claimed'"
    " WHEN state IN ('failed', 'skipped') THEN state ELSE :became END"
    " WHERE lead = :lead AND live = 1 RETURNING person"
)


def offer_of(connection: Connection, lead: str, person: str) -> Offer | None:
    """The newest offer of this lead to this person."""
    found = _OFFER.rows(connection, lead=lead, person=person)
    return as_offer(found[0]) if found else None


def offer(connection: Connection, offer_id: str) -> Offer | None:
    """One offer."""
    found = _ONE_OFFER.rows(connection, id=offer_id)
    return as_offer(found[0]) if found else None


def live_offers(connection: Connection, person: str, limit: int) -> list[Offer]:
    """The open offers that a person holds, the newest first."""
    rows = connection.execute(
        select(*(LEAD_OFFER.c[name] for name in _OFFER_COLUMNS))
        .where(LEAD_OFFER.c.person == person, LEAD_OFFER.c.live == 1)
        .order_by(LEAD_OFFER.c.offered_ms.desc(), LEAD_OFFER.c.id)
        .limit(limit)
    )
    return [as_offer(row) for row in rows]


def last_offer(connection: Connection, person: str) -> Offer | None:
    """The newest offer a person was made, over or not."""
    row = connection.execute(
        select(*(LEAD_OFFER.c[name] for name in _OFFER_COLUMNS))
        .where(LEAD_OFFER.c.person == person)
        .order_by(LEAD_OFFER.c.offered_ms.desc(), LEAD_OFFER.c.id)
        .limit(1)
    ).first()
    return None if row is None else as_offer(row)


def offers_of(connection: Connection, lead: str) -> list[Offer]:
    """Every offer of this lead, by round, ring and distance."""
    return [as_offer(row) for row in _OFFERS.rows(connection, lead=lead)]


def create_offers(connection: Connection, offers: Sequence[Offer]) -> None:
    """Store new offers."""
    rows = [{name: _plain(name, value) for name, value in asdict(o).items()} for o in offers]
    if rows:
        connection.execute(insert(LEAD_OFFER), rows)


def change_offer(connection: Connection, offer: str, **values: object) -> None:
    """Set some columns of an offer."""
    _set(connection, LEAD_OFFER, offer, values)


def withdraw(
    connection: Connection, lead: str, *, winner: str | None = None, became: str = "withdrawn"
) -> list[str]:
    """No tap on this lead wins any more; who held a live offer."""
    rows = _WITHDRAW.rows(connection, lead=lead, winner=winner or "", became=became)
    return [row[0] for row in rows]


def holders(connection: Connection, people: Iterable[str]) -> set[str]:
    """Who of them holds an open offer."""
    return {person for person in people if live_offers(connection, person, 1)}


def last_offered(connection: Connection, people: Iterable[str]) -> dict[str, int]:
    """When each of them was last offered a lead; 0: never."""
    return {person: _TURNS.rows(connection, person=person)[0][0] or 0 for person in people}


# --- the timeline ---


_NEXT_SEQ: Final = Statement("UPDATE lead SET events = events + 1 WHERE id = :id RETURNING events")
_ADD: Final = Statement(
    "INSERT INTO lead_event (lead, seq, at_ms, kind, person, dealer, decision, margin_ms,"
    " provider_ms, detail) VALUES (:lead, :seq, :at_ms, :kind, :person, :dealer, :decision,"
    " :margin_ms, :provider_ms, :detail)"
)
_EVENTS: Final = Statement(
    "SELECT seq, at_ms, kind, person, dealer, decision, margin_ms, provider_ms, ledger_index,"
    " detail FROM lead_event WHERE lead = :lead ORDER BY seq"
)
_TAPS: Final = Statement(
    "SELECT count(*) FROM lead_event WHERE lead = :lead AND kind = 'tap.received'"
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
    decision: str | None = None,
    margin_ms: int | None = None,
    provider_ms: int | None = None,
    detail: str | None = None,
) -> int:
    """Add to a lead's timeline; the number of the entry."""
    [[seq]] = _NEXT_SEQ.rows(connection, id=lead)
    _ADD.run(
        connection,
        [
            {
                "lead": lead,
                "seq": seq,
                "at_ms": at_ms,
                "kind": kind,
                "person": person,
                "dealer": dealer,
                "decision": decision,
                "margin_ms": margin_ms,
                "provider_ms": provider_ms,
                "detail": detail,
            }
        ],
    )
    return int(seq)


def events_of(connection: Connection, lead: str) -> list[Happened]:
    """The whole timeline of a lead, in its order."""
    rows: list[Values] = _EVENTS.rows(connection, lead=lead)
    names = tuple(field.name for field in fields(Happened))
    return [Happened(**dict(zip(names, row, strict=True))) for row in rows]


def taps(connection: Connection, lead: str) -> int:
    """How many taps have come in for this lead."""
    return int(_TAPS.rows(connection, lead=lead)[0][0])


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


# --- following the ledger, answering the intake ---


def position(connection: Connection, name: str) -> int:
    """The place on the ledger up to which sales have been looked at."""
    found = _POSITION.rows(connection, name=name)
    return int(found[0][0]) if found else 0


_POSITION: Final = Statement("SELECT next_index FROM lead_cursor WHERE name = :name")
_ADVANCE: Final = Statement(
    "UPDATE lead_cursor SET next_index = :end WHERE name = :name AND next_index = :start"
    " RETURNING name"
)
_BEGIN: Final = Statement(
    "INSERT INTO lead_cursor (name, next_index) VALUES (:name, 0) ON CONFLICT (name) DO NOTHING"
)


def advance(connection: Connection, name: str, start: int, end: int) -> bool:
    """Move the cursor from `start` to `end`; False when another process has moved it."""
    if start == 0:
        _BEGIN.run(connection, [{"name": name}])
    return bool(_ADVANCE.rows(connection, name=name, start=start, end=end))


@cache
def _entries_of(types: tuple[str, ...]) -> Statement:
    listed = ", ".join(f"'{name}'" for name in types)
    return Statement(
        f'SELECT "index", dealer FROM entry WHERE type IN ({listed})'  # noqa: S608 - our own names
        ' AND "index" >= :start AND "index" < :end ORDER BY "index" LIMIT :limit'
    )


def entries(
    connection: Connection, types: Sequence[str], *, start: int, end: int, limit: int
) -> list[tuple[int, str | None]]:
    """Place and dealer of the entries of these types in ``[start, end)``, in order."""
    rows = _entries_of(tuple(types)).rows(connection, start=start, end=end, limit=limit)
    return [(row[0], row[1]) for row in rows]


def undone_by(connection: Connection, index: int) -> int | None:
    """Place of the sale that the void or return at `index` undid."""
    found = connection.execute(
        select(SALE.c.refers_to).where(SALE.c.index == index, SALE.c.state == "applied")
    ).first()
    return None if found is None else found[0]


def answered(connection: Connection, key: str) -> tuple[str, str, str] | None:
    """Hash of the body, the lead and the answer that an idempotency key was given."""
    row = connection.execute(
        select(LEAD_ANSWER.c.body_sha256, LEAD_ANSWER.c.lead, LEAD_ANSWER.c.answer).where(
            LEAD_ANSWER.c.key == key
        )
    ).first()
    return None if row is None else (row[0], row[1], row[2])


def keep_answer(
    connection: Connection, key: str, *, body_sha256: str, lead: str, answer: str, at_ms: int
) -> None:
    """Remember what an idempotency key was answered."""
    connection.execute(
        insert(LEAD_ANSWER).values(
            key=key, body_sha256=body_sha256, lead=lead, answer=answer, at_ms=at_ms
        )
    )


def open_with_serial(connection: Connection, serial: str, limit: int) -> list[str]:
    """Leads on which this serial was reported or sold."""
    return list(
        connection.scalars(
            select(LEAD.c.id)
            .where(LEAD.c.serial == serial, LEAD.c.state.not_in(sorted(CLOSED)))
            .order_by(LEAD.c.received_ms)
            .limit(limit)
        )
    )


def won_with_sale(connection: Connection, index: int, serial: str) -> bool:
    """Whether a lead has won with this unit of this sale."""
    found = connection.execute(
        select(LEAD.c.id).where(LEAD.c.sale_index == index, LEAD.c.serial == serial).limit(1)
    )
    return found.first() is not None


def won_by_sale(connection: Connection, index: int) -> list[str]:
    """Leads that a sale on the ledger has won."""
    state: State = "CLOSED_WON"
    return list(
        connection.scalars(
            select(LEAD.c.id).where(LEAD.c.sale_index == index, LEAD.c.state == state)
        )
    )
