"""A scooter's firmware as a state machine: no network, no clock, no thread.

Every message gets the next counter of this boot and stays in the outbox until the broker has
acknowledged it; a reboot starts a new boot id at counter 1 and keeps the outbox, as flash does.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from firmware_sim.errors import TransitionRefused
from firmware_sim.ground_truth import GroundTruth

RIDE_SPEED_M_S = 6
RIDE_MILLIPCT_PER_S = 30
CHARGE_MILLIPCT_PER_S = 200
FULL_MILLIPCT = 100_000
STORE_LAT, STORE_LON = -6.2000, 106.8166


class ScooterState(Enum):
    """What the scooter is doing."""

    ASLEEP = "asleep"
    AWAKE = "awake"
    RIDING = "riding"
    CHARGING = "charging"
    FLAT = "flat"


class ScooterEvent(Enum):
    """What happens to it."""

    COMMAND = "command"
    SWITCH_ON = "switch_on"
    RIDE = "ride"
    STOP = "stop"
    PLUG_IN = "plug_in"
    UNPLUG = "unplug"
    GO_TO_SLEEP = "go_to_sleep"
    BATTERY_EMPTY = "battery_empty"


_S, _E = ScooterState, ScooterEvent
TRANSITIONS: Mapping[tuple[ScooterState, ScooterEvent], ScooterState] = {
    # In stock the radio listens while all else sleeps: a command is the only thing it hears.
    (_S.ASLEEP, _E.COMMAND): _S.AWAKE,
    (_S.ASLEEP, _E.SWITCH_ON): _S.AWAKE,
    (_S.ASLEEP, _E.PLUG_IN): _S.CHARGING,
    # A sleeping battery still runs down, over months on the shelf.
    (_S.ASLEEP, _E.BATTERY_EMPTY): _S.FLAT,
    (_S.AWAKE, _E.COMMAND): _S.AWAKE,
    (_S.AWAKE, _E.RIDE): _S.RIDING,
    (_S.AWAKE, _E.PLUG_IN): _S.CHARGING,
    (_S.AWAKE, _E.GO_TO_SLEEP): _S.ASLEEP,
    (_S.AWAKE, _E.BATTERY_EMPTY): _S.FLAT,
    # Answering a command does not stop the motor.
    (_S.RIDING, _E.COMMAND): _S.RIDING,
    (_S.RIDING, _E.STOP): _S.AWAKE,
    (_S.RIDING, _E.BATTERY_EMPTY): _S.FLAT,
    (_S.CHARGING, _E.COMMAND): _S.CHARGING,
    (_S.CHARGING, _E.UNPLUG): _S.AWAKE,
    # Only the charger brings a flat scooter back; it hears no command until then.
    (_S.FLAT, _E.PLUG_IN): _S.CHARGING,
}


def next_state(state: ScooterState, event: ScooterEvent) -> ScooterState:
    """Where `event` leads. Raises TransitionRefused when it cannot happen in `state`."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise TransitionRefused(f"a scooter that is {state.value} cannot {event.value}") from None


@dataclass(frozen=True, slots=True)
class Message:
    """One publication, QoS 1."""

    topic: str
    payload: bytes


@dataclass(slots=True, kw_only=True)
class Scooter:
    """One unit with its body, its boot and the messages that nobody has acknowledged yet."""

    serial: str
    truth: GroundTruth
    seed: int = 0
    model: str = "E8"
    firmware: str = "2.4.1"
    state: ScooterState = ScooterState.ASLEEP
    sold: bool = False
    millipct: int = 87_000
    odometer_mm: int = 3_000
    up_ms: int = 0
    counter: int = 0
    boot: str = ""
    outbox: list[Message] = field(default_factory=list)
    _random: random.Random = field(init=False)
    _boots: int = 0

    def __post_init__(self) -> None:
        """First boot: at the factory."""
        self._random = random.Random(f"{self.serial}/{self.seed}")
        self.reboot()

    @property
    def battery_pct(self) -> int:
        """State of charge, whole percent."""
        return self.millipct // 1000

    @property
    def odometer_m(self) -> int:
        """Metres since the factory."""
        return self.odometer_mm // 1000

    def reboot(self) -> None:
        """A new boot id, counter and uptime at zero; the outbox stays."""
        self._boots += 1
        self.boot = f"b{self._boots}{self._random.randrange(16**6):06x}"
        self.counter, self.up_ms = 0, 0

    def happen(self, event: ScooterEvent) -> None:
        """Change the state. Raises TransitionRefused and changes nothing otherwise."""
        self.state = next_state(self.state, event)

    def advance(self, elapsed_ms: int) -> None:
        """Time passes: riding moves and drains, charging fills; an empty battery goes flat."""
        self.up_ms += elapsed_ms
        if self.state is ScooterState.RIDING:
            self.odometer_mm += RIDE_SPEED_M_S * elapsed_ms
            self.millipct = max(0, self.millipct - RIDE_MILLIPCT_PER_S * elapsed_ms // 1000)
            if self.millipct == 0:
                self.happen(ScooterEvent.BATTERY_EMPTY)
        elif self.state is ScooterState.CHARGING:
            gained = CHARGE_MILLIPCT_PER_S * elapsed_ms // 1000
            self.millipct = min(FULL_MILLIPCT, self.millipct + gained)

    def command(self, payload: bytes) -> Message | None:
        """Hear a command; its answer is in the outbox, or None: flat, or not understood.

        Being asked to report is how a scooter in stock learns that it has been sold. The same
        command again gets the same answer under a new counter.
        """
        try:
            wanted = json.loads(payload)
            asked = str(wanted["id"]) if wanted["v"] == 1 and wanted["do"] == "report" else None
        except (ValueError, KeyError, TypeError):
            return None
        if asked is None or self.state is ScooterState.FLAT:
            return None
        self.happen(ScooterEvent.COMMAND)
        self.sold = True
        return self._say("ack", {"id": asked, **self._body()})

    def report(self) -> Message | None:
        """Tell how it is; None while asleep or flat."""
        if self.state in {ScooterState.ASLEEP, ScooterState.FLAT}:
            return None
        wander = self.odometer_m / 100_000
        message = self._say(
            "telemetry",
            {
                "state": "sold" if self.sold else "stock",
                **self._body(),
                "lat": round(STORE_LAT + wander, 5),
                "lon": round(STORE_LON + wander / 2, 5),
                "up_ms": self.up_ms,
            },
        )
        self.truth.report(self.serial, self.boot, self.counter)
        return message

    def fault(self, code: str, detail: str) -> Message | None:
        """Tell a fault, with a detail that is unique on this scooter; None when flat."""
        if self.state is ScooterState.FLAT:
            return None
        detail = f"{detail} ({self.boot}.{self.counter + 1})"
        message = self._say("state", {"fault": {"code": code, "detail": detail}})
        self.truth.fault(self.serial, code, detail)
        return message

    def _body(self) -> dict[str, object]:
        return {"bat": self.battery_pct, "odo_m": self.odometer_m, "fw": self.firmware}

    def _say(self, channel: str, content: Mapping[str, object]) -> Message:
        self.counter += 1
        payload = {"v": 1, "boot": self.boot, "c": self.counter, **content}
        message = Message(
            topic=f"scooter/{self.serial}/{channel}",
            payload=json.dumps(payload, separators=(",", ":")).encode(),
        )
        self.outbox.append(message)
        return message
