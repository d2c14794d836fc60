"""Captures and buffers for tests, and a look at a whole buffer from outside."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from edge_agent.buffer import (
    Buffer,
    Capture,
    Limits,
    Once,
    Place,
    SealedBatch,
    Sealer,
    Standing,
    connect,
)
from edge_agent.buffer.connection import ConnectionFactory
from shared.crypto.keys import SigningKey
from shared.wire.events import LANES, Occurred
from tests.fakes.manual_clock import ManualClock

DEVICE = "dev_" + "a" * 26
NEVER = Occurred(wall_ms=None, err_ms=0, clock="none", boot="b", mono_ms=1)
FRESH: dict[str, Place] = {lane: Place(next_seq=1, last_batch=None) for lane in LANES}
KEY = SigningKey.from_seed(b"\x07" * 32)
NOWHERE = Standing(batch_id="0" * 64, first_index=0, received_ms=0, body=None)
"""What a hub of an earlier release says of a span: its batch, and not what else was in it."""
SEALER = Sealer(device=DEVICE, key=KEY, now=NEVER)


def report(number: int, serial: str = "KSE8JKT2600000123", **more: Any) -> Capture:
    """A scooter's report."""
    data = {"serial": serial, "state": "stock", "battery_pct": number % 101, "counter": number}
    return Capture(type="scooter.report", data={**data, **more}, occurred=NEVER)


def counted(number: int, serial: str = "S1") -> Capture:
    """A report that knows its counter."""
    data = {"serial": serial, "state": "stock", "counter": number}
    once = Once("scooter", f"{serial}/b1", counter=number)
    return Capture(type="scooter.report", data=data, occurred=NEVER, once=once)


def sale(receipt: str, *serials: str, **more: Any) -> Capture:
    """A sale of these serials, each to be woken."""
    units = [
        {
            "serial": serial,
            "serial_raw": serial,
            "model": "E8",
            "list_idr": 21_900_000,
            "discount_idr": 500_000,
            "net_idr": 21_400_000,
        }
        for serial in serials
    ]
    data = {
        "till": "T1",
        "receipt": receipt,
        "units": units,
        "payment": "cash",
        "operator": "07",
        "buyer": None,
    }
    return Capture(type="pos.sale", data=data, occurred=NEVER, wakes=serials, **more)


def void(receipt: str, *serials: str) -> Capture:
    """A void of these serials, or of the whole receipt."""
    data = {"till": "T1", "receipt": receipt, "serials": list(serials) or None}
    return Capture(type="pos.void", data=data, occurred=NEVER)


def fault(code: str = "E21") -> Capture:
    """A scooter's fault."""
    data = {"serial": "S1", "code": code, "detail": None, "sale": None}
    return Capture(type="scooter.fault", data=data, occurred=NEVER)


@dataclass
class Box:
    """A buffer that can be closed, damaged and opened again."""

    folder: Path
    limits: Limits = field(default_factory=Limits)
    clock: ManualClock = field(default_factory=ManualClock)
    factory: ConnectionFactory = connect
    now: Callable[[], Occurred] = lambda: NEVER
    log: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    @property
    def path(self) -> Path:
        """The buffer's file."""
        return self.folder / "buffer.db"

    def open(self, *, placed: bool = True) -> Buffer:
        """Open it; `placed`: the box knows its epoch."""
        buffer = Buffer(
            self.path,
            device=DEVICE,
            clock=self.clock,
            now=self.now,
            limits=self.limits,
            connection_factory=self.factory,
            on_event=lambda event, fields: self.log.append((event, dict(fields))),
        )
        if placed and buffer.epoch() is None:
            buffer.adopt(1, FRESH)
        return buffer


def drain(buffer: Buffer, lane: str) -> list[SealedBatch]:
    """Seal and receipt everything of a lane; the batches in order."""
    batches = []
    batch = buffer.seal(lane, SEALER)
    while batch is not None:
        batches.append(batch)
        index = sum(len(done.events) for done in batches)
        batch = buffer.receipted(batch, first_index=index, received_ms=1, seal_next=SEALER)
    return batches


def numbers(batches: list[SealedBatch]) -> list[tuple[int, int]]:
    """(gen, n) of every event, in the order in which it left."""
    events = [orjson.loads(event) for batch in batches for event in batch.events]
    return [(event["gen"], event["n"]) for event in events]


def declared(batches: list[SealedBatch]) -> set[tuple[str, int, int]]:
    """(lane, gen, n) of everything that agent.loss events among these batches declare."""
    found: set[tuple[str, int, int]] = set()
    for batch in batches:
        for raw in batch.events:
            event = orjson.loads(raw)
            if event["type"] == "agent.loss":
                data = event["data"]
                for first, last in data["ranges"]:
                    found.update((data["lane"], data["gen"], n) for n in range(first, last + 1))
    return found
