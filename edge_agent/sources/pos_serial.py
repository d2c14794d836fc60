"""A till on a serial line: every finished sale is on disk before the till hears of it."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from edge_agent import errors
from edge_agent.buffer import Duplicate
from edge_agent.config import TillConfig
from edge_agent.sources.serial_port import REOPEN_MS, PortLost, SerialPort
from edge_agent.sources.source import Sink, SourceState, Vitals, When
from edge_agent.sources.till_desk import capture_of
from edge_agent.sources.till_dialect import Dialect, Heard
from shared.clock import Clock

logger = logging.getLogger(__name__)

BITS_PER_BYTE: Final = 10
RETRY_MS: Final = 1000
HELD_MAX: Final = 500
"""Receipts of a till that cannot repeat itself, waiting in memory for a full disk to clear."""


class PosSerial:
    """One till. Reopens its port within two seconds of its return, under whatever number."""

    def __init__(
        self,
        config: TillConfig,
        dialect: Dialect,
        *,
        sink: Sink,
        clock: Clock,
        when: When,
        hub_public: Callable[[], bytes],
        on_sale: Callable[[], None],
    ) -> None:
        """`hub_public`: the hub's encryption key; `on_sale` is called after a sale's commit."""
        self._config = config
        self._dialect = dialect
        self._sink = sink
        self._clock = clock
        self._when = when
        self._hub_public = hub_public
        self._on_sale = on_sale
        self._vitals = Vitals()
        self._held: deque[Heard] = deque()
        self._retry_at_ms = 0

    @property
    def name(self) -> str:
        """The till's name in the settings."""
        return self._config.name

    def state(self) -> SourceState:
        """How the line is."""
        return self._vitals.snapshot()

    def run(self, stop: threading.Event) -> None:
        """Listen until `stop` is set."""
        while not stop.is_set():
            try:
                with SerialPort(self._config.port, self._config.baud) as port:
                    logger.info("till_port_opened", extra={"source": self.name})
                    self._vitals.are("ok")
                    while not stop.is_set():
                        self._turn(port)
            except PortLost as lost:
                if self._vitals.snapshot().state != "waiting":
                    logger.warning("till_port_lost", extra={"source": self.name})
                    self._vitals.count("port_lost")
                self._vitals.are("waiting", str(lost))
                self._take_all(self._dialect.lost())
                self._retry_held()
                stop.wait(REOPEN_MS / 1000)

    def _turn(self, port: SerialPort) -> None:
        chunk = port.read()
        at_ms = self._clock.mono_ms()
        if chunk:
            self._vitals.count("bytes_read", len(chunk))
            answer = self._take_all(self._dialect.feed(chunk, at_ms))
            if answer:
                port.write(answer)
        self._retry_held()

    def _take_all(self, heard: list[Heard]) -> bytes:
        return b"".join(self._take(item) for item in heard)

    def _take(self, heard: Heard) -> bytes:
        """Store what was heard; the answer for the till, empty when there is none."""
        if heard.message is None:
            return self._refuse(heard)
        if self._held:
            # The order of a till's receipts is kept, also through a full disk.
            return self._hold(heard)
        try:
            return self._store(heard)
        except errors.CaptureRefused:
            return self._refuse(heard, why="refused")
        except errors.BufferError as error:
            self._vitals.count("not_stored")
            self._vitals.are("failed", f"the buffer takes nothing: {error}")
            return self._hold(heard)

    def _store(self, heard: Heard) -> bytes:
        if heard.message is None:
            return b""
        occurred = self._when(heard.at_ms, self._error_ms(heard.size_bytes))
        capture = capture_of(heard.message, occurred, self._hub_public)
        (result,) = self._sink.put([capture])
        # Power lost here: the message is on disk and the till does not know it. It sends it
        # again, and the buffer answers Duplicate.
        self._vitals.are("ok")
        if isinstance(result, Duplicate):
            self._vitals.count("duplicates")
        else:
            self._vitals.count(capture.type.replace(".", "_"))
            if capture.wakes:
                self._on_sale()
        return self._dialect.stored(heard)

    def _error_ms(self, size_bytes: int) -> int:
        """The time the whole message takes on the wire: its first byte is no older than that."""
        return -(-size_bytes * BITS_PER_BYTE * 1000 // self._config.baud) + 1

    def _refuse(self, heard: Heard, why: str = "") -> bytes:
        reason = why or heard.why
        self._vitals.count(f"unreadable_{reason}")
        try:
            self._sink.reject(self.name, heard.kept, reason)
        except errors.BufferError:
            self._vitals.count("not_stored")
        logger.warning("till_message_unreadable", extra={"source": self.name, "why": reason})
        return self._dialect.refused(heard)

    def _hold(self, heard: Heard) -> bytes:
        """Without an answer a till that can repeats itself; the others are held in memory."""
        if self._dialect.repeats:
            return b""
        if len(self._held) >= HELD_MAX:
            self._vitals.count("dropped")
            return b""
        self._held.append(heard)
        return b""

    def _retry_held(self) -> None:
        now_ms = self._clock.mono_ms()
        if not self._held or now_ms < self._retry_at_ms:
            return
        self._retry_at_ms = now_ms + RETRY_MS
        try:
            while self._held:
                self._store(self._held[0])
                self._held.popleft()
        except errors.CaptureRefused:
            self._refuse(self._held.popleft(), why="refused")
        except errors.BufferError as error:
            self._vitals.are("failed", f"the buffer takes nothing: {error}")
