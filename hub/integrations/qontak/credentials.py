"""Who we are to Mekari: a signature over each request, or the older address's tokens."""

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Final, Literal, Protocol

import requests
from requests.auth import AuthBase

from hub.integrations.calls import Caller, Unreached
from hub.integrations.whatsapp.reading import Object, decode, mapping, text, whole
from shared.clock import Clock

TOKEN_MARGIN_MS: Final = 60_000
"""So much before its end a token is not used any more."""
TOKEN_CHARS_MAX: Final = 4096


class Unauthorised(Exception):
    """Mekari gives us no token; says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QontakSettings:
    """Where and as whom Mekari is asked. The paths that Mekari's own file lacks are settings."""

    client_id: str
    client_secret: str = field(repr=False)
    auth: Literal["hmac", "oauth"] = "hmac"
    username: str = ""
    """Of the user whose token is asked for; oauth alone."""
    password: str = field(default="", repr=False)
    api_url: str = "https://api.mekari.com"
    token_path: str = "/oauth/token"  # noqa: S105 - an address, no token
    chat_path: str | None = None
    """None: as `auth` has it."""
    crm_path: str = "/qontak/crm"
    crm_sso_id: str = ""
    text_path: str = "/messages/whatsapp/bot"
    interactive_path: str = "/messages/whatsapp/interactive_message/bot"
    broadcast_path: str = "/broadcasts/whatsapp/direct"
    connect_timeout_ms: int = 5_000
    answer_timeout_ms: int = 20_000

    @property
    def chat_base(self) -> str:
        """Where rooms, messages and broadcasts are."""
        usual = "/qontak/chat/v1" if self.auth == "hmac" else "/api/open/v1"
        return self.api_url.rstrip("/") + (self.chat_path or usual)

    @property
    def crm_base(self) -> str:
        """Where contacts, deals and notes are."""
        return self.api_url.rstrip("/") + self.crm_path


def secrets_of(held: str) -> tuple[str, str, str]:
    """What `client_secret_file` holds: the secret, and for oauth the user and the password.

    One a line; what is missing is empty.
    """
    lines = [line.strip() for line in held.splitlines() if line.strip()]
    secret, username, password = (*lines[:3], "", "", "")[:3]
    return secret, username, password


class Credentials(Protocol):
    """A way to be known."""

    def auth(self) -> AuthBase:
        """For the next request. Raises Unreached, Misaddressed and Unauthorised."""
        ...

    def refused(self) -> bool:
        """Mekari says 401; whether it is worth asking once more."""
        ...


# --- the Mekari Open API ------------------------------------------------------------------------


def signature(secret: str, *, date: str, method: str, target: str) -> str:
    """Over the date and the request line."""
    said = f"date: {date}\n{method} {target} HTTP/1.1"
    return base64.b64encode(hmac.digest(secret.encode(), said.encode(), "sha256")).decode()


def digest(body: bytes) -> str:
    """The header that binds a body to its request."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


class _Signed(AuthBase):
    def __init__(self, client_id: str, secret: str, now_ms: Callable[[], int]) -> None:
        self._client_id, self._secret, self._now_ms = client_id, secret, now_ms

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        # Of the system's language nothing: a month is English on any machine.
        date = formatdate(self._now_ms() / 1000, usegmt=True)
        method = request.method or ""
        body = request.body or b""
        signed = signature(self._secret, date=date, method=method, target=request.path_url)
        request.headers["Date"] = date
        request.headers["Authorization"] = (
            f'hmac username="{self._client_id}", algorithm="hmac-sha256", '
            f'headers="date request-line", signature="{signed}"'
        )
        if method not in {"GET", "HEAD"}:
            sent = body.encode() if isinstance(body, str) else body
            request.headers["Digest"] = digest(sent)
        return request


class HmacCredentials:
    """Signs each request. The clock must be right within 300 seconds."""

    def __init__(self, settings: QontakSettings, clock: Clock) -> None:
        """Ask nothing yet."""
        self._auth = _Signed(settings.client_id, settings.client_secret, clock.wall_ms)

    def auth(self) -> AuthBase:
        """The same for every request."""
        return self._auth

    def refused(self) -> bool:
        """The same request would be refused again."""
        return False


# --- the older address --------------------------------------------------------------------------


class _Bearer(AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class OAuthCredentials:
    """Asks for a token with the password, then renews it. For any thread."""

    def __init__(self, settings: QontakSettings, clock: Clock, caller: Caller) -> None:
        """Ask nothing yet."""
        self._settings, self._clock, self._caller = settings, clock, caller
        self._lock = threading.Lock()
        self._token: str | None = None
        self._refresh: str | None = None
        self._until_ms = 0

    def auth(self) -> AuthBase:
        """The token at hand, or a new one."""
        with self._lock:
            if self._token is None or self._clock.mono_ms() >= self._until_ms:
                self._renew()
            assert self._token is not None
            return _Bearer(self._token)

    def refused(self) -> bool:
        """A token may be taken back before its end: a new one is worth asking for."""
        with self._lock:
            self._token = None
        return True

    def _renew(self) -> None:
        settings = self._settings
        application = {"client_id": settings.client_id, "client_secret": settings.client_secret}
        granted: Object = {}
        if self._refresh is not None:
            granted = self._ask(
                {**application, "grant_type": "refresh_token", "refresh_token": self._refresh}
            )
        if not granted:
            user = {"username": settings.username, "password": settings.password}
            granted = self._ask({**application, **user, "grant_type": "password"})
        token = text(granted, "access_token", TOKEN_CHARS_MAX)
        if token is None:
            raise Unauthorised("Mekari gives no token for this user and application")
        lasts_s = whole(granted, "expires_in") or 0
        self._token = token
        self._refresh = text(granted, "refresh_token", TOKEN_CHARS_MAX)
        self._until_ms = self._clock.mono_ms() + max(0, lasts_s * 1000 - TOKEN_MARGIN_MS)

    def _ask(self, body: Object) -> Object:
        settings = self._settings
        url = settings.api_url.rstrip("/") + settings.token_path
        try:
            reply = self._caller.call("POST", url, body=body)
        except Unreached as error:
            # Whatever became of the question for a token: what it was for was not asked.
            raise Unreached(str(error), sent=False) from error
        if reply.status >= 500 or reply.status == 429:
            raise Unreached(f"HTTP {reply.status} for a token", sent=False)
        return mapping(decode(reply.content)) if 200 <= reply.status < 300 else {}
