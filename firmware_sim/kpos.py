"""The till protocol KPOS/1 from the till's side: frames out, acknowledgements in.

Written from docs/till-protocol.md without a look at the agent's codec, so that the two check
each other.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from firmware_sim.receipts import Receipt, Reversal

LINE_BYTES_MAX = 16 * 1024
_ANSWER = re.compile(rb"K1 ([0-9A-Fa-f]{4}) (\{.*\})", re.DOTALL)


def crc16_xmodem(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, initial value 0, no reflection."""
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1
        crc &= 0xFFFF
    return crc


def frame(message: Mapping[str, object]) -> bytes:
    """One line as it goes over the cable."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return b"K1 %04x %s\n" % (crc16_xmodem(body), body)


def sale_message(receipt: Receipt, seq: int) -> dict[str, object]:
    """A finalised sale; `seq` only names the frame for its acknowledgement."""
    buyer = receipt.buyer
    return {
        "seq": seq,
        "t": "sale",
        "till": receipt.till,
        "receipt": receipt.number,
        "units": [
            {
                "serial": unit.printed_serial,
                "model": unit.model,
                "list": unit.list_idr,
                "discount": unit.discount_idr,
                "net": unit.net_idr,
            }
            for unit in receipt.units
        ],
        "payment": receipt.payment,
        "operator": receipt.operator,
        "buyer": None if buyer is None else {"name": buyer.name, "phone": buyer.phone},
    }


def reversal_message(reversal: Reversal, seq: int) -> dict[str, object]:
    """A void or a return of some units, or of all of them."""
    return {
        "seq": seq,
        "t": reversal.kind,
        "till": reversal.till,
        "receipt": reversal.number,
        "serials": None if reversal.serials is None else list(reversal.serials),
    }


@dataclass(frozen=True, slots=True)
class Ack:
    """The box has frame `seq` on its disk."""

    seq: int


@dataclass(frozen=True, slots=True)
class Nak:
    """The box could not read a frame; `seq` where it could tell which."""

    seq: int | None
    why: str


class AnswerReader:
    """Bytes from the box in, acknowledgements out; anything unreadable is counted."""

    def __init__(self) -> None:
        """An empty line."""
        self._pending = b""
        self.unreadable = 0

    def feed(self, data: bytes) -> Iterator[Ack | Nak]:
        """Every complete answer in the bytes so far."""
        *lines, self._pending = (self._pending + data).split(b"\n")
        self._pending = self._pending[-LINE_BYTES_MAX:]
        for line in lines:
            answer = _parse_answer(line)
            if answer is None:
                self.unreadable += 1
            else:
                yield answer


def _parse_answer(line: bytes) -> Ack | Nak | None:
    match = _ANSWER.fullmatch(line.strip())
    if match is None or int(match[1], 16) != crc16_xmodem(match[2]):
        return None
    try:
        message = json.loads(match[2])
    except ValueError:
        return None
    if isinstance(message.get("ack"), int):
        return Ack(message["ack"])
    if "nak" in message:
        return Nak(message["nak"], str(message.get("why", "")))
    return None
