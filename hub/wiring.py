"""Settings in, a whole hub out: the only place that knows every feature."""

import fcntl
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import structlog

from hub.config import HubConfig
from hub.devices.follower import DeviceFollower
from hub.devices.service import Devices
from hub.errors import AnotherSequencer
from hub.keys import HubKeys, load_keys
from hub.ledger.checker import Checker
from hub.ledger.entries import EntryFollower
from hub.ledger.followers import Follower, Followers
from hub.ledger.live_tree import LiveTree
from hub.ledger.proofs import Proofs
from hub.ledger.refill import Refill
from hub.ledger.sequencer import Sequencer
from hub.ledger.service import Ledger
from hub.refusals import Refusals
from hub.registry.national_days import national_days
from hub.registry.service import Registry
from hub.sales.follower import SalesFollower
from hub.store import Database
from hub.store.database import ConnectionFactory, connect_sqlite
from hub.vault.service import Vault
from shared.clock import Clock, SystemClock
from shared.instants import rfc3339

if TYPE_CHECKING:  # requests, Flask and places cost what all other imports cost together
    from hub.integrations.qontak.account import QontakAccount
    from hub.integrations.whatsapp.account import MetaAccount
    from hub.subjects.service import Subjects
    from hub.switchboard import Switchboard

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Hub:
    """Every service of one hub process, on one open database."""

    config: HubConfig
    keys: HubKeys
    clock: Clock
    database: Database
    ledger: Ledger
    devices: Devices
    registry: Registry
    vault: Vault
    refusals: Refusals = field(default_factory=Refusals)
    """Requests of boxes that were refused, by code."""

    @cached_property
    def leads(self) -> "Switchboard":
        """Everything between WhatsApp and leads. Raises ConfigError for an unreadable secret."""
        from hub.switchboard import open_switchboard  # noqa: PLC0415 - most commands never need it

        return open_switchboard(
            self.config,
            self.keys,
            self.database,
            clock=self.clock,
            registry=self.registry,
            vault=self.vault,
            position=self.ledger.followers.position,
        )

    @property
    def whatsapp(self) -> "MetaAccount":
        """Our account at Meta."""
        return self.leads.whatsapp

    @property
    def qontak(self) -> "QontakAccount | None":
        """Our organisation at Qontak, if there is one."""
        return self.leads.qontak

    @property
    def subjects(self) -> "Subjects":
        """People, and what is stored about them."""
        return self.leads.subjects

    def close(self) -> None:
        """Finish queued writes and let go of the database."""
        self.database.close()


def followers() -> Sequence[Follower]:
    """Every projection, in the order in which each sees a chunk of the ledger."""
    return (EntryFollower(), DeviceFollower(), SalesFollower())


def open_hub(
    config: HubConfig,
    *,
    clock: Clock | None = None,
    threaded: bool = True,
    connection_factory: ConnectionFactory = connect_sqlite,
) -> Hub:
    """A hub on its database. Raises ConfigError when keys are missing; opens no port."""
    clock = clock or SystemClock()
    keys = load_keys(config.server)
    database = Database(
        config.server.database, threaded=threaded, connection_factory=connection_factory
    )
    live = LiveTree()
    generation = keys.history.generation
    sequencer = Sequencer(database, live, clock=clock, hub_key=keys.http, generation=generation)
    ledger = Ledger(
        database,
        sequencer=sequencer,
        refill=Refill(database, live, sequencer, clock=clock, keys=keys.ledger_ever),
        proofs=Proofs(database, live, keys.signer, generation=generation),
        followers=Followers(database, followers(), sequencer.recent),
        checker=Checker(database, hub_keys=keys.http_ever, root=keys.root.public, clock=clock),
        key=keys.signer.verifier,
    )
    devices = Devices(
        database,
        ledger,
        clock=clock,
        invitation_s=config.ingest.invitation_s,
        waiting_max=config.ingest.queue_batches_max,
        overlap_s=config.ingest.key_overlap_s,
        requests_per_s=config.ingest.device_requests_per_s,
    )
    ledger.sequencer.unfit_keys = devices.keys.unfit
    return Hub(
        config=config,
        keys=keys,
        clock=clock,
        database=database,
        ledger=ledger,
        devices=devices,
        registry=Registry(database, holidays=_holidays(config, clock)),
        vault=Vault(database, keys.encryption),
    )


def _holidays(config: HubConfig, clock: Clock) -> frozenset[str]:
    """The national days of the settings. Raises ConfigError."""
    days = national_days(config.leads.holidays, config.leads.holidays_file)
    if days and max(days) < rfc3339(clock.wall_ms())[:10]:
        log.warning("holidays_outdated", last=max(days))
    return days


def elect_sequencer(hub: Hub) -> TextIO | None:
    """Become the one sequencer of a SQLite hub; keep the result open as long as you are.

    PostgreSQL decides for itself, inside each transaction: None. Raises AnotherSequencer.
    """
    path = hub.database.sqlite_path
    if path is None:
        return None
    lock = Path(f"{path}.sequencer").open("w", encoding="ascii")  # noqa: SIM115 - held for life
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise AnotherSequencer(f"another process orders the ledger in {path}") from error
    return lock
