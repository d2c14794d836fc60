"""Events: facts a box (or the hub) states, parsed once into frozen types.

The bytes an agent stored are the event: they are sealed, sent, hashed and kept as they are, and
never written again from parsed values. ``(device, gen, lane, n)`` is an event's id.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias, cast

import orjson

from shared.wire import fields
from shared.wire.fields import Clockwork, Json, MalformedField
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
CLOCKS: Final[tuple[Clockwork, ...]] = ("rtc", "ntp", "hub", "none")


class MalformedEvent(ValueError):
    """The bytes are not an event of a version this reads. The message names the field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurred:
    """When it happened: wall time if known, the error of that time, and the boot's own clock."""

    wall_ms: int | None
    err_ms: int
    clock: Clockwork
    boot: str
    mono_ms: int


@dataclass(frozen=True, slots=True)
class Attachment:
    """Encrypted bytes that travel beside an event and are not part of the ledger."""

    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """One scooter on a receipt. `serial` is None when the till gave none, or none that is one."""

    serial: str | None
    serial_raw: str | None
    model: str | None
    list_idr: int
    discount_idr: int
    net_idr: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """A till reported payment complete."""

    till: str
    receipt: str
    units: tuple[Unit, ...]
    payment: Literal["cash", "instalments", "unknown"]
    operator: str | None
    buyer_commitment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Void:
    """A receipt, or some serials of it (None: all), was cancelled at the till."""

    till: str
    receipt: str
    serials: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Units of a receipt came back (None: all of them)."""

    till: str
    receipt: str
    serials: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Position:
    """Degrees, WGS 84."""

    lat: float
    lon: float


@dataclass(frozen=True, slots=True)
class SaleKey:
    """A sale of the same device, by generation and capture number (lane ``sale``)."""

    gen: int
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a scooter said of itself."""

    serial: str
    state: Literal["stock", "sold", "unknown"]
    battery_pct: int | None
    odometer_m: int | None
    firmware: str | None
    boot: str | None
    counter: int | None
    position: Position | None
    extra: Mapping[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """A sold scooter answered: the unit is real, awake and here."""

    serial: str
    sale: SaleKey
    firmware: str | None
    battery_pct: int | None
    odometer_m: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A scooter reported a fault, or did not answer its activation for a day."""

    serial: str | None
    code: str
    detail: str | None
    sale: SaleKey | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """How a box is: what it runs, holds and misses."""

    version: str
    uptime_ms: int
    backlog: Mapping[str, int]
    oldest_unsent_ms: int | None
    buffer_bytes: int
    disk_free_bytes: int | None
    ledger_size: int | None
    sources: Mapping[str, str]
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Capture numbers of one lane and generation that will never come, and why."""

    lane: str
    gen: int
    ranges: tuple[tuple[int, int], ...]
    count: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A fact of the hub's own: ids and plain values only."""

    values: Mapping[str, object]


Data: TypeAlias = Sale | Void | Return | Report | Activated | Fault | Heartbeat | Loss | Fact


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
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
    raw: bytes = field(repr=False)

    @property
    def serials(self) -> tuple[str, ...]:
        """The units this event speaks of, in their normal form."""
        data = self.data
        if isinstance(data, Sale):
            return tuple(unit.serial for unit in data.units if unit.serial is not None)
        if isinstance(data, Void | Return):
            return data.serials or ()
        if isinstance(data, Report | Activated):
            return (data.serial,)
        if isinstance(data, Fault):
            return (data.serial,) if data.serial is not None else ()
        return ()


def _unit(value: object, name: str) -> Unit:
    unit = fields.mapping(value, name)
    return Unit(
        serial=fields.maybe_text(unit, "serial", 64),
        serial_raw=fields.maybe_text(unit, "serial_raw", 64),
        model=fields.maybe_text(unit, "model", 64),
        list_idr=fields.integer(unit, "list_idr", 0, MAX_PRICE_IDR),
        discount_idr=fields.integer(unit, "discount_idr", 0, MAX_PRICE_IDR),
        net_idr=fields.integer(unit, "net_idr", 0, MAX_PRICE_IDR),
    )


def _sale(data: Json) -> Sale:
    buyer = data.get("buyer")
    commitment = None
    if buyer is not None:
        commitment = fields.hexadecimal(fields.mapping(buyer, "buyer"), "commitment")
    payment = fields.choice(data, "payment", ("cash", "instalments", "unknown"))
    return Sale(
        till=fields.text(data, "till", 64),
        receipt=fields.text(data, "receipt", 64),
        units=fields.each(data, "units", MAX_UNITS, _unit),
        payment=cast("Literal['cash', 'instalments', 'unknown']", payment),
        operator=fields.maybe_text(data, "operator", 32),
        buyer_commitment=commitment,
    )


def _serials(data: Json) -> tuple[str, ...] | None:
    if data.get("serials") is None:
        return None
    return fields.each(data, "serials", MAX_UNITS, _serial_item)


def _serial_item(value: object, name: str) -> str:
    return fields.text({name: value}, name, 64)


def _void(data: Json) -> Void:
    return Void(
        till=fields.text(data, "till", 64),
        receipt=fields.text(data, "receipt", 64),
        serials=_serials(data),
    )


def _return(data: Json) -> Return:
    return Return(
        till=fields.text(data, "till", 64),
        receipt=fields.text(data, "receipt", 64),
        serials=_serials(data),
    )


def _position(data: Json) -> Position | None:
    value = data.get("position")
    if value is None:
        return None
    place = fields.mapping(value, "position")
    return Position(fields.number(place, "lat", -90, 90), fields.number(place, "lon", -180, 180))


def _scalars(data: Json) -> Mapping[str, str | int | float | bool | None]:
    value = data.get("extra")
    if value is None:
        return {}
    extra = fields.mapping(value, "extra")
    if len(extra) > 32:
        raise fields.refuse("extra", "at most 32 values", len(extra))
    for name, scalar in extra.items():
        if not isinstance(scalar, str | int | float | bool | None):
            raise fields.refuse(f"extra.{name}", "a plain value", scalar)
    return cast("Mapping[str, str | int | float | bool | None]", extra)


def _report(data: Json) -> Report:
    state = fields.choice(data, "state", ("stock", "sold", "unknown"))
    return Report(
        serial=fields.text(data, "serial", 64),
        state=cast("Literal['stock', 'sold', 'unknown']", state),
        battery_pct=fields.maybe_integer(data, "battery_pct", 0, 100),
        odometer_m=fields.maybe_integer(data, "odometer_m"),
        firmware=fields.maybe_text(data, "firmware", 64),
        boot=fields.maybe_text(data, "boot", 64),
        counter=fields.maybe_integer(data, "counter"),
        position=_position(data),
        extra=_scalars(data),
    )


def _sale_key(data: Json) -> SaleKey:
    key = fields.mapping(data.get("sale"), "sale")
    return SaleKey(fields.integer(key, "gen", 1), fields.integer(key, "n", 1))


def _activated(data: Json) -> Activated:
    return Activated(
        serial=fields.text(data, "serial", 64),
        sale=_sale_key(data),
        firmware=fields.maybe_text(data, "firmware", 64),
        battery_pct=fields.maybe_integer(data, "battery_pct", 0, 100),
        odometer_m=fields.maybe_integer(data, "odometer_m"),
    )


def _fault(data: Json) -> Fault:
    return Fault(
        serial=fields.maybe_text(data, "serial", 64),
        code=fields.text(data, "code", 64),
        detail=fields.maybe_text(data, "detail", 400),
        sale=None if data.get("sale") is None else _sale_key(data),
    )


def _counts(data: Json, name: str) -> Mapping[str, int]:
    counts = fields.mapping(data.get(name), name)
    if len(counts) > 200:
        raise fields.refuse(name, "at most 200 counters", len(counts))
    return {key: fields.integer(counts, key) for key in counts}


def _heartbeat(data: Json) -> Heartbeat:
    sources = fields.mapping(data.get("sources"), "sources")
    if len(sources) > 50:
        raise fields.refuse("sources", "at most 50 sources", len(sources))
    return Heartbeat(
        version=fields.text(data, "version", 64),
        uptime_ms=fields.integer(data, "uptime_ms"),
        backlog=_counts(data, "backlog"),
        oldest_unsent_ms=fields.maybe_integer(data, "oldest_unsent_ms"),
        buffer_bytes=fields.integer(data, "buffer_bytes"),
        disk_free_bytes=fields.maybe_integer(data, "disk_free_bytes"),
        ledger_size=fields.maybe_integer(data, "ledger_size"),
        sources={name: fields.text(sources, name, 64) for name in sources},
        counters=_counts(data, "counters"),
    )


def read_range(value: object, name: str) -> tuple[int, int]:
    """``[from, to]``, both included, from ≤ to. Raises MalformedField."""
    if not isinstance(value, list) or len(value) != 2:
        raise fields.refuse(name, "[from, to]", value)
    first = fields.integer({name: value[0]}, name, 1)
    return first, fields.integer({name: value[1]}, name, first)


def _loss(data: Json) -> Loss:
    return Loss(
        lane=fields.choice(data, "lane", LANES),
        gen=fields.integer(data, "gen", 1),
        ranges=fields.each(data, "ranges", MAX_LOSS_RANGES, read_range),
        count=fields.integer(data, "count"),
        reason=fields.text(data, "reason", 64),
    )


def _fact(data: Json) -> Fact:
    return Fact(values=data)


PARSERS: Final[Mapping[str, Callable[[Json], Data]]] = {
    "pos.sale": _sale,
    "pos.void": _void,
    "pos.return": _return,
    "scooter.report": _report,
    "scooter.activated": _activated,
    "scooter.fault": _fault,
    "agent.heartbeat": _heartbeat,
    "agent.loss": _loss,
}


def _attachment(value: object, name: str) -> Attachment:
    item = fields.mapping(value, name)
    size = fields.integer(item, "bytes", 1, MAX_ATTACHMENT_BYTES)
    return Attachment(fields.hexadecimal(item, "sha256"), size)


def _occurred(value: object) -> Occurred:
    moment = fields.mapping(value, "occurred")
    wall_ms = fields.time_ms(moment, "wall")
    clock = fields.choice(moment, "clock", CLOCKS)
    if (clock == "none") != (wall_ms is None):
        raise fields.refuse("occurred.wall", "a time exactly when there is a clock", clock)
    return Occurred(
        wall_ms=wall_ms,
        err_ms=fields.integer(moment, "err_ms"),
        clock=cast("Clockwork", clock),
        boot=fields.text(moment, "boot", 64),
        mono_ms=fields.integer(moment, "mono_ms"),
    )


def _lane_and_data(event: Json) -> tuple[Lane, Data]:
    kind = fields.text(event, "type", 64)
    lane = fields.choice(event, "lane", (*LANES, "hub"))
    data = fields.mapping(event.get("data"), "data")
    if lane == "hub":
        return "hub", _fact(data)
    parse = PARSERS.get(kind)
    if parse is None:
        raise fields.refuse("type", "a type this hub knows", kind)
    if LANE_OF[kind] != lane:
        raise fields.refuse("lane", LANE_OF[kind], lane)
    return LANE_OF[kind], parse(data)


def parse_event(raw: bytes) -> Event:
    """Parse event bytes. Raises MalformedEvent, and nothing else, for any bytes.

    Unknown fields are ignored; a version above ours is refused by name.
    """
    if len(raw) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"event of {len(raw)} bytes; at most {MAX_EVENT_BYTES}")
    try:
        event = fields.mapping(orjson.loads(raw), "event")
        version = fields.integer(event, "v", 1)
        if version > WIRE_VERSION:
            raise fields.refuse("v", f"a version up to {WIRE_VERSION}", version)
        lane, data = _lane_and_data(event)
        authenticated_by = event.get("authenticated_by")
        if authenticated_by is not None:
            fields.choice(event, "authenticated_by", ("none", "broker", "mac"))
        attachments: tuple[Attachment, ...] = ()
        if event.get("attachments"):
            attachments = fields.each(event, "attachments", MAX_ATTACHMENTS, _attachment)
        return Event(
            v=version,
            type=cast("str", event["type"]),
            device=fields.text(event, "device", 64),
            gen=fields.integer(event, "gen", 1),
            lane=lane,
            n=fields.integer(event, "n", 1),
            occurred=_occurred(event.get("occurred")),
            data=data,
            attachments=attachments,
            authenticated_by=cast("AuthenticatedBy | None", authenticated_by),
            raw=raw,
        )
    except MalformedField as error:
        raise MalformedEvent(str(error)) from error
    except (orjson.JSONDecodeError, UnicodeError, RecursionError, OverflowError) as error:
        raise MalformedEvent(f"not JSON: {error}") from error


def attachments_of(raw: bytes) -> tuple[Attachment, ...]:
    """The attachments an event names, whatever else it holds.

    Raises MalformedEvent when the list is unreadable; bytes that are no event at all name none,
    because a sealed event with a bad schema still belongs on the ledger.
    """
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return ()
    if not isinstance(event, dict) or not event.get("attachments"):
        return ()
    try:
        return fields.each(event, "attachments", MAX_ATTACHMENTS, _attachment)
    except MalformedField as error:
        raise MalformedEvent(str(error)) from error


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
