"""What `hub.toml` says of Qontak, made into parts that are ready to be wired."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final, Literal

from sqlalchemy import Connection

from hub.config import HubConfig
from hub.errors import ConfigError
from hub.integrations.qontak.api import QontakApi
from hub.integrations.qontak.channel import BroadcastPace, QontakChannel
from hub.integrations.qontak.credentials import QontakSettings, secrets_of
from hub.integrations.qontak.crm.client import CrmClient
from hub.integrations.qontak.crm.mirror import CrmMirror
from hub.integrations.qontak.rooms import Rooms
from hub.integrations.qontak.template_ids import TemplateIds
from hub.leads.needs import Customers
from hub.store import Database
from shared.clock import Clock

SAID: Final[Mapping[Literal["customers", "reps"], tuple[str, ...]]] = {
    "customers": ("greeting", "customer_update"),
    "reps": ("offer", "won", "reminder", "checkin"),
}
FOR_ROOMS: Final = b"kickstand qontak rooms\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class QontakAccount:
    """Everything of Qontak's that a hub needs."""

    numbers: Mapping[str, str]
    """channel_integration_id to ``[[numbers]] name``, for `parse` and `Rooms.heard`."""
    webhook_secret: str = field(repr=False)
    """Empty: the door lets nobody in."""
    channels: Mapping[str, QontakChannel]
    rooms: Rooms
    templates: TemplateIds
    purposes: tuple[str, ...]
    """Of `[templates]`: what the numbers at Qontak may have to say in a closed window."""
    api: QontakApi
    pipeline: str | None
    """None: the CRM is not used."""
    sees_customers: bool
    """Whether customers write to a number that Qontak carries, and so sees."""

    def mirror(
        self,
        database: Database,
        clock: Clock,
        customers: Customers,
        dealer_name: Callable[[Connection, str], str | None],
    ) -> CrmMirror | None:
        """The CRM's copy of leads; None when the settings name no user and pipeline for it."""
        if self.pipeline is None or not self.api.settings.crm_sso_id:
            return None
        return CrmMirror(
            database,
            clock,
            CrmClient(self.api, self.pipeline),
            customers,
            dealer_name=dealer_name,
            transcripts=not self.sees_customers,
        )


def connect(config: HubConfig, database: Database, clock: Clock) -> QontakAccount | None:
    """None without a `client_id`. Asks nothing yet.

    Raises ConfigError for a secret's file that is missing or cannot be read.
    """
    qontak = config.qontak
    numbers = {
        one.channel_integration_id: one.name
        for one in config.numbers
        if one.channel == "qontak" and one.channel_integration_id is not None
    }
    if qontak.client_id is None:
        if numbers:
            raise ConfigError("[qontak] client_id is missing: one of [[numbers]] is at Qontak")
        return None
    if qontak.client_secret_file is None:
        raise ConfigError("[qontak] client_secret_file is missing")
    held = _held("client_secret_file", qontak.client_secret_file)
    secret, username, password = secrets_of(held)
    settings = QontakSettings(
        client_id=qontak.client_id,
        client_secret=secret,
        auth=qontak.auth,
        username=username,
        password=password,
        api_url=qontak.api_url,
        crm_sso_id=qontak.crm_sso_id or "",
    )
    if qontak.auth == "oauth" and not password:
        raise ConfigError(
            "[qontak] client_secret_file: oauth needs secret, user and password, one a line"
        )
    api = QontakApi(settings, clock)
    # The secret is not in the database: the table alone tells nobody's number.
    rooms = Rooms(database, clock, hash_key=hashlib.sha256(FOR_ROOMS + secret.encode()).digest())
    purposes = {
        item.name: getattr(config.templates, item.name) for item in fields(config.templates)
    }
    templates, pace = TemplateIds(api, clock, purposes), BroadcastPace(clock)
    speaks = config.number_for("customers")
    return QontakAccount(
        numbers=numbers,
        webhook_secret=_webhook_secret(qontak.webhook_secret_file),
        channels={
            name: QontakChannel(
                name, integration=integration, api=api, rooms=rooms, templates=templates, pace=pace
            )
            for integration, name in numbers.items()
        },
        rooms=rooms,
        templates=templates,
        purposes=_purposes(config),
        api=api,
        pipeline=qontak.crm_pipeline,
        sees_customers=speaks is not None and speaks.channel == "qontak",
    )


def _purposes(config: HubConfig) -> tuple[str, ...]:
    found: list[str] = []
    for role, said in SAID.items():
        number = config.number_for(role)
        if number is not None and number.channel == "qontak":
            found += said
    return tuple(found)


def _webhook_secret(path: Path | None) -> str:
    if path is None:
        return ""
    secret = _held("webhook_secret_file", path)
    if not secret.isascii() or not all(letter.isalnum() or letter in "-._~" for letter in secret):
        raise ConfigError(
            f"[qontak] webhook_secret_file: {path}: one line of letters, digits and -._~"
        )
    return secret


def _held(key: str, path: Path) -> str:
    try:
        held = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"[qontak] {key}: {path}: {type(error).__name__}") from error
    if not held:
        raise ConfigError(f"[qontak] {key}: {path} is empty")
    return held
