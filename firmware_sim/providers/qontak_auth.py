"""Who may ask Qontak: Mekari's HMAC, or the older address's tokens."""

import base64
import hashlib
import hmac
import re
import secrets
from email.utils import parsedate_to_datetime
from typing import Any

from firmware_sim.providers.http_server import Answer, Request
from shared.clock import Clock

SKEW_S = 300
TOKEN_S = 3_600
CREDENTIAL = re.compile(
    r'hmac username="([^"]*)", algorithm="hmac-sha256", headers="date request-line", '
    r'signature="([^"]*)"'
)
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})


def signature(secret: str, *, date: str, method: str, target: str) -> str:
    """Over the date and the request line, as Mekari's pages define it."""
    text = f"date: {date}\n{method} {target} HTTP/1.1"
    return base64.b64encode(hmac.digest(secret.encode(), text.encode(), "sha256")).decode()


def digest(body: bytes) -> str:
    """Of a body."""
    return "SHA-256=" + base64.b64encode(hashlib.sha256(body).digest()).decode()


class Gatekeeper:
    """Checks each request; hands out tokens."""

    def __init__(self, clock: Clock, *, client_id: str, client_secret: str) -> None:
        """One application."""
        self._clock, self._client_id, self._secret = clock, client_id, client_secret
        self._tokens: dict[str, int] = {}
        self._refresh: set[str] = set()

    def refusal(self, request: Request) -> str | None:
        """Why this request is not let in, if it is not."""
        given = request.headers.get("authorization", "")
        if given.startswith("Bearer "):
            until_ms = self._tokens.get(given.removeprefix("Bearer "), 0)
            return None if self._clock.wall_ms() < until_ms else "the token is invalid or expired"
        return self._hmac_refusal(request, given)

    def _hmac_refusal(self, request: Request, given: str) -> str | None:
        credential = CREDENTIAL.fullmatch(given)
        if credential is None:
            return "no credential"
        date = request.headers.get("date", "")
        try:
            asked_s = parsedate_to_datetime(date).timestamp()
        except (TypeError, ValueError):
            return "no readable date"
        if abs(asked_s - self._clock.wall_ms() / 1000) > SKEW_S:
            return "the date is more than 300 s off"
        expected = signature(self._secret, date=date, method=request.method, target=request.target)
        is_right = credential[1] == self._client_id and hmac.compare_digest(credential[2], expected)
        if not is_right:
            return "the signature does not match"
        told = request.headers.get("digest")
        if request.method in CHANGING and told != digest(request.body):
            return "the digest is missing or does not match"
        return None

    def token(self, body: dict[str, Any]) -> Answer:
        """POST /oauth/token: password, then refresh_token."""
        known = (
            body.get("client_id") == self._client_id and body.get("client_secret") == self._secret
        )
        granted = body.get("grant_type") == "password" or (
            body.get("grant_type") == "refresh_token" and body.get("refresh_token") in self._refresh
        )
        if not (known and granted):
            return Answer(401, {"error": "invalid_grant", "error_description": "not granted"})
        token, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self._tokens[token] = self._clock.wall_ms() + TOKEN_S * 1000
        self._refresh.add(refresh)
        return Answer(
            200,
            {
                "access_token": token,
                "token_type": "Bearer",
                "expires_in": TOKEN_S,
                "refresh_token": refresh,
                "created_at": self._clock.wall_ms() // 1000,
            },
        )
