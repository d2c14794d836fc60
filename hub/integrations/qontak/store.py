"""Which room of Qontak's belongs to whom. A person is a keyed hash here: no phone, no name."""

from typing import Final

from sqlalchemy import Column, Connection, Table

from hub.store import INT64, METADATA, TEXT, Statement

ROOM: Final = Table(
    "qontak_room",
    METADATA,
    Column("number", TEXT, primary_key=True),
    Column("person", TEXT, primary_key=True),
    Column("room", TEXT, nullable=False),
    Column("open", INT64, nullable=False),
    Column("at_ms", INT64, nullable=False),
)

_HEARD = Statement(
    "INSERT INTO qontak_room (number, person, room, open, at_ms)"
    " VALUES (:number, :person, :room, :open, :at_ms) ON CONFLICT (number, person)"
    " DO UPDATE SET room = excluded.room, open = excluded.open, at_ms = excluded.at_ms"
    " WHERE qontak_room.at_ms <= excluded.at_ms"
)
_FOUND = Statement(
    "SELECT room FROM qontak_room WHERE number = :number AND person = :person AND open = 1"
)
_CLOSED = Statement(
    "UPDATE qontak_room SET open = 0 WHERE number = :number AND person = :person AND room = :room"
)


def heard(
    connection: Connection, number: str, person: str, room: str, *, is_open: bool, at_ms: int
) -> None:
    """A room was seen; older news changes nothing."""
    values = {"number": number, "person": person, "room": room, "at_ms": at_ms}
    _HEARD.run(connection, [values | {"open": int(is_open)}])


def found(connection: Connection, number: str, person: str) -> str | None:
    """The room in which this person can be answered, as far as is known."""
    rows = _FOUND.rows(connection, number=number, person=person)
    return str(rows[0][0]) if rows else None


def closed(connection: Connection, number: str, person: str, room: str) -> None:
    """Nothing can be said in this room; another one of the same person stays."""
    _CLOSED.run(connection, [{"number": number, "person": person, "room": room}])
