"""The buffer's file: transactions, and what happens when it is damaged or the disk is full."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from edge_agent import migrations
from edge_agent.buffer import salvage, settings
from edge_agent.buffer.captures import Limits
from edge_agent.buffer.connection import (
    ERRORS,
    PAGE_BYTES,
    ConnectionFactory,
    Trouble,
    sync_folder,
    trouble_of,
)
from edge_agent.buffer.reserve import ReserveFile
from edge_agent.errors import BufferBroken, BufferDamaged, BufferFull
from shared.wire.events import LANES

T = TypeVar("T")
OnEvent = Callable[[str, Mapping[str, object]], None]
_MAX_SALVAGES = 3
_CHECKED = ("setting", "numbering", "lane", "batch", "segment", "activation", "sold", "gap")
_REUSED = """
    SELECT 1 FROM numbering
      JOIN (SELECT lane, gen, max(first_n + count) AS given FROM segment GROUP BY lane, gen)
     USING (lane, gen)
     WHERE next_n < given LIMIT 1
"""


class BufferFile:
    """One connection under one lock. Damage moves the file aside, salvages it and goes on."""

    def __init__(
        self, path: Path, *, limits: Limits, factory: ConnectionFactory, on_event: OnEvent
    ) -> None:
        """Open or create the file, salvaging it first if need be. Raises BufferBroken."""
        self._path = path
        self._limits = limits
        self._factory = factory
        self._on_event = on_event
        self._gen_path = path.with_name(path.name + ".gen")
        self.lock = threading.RLock()
        self.commits = 0
        self.reserve = ReserveFile(
            path.with_name(path.name + ".reserve"), limits.reserve_file_bytes
        )
        self._log_room = ReserveFile(path.with_name(path.name + ".log-room"), limits.log_room_bytes)
        self.connection = self._open_with_room()
        self.hold_back()

    def hold_back(self) -> bool:
        """Take of the disk what is for sales and for the log; False while that is not there."""
        with self.lock:
            # The log's first: without it nothing is delivered, and nothing else makes room.
            return all([self._log_room.hold(), self.reserve.hold()])

    @contextmanager
    def log_room_lent(self) -> Iterator[None]:
        """For a while the write-ahead log may grow into the room held back for it."""
        with self.lock:
            self._log_room.release()
            self.return_log_space()
            try:
                yield
            finally:
                self.return_log_space()
                self._log_room.hold()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """BEGIN IMMEDIATE … COMMIT, or nothing at all."""
        connection = self.connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.commit()
        except BaseException:
            with suppress(*ERRORS):
                connection.rollback()
            raise
        self.commits += 1

    def guarded(
        self, action: Callable[[], T], *, relieve: Callable[[int], bool] | None = None
    ) -> T:
        """Run under the lock. After damage, salvage and repeat; when the disk is full, repeat as
        long as `relieve(attempt)` says that it made room.

        Raises:
            BufferFull: no room was made; `action` changed nothing.
            BufferBroken: the disk answers with errors; `action` changed nothing.
        """
        with self.lock:
            salvages = attempts = 0
            while True:
                try:
                    return action()
                except BufferDamaged as damage:
                    salvages += 1
                    self._recover(str(damage), salvages)
                except ERRORS as error:
                    trouble = trouble_of(error)
                    if trouble is Trouble.DAMAGED:
                        salvages += 1
                        self._recover(str(error), salvages)
                    elif trouble is Trouble.FULL:
                        attempts += 1
                        if relieve is None or not relieve(attempts):
                            raise BufferFull("the disk is full") from error
                    elif trouble is Trouble.BROKEN:
                        raise BufferBroken(f"the disk answers with an error: {error}") from error
                    else:
                        raise

    def return_log_space(self) -> None:
        """Give the write-ahead log's space back to the disk."""
        with suppress(*ERRORS):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def note_gen(self) -> None:
        """Keep the current generation beside the file, for the day the file is lost."""
        gen = settings.recall_int(self.connection, settings.GEN) or 0
        if gen <= self._gen_floor():
            return
        draft = self._gen_path.with_name(self._gen_path.name + ".new")
        with suppress(OSError):
            draft.write_text(str(gen), encoding="ascii")
            draft.rename(self._gen_path)
            sync_folder(self._path.parent)

    def close(self) -> None:
        """Close the connection; everything committed is durable already."""
        with self.lock:
            self.connection.close()
            # Whoever fills the disk meanwhile must leave enough to open the file again.
            self.hold_back()

    def _recover(self, reason: str, salvages: int) -> None:
        if salvages > _MAX_SALVAGES:
            raise BufferBroken(f"the buffer is damaged again after every salvage: {reason}")
        with suppress(*ERRORS):
            self.connection.close()
        self.connection = self._salvage(salvage.quarantine(self._path), reason)

    def _open_with_room(self) -> sqlite3.Connection:
        """To open the file takes room on the disk as well, and the log's was lent when the power
        went; then the reserve has to serve."""
        for held_back in (self._log_room, self.reserve):
            try:
                return self._open_or_salvage()
            except BufferBroken:
                held_back.release()
        return self._open_or_salvage()

    def _open_or_salvage(self) -> sqlite3.Connection:
        interrupted = salvage.unfinished(self._path)
        if interrupted is not None:
            return self._salvage(interrupted, "a power cut interrupted the salvage")
        try:
            return self._open()
        except ERRORS as error:
            if trouble_of(error) is not Trouble.DAMAGED:
                raise BufferBroken(f"{self._path} cannot be opened: {error}") from error
            return self._salvage(salvage.quarantine(self._path), str(error))
        except BufferDamaged as damage:
            return self._salvage(salvage.quarantine(self._path), str(damage))

    def _open(self) -> sqlite3.Connection:
        connection = self._factory(self._path)
        try:
            pages = self._limits.bytes_max // PAGE_BYTES
            connection.execute(f"PRAGMA max_page_count = {pages}").fetchone()
            migrations.migrate(connection)
            _check(connection)
            if settings.recall(connection, settings.GEN) is None:
                gen = self._gen_floor() + 1
                connection.execute("BEGIN IMMEDIATE")
                settings.remember(connection, settings.GEN, gen)
                connection.commit()
                sync_folder(self._path.parent)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        self.note_gen()
        return connection

    def _salvage(self, damaged: Path, reason: str) -> sqlite3.Connection:
        self._on_event("buffer_damaged", {"reason": reason, "copy": str(damaged)})
        try:
            report = salvage.rebuild(
                self._path, damaged, self._factory, gen_floor=self._gen_floor()
            )
            connection = self._open()
        except (*ERRORS, OSError) as error:
            raise BufferBroken(f"no new buffer could be built: {error}") from error
        self._on_event(
            "buffer_salvaged",
            {
                "events": report.events,
                "missing": report.missing,
                "gen": report.gen,
                "copy": str(damaged),
            },
        )
        return connection

    def _gen_floor(self) -> int:
        """The highest generation ever begun here, kept beside the file for the day it is lost."""
        try:
            return int(self._gen_path.read_text(encoding="ascii"))
        except (OSError, ValueError):
            return 0


def _check(connection: sqlite3.Connection) -> None:
    """Check the small tables and their indexes; the frames carry checksums of their own."""
    if not migrations.schema_is_whole(connection):
        raise BufferDamaged("the schema came back wrong")
    for table in _CHECKED:
        (found,) = connection.execute(f"PRAGMA integrity_check({table})").fetchone()
        if found != "ok":
            raise BufferDamaged(f"table {table}: {found}")
    gen = settings.recall(connection, settings.GEN)
    if gen is not None and not gen.isdecimal():
        raise BufferDamaged("the generation came back wrong")
    if connection.execute(_REUSED).fetchone() is not None:
        raise BufferDamaged("a next number lies below numbers that were given")
    (lanes,) = connection.execute("SELECT count(*) FROM lane").fetchone()
    if lanes != len(LANES):
        raise BufferDamaged("the lanes came back wrong")
