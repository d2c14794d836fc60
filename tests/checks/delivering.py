"""A box with a real HTTP line to a hub in miniature, stepped by the test."""

from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from edge_agent import identity as identities
from edge_agent.buffer import Buffer
from edge_agent.delivery import Delivery, Link, Settings
from edge_agent.hub_link import HubLink
from edge_agent.timekeeping import Timekeeper
from edge_agent.transports import PoolTransport
from shared.crypto.keys import SigningKey
from shared.wire.events import LANES
from tests.checks.boxes import NEVER, Box
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub


@dataclass
class Store:
    """A box, its hub, and everything between them."""

    hub: SmallHub
    box: Box
    buffer: Buffer
    delivery: Delivery
    timekeeper: Timekeeper
    key: SigningKey

    def step(self, lane: str = "sale", times: int = 1) -> list[int]:
        """Steps of one lane; the pauses they asked for."""
        return [self.delivery.step(lane) for _ in range(times)]

    def events(self, name: str) -> list[dict[str, Any]]:
        """What was logged under a name."""
        return [fields for event, fields in self.box.log if event == name]

    def reboot(self) -> "Store":
        """The power fails and comes back."""
        self.buffer.close()
        self.box.clock.reboot()
        return connect(self.hub, self.box, identities.own_key(self.box.folder))


def connect(hub: SmallHub, box: Box, key: SigningKey, settings: Settings | None = None) -> Store:
    """Open the buffer and a line for each lane. A box with an identity renews its key set."""
    enrolled = (box.folder / identities.IDENTITY_FILE).exists()
    identity = identities.load(box.folder) if enrolled else None
    trust = None if identity is None else identities.HubTrust(box.folder, identity)
    buffer = box.open(placed=False)
    timekeeper = Timekeeper(box.clock, kernel_error=lambda: None, hardware_clock=lambda: False)
    links: dict[str, Link] = {
        lane: HubLink(
            hub.url,
            key=key,
            http_keys=(hub.keyset if identity is None else identity.keyset).http,
            timekeeper=timekeeper,
            clock=box.clock,
            transport=PoolTransport(5000, timekeeper),
            renew=None if trust is None else trust.renew,
        )
        for lane in LANES
    }
    random = Random(7)
    delivery = Delivery(
        buffer,
        links,
        device=hub.enrol(key.public),
        key=key,
        log_key=hub.log.key if identity is None else identity.log_key,
        openings=() if identity is None else identity.openings,
        clock=box.clock,
        timekeeper=timekeeper,
        random=random,
        random_bytes=random.randbytes,
        settings=settings or Settings(backoff_first_ms=1000, backoff_max_ms=60_000),
        key_folder=identities.KeyFiles(box.folder),
        on_event=lambda event, fields: box.log.append((event, dict(fields))),
    )
    if trust is not None:
        trust.listeners.append(lambda new: delivery.use_log_key(new.log_key, new.openings))
    return Store(hub, box, buffer, delivery, timekeeper, key)


def new_store(hub: SmallHub, folder: Path, settings: Settings | None = None) -> Store:
    """A box that was never connected, with the hub's time."""
    clock = ManualClock(wall_ms=hub.clock.wall_ms())
    box = Box(folder, clock=clock, now=lambda: NEVER)
    return connect(hub, box, identities.own_key(folder), settings)
