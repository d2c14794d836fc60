"""Tables of the outbox and the SQL over them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import orjson
from sqlalchemy import CheckConstraint, Column, Connection, Index, Table, update

from hub.outbox.messages import Draft, Medium, Outgoing, Road, Role, State
from hub.outbox.moves import store as moves
from hub.outbox.rules import PASSED_AT_DOUBTS
from hub.store import INT64, METADATA, TEXT, Statement, set_columns

OUTBOX = Table(
    "outbox",
    METADATA,
    Column("seq", INT64, primary_key=True, autoincrement=True),
    Column("id", TEXT, nullable=False, unique=True),
    Column("key", TEXT, nullable=False, unique=True),
    Column("recipient", TEXT, nullable=False),
    Column("role", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("ref", TEXT, nullable=False),
    Column("data", TEXT, nullable=False),
    Column("created_ms", INT64, nullable=False),
    Column("not_before_ms", INT64, nullable=False),
    Column("not_after_ms", INT64, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("reason", TEXT),
    Column("code", INT64),
    Column("at_ms", INT64, nullable=False),
    Column("due_ms", INT64, nullable=False),
    Column("attempts", INT64, nullable=False),
    Column("doubts", INT64, nullable=False),
    Column("as_template", INT64, nullable=False),
    Column("number", TEXT),
    Column("provider_id", TEXT),
    Column("former_id", TEXT),
    Column("first_contact_ms", INT64),
    Column("urgent", INT64, nullable=False, server_default="0"),
    Column("channel", TEXT, nullable=False, server_default="whatsapp"),
    CheckConstraint(
        "state IN ('queued', 'sending', 'accepted', 'delivered', 'read', 'failed', 'withheld')",
        name="outbox_state",
    ),
    CheckConstraint("role IN ('customers', 'reps')", name="outbox_role"),
    CheckConstraint("as_template IN (0, 1)", name="outbox_as_template"),
    Index("outbox_ref", "ref", "seq"),
)
_QUEUED = OUTBOX.c.state == "queued"
_SENDING_NOW = OUTBOX.c.state == "sending"
_OPEN = OUTBOX.c.state.in_(("queued", "sending"))
_UNSAID = OUTBOX.c.state.in_(("failed", "withheld"))
_HELD = _QUEUED & OUTBOX.c.reason.in_(("messaging_limit", "spam"))
# It always has an end: this tells PostgreSQL that nobody goes by this index who does not ask for
# that. SQLite would not use it at all.
_EXPIRES = _QUEUED & OUTBOX.c.not_after_ms.is_not(None)
_FIRST = OUTBOX.c.first_contact_ms.is_not(None)
_TAKEN = OUTBOX.c.provider_id.is_not(None)
OUTBOX_LATE = Index(
    "outbox_late", OUTBOX.c.not_after_ms, sqlite_where=_QUEUED, postgresql_where=_EXPIRES
)
OUTBOX_TURN = Index(
    "outbox_turn",
    OUTBOX.c.recipient,
    OUTBOX.c.urgent,
    OUTBOX.c.seq,
    sqlite_where=_OPEN,
    postgresql_where=_OPEN,
)
OUTBOX_SENDING = Index(
    "outbox_sending", OUTBOX.c.recipient, sqlite_where=_SENDING_NOW, postgresql_where=_SENDING_NOW
)
OUTBOX_HELD = Index("outbox_held", OUTBOX.c.recipient, sqlite_where=_HELD, postgresql_where=_HELD)
OUTBOX_TAKEN = Index(
    "outbox_taken", OUTBOX.c.provider_id, sqlite_where=_TAKEN, postgresql_where=_TAKEN
)
OUTBOX_FIRST_CONTACT = Index(
    "outbox_first_contact",
    OUTBOX.c.first_contact_ms,
    OUTBOX.c.recipient,
    sqlite_where=_FIRST,
    postgresql_where=_FIRST,
)
OUTBOX_UNSAID = Index(
    "outbox_unsaid",
    OUTBOX.c.seq,
    sqlite_where=_UNSAID,
    postgresql_where=_UNSAID,
)
OUTBOX_COUNT = Table(
    "outbox_count",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("value", INT64, nullable=False),
)

COLUMNS = (
    *("seq", "id", "recipient", "role", "kind", "ref", "data", "created_ms", "not_before_ms"),
    *("not_after_ms", "state", "reason", "code", "at_ms", "due_ms", "attempts", "doubts"),
    *("as_template", "number", "provider_id", "former_id", "urgent", "first_contact_ms"),
    "channel",
)
"""What a message is read from, in this order (see `as_row`)."""
_READ = f"SELECT {', '.join(COLUMNS)} FROM outbox "  # noqa: S608 - our own names


def _reading(rest: str) -> Statement:
    return Statement(_READ + rest)


_SAID = (
    *("id", "key", "recipient", "role", "kind", "ref", "data", "created_ms", "not_before_ms"),
    *("not_after_ms", "urgent", "channel"),
)
_ADD = moves.Telling(
    OUTBOX,
    _SAID,
    f"INSERT INTO outbox ({', '.join(_SAID)}, state, at_ms, due_ms, attempts, doubts, as_template)"  # noqa: S608 - our own names
    f" SELECT {', '.join(_SAID)}, 'queued', created_ms, not_before_ms, 0, 0, 0"
    " FROM said WHERE true ORDER BY place"
    " ON CONFLICT (key) DO NOTHING",
)
_OF_KEY = Statement("SELECT id FROM outbox WHERE key = :key")
_OF_ID = _reading("WHERE id = :id")
_OF_PROVIDER_ID = _reading("WHERE provider_id = :provider_id ORDER BY seq DESC LIMIT 1")
_OF_REF = _reading("WHERE ref = :ref ORDER BY seq")
_NEWEST = _reading("WHERE ref = :ref AND kind = :kind ORDER BY seq DESC LIMIT 1")
_PAGE = _reading(
    "WHERE seq > coalesce((SELECT seq FROM outbox WHERE id = :after), 0) ORDER BY seq LIMIT :limit"
)
# The order in which things were said, except that what is urgent waits for nothing else; and what
# may have gone twice keeps nothing back while it waits for a word of it. Each subquery goes into
# the index of one recipient, outbox_turn or outbox_sending: the list of states is the former's own
# condition, without which SQLite does not see that it may be used, and OFFSET keeps PostgreSQL from
# finding all that is being sent, to everybody, for a look at one.
_OF_PERSON = "recipient = who.person AND channel = :channel"
_STILL_OPEN = f"{_OF_PERSON} AND state IN ('queued', 'sending')"
_IN_TURN = f"{_STILL_OPEN} AND not_before_ms <= :now_ms AND (doubts < :passed OR due_ms <= :now_ms)"
_FRONT = f"FROM outbox WHERE {_IN_TURN} AND urgent = :urgent ORDER BY seq LIMIT 1"
_FRONTS = (
    "SELECT who.person,"  # noqa: S608 - our own names
    f" EXISTS (SELECT 1 FROM outbox WHERE {_OF_PERSON} AND state = 'sending'"
    " AND urgent >= :urgent LIMIT 1 OFFSET 0)"
    f" OR (:urgent = 0 AND EXISTS (SELECT 1 FROM outbox WHERE {_IN_TURN} AND urgent = 1"
    " LIMIT 1 OFFSET 0)),"
    f" (SELECT min(due_ms) FILTER (WHERE state = 'queued') FROM outbox WHERE {_STILL_OPEN}"
    " AND urgent = :urgent AND seq <= coalesce(front.seq, 9223372036854775807)),"
    f" {', '.join(f'front.{name}' for name in COLUMNS)}"
)
_FRONTS_OF = Statement(
    f"{_FRONTS} FROM (SELECT value AS person, key AS place FROM json_each(:people)) AS who"  # noqa: S608 - our own names
    f" LEFT JOIN outbox AS front ON front.seq = (SELECT seq {_FRONT}) ORDER BY who.place",
    postgres=f"{_FRONTS} FROM json_array_elements_text(CAST(:people AS json))"
    " WITH ORDINALITY AS who (person, place)"
    f" LEFT JOIN LATERAL (SELECT * {_FRONT}) AS front ON true ORDER BY who.place",
)
_WHO_WAITS = Statement(
    "SELECT recipient, role, channel FROM outbox WHERE state = 'queued'"
    " GROUP BY recipient, role, channel ORDER BY min(seq)"
)
_LATE = _reading(
    "WHERE state = 'queued' AND not_after_ms < :now_ms ORDER BY not_after_ms LIMIT :limit"
)
_ANY_LATE = Statement(
    "SELECT 1 FROM outbox WHERE state = 'queued' AND not_after_ms < :now_ms LIMIT 1"
)
# The sign keeps SQLite from reading all in the order of `seq` for the few that are sent.
_SENDING = _reading("WHERE state = 'sending' ORDER BY +seq")
_WAITING = Statement(
    "SELECT count(*) FROM outbox WHERE state = 'queued' AND role = :role AND channel = :channel"
    " AND not_before_ms <= :now_ms"
    " AND NOT EXISTS (SELECT 1 FROM outbox AS held WHERE held.recipient = outbox.recipient"
    " AND held.state = 'queued' AND held.reason IN ('messaging_limit', 'spam'))"
)
_HELD_BEHIND = (
    "outbox.recipient = said.recipient AND state = 'queued'"
    " AND reason IN ('messaging_limit', 'spam') AND outbox.due_ms > said.due_ms"
)
_RELEASE = moves.Telling(
    OUTBOX,
    ("recipient", "due_ms"),
    f"UPDATE outbox SET due_ms = said.due_ms FROM said WHERE {_HELD_BEHIND}",  # noqa: S608 - our own names
    # Person by person; LIMIT keeps PostgreSQL from seeing that both mean the same.
    postgres="UPDATE outbox SET due_ms = held.until_ms FROM"  # noqa: S608 - our own names
    " (SELECT one.seq, said.due_ms AS until_ms FROM said CROSS JOIN LATERAL"
    f" (SELECT seq FROM outbox WHERE {_HELD_BEHIND} LIMIT 1000000) AS one) AS held"
    " WHERE outbox.seq = held.seq",
)
_ON_ITS_WAY = Statement(
    "SELECT 1 FROM outbox WHERE recipient = :recipient AND state IN ('queued', 'sending') LIMIT 1"
)
_COUNT = Statement(
    "INSERT INTO outbox_count (name, value) VALUES (:name, 1)"
    " ON CONFLICT (name) DO UPDATE SET value = outbox_count.value + 1"
)
_COUNTED = Statement("SELECT value FROM outbox_count WHERE name = :name")
_FIRST_CONTACTS = Statement(
    "SELECT count(DISTINCT recipient) FROM outbox"
    " WHERE first_contact_ms IS NOT NULL AND first_contact_ms > :since_ms"
    " AND recipient <> :recipient"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """A message of ours and what became of it."""

    seq: int
    id: str
    to: str
    role: Role
    kind: str
    ref: str
    data: Mapping[str, object]
    created_ms: int
    not_before_ms: int
    not_after_ms: int
    state: State
    reason: str | None
    code: int | None
    at_ms: int
    """When it got into this state."""
    due_ms: int
    attempts: int
    doubts: int
    """How often it was sent without our knowing."""
    as_template: bool
    number: str | None
    provider_id: str | None
    former_id: str | None
    urgent: bool
    first_contact_ms: int | None
    """When it was accepted as the first message to a person who had not written to us."""
    channel: Medium

    @property
    def outgoing(self) -> Outgoing:
        """As the renderer sees it."""
        return Outgoing(
            id=self.id,
            to=self.to,
            role=self.role,
            kind=self.kind,
            ref=self.ref,
            data=self.data,
            created_ms=self.created_ms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Front:
    """How one person's urgent messages, or the others, stand."""

    to: str
    behind: bool
    """They have to wait until something else to that person has moved."""
    next_ms: int | None
    """When one that is not behind the first may go; None when nothing waits."""
    row: OutboxRow | None
    """The first, which may not be due or may be on its way."""


def as_row(values: Sequence[Any]) -> OutboxRow:
    """A message from its columns, in the order of `columns`."""
    return OutboxRow(
        seq=values[0],
        id=values[1],
        to=values[2],
        role=cast(Role, values[3]),
        kind=values[4],
        ref=values[5],
        data=orjson.loads(values[6]),
        created_ms=values[7],
        not_before_ms=values[8],
        not_after_ms=values[9],
        state=cast(State, values[10]),
        reason=values[11],
        code=values[12],
        at_ms=values[13],
        due_ms=values[14],
        attempts=values[15],
        doubts=values[16],
        as_template=bool(values[17]),
        number=values[18],
        provider_id=values[19],
        former_id=values[20],
        urgent=bool(values[21]),
        first_contact_ms=values[22],
        channel=cast(Medium, values[23]),
    )


def add(connection: Connection, drafts: Sequence[tuple[str, Draft]], now_ms: int) -> None:
    """Store drafts under these ids, in this order, unless there are messages of their keys."""
    _ADD.run(connection, [_said(out_id, draft, now_ms) for out_id, draft in drafts])


def of_key(connection: Connection, key: str) -> str | None:
    """The id of the message with this key."""
    found = _OF_KEY.rows(connection, key=key)
    return str(found[0][0]) if found else None


def _said(out_id: str, draft: Draft, now_ms: int) -> Sequence[object]:
    """A draft in the order of `_SAID`."""
    return (
        out_id,
        draft.key,
        draft.to,
        draft.role,
        draft.kind,
        draft.ref,
        orjson.dumps(dict(draft.data)).decode(),
        now_ms,
        max(draft.not_before_ms, now_ms),
        draft.not_after_ms,
        int(draft.urgent),
        draft.channel,
    )


def of_id(connection: Connection, out_id: str) -> OutboxRow | None:
    """One message."""
    found = _OF_ID.rows(connection, id=out_id)
    return as_row(found[0]) if found else None


def of_provider_id(connection: Connection, provider_id: str) -> OutboxRow | None:
    """The message that a vendor knows under this id."""
    found = _OF_PROVIDER_ID.rows(connection, provider_id=provider_id)
    return as_row(found[0]) if found else None


def of_ref(connection: Connection, ref: str) -> list[OutboxRow]:
    """Everything said about `ref`, in order."""
    return [as_row(values) for values in _OF_REF.rows(connection, ref=ref)]


def newest(connection: Connection, ref: str, kind: str) -> Mapping[str, object] | None:
    """The data of the newest message of a kind about `ref`."""
    found = _NEWEST.rows(connection, ref=ref, kind=kind)
    return as_row(found[0]).data if found else None


def page(connection: Connection, after: str | None, limit: int) -> list[OutboxRow]:
    """Messages behind `after`, oldest first."""
    return [as_row(each) for each in _PAGE.rows(connection, after=after or "", limit=limit)]


def fronts(
    connection: Connection, road: Road, people: Sequence[str], now_ms: int, *, urgent: bool
) -> list[Front]:
    """How the urgent messages that wait for `people` stand, or the others; in their order."""
    if not people:
        return []
    found = _FRONTS_OF.rows(
        connection,
        people=orjson.dumps(list(people)).decode(),
        channel=road.channel,
        now_ms=now_ms,
        urgent=int(urgent),
        passed=PASSED_AT_DOUBTS,
    )
    return [
        Front(
            to=to,
            behind=bool(behind),
            next_ms=next_ms,
            row=None if values[0] is None else as_row(values),
        )
        for to, behind, next_ms, *values in found
    ]


def who_waits(connection: Connection) -> list[tuple[str, Road]]:
    """For whom something waits and by which road it goes, the longest waiting first."""
    return moves.people(_WHO_WAITS.rows(connection))


def late(connection: Connection, now_ms: int, limit: int) -> Callable[[], list[OutboxRow]]:
    """What waits and would come too late; asked now, answered later."""
    rows = _LATE.later(connection, now_ms=now_ms, limit=limit)
    return lambda: list(map(as_row, rows()))


def any_late(connection: Connection, now_ms: int) -> bool:
    """Whether something waits that would come too late."""
    return bool(_ANY_LATE.rows(connection, now_ms=now_ms))


def sending(connection: Connection) -> list[OutboxRow]:
    """What was taken to be sent and has no outcome."""
    return [as_row(each) for each in _SENDING.rows(connection)]


def waiting(connection: Connection, road: Road, now_ms: int) -> int:
    """How many messages want to go by `road` and may, as far as they go first."""
    found = _WAITING.rows(connection, role=road.role, channel=road.channel, now_ms=now_ms)
    return int(found[0][0])


def change(connection: Connection, out_id: str, **values: object) -> None:
    """Write `values` into a message's row."""
    set_columns(connection, OUTBOX, out_id, values)


def on_its_way(connection: Connection, recipient: str) -> bool:
    """Whether something is still to be said to a person."""
    return bool(_ON_ITS_WAY.rows(connection, recipient=recipient))


def blank(connection: Connection, ref: str, recipient: str, now_ms: int) -> int:
    """Take away what messages to a person about `ref` say of them; how many. Waiting ones stay
    unsaid. A vendor's id holds the number it went to, and a key may hold one it came from.
    """
    which = (OUTBOX.c.ref == ref, OUTBOX.c.recipient == recipient)
    unsaid = connection.execute(
        update(OUTBOX)
        .where(*which, OUTBOX.c.state == "queued")
        .values(state="withheld", reason="erased", at_ms=now_ms)
        .returning(OUTBOX.c.recipient, OUTBOX.c.role, OUTBOX.c.channel)
    )
    moves.tell_of(connection, [tuple(row) for row in unsaid])
    return connection.execute(
        update(OUTBOX)
        .where(*which)
        .values(key=OUTBOX.c.id, data="{}", provider_id=None, former_id=None)
    ).rowcount


def release(connection: Connection, wrote: Mapping[str, int]) -> None:
    """People wrote to us, each at a time: what could only be the first message waits no more."""
    _RELEASE.run(connection, list(wrote.items()))


def count(connection: Connection, name: str) -> None:
    """One more of what is counted under `name`."""
    _COUNT.run(connection, [{"name": name}])


def counted(connection: Connection, name: str) -> int:
    """How many were counted under `name`, ever."""
    found = _COUNTED.rows(connection, name=name)
    return int(found[0][0]) if found else 0


def first_contacts(connection: Connection, *, but: str, since_ms: int) -> int:
    """People other than `but` who were written to first since then."""
    return int(_FIRST_CONTACTS.rows(connection, recipient=but, since_ms=since_ms)[0][0])
