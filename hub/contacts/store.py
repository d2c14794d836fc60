"""Tables of the contacts, and all SQL on them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    RowMapping,
    Table,
    delete,
    insert,
    select,
    text,
    update,
)

from hub.contacts.rules import Kind
from hub.store import INT64, METADATA, TEXT, Statement, set_columns

Row = dict[str, Any]

CONTACT: Final = Table(
    "contact",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("name", TEXT),
    Column("language", TEXT, nullable=False),
    Column("met_ms", INT64, nullable=False),
    Column("seen_ms", INT64, nullable=False),
    Column("consent_version", TEXT),
    Column("consent_ms", INT64),
    Column("opted_out_ms", INT64),
    Column("erasure_asked_ms", INT64),
    Column("erased_ms", INT64),
    CheckConstraint("erased_ms IS NULL OR name IS NULL", name="contact_erased"),
    Index("contact_seen", "seen_ms", "id"),
    Index(
        "contact_asked",
        "erasure_asked_ms",
        sqlite_where=text("erasure_asked_ms IS NOT NULL"),
        postgresql_where=text("erasure_asked_ms IS NOT NULL"),
    ),
)

CONTACT_KEY: Final = Table(
    "contact_key",
    METADATA,
    Column("kind", TEXT, primary_key=True),
    Column("value", TEXT, primary_key=True),
    Column("contact", TEXT, ForeignKey("contact.id"), nullable=False),
    Column("seen_ms", INT64, nullable=False),
    Index("contact_key_contact", "contact", "kind", "seen_ms"),
)
"""By what a customer is found. A key belongs to one contact; a contact may have had several."""

CONTACT_CONFLICT: Final = Table(
    "contact_conflict",
    METADATA,
    Column("contact", TEXT, ForeignKey("contact.id"), primary_key=True),
    Column("other", TEXT, ForeignKey("contact.id"), primary_key=True),
    Column("kind", TEXT, primary_key=True),
    Column("at_ms", INT64, nullable=False),
)
"""A message named both; a person has to look, nothing is merged by machine."""

CONTACT_CONSENT: Final = Table(
    "contact_consent",
    METADATA,
    Column("n", INT64, primary_key=True),
    Column("contact", TEXT, ForeignKey("contact.id"), nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("what", TEXT, nullable=False),
    Column("version", TEXT),
    Column("channel", TEXT, nullable=False),
    CheckConstraint("what IN ('consent', 'opt_out', 'opt_in')", name="contact_consent_what"),
    Index("contact_consent_contact", "contact", "n"),
)
"""What was agreed to and withdrawn, when and where. Proof, so it survives an erasure."""

OPT_OUT: Final = Table(
    "opt_out",
    METADATA,
    Column("key_hash", TEXT, primary_key=True),
    Column("at_ms", INT64, nullable=False),
)
"""Keyed hashes of those who want no messages: an erased number stays opted out."""

TRANSCRIPT: Final = Table(
    "transcript",
    METADATA,
    Column("n", INT64, primary_key=True),
    Column("contact", TEXT, ForeignKey("contact.id"), nullable=False),
    Column("lead", TEXT),
    Column("direction", TEXT, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("text", TEXT),
    Column("number", TEXT),
    Column("message_id", TEXT),
    Column("inbox", TEXT),
    CheckConstraint("direction IN ('in', 'out')", name="transcript_direction"),
    Index("transcript_contact", "contact", "n"),
    Index("transcript_lead", "lead", "n"),
    Index(
        "transcript_message",
        "message_id",
        unique=True,
        sqlite_where=text("message_id IS NOT NULL"),
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

IDENTITY_READING: Final = Table(
    "identity_reading",
    METADATA,
    Column("n", INT64, primary_key=True),
    Column("contact", TEXT, ForeignKey("contact.id"), nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("by", TEXT, nullable=False),
    Column("why", TEXT, nullable=False),
    Index("identity_reading_contact", "contact", "n"),
)
"""Who was shown who a customer is. Ids only, so it survives an erasure."""

ERASURE: Final = Table(
    "erasure",
    METADATA,
    Column("contact", TEXT, primary_key=True),
    Column("at_ms", INT64, nullable=False),
    Column("reason", TEXT, nullable=False),
)

_CLAIM_KEY = Statement(
    "INSERT INTO contact_key (kind, value, contact, seen_ms)"
    " VALUES (:kind, :value, :contact, :now)"
    " ON CONFLICT (kind, value) DO NOTHING RETURNING contact"
)
_NOTE_CONFLICT = Statement(
    "INSERT INTO contact_conflict (contact, other, kind, at_ms)"
    " VALUES (:contact, :other, :kind, :now)"
    " ON CONFLICT (contact, other, kind) DO NOTHING"
)
_OPT_OUT = Statement(
    "INSERT INTO opt_out (key_hash, at_ms) VALUES (:key_hash, :now)"
    " ON CONFLICT (key_hash) DO NOTHING"
)
_ERASED = Statement(
    "INSERT INTO erasure (contact, at_ms, reason) VALUES (:contact, :now, :reason)"
    " ON CONFLICT (contact) DO NOTHING RETURNING contact"
)
_OWNER = Statement("SELECT contact FROM contact_key WHERE kind = :kind AND value = :value")
_KEYS = Statement(
    "SELECT kind, value FROM contact_key WHERE contact = :contact ORDER BY seen_ms DESC, value"
)
_SAW_KEY = Statement(
    "UPDATE contact_key SET seen_ms = :now_ms WHERE kind = :kind AND value = :value"
)
_COLUMNS = tuple(str(column.name) for column in CONTACT.columns)
_GET = Statement(
    "SELECT {} FROM contact WHERE id = :contact".format(  # noqa: S608 - our own names
        ", ".join(f'"{name}"' for name in _COLUMNS)
    )
)
_OPTED_OUT = Statement("SELECT at_ms FROM opt_out WHERE key_hash = :key_hash")
_KEEP = Statement(
    "INSERT INTO transcript (contact, lead, direction, at_ms, kind, text, number, message_id,"
    " inbox) VALUES (:contact, :lead, :direction, :at_ms, :kind, :text, :number, :message_id,"
    " :inbox) ON CONFLICT (message_id) WHERE message_id IS NOT NULL DO NOTHING"
)


def _row(values: RowMapping) -> Row:
    """With plain names: SQLAlchemy's own are no keys for JSON."""
    return {str(name): value for name, value in values.items()}


def owner(connection: Connection, kind: Kind, value: str) -> str | None:
    """The contact this key belongs to."""
    found = _OWNER.rows(connection, kind=kind, value=value)
    return str(found[0][0]) if found else None


def claim_key(connection: Connection, kind: Kind, value: str, *, contact: str, now_ms: int) -> bool:
    """Give a key to a contact; False when another process or contact has it."""
    return bool(_CLAIM_KEY.rows(connection, kind=kind, value=value, contact=contact, now=now_ms))


def keys(connection: Connection, contact: str) -> list[tuple[Kind, str]]:
    """A contact's keys, those seen last first."""
    return [(kind, value) for kind, value in _KEYS.rows(connection, contact=contact)]


def phones(connection: Connection, contacts: Collection[str]) -> dict[str, str]:
    """The phone each of them was seen with last; who has none is not in it."""
    of = CONTACT_KEY.c
    query = select(of.contact, of.value).where(of.kind == "phone", of.contact.in_(contacts))
    rows = connection.execute(query.order_by(of.seen_ms, of.value.desc()))
    return {contact: value for contact, value in rows}  # noqa: C416 - a row is no pair to mypy


def saw_key(connection: Connection, kind: Kind, value: str, now_ms: int) -> None:
    """The key was used now: of several it is the one to answer to."""
    _SAW_KEY.run(connection, [{"kind": kind, "value": value, "now_ms": now_ms}])


def create(connection: Connection, contact: str, language: str, now_ms: int) -> None:
    """An empty contact."""
    connection.execute(
        insert(CONTACT).values(id=contact, language=language, met_ms=now_ms, seen_ms=now_ms)
    )


def discard(connection: Connection, contact: str) -> None:
    """Take back a contact that was created a moment ago and has no keys."""
    connection.execute(delete(CONTACT).where(CONTACT.c.id == contact))


def get(connection: Connection, contact: str) -> Row | None:
    """A contact's row."""
    found = _GET.rows(connection, contact=contact)
    return dict(zip(_COLUMNS, found[0], strict=True)) if found else None


def change(connection: Connection, contact: str, **values: object) -> None:
    """Set values of a contact."""
    set_columns(connection, CONTACT, contact, values)


def note_conflict(
    connection: Connection, contact: str, other: str, *, kind: Kind, now_ms: int
) -> None:
    """Remember that a message named both."""
    _NOTE_CONFLICT.run(
        connection, [{"contact": contact, "other": other, "kind": kind, "now": now_ms}]
    )


def note_consent(
    connection: Connection,
    contact: str,
    what: str,
    *,
    version: str | None,
    channel: str,
    at_ms: int,
) -> None:
    """Add to what was agreed to."""
    connection.execute(
        insert(CONTACT_CONSENT).values(
            contact=contact, at_ms=at_ms, what=what, version=version, channel=channel
        )
    )


def opt_out(connection: Connection, hashes: Iterable[str], now_ms: int) -> None:
    """These keys want no messages."""
    _OPT_OUT.run(connection, [{"key_hash": key_hash, "now": now_ms} for key_hash in hashes])


def opt_in(connection: Connection, hashes: Sequence[str]) -> None:
    """These keys want messages again."""
    connection.execute(delete(OPT_OUT).where(OPT_OUT.c.key_hash.in_(hashes)))


def opted_out_ms(connection: Connection, hashes: Sequence[str]) -> int | None:
    """Since when any of these keys wants no messages."""
    found = [row[0] for each in hashes for row in _OPTED_OUT.rows(connection, key_hash=each)]
    return min(found, default=None)


def keep(connection: Connection, line: Mapping[str, object]) -> None:
    """Add to the transcript; the same message id again adds nothing."""
    _KEEP.run(connection, [line])


def lines(
    connection: Connection, *, lead: str | None = None, contact: str | None = None, limit: int
) -> list[Row]:
    """The newest `limit` lines of a lead or a contact, the oldest first."""
    query = select(TRANSCRIPT).order_by(TRANSCRIPT.c.n.desc()).limit(limit)
    if lead is not None:
        query = query.where(TRANSCRIPT.c.lead == lead)
    if contact is not None:
        query = query.where(TRANSCRIPT.c.contact == contact)
    return [_row(row) for row in connection.execute(query).mappings()][::-1]


def read_by(connection: Connection, contact: str, *, by: str, why: str, at_ms: int) -> None:
    """Log that somebody was shown who a contact is."""
    connection.execute(
        insert(IDENTITY_READING).values(contact=contact, by=by, why=why, at_ms=at_ms)
    )


def everything(connection: Connection, contact: str) -> dict[str, list[Row]]:
    """All rows about a contact, by table, in their order."""
    conflict = CONTACT_CONFLICT.c
    queries = {
        "keys": select(CONTACT_KEY).where(CONTACT_KEY.c.contact == contact),
        "consents": select(CONTACT_CONSENT)
        .where(CONTACT_CONSENT.c.contact == contact)
        .order_by(CONTACT_CONSENT.c.n),
        "transcript": select(TRANSCRIPT)
        .where(TRANSCRIPT.c.contact == contact)
        .order_by(TRANSCRIPT.c.n),
        "readings": select(IDENTITY_READING)
        .where(IDENTITY_READING.c.contact == contact)
        .order_by(IDENTITY_READING.c.n),
        "conflicts": select(CONTACT_CONFLICT).where(
            (conflict.contact == contact) | (conflict.other == contact)
        ),
    }
    return {
        name: [_row(row) for row in connection.execute(query).mappings()]
        for name, query in queries.items()
    }


def bodies_of(connection: Connection, contact: str) -> list[str]:
    """Rows of the inbox in which this contact wrote."""
    return list(
        connection.scalars(
            select(TRANSCRIPT.c.inbox)
            .where(TRANSCRIPT.c.contact == contact, TRANSCRIPT.c.inbox.is_not(None))
            .distinct()
            .order_by(TRANSCRIPT.c.inbox)
        )
    )


def blank(connection: Connection, contact: str, now_ms: int) -> bool:
    """Take away all that says who a contact is and what was said; False when it was gone.

    A message's id goes as well: WhatsApp's hold the sender's number in another spelling.
    """
    gone = connection.execute(
        update(CONTACT)
        .where(CONTACT.c.id == contact, CONTACT.c.erased_ms.is_(None))
        .values(name=None, erased_ms=now_ms, erasure_asked_ms=None)
    )
    if not gone.rowcount:
        return False
    connection.execute(delete(CONTACT_KEY).where(CONTACT_KEY.c.contact == contact))
    connection.execute(
        update(TRANSCRIPT)
        .where(TRANSCRIPT.c.contact == contact)
        .values(text=None, message_id=None, inbox=None)
    )
    return True


def blank_lead(connection: Connection, lead: str) -> None:
    """Take away what was said about one lead."""
    connection.execute(
        update(TRANSCRIPT)
        .where(TRANSCRIPT.c.lead == lead)
        .values(text=None, message_id=None, inbox=None)
    )


def note_erasure(connection: Connection, contact: str, *, reason: str, at_ms: int) -> bool:
    """Remember that a contact was erased; False when that was known."""
    return bool(_ERASED.rows(connection, contact=contact, now=at_ms, reason=reason))


def erasures_asked(connection: Connection, before_ms: int, limit: int) -> list[str]:
    """Contacts who asked to be erased before then and are not yet."""
    return list(
        connection.scalars(
            select(CONTACT.c.id)
            .where(CONTACT.c.erasure_asked_ms <= before_ms)
            .order_by(CONTACT.c.erasure_asked_ms, CONTACT.c.id)
            .limit(limit)
        )
    )


def quiet_since(
    connection: Connection, before_ms: int, after: tuple[int, str], limit: int
) -> list[tuple[int, str]]:
    """Contacts last seen before then and not erased, as (seen, id), beyond `after`."""
    contact = CONTACT.c
    rows = connection.execute(
        select(contact.seen_ms, contact.id)
        .where(
            contact.seen_ms < before_ms,
            contact.erased_ms.is_(None),
            (contact.seen_ms > after[0])
            | ((contact.seen_ms == after[0]) & (contact.id > after[1])),
        )
        .order_by(contact.seen_ms, contact.id)
        .limit(limit)
    )
    return [(row.seen_ms, row.id) for row in rows]
