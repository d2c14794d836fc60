"""`hub.toml`: read once, frozen, and an unknown key is an error that names the known ones."""

import re
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from hub.errors import ConfigError
from shared.http_signatures import split_url

T = TypeVar("T")
_HOST = r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])"
_PUBLIC_URL = re.compile(rf"https?://{_HOST}(?::\d{{1,5}})?/?", re.ASCII)
_DATABASE = re.compile(r"(?:sqlite|postgres(?:ql)?(?:\+psycopg)?)://\S*", re.ASCII)
_LISTEN = re.compile(rf"(?:{_HOST})?:\d{{1,5}}", re.ASCII)
_CLOCK = re.compile(r"(?:[01]\d|2[0-3]):[0-5]\d", re.ASCII)
_PHONE = re.compile(r"[1-9]\d{6,14}", re.ASCII)
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

    threads: int = 32
    """Request threads of one process; a delivery holds one until it is on disk."""

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

    key_overlap_s: int = 7 * 24 * 3600
    """How long a box's old key is still taken after a new one has followed it."""

    device_requests_per_s: int = 100
    """Requests of one box; a minute's worth at once. Above it the box gets 429 with Retry-After."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatsAppConfig:
    """``[whatsapp]``: Meta's Cloud API. Without it nothing is received from Meta or sent to it."""

    api_url: str = "https://graph.facebook.com"
    """Where the Graph API is."""

    api_version: str = "v25.0"
    """Its version, as it stands in the path."""

    waba_id: str | None = None
    """The WhatsApp Business account, for its templates."""

    messaging_limit: Literal["auto"] | int = "auto"
    """People who may be written to first within 24 hours, by all numbers together; auto asks the
    Graph API now and then, and is 250 until it has answered."""

    app_secret_file: Path | None = None
    """Holds the secret that webhooks are signed with."""

    verify_token_file: Path | None = None
    """Holds the word with which a webhook's subscription is confirmed."""

    access_token_file: Path | None = None
    """Holds the system user's token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QontakConfig:
    """``[qontak]``: Mekari Qontak, as a channel and as the CRM."""

    api_url: str = "https://api.mekari.com"
    """Where Mekari's API is."""

    auth: Literal["hmac", "oauth"] = "hmac"
    """hmac for the Mekari Open API, oauth for the older service-chat address."""

    client_id: str | None = None
    """Of the application that Mekari knows us by."""

    client_secret_file: Path | None = None
    """Holds that application's secret."""

    webhook_secret_file: Path | None = None
    """Holds the word at the end of our webhooks' address: Qontak does not sign."""

    crm_sso_id: str | None = None
    """The user in whose name CRM entries are written."""

    crm_pipeline: str | None = None
    """The pipeline that deals belong to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberConfig:
    """``[[numbers]]``: a WhatsApp number of ours. Of those that serve a role the first is used."""

    name: str
    """What we call it, e.g. brand."""

    channel: Literal["meta", "qontak"]
    """Who carries its messages."""

    serves: Literal["customers", "reps", "both"]
    """Who is written to from it."""

    phone: str
    """E.164 without ``+``."""

    phone_number_id: str | None = None
    """Meta's id of it."""

    channel_integration_id: str | None = None
    """Qontak's id of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatesConfig:
    """``[templates]``: for each purpose the templates in order; the first approved one is used."""

    offer: tuple[str, ...] = ("lead_offer_v1", "lead_offer_v2")
    """A lead is offered to a rep."""

    won: tuple[str, ...] = ("lead_won_v1",)
    """The card of a lead that a rep has won."""

    reminder: tuple[str, ...] = ("lead_reminder_v1",)
    """A rep has not called yet."""

    greeting: tuple[str, ...] = ("lead_greeting_v1",)
    """The first message to a customer who did not write to us."""

    checkin: tuple[str, ...] = ("rep_checkin_v1",)
    """The morning message whose *Siap* opens a rep's window."""

    customer_update: tuple[str, ...] = ("customer_update_v1",)
    """Who will call, or that nobody is open yet."""

    p0: tuple[str, ...] = ("alert_p0_v1",)
    """A critical alert to a regional manager."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeadsConfig:
    """``[leads]``: who is offered a lead, how long, and how long its data is kept."""

    dealers_per_ring: int = 3
    """Dealers that are offered a lead at the same moment."""

    max_rings: int = 3
    """Rings of a round: nearest, next nearest, …"""

    reps_per_dealer: int = 3
    """Reps of one dealer that are offered one lead."""

    max_distance_km: int = 75
    """Dealers further away are not asked."""

    claim_s: int = 300
    """Open hours that a ring has to claim."""

    contact_s: int = 1800
    """Open hours that the winner has to make contact."""

    confirm_contact_s: int = 1800
    """After the claim the customer is asked whether somebody has called."""

    max_rounds: int = 3
    """Times a lead is offered anew after it was taken back."""

    nudge_s: int = 600
    """A customer who falls silent is asked once more after this time."""

    screening_s: int = 1800
    """Then the lead goes out with what is known."""

    same_person_days: int = 90
    """Within these days an open lead of the same person stays the same lead."""

    won_wait_s: int = 604800
    """How long a reported sale may stay without its sale on the ledger."""

    retention_days: int = 730
    """After these days a closed lead loses its personal data."""

    raw_body_days: int = 30
    """How long webhooks' bodies are kept as they came."""

    checkin_at: str = "08:30"
    """When reps get the morning message, in their dealer's time."""

    holidays: Literal["none", "public", "all"] = "none"
    """National days on which every dealer is shut: none, the public holidays, or all with the
    government's collective leave (cuti bersama). A dealer's own are its `closed_days`."""

    holidays_file: Path | None = None
    """In place of the shipped list of national days: CSV with `day`, `kind` and `name`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertsConfig:
    """``[alerts]``: how critical alerts are pushed, and when the daily recap goes out."""

    p0_ack_s: int = 900
    """An alert nobody has acknowledged by then goes to the next person."""

    p0_budget: int = 2
    """Messages to one person within `p0_budget_s`; what is above is put together, not dropped."""

    p0_budget_s: int = 43200
    """The time of that budget."""

    digest_at: str = "07:00"
    """When the daily recap is sent, in the region's time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConfig:
    """``[smtp]``: e-mail to dealers whom WhatsApp does not reach. Without `host` none is sent."""

    host: str | None = None
    """The mail server. Encrypted (STARTTLS, or from the start on port 465) before any password."""

    port: int = 587
    """Its port."""

    username: str | None = None
    """Whom we sign in as; without it we do not."""

    password_file: Path | None = None
    """Holds the password."""

    from_: str | None = None
    """The sender's address. In the file the key is `from`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeConfig:
    """``[intake]``: leads from partners and scripts (`POST /api/v1/lead`)."""

    keys_file: Path | None = None
    """One ``<key id> <secret>`` a line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubConfig:
    """All settings of the hub."""

    server: ServerConfig
    ingest: IngestConfig = field(default_factory=IngestConfig)
    whatsapp: WhatsAppConfig = field(default_factory=WhatsAppConfig)
    qontak: QontakConfig = field(default_factory=QontakConfig)
    numbers: tuple[NumberConfig, ...] = ()
    templates: TemplatesConfig = field(default_factory=TemplatesConfig)
    leads: LeadsConfig = field(default_factory=LeadsConfig)
    alerts: AlertsConfig = field(default_factory=AlertsConfig)
    smtp: SmtpConfig = field(default_factory=SmtpConfig)
    intake: IntakeConfig = field(default_factory=IntakeConfig)

    def number_for(self, role: Literal["customers", "reps"]) -> NumberConfig | None:
        """The number that speaks to customers, or to reps."""
        return next((n for n in self.numbers if n.serves in {role, "both"}), None)


LATER_TABLES = frozenset({"tiktok", "google_ads", "meta_leads", "feishu", "map"})
"""Tables of the contract whose features are not part of this release: accepted, unread."""


def _table(kind: type[T], values: object, name: str) -> T:
    if not isinstance(values, dict):
        raise ConfigError(f"[{name}] is not a table")
    # Python keeps some words for itself: from_ is `from` in the file.
    known = {item.name.rstrip("_"): item for item in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(
                f"unknown key {key!r} in [{name}]; known keys: {', '.join(sorted(known))}"
            )
    read: dict[str, object] = {}
    for key, value in values.items():
        found = _value(known[key].type, value)
        if found is _WRONG:
            raise ConfigError(f"[{name}] {key} = {value!r}: expected {_name(known[key].type)}")
        read[known[key].name] = found
    try:
        return kind(**read)
    except TypeError as error:
        raise ConfigError(f"[{name}]: {error}") from error


_WRONG = object()


def _value(wanted: Any, value: object) -> object:
    """`value` as `wanted`, or _WRONG."""
    if get_origin(wanted) in {UnionType, Union}:
        found = (_value(kind, value) for kind in get_args(wanted))
        return next((value for value in found if value is not _WRONG), _WRONG)
    if get_origin(wanted) is Literal:
        return value if value in get_args(wanted) else _WRONG
    if get_origin(wanted) is tuple:
        fits = isinstance(value, list) and all(type(item) is str for item in value)
        return tuple(value) if fits else _WRONG  # type: ignore[arg-type]
    if wanted is Path and isinstance(value, str):
        return Path(value)
    return value if type(value) is wanted else _WRONG


def _name(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " or ".join(str(choice) for choice in get_args(kind))
    if get_origin(kind) in {UnionType, Union}:
        return " or ".join(_name(part) for part in get_args(kind) if part is not type(None))
    if get_origin(kind) is tuple:
        return "a list of texts"
    return str(kind.__name__)


def parse_config(text: str) -> HubConfig:
    """Read `hub.toml`. Raises ConfigError and nothing else."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"not TOML: {error}") from error
    known = {item.name for item in fields(HubConfig)} | LATER_TABLES
    for name in document:
        if name not in known:
            raise ConfigError(f"unknown table [{name}]; known tables: {', '.join(sorted(known))}")
    server = _server(document.get("server", {}))
    ingest = _table(IngestConfig, document.get("ingest", {}), "ingest")
    _at_least("server", "threads", server.threads, 1)
    for key in ("wait_s_max", "queue_batches_max", "invitation_s", "key_overlap_s"):
        _at_least("ingest", key, getattr(ingest, key), 0)
    _at_least("ingest", "device_requests_per_s", ingest.device_requests_per_s, 1)
    whatsapp = _table(WhatsAppConfig, document.get("whatsapp", {}), "whatsapp")
    if whatsapp.messaging_limit != "auto":
        _at_least("whatsapp", "messaging_limit", whatsapp.messaging_limit, 0)
    leads, alerts = _leads(document.get("leads", {})), _alerts(document.get("alerts", {}))
    return HubConfig(
        server=server,
        ingest=ingest,
        whatsapp=whatsapp,
        qontak=_table(QontakConfig, document.get("qontak", {}), "qontak"),
        numbers=_numbers(document.get("numbers", [])),
        templates=_table(TemplatesConfig, document.get("templates", {}), "templates"),
        leads=leads,
        alerts=alerts,
        smtp=_smtp(document.get("smtp", {})),
        intake=_table(IntakeConfig, document.get("intake", {}), "intake"),
    )


def _leads(values: object) -> LeadsConfig:
    leads = _table(LeadsConfig, values, "leads")
    for item in fields(LeadsConfig):
        if item.type is int:
            _at_least("leads", item.name, getattr(leads, item.name), 1)
    _clock("leads", "checkin_at", leads.checkin_at)
    return leads


def _alerts(values: object) -> AlertsConfig:
    alerts = _table(AlertsConfig, values, "alerts")
    _clock("alerts", "digest_at", alerts.digest_at)
    return alerts


def _smtp(values: object) -> SmtpConfig:
    smtp = _table(SmtpConfig, values, "smtp")
    if smtp.host is not None and smtp.from_ is None:
        raise ConfigError("[smtp] from is missing: the address that dealers' e-mail comes from")
    if not 0 < smtp.port <= PORT_MAX:
        raise ConfigError(f"[smtp] port = {smtp.port}: expected a port up to {PORT_MAX}")
    return smtp


def _numbers(tables: object) -> tuple[NumberConfig, ...]:
    if not isinstance(tables, list):
        raise ConfigError("[[numbers]] is not a list of tables")
    numbers = tuple(_table(NumberConfig, table, "numbers") for table in tables)
    for number in numbers:
        needed = "phone_number_id" if number.channel == "meta" else "channel_integration_id"
        if getattr(number, needed) is None:
            raise ConfigError(f"[[numbers]] {number.name!r}: {number.channel} needs {needed}")
        if _PHONE.fullmatch(number.phone) is None:
            raise ConfigError(
                f"[[numbers]] phone = {number.phone!r}: expected digits with the country first, "
                "such as 628110000000"
            )
    names = [number.name for number in numbers]
    if len(set(names)) < len(names):
        raise ConfigError("[[numbers]]: every number needs a name of its own")
    return numbers


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


def _clock(table: str, key: str, value: str) -> None:
    if _CLOCK.fullmatch(value) is None:
        raise ConfigError(f"[{table}] {key} = {value!r}: expected a time such as 08:30")


def load_config(path: Path) -> HubConfig:
    """Read `path`. Raises ConfigError, with the name of the file."""
    try:
        return parse_config(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: {error.strerror}; --config or KICKSTAND_HUB_CONFIG names the settings"
        ) from error
    except (UnicodeError, ConfigError) as error:
        raise ConfigError(f"{path}: {error}") from error
