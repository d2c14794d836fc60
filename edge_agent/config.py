"""`agent.toml`: read once at start into frozen dataclasses; an unknown key is an error."""

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from edge_agent.errors import ConfigRefused

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferConfig:
    """How much is kept on the card."""

    bytes_max: int = 536_870_912
    """Size of the buffer file at which unsealed reports are shed."""
    telemetry_commit_ms: int = 1000
    """Reports wait at most this long for company before they are committed together."""
    ring_bytes_max: int = 67_108_864
    """How much that the hub has already receipted is kept, to refill a restored hub."""
    ring_ms: int = 604_800_000
    """How long it is kept, counted in time the box was running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryConfig:
    """How the hub is spoken to."""

    timeout_ms: int = 10_000
    """Longest wait for one answer."""
    prefer_wait_s: int = 2
    """How long the hub may hold an answer back to give a receipt at once."""
    backoff_first_ms: int = 1000
    """Upper end of the first random pause after a failure."""
    backoff_max_ms: int = 300_000
    """Upper end of every later one."""
    cosign_ms: int = 3_600_000
    """Shortest time between two cosignatures of the ledger."""
    rotate_key_days: int = 0
    """The box follows its key with a new one after so many days; 0: only when told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthConfig:
    """What the box says of itself."""

    heartbeat_ms: int = 60_000
    """Time between two agent.heartbeat events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TillConfig:
    """One till on a serial line."""

    name: str
    port: str
    """Bind by /dev/serial/by-id/… or by-path/…: plain numbers change when cables move."""
    baud: int = 115_200
    dialect: Literal["kpos", "escpos"] = "kpos"
    template: str | None = None
    """Receipt template of the escpos dialect, such as epson-id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttConfig:
    """The store's broker, to which the scooters report."""

    host: str = "127.0.0.1"
    port: int = 1883
    username: str | None = None
    password_file: Path | None = None
    protocol: Literal[3, 5] = 5
    client_id: str = "kickstand-agent"
    authenticated_by: Literal["broker", "none"] = "none"
    """`broker` only when the broker's ACL binds each scooter to its own topics."""
    ca_file: Path | None = None
    receive_maximum: int = 500
    """Reports in flight from the broker before it waits for our commit."""
    mapping: Mapping[str, Any] = field(default_factory=dict)
    """Names of payload fields, where they differ from ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScooterPortConfig:
    """A scooter's diagnosis port on a serial line."""

    name: str
    port: str
    protocol: Literal["xiaomi55aa", "ninebot5aa5"]
    poll_ms: int = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """All settings of the box."""

    state_dir: Path = Path("/var/lib/kickstand-agent")
    """Holds key.pem, identity.json and buffer.db."""
    hub_url: str
    buffer: BufferConfig = field(default_factory=BufferConfig)
    delivery: DeliveryConfig = field(default_factory=DeliveryConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
    tills: tuple[TillConfig, ...] = ()
    mqtt: MqttConfig | None = None
    scooter_ports: tuple[ScooterPortConfig, ...] = ()

    @property
    def buffer_path(self) -> Path:
        """The buffer's file."""
        return self.state_dir / "buffer.db"


def load(path: Path) -> AgentConfig:
    """Read a settings file. Raises ConfigRefused naming file, key and what is known."""
    try:
        text = path.read_text(encoding="utf-8")
        return parse(tomllib.loads(text))
    except OSError as error:
        raise ConfigRefused(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigRefused(f"{path} is not TOML: {error}") from error
    except ConfigRefused as refusal:
        raise ConfigRefused(f"{path}: {refusal}") from refusal


def parse(table: Mapping[str, object]) -> AgentConfig:
    """Check a parsed TOML table. Raises ConfigRefused."""
    config = _read(AgentConfig, table, "")
    parts = urlsplit(config.hub_url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/"):
        raise ConfigRefused(f"hub_url: expected https://host[:port], got {config.hub_url!r}")
    for name in ("bytes_max", "telemetry_commit_ms", "ring_bytes_max", "ring_ms"):
        if getattr(config.buffer, name) <= 0:
            raise ConfigRefused(f"buffer.{name} must be above 0")
    if config.buffer.bytes_max < 4 * 1024 * 1024:
        raise ConfigRefused("buffer.bytes_max must be at least 4194304: a batch has to fit twice")
    names = [till.name for till in config.tills] + [port.name for port in config.scooter_ports]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigRefused(f"names must be unique, used twice: {', '.join(twice)}")
    for till in config.tills:
        if (till.dialect == "escpos") != (till.template is not None):
            raise ConfigRefused(
                f"till {till.name}: template belongs to dialect escpos, and only to it"
            )
    return config


def _read(kind: type[T], table: object, where: str) -> T:
    if not isinstance(table, Mapping):
        raise ConfigRefused(f"{where}: expected a table")
    hints = get_type_hints(kind)
    known = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigRefused(
            f"unknown key {_dotted(where, unknown[0])}; known here: {', '.join(sorted(known))}"
        )
    values: dict[str, object] = {}
    for name, spec in known.items():
        if name in table:
            values[name] = _value(hints[name], table[name], _dotted(where, name))
        elif spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING:
            raise ConfigRefused(f"missing key {_dotted(where, name)}")
    return kind(**values)


def _dotted(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _value(hint: Any, value: object, where: str) -> object:
    origin = get_origin(hint)
    if origin in {UnionType, Union}:
        return _value(next(a for a in get_args(hint) if a is not type(None)), value, where)
    if origin is Literal:
        return _choice(get_args(hint), value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise ConfigRefused(f"{where}: expected [[{where}]] tables")
        kind = get_args(hint)[0]
        return tuple(_read(kind, item, f"{where}[{i}]") for i, item in enumerate(value))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _read(hint, value, where)
    return _plain(hint, value, where)


def _choice(choices: tuple[object, ...], value: object, where: str) -> object:
    if value not in choices or isinstance(value, bool):
        names = ", ".join(str(choice) for choice in choices)
        raise ConfigRefused(f"{where}: expected one of {names}, got {value!r}")
    return value


def _plain(hint: Any, value: object, where: str) -> object:
    if hint is Path and isinstance(value, str):
        return Path(value)
    if get_origin(hint) is not None or hint is Any:
        if not isinstance(value, Mapping):
            raise ConfigRefused(f"{where}: expected a table")
        return value
    if type(value) is not hint:
        raise ConfigRefused(f"{where}: expected {hint.__name__}, got {value!r}")
    return value
