"""Every protocol by its name, for a person who has bytes and wants to know what they say."""

from collections.abc import Callable, Mapping
from typing import Final

from edge_agent.codecs import escpos, kpos, ninebot5aa5, xiaomi55aa
from edge_agent.codecs.redaction import redact, redact_bytes
from edge_agent.codecs.scooter_frame import ScooterFrame, StreamDecoder
from edge_agent.codecs.till import (
    MalformedTillMessage,
    TillSale,
    reversal_data,
    sale_data,
)

Reading = Mapping[str, object]


class UnknownProtocol(ValueError):
    """No protocol has this name. The message lists the known ones."""


def _till_message(payload: bytes) -> Reading:
    try:
        message = kpos.parse(payload)
    except MalformedTillMessage as error:
        return {"unreadable": error.why, "seq": error.seq}
    if isinstance(message, TillSale):
        buyer = {"buyer_given": message.buyer is not None}
        return {"type": "pos.sale", "seq": message.seq, **sale_data(message, None), **buyer}
    return {"type": message.type, "seq": message.seq, **reversal_data(message)}


def _kpos(data: bytes) -> list[Reading]:
    found = kpos.Decoder().feed(data if data.endswith(b"\n") else data + b"\n", 0)
    return [
        _till_message(item.payload)
        if isinstance(item, kpos.Frame)
        else {"unreadable": item.why, "text": redact_bytes(item.raw).decode()}
        for item in found
    ]


def _escpos(data: bytes) -> list[Reading]:
    decoder = escpos.Decoder()
    receipts = decoder.feed(data, 0) + decoder.abandon()
    return [
        {"lines": redact("\n".join(receipt.lines)).split("\n"), "cut": receipt.cut}
        for receipt in receipts
    ]


def _scooter(
    decoder: StreamDecoder, readings: Callable[[ScooterFrame], Reading], data: bytes
) -> list[Reading]:
    frames = decoder.feed(data) + decoder.flush()
    found: list[Reading] = [
        {
            "source": frame.source,
            "target": frame.target,
            "command": frame.command,
            "register": frame.register,
            "data": frame.data.hex(),
            **readings(frame),
        }
        for frame in frames
    ]
    return [*found, {"rejected": decoder.rejected}] if decoder.rejected else found


def _xiaomi55aa(data: bytes) -> list[Reading]:
    return _scooter(xiaomi55aa.decoder(), xiaomi55aa.readings, data)


def _ninebot5aa5(data: bytes) -> list[Reading]:
    return _scooter(ninebot5aa5.decoder(), ninebot5aa5.readings, data)


PROTOCOLS: Final[Mapping[str, Callable[[bytes], list[Reading]]]] = {
    "kpos": _kpos,
    "escpos": _escpos,
    "xiaomi55aa": _xiaomi55aa,
    "ninebot5aa5": _ninebot5aa5,
}


def decode(protocol: str, data: bytes) -> list[Reading]:
    """What `data` says in `protocol`, one reading a message; values are plain JSON.

    People and card numbers are left out. Raises UnknownProtocol, and nothing else.
    """
    reader = PROTOCOLS.get(protocol)
    if reader is None:
        known = ", ".join(sorted(PROTOCOLS))
        raise UnknownProtocol(f"unknown protocol {protocol!r}; known protocols: {known}")
    return reader(data)
