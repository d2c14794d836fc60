"""A simulated box: real buffer, real delivery, and a till and scooters that know the truth."""

import shutil
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import orjson

from edge_agent import identity as identities
from edge_agent.buffer import Buffer, Capture, Limits, Once
from edge_agent.buffer.frames import decode_frame
from edge_agent.delivery import Delivery, Settings
from edge_agent.hub_link import HubLink
from edge_agent.identity import KEY_FILE, Identity, KeyFiles, own_key
from edge_agent.timekeeping import Timekeeper
from firmware_sim.chaos.clocks import MachineClock
from firmware_sim.chaos.disk import Cut, Disk, PowerCut
from firmware_sim.chaos.hub_side import URL, HubSide
from firmware_sim.chaos.network import Network
from shared.crypto.keys import SigningKey
from shared.wire.events import LANES

BUFFER_BYTES = 192 * 1024
"""Small enough for shedding to happen in a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The classes a box is made of; a planted bug replaces one."""

    buffer: type[Buffer] = Buffer
    delivery: type[Delivery] = Delivery
    buffer_bytes: int = BUFFER_BYTES


@dataclass(slots=True)
class Truth:
    """What the store's hardware really did, and what the box said it has."""

    acknowledged: set[str] = field(default_factory=set)
    waiting: list[tuple[str, Capture]] = field(default_factory=list)
    """Shown to the box and not yet acknowledged: the hardware shows it again."""
    may_stand_twice: set[str] = field(default_factory=set)
    """Shown, stored and delivered without an acknowledgement by a card that was then thrown away:
    nobody is left who could know that it was stored. The hub's projection tells such twins."""
    checkpoints: dict[tuple[str, int], str] = field(default_factory=dict)
    """Roots that were proven to the box, by origin and size."""


class _CutKeyFiles(KeyFiles):
    """The power may go before or after the new key is in its place."""

    def __init__(self, folder: Path, decide: Callable[[], Cut | None]) -> None:
        super().__init__(folder)
        self._decide = decide

    def adopt(self) -> None:
        cut = self._decide()
        if cut == "before":
            raise PowerCut
        super().adopt()
        if cut == "after":
            raise PowerCut


class Box:
    """One box in one store."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: MachineClock,
        random: Random,
        network: Network,
        parts: Parts,
        renews_keys: bool = False,
    ) -> None:
        """Nothing runs before `enrol` and `boot`. `renews_keys`: it asks for newer key sets."""
        self._folder = folder
        self.clock = clock
        self._random = random
        self._network = network
        self._parts = parts
        self._renews_keys = renews_keys
        self._disk = Disk(self._decide)
        self._number = 0
        self.cut_share = 0.0
        self.cuts = 0
        self.restores = 0
        self.epochs_opened = 0
        self.hub_lost_place = 0
        """Epochs opened because the hub had lost its place, not the box."""
        self.keys_stranded = 0
        """Epochs closed because a key ended before what it had sealed was delivered."""
        self.rotations = 0
        self.salvages = 0
        self.truth = Truth()
        self.failures: list[str] = []
        key = SigningKey.from_seed(random.randbytes(32))
        self.device = ""
        self._snapshot: Path | None = None
        self.buffer: Buffer
        self.delivery: Delivery
        folder.mkdir()
        key.save(folder / KEY_FILE)

    def _decide(self) -> Cut | None:
        if self._random.random() >= self.cut_share:
            return None
        return self._random.choice(("before", "after"))

    def enrol(self, hub: HubSide) -> None:
        """Become a device of the hub."""
        code = hub.hub.database.write(lambda connection: hub.hub.devices.invite(connection, "D1"))
        key = own_key(self._folder)
        enrolment = hub.hub.devices.enrol(code=code, key=key.public, version="sim")
        self.device = enrolment.device
        identity = Identity(
            key=key, device=self.device, dealer="D1", hub_url=URL, keyset=hub.hub.keys.keyset
        )
        identities.save(self._folder, identity)
        self.boot()

    def boot(self) -> None:
        """Open everything on what the disk holds; cut again if the disk says so."""
        while True:
            try:
                self._open()
            except PowerCut:
                self._disk.pull()
                self.clock.reboot()
                self.cuts += 1
                continue
            return

    def _open(self) -> None:
        timekeeper = Timekeeper(self.clock, kernel_error=lambda: None, hardware_clock=lambda: False)
        self._timekeeper = timekeeper
        self.buffer = self._parts.buffer(
            self._folder / "buffer.db",
            device=self.device,
            clock=self.clock,
            now=timekeeper.now,
            limits=Limits(
                bytes_max=self._parts.buffer_bytes,
                ring_bytes_max=self._parts.buffer_bytes // 8,
                reserve_file_bytes=4096,
            ),
            connection_factory=self._disk.open_box,
            on_event=self._heard,
        )
        identity = identities.load(self._folder)
        key = identity.key
        trust = identities.HubTrust(self._folder, identity)
        link = HubLink(
            URL,
            key=key,
            http_keys=identity.keyset.http,
            timekeeper=timekeeper,
            clock=self.clock,
            transport=self._network,
            random_bytes=self._random.randbytes,
            renew=trust.renew if self._renews_keys else None,
        )
        self.delivery = self._parts.delivery(
            self.buffer,
            dict.fromkeys(LANES, link),
            device=self.device,
            key=key,
            key_folder=_CutKeyFiles(self._folder, self._decide),
            log_key=identity.log_key,
            openings=identity.openings,
            clock=self.clock,
            timekeeper=timekeeper,
            random=self._random,
            random_bytes=self._random.randbytes,
            settings=Settings(prefer_wait_s=0),
            on_event=self._heard,
        )
        delivery = self.delivery
        trust.listeners.append(
            lambda renewed: delivery.use_log_key(renewed.log_key, renewed.openings)
        )

    def _heard(self, event: str, fields: Mapping[str, object]) -> None:
        if event == "epoch_opened":
            self.epochs_opened += 1
            self.keys_stranded += fields["reason"] == "retired_key"
            self.hub_lost_place += fields["reason"] in {"generation", "hub_restored"}
        elif event == "key_rotated":
            self.rotations += 1
        elif "salvage" in event:
            self.salvages += 1

    def guarded(self, act: Callable[[], object]) -> None:
        """Do something on the box; if its power goes, it boots again."""
        try:
            act()
        except PowerCut:
            self.power_cut()
        self._note_checkpoint()

    def power_cut(self) -> None:
        """The plug is pulled and put back."""
        self.cuts += 1
        self._disk.pull()
        self.clock.reboot()
        self.boot()

    def _note_checkpoint(self) -> None:
        text = self.buffer.checkpoint()
        if text is None:
            return
        lines = text.split("\n")
        origin, size, root = lines[0], int(lines[1]), lines[2]
        if self.truth.checkpoints.setdefault((origin, size), root) != root:
            self.failures.append(f"two roots for a ledger of {size}")

    def seen_size(self, origin: str) -> int:
        """The largest ledger of this origin that was proven to the box."""
        return max((size for name, size in self.truth.checkpoints if name == origin), default=0)

    # --- what happens in the store ---------------------------------------------------------

    def show(self, captures: Sequence[tuple[str, Capture]]) -> None:
        """Hardware shows facts; what is not acknowledged is shown again later."""
        self.truth.waiting.extend(captures)

        def put() -> None:
            waiting = list(self.truth.waiting)
            self.buffer.put([capture for _, capture in waiting])
            self.truth.acknowledged.update(marker for marker, _ in waiting)
            self.truth.waiting.clear()

        self.guarded(put)

    def sale(self) -> tuple[str, Capture]:
        """A sale of one unit."""
        self._number += 1
        receipt = f"{self.device[-4:]}-{self.restores}-{self._number}"
        serial = f"KS9F2L7A8NJ{self._random.randrange(10**6):06d}"
        unit = {
            "serial": serial,
            "serial_raw": serial,
            "model": "E8",
            "list_idr": 21_900_000,
            "discount_idr": 0,
            "net_idr": 21_900_000,
        }
        data = {
            "till": "T1",
            "receipt": receipt,
            "units": [unit],
            "payment": "cash",
            "operator": "07",
            "buyer": None,
        }
        attachments = (self._random.randbytes(120),) if self._random.random() < 0.3 else ()
        capture = Capture(
            type="pos.sale",
            data=data,
            occurred=self._timekeeper.now(),
            once=Once("till", f"T1/{receipt}", receipt.encode().ljust(32)),
            attachments=attachments,
        )
        return receipt, capture

    def reports(self, count: int) -> list[tuple[str, Capture]]:
        """Reports of scooters, each with a number of its own."""
        found = []
        for _ in range(count):
            self._number += 1
            marker = f"r{self.restores}-{self._number}"
            data = {
                "serial": "KS9F2L7A8NJ000001",
                "state": "stock",
                "battery_pct": self._random.randrange(101),
                "boot": f"{self.device[-4:]}-{self.restores}",
                "counter": self._number,
                "extra": {"pad": self._random.randbytes(self._random.randrange(600)).hex()},
            }
            key = f"KS9F2L7A8NJ000001/{self.restores}"
            capture = Capture(
                type="scooter.report",
                data=data,
                occurred=self._timekeeper.now(),
                once=Once("scooter", key, counter=self._number),
                authenticated_by="broker",
            )
            found.append((marker, capture))
        return found

    def make_next_key(self) -> None:
        """Somebody wants the box to have a new key."""
        KeyFiles(self._folder).make()

    def step(self, lane: str) -> None:
        """One step of one lane."""
        self.guarded(lambda: self.delivery.step(lane))

    # --- copies of the card ----------------------------------------------------------------

    def copy_card(self) -> None:
        """Take an image of the card, as a careful technician would: with the box stopped."""
        self._disk.pull()
        target = self._folder.with_name(self._folder.name + "-image")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._folder, target)
        self._snapshot = target
        self.clock.reboot()
        self.boot()

    def restore_card(self) -> bool:
        """Put the image back: the box wakes up in its own past."""
        if self._snapshot is None:
            return False
        self._disk.pull()
        self.truth.may_stand_twice |= {marker for marker, _ in self.truth.waiting}
        shutil.rmtree(self._folder)
        shutil.copytree(self._snapshot, self._folder)
        self.restores += 1
        self.clock.reboot()
        self.boot()
        return True

    def ring_ids(self) -> set[str]:
        """Ids of the batches that could be given back to a restored hub."""
        return {place.batch_id for place in self.buffer.ring_places()}

    def undelivered_ids(self) -> set[str]:
        """Ids of the batches that have no receipt yet."""
        batches = map(self.buffer.in_flight, LANES)
        return {batch.batch_id for batch in batches if batch is not None}

    def held_markers(self) -> set[str]:
        """What the buffer holds, waiting, sealed or in the ring."""
        return {marker for marker in map(marker_of, self.held_events()) if marker is not None}

    def held_events(self) -> list[bytes]:
        """Every event in the file."""
        with closing(sqlite3.connect(self._folder / "buffer.db")) as connection:
            frames = connection.execute("SELECT blob FROM frame").fetchall()
        return [event for (blob,) in frames for event in decode_frame(blob).events]

    def close(self) -> None:
        """End of the run."""
        self._disk.pull()


def marker_of(raw: bytes) -> str | None:
    """The marker by which the truth knows an event, or None for the box's own events."""
    event = orjson.loads(raw)
    data = event["data"]
    if event["type"] == "pos.sale":
        return str(data["receipt"])
    if event["type"] == "scooter.report":
        return f"r{str(data['boot']).rpartition('-')[2]}-{data['counter']}"
    return None
