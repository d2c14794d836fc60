"""`hub.toml`: read once, frozen, and an unknown key is an error that names the known ones."""

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from hub.errors import ConfigError
from shared.http_signatures import split_url

T = TypeVar("T")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])"
_PUBLIC_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?/?", re.ASCII)
_DATABASE = re.compile(r"(?:sqlite|postgres(?:ql)?(?:\+psycopg)?)://\S*", re.ASCII)
_LISTEN = re.compile(rf"(?:{_HOST})?:\d{{1,5}}", re.ASCII)
PORT_MAX = 65535


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """``[server]``: the only table without which a hub cannot run."""

    public_url: str
    """https://… under which boxes and people reach this hub; its host names hub and ledger."""

    listen: str = "127.0.0.1:8080"
    """Address and port; port 0 takes any free one."""

    keys_dir: Path = Path("/var/lib/kickstand/keys")
    """Made by `init`, mode 0700: root, http, ledger and encryption key."""

    database: str = "sqlite:////var/lib/kickstand/hub.db"
    """SQLAlchemy URL: sqlite:////… or postgresql://…"""

    threads: int = 8
    """Request threads of one process."""

    @property
    def authority(self) -> str:
        """Host and port as they stand in signatures."""
        return split_url(self.public_url)[0]

    @property
    def origin(self) -> str:
        """The ledger's name in its checkpoints: a URL without scheme, as C2SP asks."""
        return f"{self.authority}/ledger"

    @property
    def secure(self) -> bool:
        """Whether people reach this hub over TLS."""
        return self.public_url.startswith("https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class IngestConfig:
    """``[ingest]``: limits of the boxes' door."""

    wait_s_max: int = 5
    """The longest a request may wait for its receipt (``Prefer: wait``)."""

    queue_batches_max: int = 2000
    """Batches waiting for the sequencer; above this boxes get 503 with Retry-After."""

    invitation_s: int = 7 * 24 * 3600
    """How long an invitation's code can be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """All settings of the hub."""

    server: ServerConfig
    ingest: IngestConfig = field(default_factory=IngestConfig)


LATER_TABLES = frozenset(
    {
        "whatsapp",
        "qontak",
        "tiktok",
        "google_ads",
        "meta_leads",
        "feishu",
        "smtp",
        "intake",
        "numbers",
        "templates",
        "leads",
        "alerts",
        "map",
    }
)
"""Tables of the contract whose features are not part of this release: accepted, unread."""


def _table(kind: type[T], values: object, name: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"[{name}] is not a table")
    known = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r} in [{name}]; known keys: {', '.join(sorted(known))}"
            )
    read: dict[str, object] = {}
    for key, value in values.items():
        wanted = known[key].type
        if wanted is Path and isinstance(value, str):
            read[key] = Path(value)
        elif type(value) is wanted:
            read[key] = value
        else:
            raise ConfigError(f"[{name}] {key} = {value!r}: expected {_name(wanted)}")
    try:
        return kind(**read)
    except TypeError as error:
        raise ConfigError(f"[{name}]: {error}") from error


def _name(kind: object) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def parse_config(text: str) -> HubConfig:
    """Read `hub.toml`. Raises ConfigError and nothing else."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    known = {"server", "ingest"} | LATER_TABLES
    for name in document:
        if name not in known:
            raise ConfigError(f"unknown table [{name}]; known tables: {', '.join(sorted(known))}")
    server = _server(document.get("server", {}))
    ingest = _table(IngestConfig, document.get("ingest", {}), "ingest")
    _at_least("server", "threads", server.threads, 1)
    for key in ("wait_s_max", "queue_batches_max", "invitation_s"):
        _at_least("ingest", key, getattr(ingest, key), 0)
    return HubConfig(server=server, ingest=ingest)


def _server(values: object) -> ServerConfig:
    if isinstance(values, dict) and "public_url" not in values:
        raise ConfigError("[server] public_url is missing: the https://… of this hub")
    server = _table(ServerConfig, values, "server")
    for key, value, pattern, expected in (
        ("public_url", server.public_url, _PUBLIC_URL, "https://host"),
        ("database", server.database, _DATABASE, "sqlite:////… or postgresql://…"),
        ("listen", server.listen, _LISTEN, "address:port"),
    ):
        if pattern.fullmatch(value) is None:
            raise ConfigError(f"[server] {key} = {value!r}: expected {expected}")
    if int(server.listen.rpartition(":")[2]) > PORT_MAX:
        raise ConfigError(f"[server] listen = {server.listen!r}: expected a port up to {PORT_MAX}")
    return server


def _at_least(table: str, key: str, value: int, low: int) -> None:
    if value < low:
        raise ConfigError(f"[{table}] {key} = {value}: expected at least {low}")


def load_config(path: Path) -> HubConfig:
    """Read `path`. Raises ConfigError."""
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
