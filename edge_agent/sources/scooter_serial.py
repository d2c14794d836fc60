"""A scooter on a serial diagnosis port: asked every few seconds, told when something changed."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge_agent import errors
from edge_agent.buffer import Capture
from edge_agent.codecs import ninebot5aa5, scooter_frame, xiaomi55aa
from edge_agent.codecs.scooter_frame import ScooterFrame, StreamDecoder
from edge_agent.config import ScooterPortConfig
from edge_agent.sources.serial_port import REOPEN_MS, PortLost, SerialPort
from edge_agent.sources.source import Sink, SourceState, Vitals, When
from shared import serials
from shared.clock import Clock

logger = logging.getLogger(__name__)

ANSWER_MS: Final = 500
"""A controller answers within some ten milliseconds, or it is not there."""

UNCHANGED_MS: Final = 600_000
"""A scooter that says the same thing is told this often."""

DOUBTFUL: Final = "serial_doubtful"
"""Says of an event that its serial is what the scooter says, and no whole serial of ours."""

_BAUD: Final = 115_200


class Codec(Protocol):
    """What the two wired protocols have in common."""

    def decoder(self) -> StreamDecoder:
        """A decoder for one line."""
        ...

    def read_request(self, register: int, count_bytes: int) -> bytes:
        """Ask for registers. Nothing else can be sent."""
        ...

    def is_reply(self, frame: ScooterFrame) -> bool:
        """Whether the controller answered a read (and not we, heard on the one wire)."""
        ...

    def readings(self, frame: ScooterFrame) -> Mapping[str, object]:
        """What the frame says."""
        ...


CODECS: Final[Mapping[str, Codec]] = {"xiaomi55aa": xiaomi55aa, "ninebot5aa5": ninebot5aa5}
# An M365 holds 14 characters, ours 17; on a Ninebot the PIN follows the 14th.
_SERIAL_BYTES: Final = {"xiaomi55aa": scooter_frame.SERIAL_BYTES, "ninebot5aa5": 14}


@dataclass(slots=True)
class _Poll:
    """One round of questions: what has been answered so far."""

    began_ms: int
    values: dict[str, object] = field(default_factory=dict)


class ScooterSerial:
    """One diagnosis port. Reports a scooter when it answers, and again when it changed."""

    def __init__(self, config: ScooterPortConfig, *, sink: Sink, clock: Clock, when: When) -> None:
        """See ScooterPortConfig for the settings."""
        self._config = config
        self._codec = CODECS[config.protocol]
        self._sink = sink
        self._clock = clock
        self._when = when
        self._vitals = Vitals()
        self._told: tuple[object, ...] | None = None
        self._told_at_ms = 0
        self._told_error = ("", 0)

    @property
    def name(self) -> str:
        """The port's name in the settings."""
        return self._config.name

    def state(self) -> SourceState:
        """How the port is."""
        return self._vitals.snapshot()

    def run(self, stop: threading.Event) -> None:
        """Ask until `stop` is set."""
        while not stop.is_set():
            try:
                with SerialPort(self._config.port, _BAUD) as port:
                    self._vitals.are("ok", "no scooter connected")
                    while not stop.is_set():
                        self._tell(self._ask(port))
                        stop.wait(self._config.poll_ms / 1000)
            except PortLost as lost:
                self._vitals.are("waiting", str(lost))
                stop.wait(REOPEN_MS / 1000)

    def _ask(self, port: SerialPort) -> _Poll:
        poll = _Poll(self._clock.mono_ms())
        decoder = self._codec.decoder()
        for register, count_bytes in (
            (scooter_frame.REGISTER_SERIAL, _SERIAL_BYTES[self._config.protocol]),
            (scooter_frame.REGISTER_FIRMWARE, 2),
            (scooter_frame.REGISTER_MAIN, scooter_frame.MAIN_BYTES),
        ):
            port.write(self._codec.read_request(register, count_bytes))
            if not self._hear(port, decoder, register, poll):
                break
        self._vitals.count("rejected_frames", decoder.rejected)
        return poll

    def _hear(self, port: SerialPort, decoder: StreamDecoder, register: int, poll: _Poll) -> bool:
        """Wait for the answer about `register`; False when none came."""
        deadline_ms = self._clock.mono_ms() + ANSWER_MS
        while self._clock.mono_ms() < deadline_ms:
            chunk = port.read()
            for frame in decoder.feed(chunk) if chunk else decoder.flush():
                if self._codec.is_reply(frame) and frame.register == register:
                    poll.values.update(self._codec.readings(frame))
                    return True
        self._vitals.count("unanswered")
        return False

    def _tell(self, poll: _Poll) -> None:
        """Store what changed; a full buffer means that it is told in a later round."""
        values = poll.values
        serial = values.get("serial")
        if not isinstance(serial, str) or "battery_pct" not in values:
            self._vitals.are("ok", "no scooter connected")
            return
        known = _unit_serial(serial)
        captures = self._report(values, known or serial, is_doubtful=known is None, poll=poll)
        try:
            self._sink.put(captures)
        except errors.BufferError as error:
            self._vitals.are("failed", f"the buffer takes nothing: {error}")
            return
        if captures:
            self._told = _what(values)
            self._told_at_ms = poll.began_ms
            self._vitals.count("scooter_report", len(captures))
        self._told_error = (known or serial, _integer(values, "error") or 0)
        if known is None:
            self._vitals.count("doubtful_serial")
            self._vitals.are("ok", self._doubt(serial))
        else:
            self._vitals.are("ok")

    def _doubt(self, serial: str) -> str:
        """What a technician is told; the scooter's own words are stored, nothing is added."""
        limit = _SERIAL_BYTES[self._config.protocol]
        cut = f", perhaps cut off: its register holds {limit}" if len(serial) == limit else ""
        return f"the scooter calls itself {serial}, which is no whole serial of ours{cut}"

    def _report(
        self, values: Mapping[str, object], serial: str, *, is_doubtful: bool, poll: _Poll
    ) -> list[Capture]:
        error_ms = self._clock.mono_ms() - poll.began_ms + 1
        occurred = self._when(poll.began_ms, error_ms)
        captures = []
        is_due = poll.began_ms - self._told_at_ms >= UNCHANGED_MS
        if self._told != _what(values) or is_due:
            data = _report_data(values, serial, is_doubtful=is_doubtful)
            captures.append(
                Capture(
                    type="scooter.report", data=data, occurred=occurred, authenticated_by="none"
                )
            )
        error = _integer(values, "error") or 0
        if error and (serial, error) != self._told_error:
            detail = DOUBTFUL if is_doubtful else None
            fault = {"serial": serial, "code": f"E{error}", "detail": detail, "sale": None}
            captures.append(
                Capture(
                    type="scooter.fault", data=fault, occurred=occurred, authenticated_by="none"
                )
            )
        return captures


def _what(values: Mapping[str, object]) -> tuple[object, ...]:
    names = ("serial", "firmware", "battery_pct", "odometer_m", "error")
    return tuple(values.get(name) for name in names)


def _integer(values: Mapping[str, object], name: str) -> int | None:
    value = values.get(name)
    return value if isinstance(value, int) else None


def _unit_serial(text: str) -> str | None:
    """The normal form, or None: half a serial, normalised, would be another unit's name."""
    try:
        return serials.parse(text)
    except serials.MalformedSerial:
        return None


def _report_data(
    values: Mapping[str, object], serial: str, *, is_doubtful: bool
) -> dict[str, object]:
    extra = {name: values[name] for name in ("temperature_dc", "error") if name in values}
    if is_doubtful:
        extra[DOUBTFUL] = True
    battery_pct = _integer(values, "battery_pct")
    return {
        "serial": serial,
        "state": "unknown",
        "battery_pct": battery_pct if battery_pct is not None and battery_pct <= 100 else None,
        "odometer_m": _integer(values, "odometer_m"),
        "firmware": values.get("firmware"),
        "boot": None,
        "counter": None,
        "position": None,
        "extra": extra,
    }
