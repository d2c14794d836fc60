"""KPOS/1, the till's line protocol: ``K1 <crc16 hex4> <json>\\n``. See docs/till-protocol.md."""

import re
from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import orjson

from edge_agent.codecs.till import (
    MAX_UNITS,
    MalformedTillMessage,
    Payment,
    TillBuyer,
    TillMessage,
    TillReversal,
    TillSale,
    TillUnit,
    clean_text,
    read_price,
    read_serial,
)

LINE_BYTES_MAX: Final = 16 * 1024
_HEAD: Final = re.compile(rb"K(\d{1,3}) ([0-9A-Fa-f]{4}) ")
_HEAD_BYTES: Final = len(b"K1 0000 ")
_SHOWN_BYTES: Final = 512
_SEQ_MAX: Final = 2**53 - 1

Why = Literal["crc", "version", "oversize", "noise"]


@dataclass(frozen=True, slots=True)
class Frame:
    """A line whose checksum is right. `at_ms` is when its first byte was read."""

    payload: bytes
    size_bytes: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Bytes that are no frame: the first of them, how many there were, and why."""

    why: Why
    raw: bytes
    size_bytes: int
    at_ms: int


def frame(payload: bytes) -> bytes:
    """The line that carries these JSON bytes (which hold no line break)."""
    return b"K1 %04X %b\n" % (crc_hqx(payload, 0), payload)


def encode(message: Mapping[str, object]) -> bytes:
    """The line that carries `message`."""
    return frame(orjson.dumps(message))


def ack(seq: int) -> bytes:
    """The box has message `seq` on disk."""
    return encode({"ack": seq})


def nak(seq: int | None, why: str) -> bytes:
    """The box could not read a message; `seq` when that much was readable."""
    return encode({"nak": seq, "why": why})


class Decoder:
    """Finds frames in a byte stream, however it is cut into chunks.

    Noise before, between and after frames never costs a good frame. Holds at most
    LINE_BYTES_MAX bytes plus one chunk.
    """

    def __init__(self) -> None:
        """Start between two lines."""
        self._held = b""  # a line whose end has not come yet
        self._starts: list[int] = []  # where in it chunks began …
        self._times_ms: list[int] = []  # … and when those were read
        self._overlong = False

    def feed(self, chunk: bytes, at_ms: int) -> list[Frame | Unreadable]:
        """Everything that is complete now, in order. `at_ms`: when `chunk` was read."""
        found: list[Frame | Unreadable] = []
        self._starts.append(len(self._held))
        self._times_ms.append(at_ms)
        if b"\n" not in chunk:
            self._held += chunk
        else:
            first, *lines, rest = chunk.split(b"\n")
            self._take_line(self._held + first, found)
            self._starts, self._times_ms = [0], [at_ms]
            for line in lines:
                self._take_line(line, found)
            self._held = rest
            if not rest:
                self._starts, self._times_ms = [], []
        if len(self._held) > LINE_BYTES_MAX:
            self._shrink(found)
        return found

    def _time_of(self, position: int) -> int:
        return self._times_ms[max(bisect_right(self._starts, position) - 1, 0)]

    def _take_line(self, line: bytes, found: list[Frame | Unreadable]) -> None:
        payload = line[_HEAD_BYTES:]
        if line[:_HEAD_BYTES] == b"K1 %04X " % crc_hqx(payload, 0):
            found.append(Frame(payload, len(line) + 1, self._times_ms[0]))
            self._overlong = False
        elif line:
            self._search_line(line.removesuffix(b"\r"), found)

    def _search_line(self, line: bytes, found: list[Frame | Unreadable]) -> None:
        """The frame behind noise, behind half a frame, or with a line end of two characters."""
        overlong, self._overlong = self._overlong, False
        heads = list(_HEAD.finditer(line))
        for head in heads:
            start = head.start()
            if head[1] == b"1" and self._is_good(line, start):
                if start and not overlong:
                    why = _reason(line[:start], heads[: heads.index(head)])
                    self._refuse(why, line[:start], found)
                size_bytes = len(line) - start + 1
                found.append(Frame(line[start + _HEAD_BYTES :], size_bytes, self._time_of(start)))
                return
        if line.strip() and not overlong:
            self._refuse(_reason(line, heads), line, found)

    @staticmethod
    def _is_good(line: bytes, start: int) -> bool:
        payload = line[start + _HEAD_BYTES :]
        return line[start + 3 : start + 8].upper() == b"%04X " % crc_hqx(payload, 0)

    def _refuse(self, why: Why, raw: bytes, found: list[Frame | Unreadable]) -> None:
        found.append(Unreadable(why, raw[:_SHOWN_BYTES], len(raw), self._time_of(0)))

    def _shrink(self, found: list[Frame | Unreadable]) -> None:
        """No frame is longer than LINE_BYTES_MAX: what stands further back is none."""
        start = self._held.find(b"K1 ", len(self._held) - LINE_BYTES_MAX)
        if start < 0:
            start = len(self._held) - 2  # may be the beginning of "K1 "
        if not self._overlong:
            self._refuse("oversize", self._held[:start], found)
            self._overlong = True
        self._held = self._held[start:]
        past = bisect_right(self._starts, start) - 1
        self._starts = [max(begin - start, 0) for begin in self._starts[past:]]
        self._times_ms = self._times_ms[past:]


def _reason(line: bytes, heads: list[re.Match[bytes]]) -> Why:
    if len(line) > LINE_BYTES_MAX:
        return "oversize"
    if any(head[1] != b"1" and head.start() == 0 for head in heads):
        return "version"
    return "crc" if heads or b"K1 " in line else "noise"


def parse(payload: bytes) -> TillMessage:
    """What the till said in a good frame. Raises MalformedTillMessage, and nothing else."""
    try:
        message = orjson.loads(payload)
    except (orjson.JSONDecodeError, RecursionError):
        raise MalformedTillMessage("json") from None
    if not isinstance(message, dict):
        raise MalformedTillMessage("json")
    seq = message.get("seq")
    if type(seq) is not int or not 0 <= seq <= _SEQ_MAX:
        raise MalformedTillMessage("seq")
    try:
        kind = message.get("t")
        if kind == "sale":
            return _sale(message, seq)
        if kind in ("void", "return"):
            return _reversal(message, "pos.void" if kind == "void" else "pos.return", seq)
    except MalformedTillMessage as error:
        raise MalformedTillMessage(error.why, seq) from None
    raise MalformedTillMessage("type", seq)


def _required(message: Mapping[str, object], name: str) -> str:
    value = message.get(name)
    text = clean_text(value, 64) if isinstance(value, str) and len(value) <= 64 else None
    if text is None:
        raise MalformedTillMessage(name)
    return text


def _sale(message: Mapping[str, object], seq: int) -> TillSale:
    units = message.get("units")
    if not isinstance(units, list) or not 1 <= len(units) <= MAX_UNITS:
        raise MalformedTillMessage("units")
    payment = message.get("payment")
    kind: Payment = "unknown"
    if payment == "cash":
        kind = "cash"
    elif payment == "instalments":
        kind = "instalments"
    return TillSale(
        seq=seq,
        till=_required(message, "till"),
        receipt=_required(message, "receipt"),
        units=tuple(_unit(unit) for unit in units),
        payment=kind,
        operator=clean_text(message.get("operator"), 32),
        buyer=_buyer(message.get("buyer")),
    )


def _unit(value: object) -> TillUnit:
    if not isinstance(value, dict):
        raise MalformedTillMessage("units")
    serial, serial_raw = read_serial(value.get("serial"))
    list_idr = read_price(value.get("list"))
    discount_idr = read_price(value.get("discount", 0))
    if discount_idr > list_idr:
        raise MalformedTillMessage("price")
    return TillUnit(
        serial=serial,
        serial_raw=serial_raw,
        model=clean_text(value.get("model"), 64),
        list_idr=list_idr,
        discount_idr=discount_idr,
        net_idr=read_price(value.get("net")),
    )


def _buyer(value: object) -> TillBuyer | None:
    """A buyer that cannot be read costs the buyer, never the sale."""
    if not isinstance(value, dict):
        return None
    name = clean_text(value.get("name"), 200) or ""
    phone = clean_text(value.get("phone"), 32) or ""
    return TillBuyer(name=name, phone=phone) if name or phone else None


def _reversal(
    message: Mapping[str, object], kind: Literal["pos.void", "pos.return"], seq: int
) -> TillReversal:
    named = message.get("serials")
    serials: tuple[str, ...] | None = None
    if named is not None:
        if not isinstance(named, list) or not 1 <= len(named) <= MAX_UNITS:
            raise MalformedTillMessage("serials", seq)
        read = [read_serial(item) for item in named]
        if any(raw is None for _, raw in read):
            raise MalformedTillMessage("serials", seq)
        serials = tuple(serial or raw or "" for serial, raw in read)
    return TillReversal(
        type=kind,
        seq=seq,
        till=_required(message, "till"),
        receipt=_required(message, "receipt"),
        serials=serials,
    )
