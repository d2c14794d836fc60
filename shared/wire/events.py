"""Events: facts a box (or the hub) states, parsed once into frozen types.

The bytes an agent stored are the event: they are sealed, sent, hashed and kept as they are, and
never written again from parsed values. ``(device, gen, lane, n)`` is an event's id. The types
below are the schema: msgspec reads bytes into them and names the field that does not fit.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated, Final, Literal, TypeAlias

import orjson
from msgspec import Meta, Struct, ValidationError, field
from msgspec.json import Decoder

from shared.wire import fields
from shared.wire.fields import MAX_INT, Clockwork
from shared.wire.versions import WIRE_VERSION

Lane = Literal["sale", "vehicle", "system", "hub"]
AuthenticatedBy = Literal["none", "broker", "mac"]
LANES: Final[tuple[Lane, ...]] = ("sale", "vehicle", "system")
"""The lanes of a box, most urgent first. The hub's own facts travel in lane ``hub``."""

LANE_OF: Final[Mapping[str, Lane]] = {
    "pos.sale": "sale",
    "pos.void": "sale",
    "pos.return": "sale",
    "scooter.activated": "sale",
    "scooter.report": "vehicle",
    "scooter.fault": "vehicle",
    "agent.heartbeat": "system",
    "agent.loss": "system",
}
MAX_EVENT_BYTES = 32 * 1024
MAX_UNITS = 50
MAX_ATTACHMENTS = 4
MAX_ATTACHMENT_BYTES = 64 * 1024
MAX_PRICE_IDR = 10**12
MAX_LOSS_RANGES = 1000
MAX_EXTRA = 32
CLOCKS: Final[tuple[Clockwork, ...]] = ("rtc", "ntp", "hub", "none")

Text64 = Annotated[str, Meta(min_length=1, max_length=64)]
Number = Annotated[int, Meta(ge=0, le=MAX_INT)]
Ordinal = Annotated[int, Meta(ge=1, le=MAX_INT)]
Price = Annotated[int, Meta(ge=0, le=MAX_PRICE_IDR)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Serials = Annotated[tuple[Text64, ...], Meta(max_length=MAX_UNITS)]
Counts = Annotated[dict[str, Number], Meta(max_length=200)]
WallTime = Annotated[str, Meta(min_length=24, max_length=24)]
"""As in 2026-11-22T08:04:11.284Z; `_wall_ms` reads it."""


class MalformedEvent(ValueError):
    """The bytes are not an event of a version this reads. The message names the field."""


class Occurred(Struct, frozen=True, kw_only=True, gc=False):
    """When it happened: wall time if known, the error of that time, and the boot's own clock."""

    wall_ms: int | None
    err_ms: int
    clock: Clockwork
    boot: str
    mono_ms: int


class Attachment(Struct, frozen=True):
    """Encrypted bytes that travel beside an event and are not part of the ledger."""

    sha256: Hash
    size_bytes: Annotated[int, Meta(ge=1, le=MAX_ATTACHMENT_BYTES)] = field(name="bytes")


class Unit(Struct, frozen=True, kw_only=True):
    """One scooter on a receipt. `serial` is None when the till gave none, or none that is one."""

    serial: Text64 | None = None
    serial_raw: Text64 | None = None
    model: Text64 | None = None
    list_idr: Price
    discount_idr: Price
    net_idr: Price


class Buyer(Struct, frozen=True):
    """Who bought, as a salted commitment that says nothing without its salt."""

    commitment: Hash


class Sale(Struct, frozen=True, kw_only=True):
    """A till reported payment complete."""

    till: Text64
    receipt: Text64
    units: Annotated[tuple[Unit, ...], Meta(max_length=MAX_UNITS)]
    payment: Literal["cash", "instalments", "unknown"]
    operator: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    buyer: Buyer | None = None

    @property
    def buyer_commitment(self) -> str | None:
        """The commitment, or None when the till named no buyer."""
        return None if self.buyer is None else self.buyer.commitment


class Void(Struct, frozen=True, kw_only=True):
    """A receipt, or some serials of it (None: all), was cancelled at the till."""

    till: Text64
    receipt: Text64
    serials: Serials | None = None


class Return(Struct, frozen=True, kw_only=True):
    """Units of a receipt came back (None: all of them)."""

    till: Text64
    receipt: Text64
    serials: Serials | None = None


class Position(Struct, frozen=True):
    """Degrees, WGS 84."""

    lat: Annotated[float, Meta(ge=-90, le=90)]
    lon: Annotated[float, Meta(ge=-180, le=180)]


class SaleKey(Struct, frozen=True):
    """A sale of the same device, by generation and capture number (lane ``sale``)."""

    gen: Ordinal
    n: Ordinal


class Report(Struct, frozen=True, kw_only=True):
    """What a scooter said of itself."""

    serial: Text64
    state: Literal["stock", "sold", "unknown"]
    battery_pct: Annotated[int, Meta(ge=0, le=100)] | None = None
    odometer_m: Number | None = None
    firmware: Text64 | None = None
    boot: Text64 | None = None
    counter: Number | None = None
    position: Position | None = None
    extra: (
        Annotated[dict[str, str | int | float | bool | None], Meta(max_length=MAX_EXTRA)] | None
    ) = None


class Activated(Struct, frozen=True, kw_only=True):
    """A sold scooter answered: the unit is real, awake and here."""

    serial: Text64
    sale: SaleKey
    firmware: Text64 | None = None
    battery_pct: Annotated[int, Meta(ge=0, le=100)] | None = None
    odometer_m: Number | None = None


class Fault(Struct, frozen=True, kw_only=True):
    """A scooter reported a fault, or did not answer its activation for a day."""

    code: Text64
    serial: Text64 | None = None
    detail: Annotated[str, Meta(min_length=1, max_length=400)] | None = None
    sale: SaleKey | None = None


class Heartbeat(Struct, frozen=True, kw_only=True):
    """How a box is: what it runs, holds and misses."""

    version: Text64
    uptime_ms: Number
    backlog: Counts
    oldest_unsent_ms: Number | None = None
    buffer_bytes: Number
    disk_free_bytes: Number | None = None
    ledger_size: Number | None = None
    sources: Annotated[dict[str, Text64], Meta(max_length=50)]
    counters: Counts


class Loss(Struct, frozen=True, kw_only=True):
    """Capture numbers of one lane and generation that will never come, and why."""

    lane: Literal["sale", "vehicle", "system"]
    gen: Ordinal
    ranges: Annotated[tuple[tuple[Ordinal, Ordinal], ...], Meta(max_length=MAX_LOSS_RANGES)]
    count: Number
    reason: Text64

    def __post_init__(self) -> None:
        """Raises ValueError for a range that ends before it begins."""
        for first, last in self.ranges:
            if last < first:
                raise ValueError(f"ranges: [{first}, {last}] ends before it begins")


class Fact(Struct, frozen=True):
    """A fact of the hub's own: ids and plain values only."""

    values: Mapping[str, object]


Data: TypeAlias = Sale | Void | Return | Report | Activated | Fault | Heartbeat | Loss | Fact


class Event(Struct, frozen=True, kw_only=True):
    """A parsed event. `raw` are the bytes everything is proven over."""

    v: int
    type: str
    device: str
    gen: int
    lane: Lane
    n: int
    occurred: Occurred
    data: Data
    attachments: tuple[Attachment, ...]
    authenticated_by: AuthenticatedBy | None
    raw: bytes

    @property
    def serials(self) -> tuple[str, ...]:
        """The units this event speaks of, in their normal form."""
        data = self.data
        if isinstance(data, Report):  # nearly all are
            return (data.serial,)
        if isinstance(data, Activated):
            return (data.serial,)
        if isinstance(data, Sale):
            return tuple(unit.serial for unit in data.units if unit.serial is not None)
        if isinstance(data, Void | Return):
            return data.serials or ()
        if isinstance(data, Fault):
            return (data.serial,) if data.serial is not None else ()
        return ()


class _Moment(Struct, frozen=True, kw_only=True, gc=False):
    """`occurred` as it stands on the wire."""

    wall: WallTime | None
    err_ms: Number
    clock: Clockwork
    boot: Text64
    mono_ms: Number


class _Envelope(Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every event has, as it stands on the wire."""

    v: Annotated[int, Meta(ge=1, le=WIRE_VERSION)]
    device: Text64
    gen: Ordinal
    n: Ordinal
    occurred: _Moment
    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)] | None = None
    authenticated_by: AuthenticatedBy | None = None


class _SaleEvent(_Envelope, frozen=True, tag="pos.sale"):
    lane: Literal["sale"]
    data: Sale


class _VoidEvent(_Envelope, frozen=True, tag="pos.void"):
    lane: Literal["sale"]
    data: Void


class _ReturnEvent(_Envelope, frozen=True, tag="pos.return"):
    lane: Literal["sale"]
    data: Return


class _ActivatedEvent(_Envelope, frozen=True, tag="scooter.activated"):
    lane: Literal["sale"]
    data: Activated


class _ReportEvent(_Envelope, frozen=True, tag="scooter.report"):
    lane: Literal["vehicle"]
    data: Report


class _FaultEvent(_Envelope, frozen=True, tag="scooter.fault"):
    lane: Literal["vehicle"]
    data: Fault


class _HeartbeatEvent(_Envelope, frozen=True, tag="agent.heartbeat"):
    lane: Literal["system"]
    data: Heartbeat


class _LossEvent(_Envelope, frozen=True, tag="agent.loss"):
    lane: Literal["system"]
    data: Loss


_BoxEvent: TypeAlias = (
    _SaleEvent
    | _VoidEvent
    | _ReturnEvent
    | _ActivatedEvent
    | _ReportEvent
    | _FaultEvent
    | _HeartbeatEvent
    | _LossEvent
)


class _HubEvent(Struct, frozen=True, kw_only=True):
    """A fact of the hub: any type, in the hub's own lane."""

    v: Annotated[int, Meta(ge=1, le=WIRE_VERSION)]
    type: Text64
    device: Text64
    gen: Ordinal
    n: Ordinal
    occurred: _Moment
    lane: Literal["hub"]
    data: dict[str, object]


class _Named(Struct, frozen=True):
    """Only the attachments an event names."""

    attachments: Annotated[tuple[Attachment, ...], Meta(max_length=MAX_ATTACHMENTS)] | None = None


_BOX_EVENTS: Final = Decoder(_BoxEvent)
_HUB_EVENTS: Final = Decoder(_HubEvent)
_NAMED: Final = Decoder(_Named)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_REST_MS: Final = {f"{ms:03}Z": ms for ms in range(1000)}
_PLAIN: Final = bytes(range(0x20, 0x7F)).replace(b"\\", b"")
"""Printable ASCII that spells nothing with an escape."""


def _occurred(moment: _Moment) -> Occurred:
    if (moment.clock == "none") != (moment.wall is None):
        raise MalformedEvent("occurred.wall: a time exactly when there is a clock")
    wall = moment.wall
    return Occurred(
        wall_ms=None if wall is None else _wall_ms(wall),
        err_ms=moment.err_ms,
        clock=moment.clock,
        boot=moment.boot,
        mono_ms=moment.mono_ms,
    )


def _wall_ms(text: str) -> int:
    # A regular expression would cost more than the whole rest of the event.
    rest_ms = _REST_MS.get(text[20:])
    if rest_ms is None:
        raise MalformedEvent(f"occurred.wall: expected 2026-11-22T08:04:11.284Z, got {text!r}")
    return _second_ms(text[:20]) + rest_ms


@lru_cache(maxsize=1024)
def _second_ms(text: str) -> int:
    """``2026-11-22T08:04:11.`` in ms; most events share it with the one before them."""
    if text[4] + text[7] + text[10] + text[19] != "--T.":
        raise MalformedEvent(f"occurred.wall: expected 2026-11-22T08:04:11.284Z, got {text!r}")
    try:
        return (datetime.fromisoformat(f"{text}000Z") - _EPOCH) // _MILLISECOND
    except ValueError as error:
        raise MalformedEvent(f"occurred.wall: {error}") from error


def _check_text(raw: bytes) -> None:
    """Raises MalformedEvent when a text holds control characters or the bytes are no UTF-8."""
    # Almost every event is plain ASCII without escapes: one look at all of it is enough.
    if not raw.translate(None, _PLAIN):
        return
    text = raw.decode("utf-8")
    if "\\" not in text and text.isprintable():
        return
    found = fields.unprintable(orjson.loads(raw), "event")
    if found is not None:
        raise MalformedEvent(f"{found}: expected printable text")


def parse_event(raw: bytes) -> Event:
    """Parse event bytes. Raises MalformedEvent, and nothing else, for any bytes.

    Unknown fields are ignored; a version above ours is refused by name.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"event of {len(raw)} bytes; at most {MAX_EVENT_BYTES}")
    try:
        _check_text(raw)
        found = _decode(raw)
    except (ValueError, RecursionError, OverflowError) as error:
        raise MalformedEvent(str(error)) from error
    if isinstance(found, _HubEvent):
        return Event(
            v=found.v,
            type=found.type,
            device=found.device,
            gen=found.gen,
            lane="hub",
            n=found.n,
            occurred=_occurred(found.occurred),
            data=Fact(found.data),
            attachments=(),
            authenticated_by=None,
            raw=raw,
        )
    return Event(
        v=found.v,
        type=str(found.__struct_config__.tag),
        device=found.device,
        gen=found.gen,
        lane=found.lane,
        n=found.n,
        occurred=_occurred(found.occurred),
        data=found.data,
        attachments=found.attachments or (),
        authenticated_by=found.authenticated_by,
        raw=raw,
    )


def _decode(raw: bytes) -> "_BoxEvent | _HubEvent":
    try:
        box: _BoxEvent = _BOX_EVENTS.decode(raw)
    except ValidationError:
        if b'"lane":"hub"' not in raw:
            raise
        hub: _HubEvent = _HUB_EVENTS.decode(raw)
        return hub
    return box


def attachments_of(raw: bytes) -> tuple[Attachment, ...]:
    """The attachments an event names, whatever else it holds; an unreadable list names none.

    A sealed event with a bad schema belongs on the ledger, where its projection quarantines it:
    refusing it here would block its store's queue for ever.
    """
    try:
        return _NAMED.decode(raw).attachments or ()
    except (ValueError, RecursionError):
        return ()


def encode_event(
    *,
    type: str,  # noqa: A002 - the wire's own word
    device: str,
    gen: int,
    lane: str,
    n: int,
    occurred: Occurred,
    data: Mapping[str, object],
    attachments: Sequence[Attachment] = (),
    authenticated_by: AuthenticatedBy | None = None,
) -> bytes:
    """The bytes of an event, written once. Raises MalformedEvent when above MAX_EVENT_BYTES."""
    event: dict[str, object] = {
        "v": WIRE_VERSION,
        "type": type,
        "device": device,
        "gen": gen,
        "lane": lane,
        "n": n,
        "occurred": {
            "wall": None if occurred.wall_ms is None else fields.format_time(occurred.wall_ms),
            "err_ms": occurred.err_ms,
            "clock": occurred.clock,
            "boot": occurred.boot,
            "mono_ms": occurred.mono_ms,
        },
        "data": data,
        "attachments": [{"sha256": a.sha256, "bytes": a.size_bytes} for a in attachments],
    }
    if authenticated_by is not None:
        event["authenticated_by"] = authenticated_by
    raw = orjson.dumps(event)
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"event of {len(raw)} bytes; at most {MAX_EVENT_BYTES}")
    return raw
