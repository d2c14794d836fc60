"""Sold units, and which of them still owe a sign of life."""

import sqlite3
from collections.abc import Iterable

from edge_agent.buffer import settings
from edge_agent.buffer.captures import Activation, ActivationKey, Capture, Stored

_SELL = """
    INSERT INTO sold (serial, till, receipt, gen, n)
    VALUES (:serial, :till, :receipt, :gen, :n)
    ON CONFLICT (serial) DO UPDATE
       SET till = excluded.till, receipt = excluded.receipt, gen = excluded.gen, n = excluded.n
"""
_UNSELL = "DELETE FROM sold WHERE serial = :serial AND till = :till AND receipt = :receipt"
# Tills restart their numbers: of several sales under one number the latest is meant. The others
# stay sold, so that no position of a stranger's scooter is ever told.
_UNSELL_RECEIPT = """
    DELETE FROM sold
     WHERE till = :till AND receipt = :receipt
       AND (gen, n) = (SELECT gen, n FROM sold WHERE till = :till AND receipt = :receipt
                        ORDER BY gen DESC, n DESC LIMIT 1)
    RETURNING serial
"""
_IS_SOLD = "SELECT 1 FROM sold WHERE serial = :serial"
_WAKE = """
    INSERT INTO activation (gen, n, serial, state) VALUES (:gen, :n, :serial, 'pending')
    ON CONFLICT DO NOTHING
"""
_CANCEL = """
    UPDATE activation SET state = 'cancelled' WHERE serial = :serial AND state = 'pending'
"""
# An answer that comes after the box had given up is still worth having.
_ANSWER = """
    UPDATE activation SET state = 'answered'
     WHERE gen = :gen AND n = :n AND serial = :serial AND state IN ('pending', 'unanswered')
"""
_GIVE_UP = """
    UPDATE activation SET state = 'unanswered'
     WHERE gen = :gen AND n = :n AND serial = :serial AND state = 'pending'
"""
_PENDING = """
    SELECT gen, n, serial, asked, waited_ms FROM activation INDEXED BY activation_pending
     WHERE state = 'pending' ORDER BY gen, n, serial
"""
_ASKED = """
    UPDATE activation SET asked = asked + 1
     WHERE gen = :gen AND n = :n AND serial = :serial AND state = 'pending'
"""
_WAITED = "UPDATE activation SET waited_ms = waited_ms + :ms WHERE state = 'pending'"


def follow(connection: sqlite3.Connection, capture: Capture, stored: Stored) -> None:
    """Apply what a stored till event means for its units, in the same transaction."""
    if capture.type == "pos.sale":
        for serial in _unit_serials(capture):
            connection.execute(_SELL, {"serial": serial, **_receipt(capture), **_sale(stored)})
        for serial in capture.wakes:
            connection.execute(_WAKE, {"serial": serial, **_sale(stored)})
    elif capture.type in {"pos.void", "pos.return"}:
        _cancel(connection, _reversed(connection, capture))
        _cancel(connection, capture.cancels or ())


def close(connection: sqlite3.Connection, key: ActivationKey, *, answered: bool) -> bool:
    """Close an activation by an answer, or by giving up; False if it is closed already."""
    values = {"gen": key.gen, "n": key.n, "serial": key.serial}
    return connection.execute(_ANSWER if answered else _GIVE_UP, values).rowcount == 1


def pending(connection: sqlite3.Connection) -> list[Activation]:
    """Activations that wait for their answer, oldest sale first."""
    return [
        Activation(gen=gen, n=n, serial=serial, asked=asked, waited_ms=waited_ms)
        for gen, n, serial, asked, waited_ms in connection.execute(_PENDING)
    ]


def mark_asked(connection: sqlite3.Connection, key: ActivationKey) -> None:
    """Count one more request to the scooter."""
    connection.execute(_ASKED, {"gen": key.gen, "n": key.n, "serial": key.serial})


def add_waited(connection: sqlite3.Connection, ms: int) -> None:
    """Time the box was running goes by for every pending activation."""
    connection.execute(_WAITED, {"ms": ms})


class SoldUnits:
    """Answers is_sold() from memory for as long as nothing at all was written."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self._connection: sqlite3.Connection | None = None
        self._changes = -1
        self._known: dict[str, bool] = {}

    def has(self, connection: sqlite3.Connection, serial: str) -> bool:
        """As is_sold()."""
        if connection is not self._connection or connection.total_changes != self._changes:
            self._connection, self._changes = connection, connection.total_changes
            self._known.clear()
        known = self._known.get(serial)
        if known is None:
            known = self._known[serial] = is_sold(connection, serial)
        return known


def is_sold(connection: sqlite3.Connection, serial: str) -> bool:
    """Whether this box knows of a sale of the unit that was not reversed.

    After a damage that reached the list of sold units, every unit counts as sold.
    """
    if settings.recall(connection, settings.SOLD_UNKNOWN) is not None:
        return True
    return connection.execute(_IS_SOLD, {"serial": serial}).fetchone() is not None


def _receipt(capture: Capture) -> dict[str, str]:
    return {"till": str(capture.data["till"]), "receipt": str(capture.data["receipt"])}


def _sale(stored: Stored) -> dict[str, int]:
    return {"gen": stored.gen, "n": stored.n}


def _unit_serials(capture: Capture) -> list[str]:
    units = capture.data.get("units")
    found = [unit.get("serial") for unit in units] if isinstance(units, list | tuple) else []
    return [serial for serial in found if isinstance(serial, str)]


def _reversed(connection: sqlite3.Connection, capture: Capture) -> list[str]:
    """Serials that a void or return takes out of the sold ones (None: the whole receipt)."""
    serials = capture.data.get("serials")
    if isinstance(serials, list | tuple):
        for serial in serials:
            connection.execute(_UNSELL, {"serial": serial, **_receipt(capture)})
        return [str(serial) for serial in serials]
    rows = connection.execute(_UNSELL_RECEIPT, _receipt(capture)).fetchall()
    return [str(serial) for (serial,) in rows]


def _cancel(connection: sqlite3.Connection, serials: Iterable[str]) -> None:
    for serial in serials:
        connection.execute(_CANCEL, {"serial": serial})
