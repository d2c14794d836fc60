"""What the account needs of `hub.toml`, with the secrets read from their files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from hub.config import HubConfig
from hub.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaNumber:
    """One of ``[[numbers]]`` whose channel is meta."""

    name: str
    phone: str
    """E.164 without ``+``."""
    phone_number_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetaSettings:
    """``[whatsapp]``, its numbers and ``[templates]``. What is not set is empty."""

    public_url: str
    waba_id: str
    access_token: str = field(repr=False)
    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)
    numbers: Sequence[MetaNumber]
    templates: Mapping[str, Sequence[str]]
    lifetimes_s: Mapping[str, int]
    """Of messages by purpose: a phone that was off does not get what is over."""
    api_url: str = "https://graph.facebook.com"
    api_version: str = "v25.0"


def settings_from(config: HubConfig) -> MetaSettings:
    """Raises ConfigError for a file that is named and cannot be read."""
    whatsapp = config.whatsapp
    return MetaSettings(
        public_url=config.server.public_url,
        waba_id=whatsapp.waba_id or "",
        access_token=_secret("access_token_file", whatsapp.access_token_file),
        app_secret=_secret("app_secret_file", whatsapp.app_secret_file),
        verify_token=_secret("verify_token_file", whatsapp.verify_token_file),
        numbers=tuple(
            MetaNumber(name=one.name, phone=one.phone, phone_number_id=one.phone_number_id or "")
            for one in config.numbers
            if one.channel == "meta"
        ),
        templates={
            item.name: getattr(config.templates, item.name) for item in fields(config.templates)
        },
        lifetimes_s={"offer": config.leads.claim_s, "p0": config.alerts.p0_ack_s},
        api_url=whatsapp.api_url,
        api_version=whatsapp.api_version,
    )


def _secret(key: str, path: Path | None) -> str:
    if path is None:
        return ""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"[whatsapp] {key}: {path}: {error}") from error
    if not secret.isascii() or not secret.isprintable() or not secret:
        raise ConfigError(f"[whatsapp] {key}: {path} holds no single line of plain characters")
    return secret
