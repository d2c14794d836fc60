"""A real hub on a real database, with boxes that sealed a little of everything."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from firmware_sim.fresh_database import put_migrated
from hub.config import parse_config
from hub.keys import create_keys
from hub.ledger.sequencer import Incoming
from hub.wiring import Hub, open_hub
from shared.clock import Clock
from shared.crypto.keys import SigningKey
from shared.wire import batch as wire
from shared.wire.events import Occurred, encode_event

Told = tuple[str, int, Mapping[str, object]]
STORES = (
    ("SBY01", "Surabaya Darmo", "Asia/Jakarta"),
    ("DPS01", "Denpasar Teuku Umar", "Asia/Makassar"),
    ("JAP01", "Jayapura Abepura", "Asia/Jayapura"),
)
SERIAL = "KS9F2L7A8NJ{:06d}"
MINUTE_MS = 60_000


def moment(at_ms: int, clock: str = "hub") -> Occurred:
    """A time as a box states it."""
    wall_ms = None if clock == "none" else at_ms
    return Occurred(
        wall_ms=wall_ms,
        err_ms=3,
        clock=clock,  # type: ignore[arg-type]
        boot="b7",
        mono_ms=at_ms % 10**9,
    )


@dataclass
class Box:
    """One enrolled box that seals what it is told."""

    key: SigningKey
    device: str
    dealer: str
    last_n: dict[str, int] = field(default_factory=dict)
    last_seq: dict[str, int] = field(default_factory=dict)
    prev: dict[str, str | None] = field(default_factory=dict)

    def batch(self, lane: str, told: Sequence[Told], *, skip: int = 0) -> wire.Body:
        """The next batch of a lane; `skip` capture numbers go missing before it."""
        first_n = self.last_n.get(lane, 0) + 1 + skip
        events = [self._event(lane, first_n + i, one) for i, one in enumerate(told)]
        return self.sealed(lane, first_n, events, told[-1][1])

    def _event(self, lane: str, n: int, one: Told) -> bytes:
        kind, at_ms, data = one
        return encode_event(
            type=kind,
            device=self.device,
            gen=1,
            lane=lane,
            n=n,
            occurred=moment(at_ms),
            data=data,
        )

    def sealed(self, lane: str, first_n: int, events: list[bytes], at_ms: int) -> wire.Body:
        """These very bytes as the next batch."""
        seq = self.last_seq.get(lane, 0) + 1
        last_n = first_n + len(events) - 1
        statement = wire.Statement(
            device=self.device,
            epoch=1,
            lane=lane,  # type: ignore[arg-type]
            first_seq=seq,
            count=len(events),
            root=wire.event_root(events).hex(),
            prev=self.prev.get(lane),
            checkpoint=None,
            ranges=(wire.CaptureRange(1, first_n, last_n),),
            sealed=moment(at_ms + 9),
        ).encode()
        self.prev[lane] = wire.batch_id(statement)
        self.last_n[lane] = last_n
        self.last_seq[lane] = seq + len(events) - 1
        return wire.decode_body(wire.encode_body(statement, wire.seal(statement, self.key), events))


def open_empty_hub(
    folder: Path, *, public_url: str, database: str | None = None, clock: Clock | None = None
) -> Hub:
    """A hub with keys, tables and three stores, and nothing on its ledger."""
    address = database or f"sqlite:///{folder}/hub.db"
    config = parse_config(
        f'[server]\npublic_url = "{public_url}"\nkeys_dir = "{folder}/keys"\n'
        f'database = "{address}"\n'
    )
    create_keys(config.server.keys_dir)
    if database is None:
        put_migrated(folder / "hub.db")
    hub = open_hub(config, clock=clock)
    hub.registry.regions.import_file(b"code,name,timezone\nR,Jawa,Asia/Jakarta\n")
    head = "code,name,region,address,lat,lon,timezone,hours,authorised\n"
    rows = "".join(
        f"{code},{name},R,Jl. Raya 1,-7.2,112.7,{zone},Mon-Sun 09:00-21:00,yes\n"
        for code, name, zone in STORES
    )
    hub.registry.dealers.import_file((head + rows).encode())
    return hub


def enrol_boxes(hub: Hub) -> list[Box]:
    """One box a store."""
    boxes = []
    for code, _, _ in STORES:
        invited = hub.database.write(partial(hub.devices.invite, dealer=code))
        key = SigningKey.generate()
        answer = hub.devices.enrol(code=invited, key=key.public, version="1.4.0")
        boxes.append(Box(key, answer.device, code))
    return boxes


def deliver(hub: Hub, box: Box, body: wire.Body, at_ms: int) -> None:
    """Put a batch on the ledger and let the projections follow."""
    hub.ledger.sequencer.submit(
        Incoming(device=box.device, body=body, received_ms=at_ms, attach=None)
    ).result()
    hub.ledger.followers.catch_up()


def sale(
    number: int, *, serial: str | None = "", discount_idr: int = 500_000
) -> Mapping[str, object]:
    """A receipt with one unit; `serial` None is a till that gave none."""
    known = SERIAL.format(number) if serial == "" else serial
    unit = {
        "serial": known,
        "serial_raw": known or "KS9F2L7A8NJ00??17",
        "model": "E8S Pro",
        "list_idr": 21_900_000,
        "discount_idr": discount_idr,
        "net_idr": 21_900_000 - discount_idr,
    }
    return {
        "till": "T1",
        "receipt": f"20261122-{number:04d}",
        "units": [unit],
        "payment": "instalments" if number % 3 else "cash",
        "operator": "07",
        "buyer": {"commitment": "ab" * 32},
    }


def report(number: int) -> Mapping[str, object]:
    """What a scooter says of itself."""
    return {
        "serial": SERIAL.format(number),
        "state": "stock",
        "battery_pct": 30 + number % 70,
        "odometer_m": 3120,
        "firmware": "2.4.1",
    }


HEARTBEAT: Mapping[str, object] = {
    "version": "1.4.0",
    "uptime_ms": 88_000_000,
    "backlog": {"sale": 0, "vehicle": 12, "system": 0},
    "oldest_unsent_ms": 840_000,
    "buffer_bytes": 1_048_576,
    "disk_free_bytes": 21_000_000_000,
    "ledger_size": 100,
    "sources": {"till-1": "ok", "mqtt": "waiting"},
    "counters": {},
}
LOSS: Mapping[str, object] = {
    "lane": "vehicle",
    "gen": 1,
    "ranges": [[31, 34]],
    "count": 4,
    "reason": "disk_full",
}


def stock(hub: Hub, boxes: Sequence[Box], end_ms: int, *, sales: int = 20) -> None:
    """A day of trade that ended just before `end_ms`: of every kind of entry at least one."""
    for place, box in enumerate(boxes):
        begin_ms = end_ms - 300 * MINUTE_MS
        reports = [
            ("scooter.report", begin_ms + i * MINUTE_MS, report(place * 1000 + i))
            for i in range(30)
        ]
        deliver(hub, box, box.batch("vehicle", reports), begin_ms + 31 * MINUTE_MS)
        for i in range(sales):
            _sell(hub, box, place * 1000 + i, begin_ms + (40 + i * 10) * MINUTE_MS, answered=i != 3)
    first = boxes[0]
    late_ms = end_ms - 5 * MINUTE_MS
    # Four captures go missing: one box declares them, the other never says a word.
    for box in boxes[:2]:
        again = [("scooter.report", late_ms, report(77))]
        deliver(hub, box, box.batch("vehicle", again, skip=4), late_ms + 80)
    told: list[Told] = [("agent.loss", late_ms, LOSS), ("agent.heartbeat", late_ms, HEARTBEAT)]
    deliver(hub, first, first.batch("system", told), late_ms + 90)
    for kind, data in (
        ("pos.sale", sale(900, serial=None)),
        ("pos.void", {"till": "T1", "receipt": "20261122-0002", "serials": None}),
        ("pos.return", {"till": "T1", "receipt": "20261122-0005", "serials": None}),
    ):
        deliver(hub, first, first.batch("sale", [(kind, late_ms, data)]), late_ms + 100)
    fault = {"serial": SERIAL.format(7), "code": "E21", "detail": "hall sensor", "sale": None}
    deliver(hub, first, first.batch("vehicle", [("scooter.fault", late_ms, fault)]), late_ms + 110)
    unreadable = first.last_n["system"] + 1
    body = first.sealed("system", unreadable, [b'{"v":1,"type":"pos.sale"}'], late_ms)
    deliver(hub, first, body, late_ms + 120)


def _sell(hub: Hub, box: Box, number: int, at_ms: int, *, answered: bool) -> None:
    sold = box.batch("sale", [("pos.sale", at_ms, sale(number))])
    deliver(hub, box, sold, at_ms + 84)
    if answered:
        answer = {
            "serial": SERIAL.format(number),
            "sale": {"gen": 1, "n": box.last_n["sale"]},
            "firmware": "2.4.1",
            "battery_pct": 96,
            "odometer_m": 3120,
        }
        told = [("scooter.activated", at_ms + 11_200, answer)]
        deliver(hub, box, box.batch("sale", told), at_ms + 11_260)
