"""What of a lead is in the CRM, under which id. No names, no phones."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Column, Connection, Index, Table

from hub.store import INT64, METADATA, TEXT, Statement

CRM_LEAD: Final = Table(
    "crm_lead",
    METADATA,
    Column("lead", TEXT, primary_key=True),
    Column("wanted", INT64, nullable=False),
    Column("seen", INT64, nullable=False),
    Column("due_ms", INT64, nullable=False),
    Column("attempts", INT64, nullable=False),
    Column("deal", TEXT),
    Column("stage", TEXT),
    Column("reason", TEXT),
    Index("crm_lead_due", "due_ms"),
)
"""`wanted`: entries of its timeline; `seen`: how many of them the CRM shows."""
CRM_PERSON: Final = Table(
    "crm_person",
    METADATA,
    Column("contact", TEXT, primary_key=True),
    Column("person", TEXT, nullable=False),
    Column("erased", INT64, nullable=False),
)
CRM_NOTE: Final = Table(
    "crm_note",
    METADATA,
    Column("lead", TEXT, primary_key=True),
    Column("seq", INT64, primary_key=True, autoincrement=False),
    Column("note", TEXT, nullable=False),
)

_CHANGED = Statement(
    "SELECT l.id, l.events, max(e.at_ms) FROM lead_event e JOIN lead l ON l.id = e.lead"
    " LEFT JOIN crm_lead c ON c.lead = l.id"
    " WHERE e.at_ms >= :since_ms AND (c.lead IS NULL OR c.wanted < l.events)"
    " GROUP BY l.id, l.events ORDER BY max(e.at_ms), l.id LIMIT :limit"
)
_BEHIND = Statement(
    "SELECT l.id, l.events FROM lead l LEFT JOIN crm_lead c ON c.lead = l.id"
    " WHERE l.id > :after AND (c.lead IS NULL OR c.wanted < l.events) ORDER BY l.id LIMIT :limit"
)
_WANT = Statement(
    "INSERT INTO crm_lead (lead, wanted, seen, due_ms, attempts)"
    " VALUES (:lead, :wanted, 0, 0, 0) ON CONFLICT (lead)"
    " DO UPDATE SET wanted = excluded.wanted WHERE crm_lead.wanted < excluded.wanted"
)
_DUE = Statement(
    "SELECT lead, deal, stage, seen, attempts FROM crm_lead"
    " WHERE seen < wanted AND due_ms <= :now_ms ORDER BY due_ms, lead LIMIT 1"
)
_ANY = Statement("SELECT 1 FROM crm_lead WHERE seen < wanted AND due_ms <= :now_ms LIMIT 1")
_DONE = Statement(
    "UPDATE crm_lead SET seen = :seen, attempts = 0, due_ms = 0, reason = NULL"
    " WHERE lead = :lead AND seen = :had"
)
_AGAIN = Statement(
    "UPDATE crm_lead SET seen = -1, attempts = 0, due_ms = 0"
    " WHERE lead IN (SELECT id FROM lead WHERE contact = :contact)"
)
_LATER = Statement(
    "UPDATE crm_lead SET attempts = attempts + 1, due_ms = :due_ms, reason = :reason"
    " WHERE lead = :lead"
)
_DEAL = Statement("UPDATE crm_lead SET deal = :deal, stage = :stage WHERE lead = :lead")
_PERSON = Statement("SELECT person, erased FROM crm_person WHERE contact = :contact")
_SET_PERSON = Statement(
    "INSERT INTO crm_person (contact, person, erased) VALUES (:contact, :person, 0)"
    " ON CONFLICT (contact) DO UPDATE SET person = excluded.person"
)
_ERASED = Statement("UPDATE crm_person SET erased = 1 WHERE contact = :contact")
_NO_PERSON = Statement("DELETE FROM crm_person WHERE contact = :contact")
_NOTES = Statement("SELECT seq, note FROM crm_note WHERE lead = :lead ORDER BY seq")
_ADD_NOTE = Statement(
    "INSERT INTO crm_note (lead, seq, note) VALUES (:lead, :seq, :note)"
    " ON CONFLICT (lead, seq) DO NOTHING"
)
_DROP_NOTE = Statement("DELETE FROM crm_note WHERE lead = :lead AND seq = :seq")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirrored:
    """What the CRM has of a lead."""

    lead: str
    deal: str | None
    stage: str | None
    seen: int
    attempts: int


def changed(connection: Connection, since_ms: int, limit: int) -> tuple[list[tuple[str, int]], int]:
    """Leads with something new since then, with the length of their timeline; and until when."""
    rows = _CHANGED.rows(connection, since_ms=since_ms, limit=limit)
    until_ms = max((int(at_ms) for _, _, at_ms in rows), default=0)
    return [(str(lead), int(events)) for lead, events, _ in rows], until_ms


def behind(connection: Connection, after: str, limit: int) -> list[tuple[str, int]]:
    """Leads behind `after` of whose timeline not everything is wanted yet, and its length."""
    rows = _BEHIND.rows(connection, after=after, limit=limit)
    return [(str(lead), int(events)) for lead, events in rows]


def want(connection: Connection, leads: list[tuple[str, int]]) -> None:
    """These leads are to be shown up to so many entries."""
    _WANT.run(connection, [{"lead": lead, "wanted": events} for lead, events in leads])


def due(connection: Connection, now_ms: int) -> Mirrored | None:
    """The lead that has waited longest."""
    rows = _DUE.rows(connection, now_ms=now_ms)
    if not rows:
        return None
    lead, deal, stage, seen, attempts = rows[0]
    return Mirrored(lead=lead, deal=deal, stage=stage, seen=seen, attempts=attempts)


def any_due(connection: Connection, now_ms: int) -> bool:
    """Whether any lead waits to be shown."""
    return bool(_ANY.rows(connection, now_ms=now_ms))


def done(connection: Connection, lead: str, seen: int, *, had: int) -> None:
    """The CRM shows it up to this entry, unless it was asked for anew since `had` was read."""
    _DONE.run(connection, [{"lead": lead, "seen": seen, "had": had}])


def again(connection: Connection, contact: str) -> None:
    """Everything of this customer is brought up to what is true now, e.g. that they are erased."""
    _AGAIN.run(connection, [{"contact": contact}])


def later(connection: Connection, lead: str, due_ms: int, reason: str) -> None:
    """It did not work; why, and when to try again."""
    _LATER.run(connection, [{"lead": lead, "due_ms": due_ms, "reason": reason}])


def set_deal(connection: Connection, lead: str, deal: str | None, stage: str | None) -> None:
    """The CRM's id and stage of it."""
    _DEAL.run(connection, [{"lead": lead, "deal": deal, "stage": stage}])


def person(connection: Connection, contact: str) -> tuple[str, bool] | None:
    """The CRM's id of a customer, and whether who it is was taken away there."""
    rows = _PERSON.rows(connection, contact=contact)
    return (str(rows[0][0]), bool(rows[0][1])) if rows else None


def set_person(connection: Connection, contact: str, crm_id: str) -> None:
    """The CRM's id of a customer."""
    _SET_PERSON.run(connection, [{"contact": contact, "person": crm_id}])


def person_erased(connection: Connection, contact: str) -> None:
    """The CRM does not say who it is any more."""
    _ERASED.run(connection, [{"contact": contact}])


def forget_person(connection: Connection, contact: str) -> None:
    """The CRM has nobody of this id."""
    _NO_PERSON.run(connection, [{"contact": contact}])


def notes(connection: Connection, lead: str) -> dict[int, str]:
    """The CRM's ids of a lead's notes by the number of the entry they tell of."""
    return {int(seq): str(note) for seq, note in _NOTES.rows(connection, lead=lead)}


def add_note(connection: Connection, lead: str, seq: int, note: str) -> None:
    """The CRM's id of a note."""
    _ADD_NOTE.run(connection, [{"lead": lead, "seq": seq, "note": note}])


def drop_note(connection: Connection, lead: str, seq: int) -> None:
    """The CRM does not have it any more."""
    _DROP_NOTE.run(connection, [{"lead": lead, "seq": seq}])
