"""From a scooter's message to the captures that are stored: the one place that sees positions."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from edge_agent.buffer import ActivationKey, Capture, Once
from edge_agent.codecs.scooter_payload import (
    MalformedScooterPayload,
    PayloadMapping,
    ScooterMessage,
)
from edge_agent.sources.source import Sink
from shared import serials
from shared.wire.events import AuthenticatedBy, Occurred

Kind = Literal["telemetry", "state", "ack"]
_TOPIC: Final = re.compile(r"scooter/([^/]{1,64})/(telemetry|state|ack)")


@dataclass(frozen=True, slots=True)
class Address:
    """Who a topic belongs to, and what is told under it."""

    serial: str
    kind: Kind


@lru_cache(maxsize=1024)
def address_of(topic: str) -> Address:
    """The address of a topic. Raises MalformedScooterPayload.

    Only a serial's normal form is one: under any other spelling its owner could not be woken.
    """
    match = _TOPIC.fullmatch(topic)
    if match is None:
        raise MalformedScooterPayload("topic")
    try:
        normal = serials.parse(match[1])
    except serials.MalformedSerial:
        raise MalformedScooterPayload("serial") from None
    if normal != match[1]:
        raise MalformedScooterPayload("serial")
    kind: Kind = "telemetry"
    if match[2] == "state":
        kind = "state"
    elif match[2] == "ack":
        kind = "ack"
    return Address(normal, kind)


class ScooterDesk:
    """Reads messages; keeps positions of sold scooters out of everything that is stored."""

    def __init__(
        self, mapping: PayloadMapping, *, sink: Sink, authenticated_by: AuthenticatedBy
    ) -> None:
        """`sink` knows which units this box has sold."""
        self._mapping = mapping
        self._sink = sink
        self._authenticated_by = authenticated_by

    def captures(self, address: Address, payload: bytes, occurred: Occurred) -> list[Capture]:
        """What to store for one message. Raises MalformedScooterPayload."""
        message = self._mapping.read(payload)
        if message.serial is not None and serials.normalise(message.serial) != address.serial:
            raise MalformedScooterPayload("serial_mismatch")
        if address.kind == "ack":
            if message.sale is None:
                raise MalformedScooterPayload("id")
            return [self._activated(address.serial, message, occurred)]
        if address.kind == "state" and message.fault_code is not None:
            return [self._fault(address.serial, message, occurred)]
        report = self._report(address, message, occurred)
        if message.sale is None:
            return [report]
        return [report, self._activated(address.serial, message, occurred)]

    def _report(self, address: Address, message: ScooterMessage, occurred: Occurred) -> Capture:
        return Capture(
            type="scooter.report",
            data={
                "serial": address.serial,
                "state": message.state,
                "battery_pct": message.battery_pct,
                "odometer_m": message.odometer_m,
                "firmware": message.firmware,
                "boot": message.boot,
                "counter": message.counter,
                "position": self._position(address.serial, message),
                "extra": dict(message.extra),
            },
            occurred=occurred,
            authenticated_by=self._authenticated_by,
            once=_once(address, message),
        )

    def _position(self, serial: str, message: ScooterMessage) -> dict[str, float] | None:
        """Where it stands, only while it is a thing in a shop: never where its owner is."""
        if message.position is None or message.state != "stock" or self._sink.is_sold(serial):
            return None
        lat, lon = message.position
        return {"lat": lat, "lon": lon}

    def _activated(self, serial: str, message: ScooterMessage, occurred: Occurred) -> Capture:
        assert message.sale is not None
        gen, n = message.sale
        return Capture(
            type="scooter.activated",
            data={
                "serial": serial,
                "sale": {"gen": gen, "n": n},
                "firmware": message.firmware,
                "battery_pct": message.battery_pct,
                "odometer_m": message.odometer_m,
            },
            occurred=occurred,
            authenticated_by=self._authenticated_by,
            answers=ActivationKey(gen, n, serial),
        )

    def _fault(self, serial: str, message: ScooterMessage, occurred: Occurred) -> Capture:
        address = Address(serial, "state")
        return Capture(
            type="scooter.fault",
            data={
                "serial": serial,
                "code": message.fault_code,
                "detail": message.fault_detail,
                "sale": None,
            },
            occurred=occurred,
            authenticated_by=self._authenticated_by,
            once=_once(address, message),
        )


def _once(address: Address, message: ScooterMessage) -> Once | None:
    """A counter tells redelivered messages; without one nothing can."""
    if message.boot is None or message.counter is None:
        return None
    key = f"{address.serial}/{message.boot}/{address.kind}"
    return Once(scope="scooter", key=key, counter=message.counter)
