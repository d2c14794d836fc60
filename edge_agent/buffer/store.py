"""The buffer: what is put here survives a power cut, and leaves only against a proof."""

import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from edge_agent.buffer import (
    activations,
    backlog,
    journal,
    reposition,
    ring,
    sealing,
    segments,
    settings,
)
from edge_agent.buffer.backlog import Backlog
from edge_agent.buffer.captures import (
    PRIORITY_OF,
    Activation,
    ActivationKey,
    Capture,
    Duplicate,
    Limits,
    Priority,
    SealedBatch,
    Stored,
)
from edge_agent.buffer.connection import ERRORS, ConnectionFactory, connect
from edge_agent.buffer.dedupe import Taker
from edge_agent.buffer.file import BufferFile, OnEvent
from edge_agent.buffer.rejects import Rejects
from edge_agent.buffer.reposition import Gap, Place, Span, Standing
from edge_agent.buffer.ring import RingPlace
from edge_agent.buffer.room import Room
from edge_agent.buffer.sealing import Sealer
from edge_agent.buffer.segments import Writer
from edge_agent.errors import BufferBroken, BufferFull
from shared.clock import Clock
from shared.wire.events import LANES, Occurred

T = TypeVar("T")


def _silent(_event: str, _fields: Mapping[str, object]) -> None:
    return


class Buffer:
    """One SQLite file, one connection, one lock; every method is safe from any thread.

    Damage found anywhere moves the file aside, salvages what can be read and goes on.
    """

    def __init__(
        self,
        path: Path,
        *,
        device: str,
        clock: Clock,
        now: Callable[[], Occurred],
        limits: Limits | None = None,
        connection_factory: ConnectionFactory = connect,
        on_event: OnEvent = _silent,
    ) -> None:
        """Open or create the file, salvaging it first if need be. Raises BufferBroken, BufferFull.

        `now` gives the time of losses and seals; `on_event` hears of salvages and losses.
        """
        self._device = device
        self._clock = clock
        self._now = now
        self._on_event = on_event
        self._limits = limits or Limits()
        self._rejects = Rejects(self._limits.rejected_max)
        self._sold = activations.SoldUnits()
        self._file = BufferFile(
            path, limits=self._limits, factory=connection_factory, on_event=on_event
        )
        self._room = Room(self._file, self._limits, writer=self._writer, now=now)
        self._work = threading.Condition(self._file.lock)
        self._put_count: dict[str, int] = dict.fromkeys(LANES, 0)
        self._opened_mono_ms = clock.mono_ms()
        self._running_base_ms = self._read(
            lambda connection: settings.recall_int(connection, settings.RUNNING_MS) or 0
        )

    # --- capture --------------------------------------------------------------------------

    def put(self, captures: Sequence[Capture]) -> list[Stored | Duplicate]:
        """Store captures in one commit. When this returns they survive a power cut.

        One answer for each, in order; putting what `once` or `answers` knows already changes
        nothing. Sales, activations, faults and losses stand alone in their segment, reports
        share one.

        Raises:
            BufferFull: no room even after shedding; nothing was stored.
            BufferBroken: the disk answers with errors; nothing was stored.
            CaptureRefused: one of them can never be stored; nothing was stored.
        """
        if not captures:
            return []
        top = min(PRIORITY_OF[capture.type] for capture in captures)
        for_sale = top is Priority.SALE
        find_room = self._room.for_sale if for_sale else self._room.for_report
        answers, lanes = find_room(lambda: self._put(captures, for_sale=for_sale))
        if top <= Priority.ACTIVATION:
            self._log_captured(captures, answers)
        with self._work:
            for lane in lanes:
                self._put_count[lane] += 1
            self._work.notify_all()
        return answers

    def _log_captured(
        self, captures: Sequence[Capture], answers: Sequence[Stored | Duplicate]
    ) -> None:
        mono_ms = self._clock.mono_ms()
        for capture, answer in zip(captures, answers, strict=True):
            if isinstance(answer, Stored) and capture.priority <= Priority.ACTIVATION:
                self._on_event("captured", journal.describe(capture, answer, mono_ms))

    def _put(
        self, captures: Sequence[Capture], *, for_sale: bool
    ) -> tuple[list[Stored | Duplicate], set[str]]:
        with self._file.transaction() as connection:
            writer = self._writer(connection)
            self._room.ensure(connection, writer, for_sale=for_sale)
            taker = Taker(connection, at=self.running_ms())
            answers = [self._add(connection, writer, taker, capture) for capture in captures]
            taker.finish()
            writer.finish()
            self._room.ensure_sealing(connection, writer)
        return answers, writer.lanes

    def _add(
        self, connection: sqlite3.Connection, writer: Writer, taker: Taker, capture: Capture
    ) -> Stored | Duplicate:
        if capture.once is not None and not taker.take(capture.once):
            return Duplicate()
        if capture.answers is not None:
            answered = capture.type != "scooter.fault"
            if not activations.close(connection, capture.answers, answered=answered):
                return Duplicate()
        stored = writer.add(capture)
        if PRIORITY_OF[capture.type] is Priority.SALE:
            activations.follow(connection, capture, stored)
        return stored

    def reject(self, source: str, raw: bytes, reason: str) -> None:
        """Keep input that could not be read, and count it; never raises for a full disk."""
        with self._file.lock:
            at = (self._clock.boot, self._clock.mono_ms())
            if not self._rejects.admit(source, at[1]):
                return

            def keep() -> None:
                with self._file.transaction() as connection:
                    self._rejects.insert(connection, source=source, raw=raw, reason=reason, at=at)
                    self._rejects.flush(connection)

            # Unreadable input is worth less than any event: it never makes others go.
            with suppress(BufferFull, BufferBroken):
                self._file.guarded(keep)
                self._rejects.flushed()

    # --- activation -----------------------------------------------------------------------

    def pending_activations(self) -> list[Activation]:
        """Sold units that have not answered, oldest sale first."""
        return self._read(activations.pending)

    def mark_asked(self, key: ActivationKey) -> None:
        """Count one more request to the scooter. Raises BufferFull, BufferBroken."""
        self._write(lambda connection: activations.mark_asked(connection, key))

    def add_waited(self, ms: int) -> None:
        """Let `ms` of running time pass for all pending activations. Raises as mark_asked."""
        self._write(lambda connection: activations.add_waited(connection, ms))

    def is_sold(self, serial: str) -> bool:
        """Whether this box knows of a sale of the unit that was not reversed."""
        return self._read(lambda connection: self._sold.has(connection, serial))

    # --- delivery -------------------------------------------------------------------------

    def work_seen(self, lane: str) -> int:
        """A token for wait_for_work: what was put up to now."""
        with self._work:
            return self._put_count[lane]

    def wait_for_work(self, lane: str, timeout_ms: int, seen: int | None = None) -> bool:
        """Wait until something is put into the lane after `seen`; False after `timeout_ms`."""
        with self._work:
            before = self._put_count[lane] if seen is None else seen
            return self._work.wait_for(
                lambda: self._put_count[lane] != before, timeout=timeout_ms / 1000
            )

    def wake(self) -> None:
        """Let every wait_for_work return (used to stop)."""
        with self._work:
            for lane in LANES:
                self._put_count[lane] += 1
            self._work.notify_all()

    def in_flight(self, lane: str) -> SealedBatch | None:
        """The lane's sealed batch that has no receipt yet."""
        return self._read(lambda connection: sealing.in_flight(connection, lane))

    def seal(self, lane: str, sealer: Sealer) -> SealedBatch | None:
        """The batch in flight, else a new one with the most urgent events, sealed and durable.

        None when nothing waits, or the epoch is not known yet.
        """

        def cut() -> SealedBatch | None:
            found = sealing.in_flight(self._file.connection, lane)
            if found is not None or not segments.any_waiting(self._file.connection, lane):
                return found
            with self._file.transaction() as connection:
                return sealing.cut(connection, lane, sealer)

        return self._room.for_delivery(cut)

    def receipted(
        self,
        batch: SealedBatch,
        *,
        first_index: int,
        received_ms: int,
        checkpoint: str | None = None,
        seal_next: Sealer | None = None,
    ) -> SealedBatch | None:
        """Take a batch off the queue: its receipt was verified. Idempotent.

        `checkpoint` becomes the last one verified unless a larger one is known. With `seal_next`
        the lane's next batch is cut in the same commit and returned.
        """

        def free() -> SealedBatch | None:
            with self._file.transaction() as connection:
                size = sealing.receipted(
                    connection,
                    batch,
                    first_index=first_index,
                    received_ms=received_ms,
                    running_ms=self.running_ms(),
                )
                backlog.raise_checkpoint(connection, checkpoint)
                ring.take(connection, size, self._limits, running_ms=self.running_ms())
                if seal_next is None:
                    return None
                return sealing.cut(connection, batch.lane, seal_next)

        return self._room.for_delivery(free)

    def halt(self, lane: str, reason: str | None) -> None:
        """Note that a lane is halted (or, with None, that it runs)."""
        self._write(lambda connection: backlog.halt(connection, lane, reason))

    # --- places on the ledger -------------------------------------------------------------

    def checkpoint(self) -> str | None:
        """The last checkpoint that was verified, as its signed note."""
        return self._read(lambda connection: settings.recall(connection, settings.CHECKPOINT))

    def epoch(self) -> int | None:
        """The epoch in which batches are sealed, or None before the hub was asked."""
        return self._read(lambda connection: settings.recall_int(connection, settings.EPOCH))

    def gen(self) -> int:
        """The generation that new captures get."""
        gen = self._read(lambda connection: settings.recall_int(connection, settings.GEN))
        assert gen is not None
        return gen

    def places(self) -> dict[str, Place]:
        """Where each lane's next batch will stand, batches in flight included."""
        return self._read(backlog.places)

    def doubt(self) -> str | None:
        """Why waiting events must be compared with the hub before any is sealed, or None."""
        return self._read(lambda connection: settings.recall(connection, settings.DOUBT))

    def adopt(self, epoch: int, places: Mapping[str, Place]) -> None:
        """Take a new box's first epoch and places from the hub."""

        def write(connection: sqlite3.Connection) -> None:
            settings.remember(connection, settings.EPOCH, epoch)
            reposition.place(connection, places)

        self._write(write)

    def reopen(self, epoch: int, places: Mapping[str, Place], *, max_gen: int) -> None:
        """Begin a new epoch: unseal what was in flight, doubt what waits, start a generation.

        `max_gen` is the highest generation the hub has seen of this box.
        """

        def write(connection: sqlite3.Connection) -> None:
            gen = max(settings.recall_int(connection, settings.GEN) or 0, max_gen) + 1
            reposition.unseal(connection)
            reposition.place(connection, places)
            settings.remember(connection, settings.EPOCH, epoch)
            settings.remember(connection, settings.EPOCH_NONCE, None)
            settings.remember(connection, settings.DOUBT, "epoch")
            settings.remember(connection, settings.GEN, gen)

        self._write(write)
        self._file.note_gen()

    def follow_generation(self, begins: str) -> None:
        """The ledger goes on from the tree head `begins`, without what this box saw proven beyond.

        What the ring keeps waits again, in doubt; the last tree head before stays as evidence.
        """
        self._write(lambda connection: reposition.follow_generation(connection, begins))

    def waiting_spans(self) -> list[Span]:
        """Spans of waiting capture numbers, for asking the hub about them."""
        return self._read(reposition.waiting_spans)

    def events_of(self, span: Span) -> tuple[bytes, ...] | None:
        """The waiting events of a span, or None when not all are here."""
        return self._read(lambda connection: reposition.events_of(connection, span))

    def settle(self, span: Span, standing: Standing) -> None:
        """Move a span to the ring: the hub proved that it has these very bytes."""

        def write(connection: sqlite3.Connection) -> None:
            size = reposition.settle(connection, span, standing, running_ms=self.running_ms())
            ring.take(connection, size, self._limits, running_ms=self.running_ms())

        self._write(write)

    def ring_places(self) -> list[RingPlace]:
        """What the ring can give back to a restored hub, in the order of the ledger."""
        return self._read(ring.places)

    def ring_batch(self, place: RingPlace) -> SealedBatch | None:
        """The batch at a place, None when it has left the ring."""
        return self._read(lambda connection: ring.batch(connection, place))

    def renumber(self, spans: Sequence[Span]) -> int:
        """Give what waits in `spans` new numbers in the current generation; how many moved."""

        def write(connection: sqlite3.Connection) -> int:
            new_gen = settings.recall_int(connection, settings.GEN)
            assert new_gen is not None
            assert all(new_gen > span.gen for span in spans)
            return reposition.renumber(connection, self._device, spans, new_gen=new_gen)

        return self._write(write)

    def gaps(self) -> list[Gap]:
        """Numbers that were issued and are not here, before the hub was asked about them."""
        return self._read(reposition.gaps)

    def declare_gap(self, gap: Gap, lost: Sequence[tuple[int, int]]) -> None:
        """Close a gap: `lost` are those of its ranges that the hub does not have either."""

        def write(connection: sqlite3.Connection) -> None:
            reposition.drop_gap(connection, gap.span)
            if lost:
                writer = self._writer(connection)
                writer.add_loss(
                    lane=gap.span.lane,
                    gen=gap.span.gen,
                    ranges=lost,
                    reason=gap.reason,
                    now=self._now(),
                )
                writer.finish()

        self._write(write)
        self.wake()

    def end_doubt(self) -> None:
        """Everything that waits may be sealed again."""
        self._remember({settings.DOUBT: None})

    # --- the box itself -------------------------------------------------------------------

    def recall(self, name: str) -> str | None:
        """A value another part of the agent keeps in the buffer."""
        return self._read(lambda connection: settings.recall(connection, name))

    def remember(self, name: str, value: str | int | None) -> None:
        """Keep a value; None removes it. Durable on return."""
        self._remember({name: value})

    def running_ms(self) -> int:
        """Time this buffer was open, over all boots. Never depends on the wall clock."""
        return self._running_base_ms + self._clock.mono_ms() - self._opened_mono_ms

    def save_running(self, values: Mapping[str, str | int | None] | None = None) -> None:
        """Persist running time, counters and `values` in one commit (done with heartbeats)."""
        self._remember({settings.RUNNING_MS: self.running_ms(), **(values or {})})
        self._rejects.flushed()

    def backlog(self) -> Backlog:
        """What waits, per lane, and how much room it takes."""
        return self._read(
            lambda connection: backlog.measure(connection, running_ms=self.running_ms())
        )

    def tallies(self) -> dict[str, int]:
        """Lifetime counters: receipted, lost, rejected, salvages."""
        return self._read(settings.tallies)

    @property
    def commits(self) -> int:
        """Commits since the buffer was opened; grows only by real progress."""
        return self._file.commits

    def hold_reserve(self) -> bool:
        """Take again what is held back of the disk, if it was spent; False while there is not
        room for all of it."""
        return self._file.hold_back()

    def close(self) -> None:
        """Close the file. Everything stored is durable already."""
        with self._file.lock:
            with suppress(BufferFull, BufferBroken, *ERRORS):
                self.save_running()
            self._file.close()

    # --- inside ---------------------------------------------------------------------------

    def _writer(self, connection: sqlite3.Connection) -> Writer:
        gen = settings.recall_int(connection, settings.GEN)
        assert gen is not None
        return Writer(connection, device=self._device, gen=gen, running_ms=self.running_ms())

    def _read(self, look: Callable[[sqlite3.Connection], T]) -> T:
        return self._file.guarded(lambda: look(self._file.connection))

    def _write(self, change: Callable[[sqlite3.Connection], T]) -> T:
        def run() -> T:
            with self._file.transaction() as connection:
                return change(connection)

        return self._room.for_delivery(run)

    def _remember(self, values: Mapping[str, str | int | None]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            for name, value in values.items():
                settings.remember(connection, name, value)
            self._rejects.flush(connection)

        self._write(write)
