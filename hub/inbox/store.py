"""Tables of the inbox and the SQL over them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate

import orjson
from sqlalchemy import CheckConstraint, Column, Connection, Index, Table

from hub.store import (
    BYTES,
    INT64,
    METADATA,
    TEXT,
    Statement,
    Values,
    WideStatement,
    bulk_insert,
)

INBOX_LOCK = 0x6B6963_6B6962_01
"""PostgreSQL: who numbers rows. Held until the commit, so numbers are in the order of commits."""
WORKER_LOCK = 0x6B6963_6B6962_02
"""PostgreSQL: who acts on rows. On SQLite the one writer is both."""

INBOX = Table(
    "inbox",
    METADATA,
    Column("seq", INT64, primary_key=True, autoincrement=True),
    Column("id", TEXT, nullable=False, unique=True),
    Column("source", TEXT, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("reason", TEXT),
    Column("attempts", INT64, nullable=False),
    Column("patient", INT64, nullable=False, server_default="0"),
    CheckConstraint("state IN ('new', 'done', 'kept')", name="inbox_state"),
)
INBOX_NEW = Index(
    "inbox_new",
    INBOX.c.patient,
    INBOX.c.seq,
    sqlite_where=INBOX.c.state == "new",
    postgresql_where=INBOX.c.state == "new",
)
INBOX_KEPT = Index(
    "inbox_kept",
    INBOX.c.seq,
    sqlite_where=INBOX.c.state == "kept",
    postgresql_where=INBOX.c.state == "kept",
)
INBOX_READING = Table(
    "inbox_reading",
    METADATA,
    Column("n", INT64, primary_key=True, autoincrement=True),
    Column("inbox", TEXT, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("by", TEXT, nullable=False),
    Index("inbox_reading_of", "inbox", "n"),
)
"""Who was shown what a delivery holds: it may hold somebody's name and number."""
INBOX_BODY = Table(
    "inbox_body",
    METADATA,
    Column("seq", INT64, primary_key=True, autoincrement=False),
    Column("headers", TEXT, nullable=False),
    Column("body", BYTES, nullable=False),
)
INBOX_SUBJECT = Table(
    "inbox_subject",
    METADATA,
    Column("subject", TEXT, primary_key=True),
    Column("seq", INT64, primary_key=True, autoincrement=False),
    Index("inbox_subject_seq", "seq"),
)
SEEN_MESSAGE = Table(
    "seen_message",
    METADATA,
    Column("key", TEXT, primary_key=True),
    Column("at_ms", INT64, nullable=False),
    Index("seen_message_at", "at_ms"),
)

_LOCK = Statement("SELECT pg_advisory_xact_lock(:number)")
_TRY_LOCK = Statement("SELECT pg_try_advisory_xact_lock(:number)")
_ADD = WideStatement(
    INBOX,
    ("id", "source", "received_ms", "patient"),
    "INSERT INTO inbox (id, source, received_ms, state, attempts, patient)"
    " SELECT id, source, received_ms, 'new', 0, patient FROM said ORDER BY place RETURNING id, seq",
)
_ADD_WHOLE = Statement(
    # PostgreSQL alone: with their bodies, which JSON cannot hold and which are told apart by where
    # each begins; a list of them would be written out byte by byte.
    "WITH said AS (SELECT value ->> 0 AS id, value ->> 1 AS source, value ->> 2 AS headers,"
    " CAST(value ->> 3 AS bigint) AS patient, place, substring(CAST(:bodies AS bytea)"
    " FROM CAST(value ->> 4 AS integer) FOR CAST(value ->> 5 AS integer)) AS body"
    " FROM json_array_elements(CAST(:said AS json)) WITH ORDINALITY AS each_said (value, place)),"
    " added AS (INSERT INTO inbox (id, source, received_ms, state, attempts, patient)"
    " SELECT id, source, CAST(:received_ms AS bigint), 'new', 0, patient FROM said ORDER BY place"
    " RETURNING id, seq)"
    " INSERT INTO inbox_body (seq, headers, body)"
    " SELECT added.seq, said.headers, said.body FROM added JOIN said ON said.id = added.id",
)
_NEW = Statement(
    "SELECT inbox.seq, id, source, received_ms, attempts, body, headers"
    " FROM inbox LEFT JOIN inbox_body ON inbox_body.seq = inbox.seq"
    " WHERE state = 'new' ORDER BY patient, inbox.seq LIMIT :limit"
)
_FIRST_NEW = Statement(
    "SELECT seq FROM inbox WHERE state = 'new' ORDER BY patient, seq LIMIT :limit"
)
_ANY_NEW = Statement("SELECT 1 FROM inbox WHERE state = 'new' LIMIT 1")
_CLOSE = WideStatement(
    INBOX,
    ("seq", "state", "reason"),
    "UPDATE inbox SET state = said.state, reason = said.reason FROM said"
    " WHERE inbox.seq = said.seq",
)
_FAILED = Statement("UPDATE inbox SET attempts = attempts + 1 WHERE seq = :seq")
_SUBJECT = WideStatement(
    INBOX_SUBJECT,
    ("subject", "seq"),
    "INSERT INTO inbox_subject (subject, seq) SELECT subject, seq FROM said WHERE true"
    " ON CONFLICT (subject, seq) DO NOTHING",
)
_FIRST_TIMES = WideStatement(
    SEEN_MESSAGE,
    ("key", "at_ms"),
    "INSERT INTO seen_message (key, at_ms) SELECT key, at_ms FROM said WHERE true"
    " ON CONFLICT (key) DO NOTHING RETURNING key",
)
_SEEN = Statement("SELECT 1 FROM seen_message WHERE key = :key")
_STATE = Statement(
    "SELECT inbox.seq, state, body IS NOT NULL"
    " FROM inbox LEFT JOIN inbox_body ON inbox_body.seq = inbox.seq WHERE id = :id"
)
_AGAIN = Statement("UPDATE inbox SET state = 'new', reason = NULL, attempts = 0 WHERE seq = :seq")
_PAGE = Statement(
    "SELECT id, source, received_ms, state, reason FROM inbox"
    " WHERE seq > coalesce((SELECT seq FROM inbox WHERE id = :after), 0)"
    " ORDER BY seq LIMIT :limit"
)
_OLD_BODIES = Statement(
    "DELETE FROM inbox_body WHERE seq IN (SELECT inbox_body.seq FROM inbox_body"
    " JOIN inbox ON inbox.seq = inbox_body.seq"
    " WHERE inbox.received_ms < :before_ms AND inbox.state <> 'new'"
    " ORDER BY inbox_body.seq LIMIT :limit) RETURNING seq"
)
_NO_SUBJECTS = Statement("DELETE FROM inbox_subject WHERE seq = :seq")
_OLD_KEYS = Statement(
    "DELETE FROM seen_message WHERE key IN (SELECT key FROM seen_message"
    " WHERE at_ms < :before_ms ORDER BY at_ms LIMIT :limit) RETURNING key"
)
_BODIES_OF = Statement(
    "SELECT inbox.seq, id, source, received_ms, body FROM inbox_subject"
    " JOIN inbox ON inbox.seq = inbox_subject.seq"
    " JOIN inbox_body ON inbox_body.seq = inbox_subject.seq"
    " WHERE subject = :subject ORDER BY inbox.seq"
)
_ALONE = Statement("SELECT 1 FROM inbox_subject WHERE seq = :seq AND subject <> :subject LIMIT 1")
_CHUNK = Statement(
    "SELECT max(seq) FROM (SELECT seq FROM inbox_body WHERE seq > :after"
    " ORDER BY seq LIMIT :limit) AS chunk"
)
_NAMING = Statement(
    "SELECT seq FROM inbox_body WHERE seq > :after AND seq <= :until AND instr(body, :mark) > 0",
    postgres="SELECT seq FROM inbox_body WHERE seq > :after AND seq <= :until"
    " AND position(:mark IN body) > 0",
)
_DROP = Statement(
    "DELETE FROM inbox_body WHERE seq = :seq"
    " AND seq IN (SELECT seq FROM inbox WHERE seq = :seq AND state <> 'new') RETURNING seq"
)
_SEQ_OF = Statement("SELECT seq FROM inbox WHERE id = :id")
_ERASE = Statement(
    "DELETE FROM inbox_body WHERE seq IN"
    " (SELECT seq FROM inbox_subject WHERE subject = :subject) RETURNING seq"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """A delivery as it came. `seq` is its place in the order in which the hub decides."""

    id: str
    seq: int
    source: str
    received_ms: int
    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What is about to be stored."""

    id: str
    source: str
    body: bytes
    headers: str
    """JSON, made in its sender's thread so that a bad one fails nobody else."""
    patient: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A row to act on; its `row` is None when its body was erased before."""

    seq: int
    attempts: int
    row: InboxRow | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """What became of a row."""

    seq: int
    state: str
    reason: str | None
    subjects: tuple[str, ...]


def lock_numbers(connection: Connection) -> None:
    """Be the only one who numbers rows until this transaction ends."""
    if connection.dialect.name != "sqlite":
        _LOCK.rows(connection, number=INBOX_LOCK)


def add(connection: Connection, deliveries: Sequence[Delivery], received_ms: int) -> None:
    """Store and number them, in their order; the caller holds `lock_numbers`."""
    if connection.dialect.name != "sqlite":
        begins = accumulate((len(each.body) for each in deliveries), initial=1)
        rows = [
            (each.id, each.source, each.headers, int(each.patient), start, len(each.body))
            for each, start in zip(deliveries, begins, strict=False)
        ]
        said = {"said": orjson.dumps(rows).decode(), "received_ms": received_ms}
        _ADD_WHOLE.run(connection, [said | {"bodies": b"".join(each.body for each in deliveries)}])
        return
    new = [(each.id, each.source, received_ms, int(each.patient)) for each in deliveries]
    numbers: dict[str, int] = dict(_ADD.rows(connection, new))
    bodies = [(numbers[each.id], each.headers, each.body) for each in deliveries]
    bulk_insert(connection, INBOX_BODY, bodies)


def take(connection: Connection, limit: int) -> list[Waiting] | None:
    """The oldest rows nobody has acted on, the patient ones behind all others, if until this
    transaction ends we are the only one who acts on rows; None while another is.
    """
    ours = None
    if connection.dialect.name != "sqlite":
        ours = _TRY_LOCK.later(connection, number=WORKER_LOCK)
    # A statement of its own: it sees what whoever had the lock before has closed.
    rows = _NEW.rows(connection, limit=limit)
    if ours is not None and not ours()[0][0]:
        return None
    return [_waiting(row) for row in rows]


def _waiting(values: Values) -> Waiting:
    seq, inbox_id, source, received_ms, attempts, body, headers = values
    row = None
    if body is not None:
        row = InboxRow(
            id=inbox_id,
            seq=seq,
            source=source,
            received_ms=received_ms,
            body=bytes(body),
            headers=orjson.loads(headers),
        )
    return Waiting(seq=seq, attempts=attempts, row=row)


def first_new(connection: Connection, limit: int) -> list[int]:
    """The numbers of the rows that are next."""
    return [seq for (seq,) in _FIRST_NEW.rows(connection, limit=limit)]


def any_new(connection: Connection) -> bool:
    """Whether a row waits."""
    return bool(_ANY_NEW.rows(connection))


def close(connection: Connection, rows: Iterable[Closed]) -> None:
    """Nothing is left to do about these rows."""
    rows = list(rows)
    reasons = [None if row.reason is None else row.reason.replace("\0", "") for row in rows]
    _CLOSE.run(
        connection,
        [(row.seq, row.state, reason) for row, reason in zip(rows, reasons, strict=True)],
    )
    _SUBJECT.run(connection, [(subject, row.seq) for row in rows for subject in row.subjects])


def count_failure(connection: Connection, seq: int) -> None:
    """One attempt more did not go through."""
    _FAILED.run(connection, [{"seq": seq}])


def first_time(connection: Connection, key: str, *, now_ms: int) -> bool:
    """Whether `key` is seen for the first time; the caller's transaction remembers it.

    Keys: the wamid of a message, ``<wamid>/<status>`` of a status. Only their hash is kept: in a
    wamid stands the customer's number, and an erasure could not find it here.
    """
    return first_times(connection, [(key, now_ms)])[0]


def first_times(connection: Connection, keys: Sequence[tuple[str, int]]) -> list[bool]:
    """The same for several, each with its time; of equal ones the first alone may be fresh."""
    hashed = [(_hashed(key), now_ms) for key, now_ms in keys]
    fresh = {key for (key,) in _FIRST_TIMES.rows(connection, hashed)}
    told = []
    for key, _ in hashed:
        told.append(key in fresh)
        fresh.discard(key)
    return told


def _hashed(key: str) -> str:
    return sha256(key.encode(errors="surrogatepass")).hexdigest()


def seen(connection: Connection, key: str) -> bool:
    """Whether `key` was seen before; nothing is remembered."""
    return bool(_SEEN.rows(connection, key=_hashed(key)))


def state_of(connection: Connection, inbox_id: str) -> tuple[int, str, bool] | None:
    """Number, state, and whether the body is still there."""
    for seq, state, has_body in _STATE.rows(connection, id=inbox_id):
        return int(seq), str(state), bool(has_body)
    return None


def again(connection: Connection, seq: int) -> None:
    """Let a row be acted on once more."""
    _AGAIN.run(connection, [{"seq": seq}])


def page(connection: Connection, after: str | None, limit: int) -> list[Values]:
    """id, source, received_ms, state, reason; oldest first."""
    return _PAGE.rows(connection, after=after or "", limit=limit)


def forget(
    connection: Connection, *, bodies_before_ms: int, keys_before_ms: int, limit: int
) -> int:
    """Drop old bodies and old keys; how many."""
    bodies = _OLD_BODIES.rows(connection, before_ms=bodies_before_ms, limit=limit)
    _NO_SUBJECTS.run(connection, [{"seq": seq} for (seq,) in bodies])
    keys = _OLD_KEYS.rows(connection, before_ms=keys_before_ms, limit=limit)
    return len(bodies) + len(keys)


def bodies_of(connection: Connection, subject: str) -> list[Values]:
    """id, source, received_ms, body of what a person sent, oldest first.

    The body is None where another person appears in it too.
    """
    found = []
    for seq, inbox_id, source, received_ms, body in _BODIES_OF.rows(connection, subject=subject):
        others = _ALONE.rows(connection, seq=seq, subject=subject)
        found.append((inbox_id, source, received_ms, None if others else bytes(body)))
    return found


def naming(
    connection: Connection, marks: Sequence[bytes], *, after: int, limit: int
) -> tuple[list[int], int | None]:
    """Of the next `limit` bodies those in which one of these stands, and where to go on.

    A repeated delivery, a status, or what nobody could read belongs to no subject, and may yet
    hold somebody's number. None: that were all.
    """
    until = _CHUNK.rows(connection, after=after, limit=limit)[0][0]
    if until is None:
        return [], None
    rows = [
        seq
        for mark in marks
        for (seq,) in _NAMING.rows(connection, after=after, until=until, mark=mark)
    ]
    return rows, int(until)


def drop(connection: Connection, seqs: Iterable[int], ids: Iterable[str] = ()) -> int:
    """Drop these bodies, by number or id, unless nobody has acted on them; how many."""
    wanted = set(seqs) | {seq for each in ids for (seq,) in _SEQ_OF.rows(connection, id=each)}
    dropped = [seq for each in sorted(wanted) for (seq,) in _DROP.rows(connection, seq=each)]
    _NO_SUBJECTS.run(connection, [{"seq": seq} for seq in dropped])
    return len(dropped)


def erase(connection: Connection, subject: str) -> int:
    """Drop every body in which a person appears; how many. The rows stay, empty."""
    erased = _ERASE.rows(connection, subject=subject)
    _NO_SUBJECTS.run(connection, [{"seq": seq} for (seq,) in erased])
    return len(erased)
