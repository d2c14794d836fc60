"""What goes into the buffer and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from shared.wire.events import AuthenticatedBy, Occurred


class Priority(IntEnum):
    """Order in which segments leave, and in reverse order in which they are shed."""

    SALE = 0
    ACTIVATION = 1
    FAULT = 2
    REPORT = 3


PRIORITY_OF: Mapping[str, Priority] = {
    "pos.sale": Priority.SALE,
    "pos.void": Priority.SALE,
    "pos.return": Priority.SALE,
    "scooter.activated": Priority.ACTIVATION,
    "scooter.fault": Priority.FAULT,
    "agent.loss": Priority.FAULT,
    "scooter.report": Priority.REPORT,
    "agent.heartbeat": Priority.REPORT,
}


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a capture the same as an earlier one.

    Without `counter`: the same scope, key and content seen before is a duplicate.
    With `counter`: numbers of one key are taken once each; a number that is more than
    `dedupe.WINDOW` behind the highest one of its key counts as seen.
    """

    scope: str
    key: str
    content: bytes = b""
    counter: int | None = None


@dataclass(frozen=True, slots=True, order=True)
class ActivationKey:
    """One unit of one sale: the sale's generation and number, and the serial."""

    gen: int
    n: int
    serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """A sold unit that has not reported yet. `waited_ms` counts only time the box was running."""

    gen: int
    n: int
    serial: str
    asked: int
    waited_ms: int

    @property
    def key(self) -> ActivationKey:
        """What `answers` and `mark_asked` take."""
        return ActivationKey(self.gen, self.n, self.serial)


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """A fact on its way into the buffer; lane and priority follow from its type.

    `wakes` opens an activation for each serial in the same commit, `cancels` ends those of the
    named serials (a void or return also ends those of the units it reverses by itself).
    `answers`: this ``scooter.activated`` or ``scooter.fault`` closes that activation in the same
    commit; if it is closed already, the capture is a Duplicate.
    """

    type: str
    data: Mapping[str, object]
    occurred: Occurred
    attachments: tuple[bytes, ...] = ()
    authenticated_by: AuthenticatedBy | None = None
    once: Once | None = None
    wakes: tuple[str, ...] = ()
    cancels: tuple[str, ...] | None = ()
    answers: ActivationKey | None = None

    @property
    def priority(self) -> Priority:
        """Rank of this capture's type."""
        return PRIORITY_OF[self.type]


@dataclass(frozen=True, slots=True)
class Stored:
    """The capture survives a power cut under this identity."""

    gen: int
    lane: str
    n: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The capture was stored before; nothing was stored now. The source may acknowledge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedBatch:
    """A batch whose bytes are final: every attempt to deliver it sends exactly these."""

    row: int
    batch_id: str
    lane: str
    epoch: int
    first_seq: int
    statement: bytes
    seal: bytes
    events: tuple[bytes, ...]
    attachments: tuple[bytes, ...] = ()
    ranges: tuple[tuple[int, int, int], ...] = field(default=())
    """Runs of capture numbers as (generation, first, last)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much the buffer may hold.

    Of `bytes_max` reports and faults may fill `report_bytes_max`, sales `sale_bytes_max`. What is
    above that is for sealing: it writes before a receipt frees, and a box that could not seal
    would be full for ever. When the disk itself is full, the reserve file of `reserve_file_bytes`
    beside the buffer is for sales, and that of `log_room_bytes` is lent to what delivers. Both
    must be larger than the write-ahead log ever gets (1 MiB): folding the log into the buffer
    needs that much before it gives it back.
    """

    bytes_max: int = 512 * 1024 * 1024
    ring_bytes_max: int = 64 * 1024 * 1024
    ring_ms: int = 7 * 24 * 60 * 60 * 1000
    reserve_file_bytes: int = 2 * 1024 * 1024
    log_room_bytes: int = 5 * 1024 * 1024 // 4
    rejected_max: int = 1000

    @property
    def sale_bytes_max(self) -> int:
        """Where sales, voids and returns are refused."""
        return self.bytes_max - min(1024 * 1024, self.bytes_max // 16)

    @property
    def report_bytes_max(self) -> int:
        """Where everything else is refused."""
        return self.bytes_max - min(8 * 1024 * 1024, self.bytes_max // 8)
