"""The table of pairs and the SQL over it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Column, Connection, Table

from hub.store import INT64, METADATA, TEXT, Statement, Values, WideStatement

OUTBOX_PAIR = Table(
    "outbox_pair",
    METADATA,
    Column("number", TEXT, primary_key=True),
    Column("party", TEXT, primary_key=True),
    Column("opened_ms", INT64, nullable=False),
    Column("paced_ms", INT64, nullable=False),
    Column("held_ms", INT64, nullable=False, server_default="0"),
)
_PAIR = Statement(
    "SELECT opened_ms, paced_ms, held_ms FROM outbox_pair WHERE number = :number AND party = :party"
)
_OF_PARTIES = "SELECT party, opened_ms, paced_ms, held_ms FROM outbox_pair WHERE number = :number"
_THERE = Statement(
    f"{_OF_PARTIES} AND party IN (SELECT value FROM json_each(:parties))",  # noqa: S608 - our own names
    postgres=f"{_OF_PARTIES} AND party = ANY (CAST(:parties AS text[]))",
)
_OURS = Statement(
    # PostgreSQL alone.
    f"{_OF_PARTIES} AND party = ANY (CAST(:parties AS text[])) ORDER BY party"
    " FOR UPDATE SKIP LOCKED"
)
_OPENED = WideStatement(
    OUTBOX_PAIR,
    ("number", "party", "opened_ms"),
    # In one order, so that two processes that write to the same pairs wait for each other once.
    "INSERT INTO outbox_pair (number, party, opened_ms, paced_ms)"
    " SELECT number, party, opened_ms, 0 FROM said WHERE true ORDER BY number, party"
    " ON CONFLICT (number, party) DO UPDATE SET opened_ms = excluded.opened_ms"
    " WHERE outbox_pair.opened_ms < excluded.opened_ms",
)
_CLOSED = Statement(
    "UPDATE outbox_pair SET opened_ms = 0 WHERE number = :number AND party = :party"
    " AND opened_ms <= :before_ms"
)
_PACED = Statement(
    "INSERT INTO outbox_pair (number, party, opened_ms, paced_ms)"
    " VALUES (:number, :party, 0, :paced_ms) ON CONFLICT (number, party)"
    " DO UPDATE SET paced_ms = excluded.paced_ms"
)
_HELD = Statement(
    "INSERT INTO outbox_pair (number, party, opened_ms, paced_ms, held_ms)"
    " VALUES (:number, :party, 0, 0, :held_ms) ON CONFLICT (number, party)"
    " DO UPDATE SET held_ms = excluded.held_ms"
    " WHERE outbox_pair.held_ms < excluded.held_ms"
)


@dataclass(frozen=True, slots=True)
class Pair:
    """A person and one of our numbers."""

    opened_ms: int = 0
    """When the person last wrote to the number."""
    paced_ms: int = 0
    """How far what we say to them has used the pair's rate up."""
    held_ms: int = 0
    """Nothing goes before: the vendor said that it was too fast."""


def ours(connection: Connection, number: str, parties: Sequence[str]) -> dict[str, Pair]:
    """How people and a number of ours stand, each ours until this transaction ends: without those
    whose pair another one is changing.

    On SQLite there is none: there the one writer is. Who waited for them instead would meet
    somebody who waits for us, and PostgreSQL lets both wait a second before it gives one up.
    """
    if not parties:
        return {}
    new = dict.fromkeys(parties, Pair())
    if connection.dialect.name == "sqlite":
        rows = _THERE.rows(connection, number=number, parties=orjson.dumps(list(parties)).decode())
        return new | dict(map(_pair, rows))
    there = _THERE.later(connection, number=number, parties=list(parties))
    free = dict(map(_pair, _OURS.rows(connection, number=number, parties=list(parties))))
    for party, *_ in there():
        if party not in free:
            del new[party]
    return new | free


def _pair(row: Values) -> tuple[str, Pair]:
    party, *stands = row
    return party, Pair(*stands)


def of(connection: Connection, number: str, party: str) -> Pair:
    """How a person and a number of ours stand."""
    for opened_ms, paced_ms, held_ms in _PAIR.rows(connection, number=number, party=party):
        return Pair(int(opened_ms), int(paced_ms), int(held_ms))
    return Pair()


def opened(connection: Connection, wrote: Mapping[tuple[str, str], int]) -> None:
    """Who wrote to which of our numbers, and when; an older message closes nothing."""
    _OPENED.run(connection, [(number, party, at_ms) for (number, party), at_ms in wrote.items()])


def closed(connection: Connection, number: str, party: str, before_ms: int) -> None:
    """The vendor says that the window is closed; one opened after `before_ms` stays open."""
    _CLOSED.run(connection, [{"number": number, "party": party, "before_ms": before_ms}])


def paced(connection: Connection, number: str, party: str, paced_ms: int) -> None:
    """A message to a person takes its share of the pair's rate."""
    _PACED.run(connection, [{"number": number, "party": party, "paced_ms": paced_ms}])


def held(connection: Connection, number: str, party: str, held_ms: int) -> None:
    """The vendor said that it was too fast for this person: nothing goes before `held_ms`."""
    _HELD.run(connection, [{"number": number, "party": party, "held_ms": held_ms}])
