"""Who may write when there is no room, and what goes for it.

Three things are held back: of the file's limit what sealing needs (`Limits`), of the disk a reserve
for sales, and room for the write-ahead log. The last is only ever lent: a transaction that makes
the file no larger needs it for a moment, and a box that could not write one could never deliver.
"""

import sqlite3
from collections.abc import Callable
from typing import TypeVar

from edge_agent.buffer import ring, shedding
from edge_agent.buffer.captures import Limits
from edge_agent.buffer.connection import ERRORS, Trouble, free_bytes, trouble_of
from edge_agent.buffer.file import BufferFile
from edge_agent.buffer.segments import Writer
from edge_agent.errors import BufferFull
from shared.wire.events import Occurred

T = TypeVar("T")


class Room:
    """Runs what is to be written, and makes room for it as far as it is worth that."""

    def __init__(
        self,
        file: BufferFile,
        limits: Limits,
        *,
        writer: Callable[[sqlite3.Connection], Writer],
        now: Callable[[], Occurred],
    ) -> None:
        """`writer` and `now` are for the losses that shedding declares."""
        self._file = file
        self._limits = limits
        self._writer = writer
        self._now = now

    def ensure(self, connection: sqlite3.Connection, writer: Writer, *, for_sale: bool) -> None:
        """Have the room that is for sales, or for others, in the file. Raises BufferFull."""
        limits, now = self._limits, self._now()
        limit = limits.sale_bytes_max if for_sale else limits.report_bytes_max
        if not shedding.make_room(connection, writer, limits, limit_bytes=limit, now=now):
            raise BufferFull(f"{limit} bytes are full of events that may not be shed")

    def ensure_sealing(self, connection: sqlite3.Connection, writer: Writer) -> None:
        """There was room before a put, but this put alone may be as large as what was left."""
        if not shedding.can_seal(connection, self._limits):
            self.ensure(connection, writer, for_sale=True)
            writer.finish()

    def for_report(self, action: Callable[[], T]) -> T:
        """Run `action`; only older reports go for it. Raises BufferFull, BufferBroken."""
        return self._file.guarded(action, relieve=self._relieve_report)

    def for_sale(self, action: Callable[[], T]) -> T:
        """Run `action`; everything that may go goes for it. Raises BufferFull, BufferBroken."""
        try:
            return self._file.guarded(action, relieve=self._relieve_sale)
        except BufferFull:
            with self._file.log_room_lent():
                # What makes the file no larger finds its place even now. The share is more than
                # the largest event with its attachment and the pages that it touches.
                need = self._limits.log_room_bytes // 8
                if free_bytes(self._file.connection) < need and not self._shed_once(need):
                    raise
                return self._file.guarded(action)

    def for_delivery(self, action: Callable[[], T]) -> T:
        """Run `action`, with which the queue gets shorter or the box comes to say why it does
        not. Raises BufferFull, BufferBroken."""
        try:
            return self._file.guarded(action, relieve=self._relieve_sale)
        except BufferFull:
            with self._file.log_room_lent():
                return self._file.guarded(action, relieve=lambda _attempt: self._shed_once())

    def _relieve_sale(self, attempt: int) -> bool:
        """Make room for what must be stored: the reserve, then receipted bytes, then reports."""
        released = self._file.reserve.release()
        # Only now: folding the log into the file needs room before it gives some back.
        self._file.return_log_space()
        return self._shed_once() or released or attempt == 1

    def _relieve_report(self, attempt: int) -> bool:
        """Make room for a report by shedding older ones. Reports never live on the reserve: it
        is lent to the shedding transaction only."""
        self._file.reserve.release()
        try:
            self._file.return_log_space()
            return self._shed_once() or attempt == 1
        finally:
            self._file.return_log_space()
            self._file.reserve.hold()

    def _shed_once(self, need_bytes: int | None = None) -> bool:
        need_bytes = need_bytes or shedding.shed_step_bytes(self._limits)
        try:
            with self._file.transaction() as connection:
                writer = self._writer(connection)
                freed = ring.free(connection, need_bytes)
                freed = freed or shedding.shed(connection, writer, need_bytes, now=self._now())
                writer.finish()
        except ERRORS as error:
            if trouble_of(error) is Trouble.FULL:
                return False
            raise
        return freed > 0
