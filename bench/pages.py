"""How fast the pages open over 100 k units, 1 M events and 10 k leads.

The whole way of a request except the socket: session, queries, template, compression. The limit is
the issue's, 100 ms at the 95th percentile; every figure is printed as a share of it.

    python bench/pages.py [--events N] [--units N] [--leads N] [--rounds N] [--keep FOLDER]
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection

from hub.accounts.service import Accounts, create_admin
from hub.app import create_app
from hub.config import parse_config
from hub.keys import create_keys
from hub.leads import store as leads_store
from hub.leads.records import Lead, Offer
from hub.leads.states import BEFORE_CLAIM, CLOSED, State
from hub.leads.timeline import store as timeline
from hub.ledger.sequencer import Incoming
from hub.store.migrate import migrate
from hub.wiring import Hub, open_hub
from shared.crypto.keys import SigningKey
from shared.identifiers import new_id
from shared.wire import batch as wire
from shared.wire.events import Lane, Occurred, encode_event

LIMIT_MS = 100.0
STORES = 110
BATCH = 250
DAY_MS = 86_400_000
SPAN_MS = 90 * DAY_MS
PAGES = (
    "/ledger",
    "/ledger?type=pos.sale",
    "/ledger?dealer=S042",
    "/ledger?time=today",
    "/ledger?type=scooter.activated&dealer=S007&time=7d",
    "/ledger?since=2026-09-20&until=2026-09-21",
    "/ledger?serial={serial}",
    "/ledger?q={receipt}",
    "/ledger?after={middle}",
    "/ledger.json?after={middle}",
    "/ledger/entry/{middle}",
    "/units",
    "/units?state=sold",
    "/units?dealer=S042&state=sold",
    "/units?quiet=1",
    "/units/{serial}",
    "/sales",
    "/sales?time=7d",
    "/sales?dealer=S042&flagged=1",
    "/sales?q={receipt}",
    "/devices",
    "/devices/{device}",
    "/leads",
    "/leads?state=UNCLAIMED",
    "/leads?special=late",
    "/leads?dealer=S042&time=7d",
    "/leads?after={lead}",
    "/leads.json?after={lead}",
    "/leads/{lead}",
    "/leads/nearest?lat=-7.2575&lon=112.7521",
    "/dealers",
    "/dealers/S042",
    "/people",
)
OF_A_DEALER = ("/leads", "/leads?state=CLAIMED", "/leads/{own}", "/people")
"""The same for somebody who sees one dealer's leads alone."""
STATES: tuple[State, ...] = (
    *("SCREENING", "QUALIFIED", "UNCLAIMED", "UNCLAIMED", "CLAIMED", "CONTACTED"),
    *("DEMO_SCHEDULED", "CLOSED_WON", "LOST_UNRESPONSIVE", "LOST_UNRESPONSIVE", "EXPIRED"),
)
REPS_A_STORE = 3


@dataclass
class Box:
    """A box that seals what it is told."""

    key: SigningKey
    device: str
    dealer: str
    n: dict[str, int]
    prev: dict[str, str | None]

    def batch(self, lane: Lane, told: list[tuple[str, int, Mapping[str, object]]]) -> wire.Body:
        """The next batch of a lane."""
        first = self.n.get(lane, 0) + 1
        events = [
            encode_event(
                type=kind, device=self.device, gen=1, lane=lane, n=first + i,
                occurred=moment(at_ms), data=data,
            )
            for i, (kind, at_ms, data) in enumerate(told)
        ]  # fmt: skip
        self.n[lane] = first + len(events) - 1
        statement = wire.Statement(
            device=self.device, epoch=1, lane=lane, first_seq=first, count=len(events),
            root=wire.event_root(events).hex(), prev=self.prev.get(lane), checkpoint=None,
            ranges=(wire.CaptureRange(1, first, self.n[lane]),), sealed=moment(told[-1][1]),
        ).encode()  # fmt: skip
        self.prev[lane] = wire.batch_id(statement)
        return wire.decode_body(wire.encode_body(statement, wire.seal(statement, self.key), events))


def moment(at_ms: int) -> Occurred:
    """A time with a good clock."""
    return Occurred(wall_ms=at_ms, err_ms=3, clock="hub", boot="b", mono_ms=at_ms % 10**9)


def opened(folder: Path, *, fresh: bool) -> Hub:
    """A hub with its tables and stores."""
    config = parse_config(
        f'[server]\npublic_url = "http://localhost"\nkeys_dir = "{folder}/keys"\n'
        f'database = "sqlite:///{folder}/hub.db"\n'
    )
    create_keys(config.server.keys_dir)
    hub = open_hub(config)
    if not fresh:
        return hub
    migrate(hub.database)
    hub.registry.regions.import_file(b"code,name,timezone\nR,R,Asia/Jakarta\n")
    rows = "".join(
        f"S{i:03d},Kickstand Kota {i},R,Jl. 1,"
        f"{-8 + 0.3 * (i % 11):.1f},{107 + 0.7 * (i // 11):.1f},"
        "Asia/Jakarta,Mon-Sun 00:00-24:00,yes\n"
        for i in range(STORES)
    )
    head = "code,name,region,address,lat,lon,timezone,hours,authorised\n"
    hub.registry.dealers.import_file((head + rows).encode())
    return hub


def boxes(hub: Hub) -> list[Box]:
    """One enrolled box a store."""
    found = []
    for i in range(STORES):
        code = hub.database.write(partial(hub.devices.invite, dealer=f"S{i:03d}"))
        key = SigningKey.generate()
        answer = hub.devices.enrol(code=code, key=key.public, version="1.4.0")
        found.append(Box(key, answer.device, f"S{i:03d}", {}, {}))
    return found


def told(
    rng: random.Random, store: int, units: int, sold: list[int]
) -> Iterator[tuple[Lane, str, Mapping[str, object]]]:
    """What one store has to say at one moment: lane, kind, data."""
    number = store * (units // STORES) + rng.randrange(units // STORES)
    serial = f"KS9F2L7A8NJ{number:06d}"
    report = {
        "serial": serial, "state": "stock", "battery_pct": rng.randrange(100),
        "odometer_m": rng.randrange(10**6), "firmware": "2.4.1",
    }  # fmt: skip
    yield "vehicle", "scooter.report", report
    if rng.random() < 0.05:
        sold.append(number)
        unit = {
            "serial": serial, "serial_raw": serial, "model": "E8", "list_idr": 21_900_000,
            "discount_idr": 500_000, "net_idr": 21_400_000,
        }  # fmt: skip
        receipt = f"R{len(sold):07d}"
        sale = {
            "till": "T1", "receipt": receipt, "units": [unit], "payment": "cash",
            "operator": "07", "buyer": None,
        }  # fmt: skip
        yield "sale", "pos.sale", sale


def seed(hub: Hub, events: int, units: int, end_ms: int) -> None:
    """Fill the ledger through its own sequencer, then let the projections follow."""
    rng = random.Random(7)
    every, sold = boxes(hub), list[int]()
    written, at_ms = 0, end_ms - SPAN_MS
    step_ms = SPAN_MS * BATCH // events
    while written < events:
        store = rng.randrange(STORES)
        lanes: dict[Lane, list[tuple[str, int, Mapping[str, object]]]] = {}
        for i in range(BATCH):
            for lane, kind, data in told(rng, store, units, sold):
                lanes.setdefault(lane, []).append((kind, at_ms + i, data))
        at_ms += step_ms
        waiting = [
            hub.ledger.sequencer.submit(
                Incoming(
                    device=every[store].device, body=every[store].batch(lane, part),
                    received_ms=at_ms, attach=None,
                )
            )
            for lane, part in lanes.items()
        ]  # fmt: skip
        for place in waiting:
            place.result()
        written += sum(len(part) for part in lanes.values())
    hub.ledger.followers.catch_up()


def seed_leads(hub: Hub, leads: int, end_ms: int) -> None:
    """People, and leads in every state over the same days, each offered to three stores."""
    rng = random.Random(11)
    rows = "".join(
        f"per_{store}_{i},Rep {store} {i},{'rep' if i else 'dealer_manager'},S{store:03d},"
        f"0812{store:04d}{i:04d},2026-01-01\n"
        for store in range(STORES)
        for i in range(REPS_A_STORE + 1)
    )
    hub.registry.people.import_file(b"id,name,role,dealers,phone,wa_opt_in_at\n" + rows.encode())
    for start in range(0, leads, 500):
        some = [(n, end_ms - SPAN_MS + SPAN_MS * n // leads) for n in range(start, start + 500)]
        hub.database.write(partial(_store_leads, hub=hub, rng=rng, some=some))


def _store_leads(
    connection: Connection, *, hub: Hub, rng: random.Random, some: list[tuple[int, int]]
) -> None:
    for number, at_ms in some:
        contact = hub.leads.contacts.meet(
            connection, phone=f"62899{number:08d}", name=f"C {number}", now_ms=at_ms
        )
        state = rng.choice(STATES)
        first = rng.randrange(STORES)
        owned = state not in BEFORE_CLAIM and state != "EXPIRED"
        lead = Lead(
            id=new_id("led"), contact=contact, state=state, model="E8", payment="cash",
            source=rng.choice(("whatsapp", "whatsapp_ad", "form")), area="Surabaya", region="R",
            dealer=f"S{first:03d}" if owned else None, rep=f"per_{first}_1" if owned else None,
            received_ms=at_ms, offered_ms=at_ms, response_ms=9000 if owned else None,
            closed_ms=at_ms if state in CLOSED else None,
            next_step="claim" if state == "UNCLAIMED" else None,
            next_step_ms=at_ms + 300_000 if state == "UNCLAIMED" else None, consent_version="1",
        )  # fmt: skip
        leads_store.create(connection, lead)
        asked = [
            (f"per_{(first + i) % STORES}_1", f"S{(first + i) % STORES:03d}") for i in range(3)
        ]
        offers = [
            Offer(
                id=new_id("ofr"), lead=lead.id, person=person, dealer=dealer, round=1, ring=1,
                state="sent", live=state == "UNCLAIMED", distance_m=1200, offered_ms=at_ms,
            )
            for person, dealer in asked
        ]  # fmt: skip
        leads_store.create_offers(connection, offers)
        for person, dealer in asked:
            timeline.note(connection, lead.id, "offer.queued", at_ms, person=person, dealer=dealer)


def measure(client: FlaskClient, path: str, rounds: int) -> tuple[float, float, int]:
    """Median and 95th percentile in ms, and the size on the wire."""
    took = []
    size = 0
    for _ in range(rounds):
        started = time.perf_counter()
        answer = client.get(path, headers={"Accept-Encoding": "gzip"})
        took.append((time.perf_counter() - started) * 1000)
        assert answer.status_code == 200, f"{path}: {answer.status}"
        size = len(answer.data)
    return statistics.median(took), statistics.quantiles(took, n=20)[-1], size


def places(hub: Hub) -> Mapping[str, object]:
    """Something real for the places in PAGES."""
    size = hub.ledger.size()
    with hub.database.read() as connection:
        row = connection.exec_driver_sql(
            "SELECT u.serial, s.receipt, s.device FROM sale_unit u JOIN sale s"
            ' ON s.dealer = u.dealer AND s."index" = u.sale ORDER BY u.sale DESC LIMIT 1'
        ).one()
        leads = connection.exec_driver_sql(
            "SELECT id FROM lead ORDER BY received_ms"
            " LIMIT 1 OFFSET (SELECT count(*) / 2 FROM lead)"
        ).one()
        own = connection.exec_driver_sql("SELECT id FROM lead WHERE dealer = 'S042' LIMIT 1").one()
    return {
        "serial": row[0], "receipt": row[1], "device": row[2], "middle": size // 2,
        "lead": leads[0], "own": own[0],
    }  # fmt: skip


def report(
    app: Flask, link: str, patterns: tuple[str, ...], *, known: Mapping[str, object], rounds: int
) -> None:
    """Open every page as whoever the link signs in, print."""
    client = app.test_client()
    client.post(link)
    for pattern in patterns:
        middle, high, size = measure(client, pattern.format(**known), rounds)
        times = f"p50 {middle:6.1f}  p95 {high:6.1f} ms  {high / LIMIT_MS:5.2f} of it"
        print(f"{pattern:55} {times}  {size:6,} B")


def main() -> None:
    """Seed, open every page, print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--units", type=int, default=100_000)
    options.add_argument("--leads", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=30)
    options.add_argument("--keep", type=Path)
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        fresh = not (folder / "hub.db").exists()
        hub = opened(folder, fresh=fresh)
        if fresh:
            seed(hub, given.events, given.units, hub.clock.wall_ms())
            seed_leads(hub, given.leads, hub.clock.wall_ms())
        app = create_app(hub)
        now_ms = hub.clock.wall_ms()
        known = places(hub)
        print(f"{hub.ledger.size():,} entries; limit {LIMIT_MS:.0f} ms at p95")
        admin = hub.database.write(lambda c: create_admin(c, "bench@example.com", now_ms))
        manager = Accounts(hub.database).person_link("per_42_0", now_ms=now_ms)
        report(app, admin, PAGES, known=known, rounds=given.rounds)
        print("a dealer's manager")
        report(app, manager, OF_A_DEALER, known=known, rounds=given.rounds)
        hub.close()


if __name__ == "__main__":
    main()
