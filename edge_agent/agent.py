"""The composition root: opens everything, supervises threads, and shuts down in order."""

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from random import SystemRandom

from edge_agent import VERSION, activation
from edge_agent import identity as identities
from edge_agent.buffer import Buffer, Limits, connect
from edge_agent.buffer.connection import ConnectionFactory
from edge_agent.config import AgentConfig
from edge_agent.delivery import Delivery, Link, Settings
from edge_agent.errors import AgentError
from edge_agent.health import Health
from edge_agent.hub_link import HubLink
from edge_agent.identity import Identity
from edge_agent.sources.source import Source
from edge_agent.timekeeping import Timekeeper
from edge_agent.transports import PoolTransport
from shared.clock import Clock, SystemClock
from shared.systemd_notify import Notifier
from shared.wire.events import LANES

OnEvent = Callable[[str, Mapping[str, object]], None]
RESTART_FIRST_MS = 1000
RESTART_MAX_MS = 60_000
JOIN_S = 15


class AlreadyRunning(AgentError):
    """Another agent works in this state folder."""


class Agent:
    """One box. start() returns when everything runs; stop() when nothing does any more."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        on_event: OnEvent = lambda _event, _fields: None,
        clock: Clock | None = None,
        notifier: Notifier | None = None,
        connection_factory: ConnectionFactory = connect,
    ) -> None:
        """Nothing is opened before start()."""
        self._config = config
        self._on_event = on_event
        self._clock = clock or SystemClock()
        self._notifier = notifier or Notifier(None)
        self._connection_factory = connection_factory
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock_handle: int | None = None
        self.buffer: Buffer | None = None

    def start(self) -> None:
        """Open the buffer, then the sources, then delivery.

        Raises:
            NotEnrolled: no identity, so no key set to trust; no source was opened.
            AlreadyRunning: the state folder is in use.
            BufferError: the buffer can be neither opened nor salvaged.
        """
        identity = identities.load(self._config.state_dir)
        self._lock_handle = self._take_lock()
        timekeeper = Timekeeper(self._clock)
        buffer = self.buffer = self._open_buffer(identity, timekeeper)
        timekeeper.raise_floor(int(buffer.recall("floor_ms") or 0))
        sources = self._build_sources(buffer, timekeeper, identity)
        delivery = self._build_delivery(buffer, timekeeper, identity)
        health = Health(
            buffer=buffer,
            delivery=delivery,
            sources=sources,
            timekeeper=timekeeper,
            clock=self._clock,
            notifier=self._notifier,
            state_dir=self._config.state_dir,
            version=VERSION,
            heartbeat_ms=self._config.health.heartbeat_ms,
            on_event=self._on_event,
        )
        for source in sources:
            self._supervise(f"source-{source.name}", source.run)
        for lane in LANES:
            self._supervise(f"lane-{lane}", _lane_runner(delivery, lane))
        self._supervise("health", health.run)
        self._notifier.ready(f"{len(sources)} sources")
        self._on_event("agent_ready", {"device": identity.device, "sources": len(sources)})

    def stop(self) -> None:
        """Stop everything and close the buffer. What was not delivered stays on disk."""
        self._notifier.stopping()
        self._stop.set()
        if self.buffer is not None:
            self.buffer.wake()
        for thread in self._threads:
            thread.join(JOIN_S)
        # A thread that still hangs in the network holds nothing that is not on disk already.
        if self.buffer is not None:
            self.buffer.close()
        if self._lock_handle is not None:
            os.close(self._lock_handle)
            self._lock_handle = None
        self._on_event("agent_stopped", {})

    def _open_buffer(self, identity: Identity, timekeeper: Timekeeper) -> Buffer:
        settings = self._config.buffer
        return Buffer(
            self._config.buffer_path,
            device=identity.device,
            clock=self._clock,
            now=timekeeper.now,
            limits=Limits(
                bytes_max=settings.bytes_max,
                ring_bytes_max=min(settings.ring_bytes_max, settings.bytes_max // 4),
                ring_ms=settings.ring_ms,
            ),
            connection_factory=self._connection_factory,
            on_event=self._on_event,
        )

    def _build_sources(
        self, buffer: Buffer, timekeeper: Timekeeper, identity: Identity
    ) -> list[Source]:
        return activation.build(
            self._config,
            buffer=buffer,
            timekeeper=timekeeper,
            clock=self._clock,
            encryption_key=identity.keyset.encryption,
        )

    def _build_delivery(
        self, buffer: Buffer, timekeeper: Timekeeper, identity: Identity
    ) -> Delivery:
        settings = self._config.delivery
        trust = identities.HubTrust(self._config.state_dir, identity, on_event=self._on_event)
        links: dict[str, Link] = {
            lane: HubLink(
                self._config.hub_url,
                key=identity.key,
                http_keys=identity.keyset.http,
                timekeeper=timekeeper,
                clock=self._clock,
                transport=PoolTransport(settings.timeout_ms, timekeeper),
                renew=trust.renew,
            )
            for lane in LANES
        }
        delivery = Delivery(
            buffer,
            links,
            device=identity.device,
            key=identity.key,
            log_key=identity.log_key,
            openings=identity.openings,
            clock=self._clock,
            timekeeper=timekeeper,
            random=SystemRandom(),
            random_bytes=secrets.token_bytes,
            settings=Settings(
                prefer_wait_s=settings.prefer_wait_s,
                backoff_first_ms=settings.backoff_first_ms,
                backoff_max_ms=settings.backoff_max_ms,
                cosign_ms=settings.cosign_ms,
                rotate_key_days=settings.rotate_key_days,
            ),
            key_folder=identities.KeyFiles(self._config.state_dir),
            on_event=self._on_event,
        )
        trust.listeners.append(
            lambda renewed: delivery.use_log_key(renewed.log_key, renewed.openings)
        )
        return delivery

    def _take_lock(self) -> int:
        handle = os.open(self._config.state_dir / "agent.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(handle)
            raise AlreadyRunning(
                f"an agent already works in {self._config.state_dir}: stop it first"
            ) from None
        os.ftruncate(handle, 0)
        os.write(handle, str(os.getpid()).encode())
        return handle

    # --- supervision ----------------------------------------------------------------------

    def _supervise(self, name: str, run: Callable[[threading.Event], None]) -> None:
        thread = threading.Thread(
            target=self._keep_running, args=(name, run), name=name, daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _keep_running(self, name: str, run: Callable[[threading.Event], None]) -> None:
        """A thread that raises is started again, later each time, and the log says so."""
        pause_ms = RESTART_FIRST_MS
        while not self._stop.is_set():
            began = self._clock.mono_ms()
            try:
                run(self._stop)
                why = "returned"
            except Exception as error:  # noqa: BLE001 - the top of a thread: recorded, restarted
                why = f"{type(error).__name__}: {error}"
            if self._stop.is_set():
                return
            if self._clock.mono_ms() - began > RESTART_MAX_MS:
                pause_ms = RESTART_FIRST_MS
            self._on_event("thread_failed", {"thread": name, "why": why, "restart_ms": pause_ms})
            self._stop.wait(pause_ms / 1000)
            pause_ms = min(RESTART_MAX_MS, pause_ms * 2)


def _lane_runner(delivery: Delivery, lane: str) -> Callable[[threading.Event], None]:
    return lambda stop: delivery.run(lane, stop)
