"""Meta's door: what is signed is stored as it came, then answered; everything else is refused.

Nothing is read here but the signature. Meta repeats for seven days whatever is not answered 200,
so an answer is given only for what is durable.
"""

import hashlib
import hmac
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import structlog
from flask import Blueprint, Response
from flask import request as http
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import RequestEntityTooLarge

from hub.errors import HubError
from shared.wire.problems import CONTENT_TYPE, Problem

BODY_BYTES_MAX: Final = 3 * 1024 * 1024 + 64 * 1024
CHALLENGE_CHARS_MAX: Final = 256
SIGNATURE: Final = "X-Hub-Signature-256"
KEPT_HEADERS: Final = ("Content-Type", "User-Agent", SIGNATURE)
_NAMES: Final = re.compile(rb'"(messages|statuses)"\s*:')
_FIELDS: Final = re.compile(rb'"field"\s*:\s*"([^"]*)"')
log = structlog.get_logger()


class Keeper(Protocol):
    """The inbox, as far as this door knows it."""

    def keep(
        self, source: str, body: bytes, headers: Mapping[str, str], *, patient: bool = False
    ) -> str:
        """Store a delivery; its id once it is durable. `patient`: others go first."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What Meta and we share. Without a secret nothing is let in."""

    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)


class Refusals:
    """How many requests were turned away, by why. For any thread."""

    def __init__(self) -> None:
        """None yet."""
        self._lock = threading.Lock()
        self._counts = {"signature": 0, "too-large": 0, "challenge": 0, "secret": 0}

    def count(self, why: str) -> None:
        """One more."""
        with self._lock:
            self._counts[why] += 1

    def counts(self) -> dict[str, int]:
        """By why, since this process began."""
        with self._lock:
            return dict(self._counts)


def is_signed(body: bytes, signature: str, app_secret: str) -> bool:
    """Whether the header holds the HMAC of this body. Constant time; no secret, no signature."""
    if not app_secret:
        return False
    expected = "sha256=" + hmac.new(app_secret.encode(), body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))


def tells_statuses_only(body: bytes) -> bool:
    """Whether a delivery only says what became of messages of ours, as three of four do. What is
    unusual about it makes it one that cannot wait."""
    return set(_NAMES.findall(body)) == {b"statuses"} and set(_FIELDS.findall(body)) == {
        b"messages"
    }


def answers_challenge(query: Mapping[str, str], verify_token: str) -> str | None:
    """The challenge to give back, None for a stranger's."""
    challenge = query.get("hub.challenge", "")
    token = query.get("hub.verify_token", "").encode("utf-8", "replace")
    known = hmac.compare_digest(token, verify_token.encode()) and bool(verify_token)
    if not known or query.get("hub.mode") != "subscribe":
        return None
    return challenge if 0 < len(challenge) <= CHALLENGE_CHARS_MAX else None


def webhooks(
    inbox: Keeper, settings: WebhookSettings, refusals: Refusals, *, source: str = "whatsapp"
) -> Blueprint:
    """``GET`` and ``POST /webhooks/<source>``; `source` is also what the inbox calls it."""
    blueprint = Blueprint(f"webhooks-{source}", __name__, url_prefix=f"/webhooks/{source}")

    def refuse(status: int, why: str, detail: str) -> Response:
        refusals.count(why)
        log.warning("webhook_refused", source=source, why=why)
        return problem(status, why, detail)

    @blueprint.get("")
    def challenge() -> Response:
        """Meta asks whether this address is ours."""
        answer = answers_challenge(http.args, settings.verify_token)
        if answer is None:
            return refuse(403, "challenge", "not the verify token of this hub")
        return Response(answer, mimetype="text/plain")

    @blueprint.post("")
    def deliver() -> Response:
        """A delivery: durable before it is answered."""
        body = body_within_limit()
        if body is None:
            return refuse(413, "too-large", f"at most {BODY_BYTES_MAX} bytes")
        if not is_signed(body, http.headers.get(SIGNATURE, ""), settings.app_secret):
            return refuse(403, "signature", f"{SIGNATURE} does not belong to this body")
        headers = {name: http.headers[name] for name in KEPT_HEADERS if name in http.headers}
        try:
            inbox.keep(source, body, headers, patient=tells_statuses_only(body))
        except (SQLAlchemyError, HubError) as error:
            log.error("webhook_not_stored", source=source, error=type(error).__name__)  # noqa: TRY400 - a traceback would hold the body
            return problem(503, "not-stored", "come again")
        return Response(status=200, mimetype="text/plain")

    return blueprint


def body_within_limit() -> bytes | None:
    """The raw bytes of the request at hand; None when there are too many."""
    # The app's own limit is that of boxes, and smaller.
    http.max_content_length = BODY_BYTES_MAX
    try:
        return http.get_data(cache=False)
    except RequestEntityTooLarge:
        return None


def problem(status: int, code: str, detail: str) -> Response:
    """A refusal as RFC 9457 wants it."""
    told = Problem(status=status, code=code, detail=detail)
    return Response(told.encode(), status=status, content_type=CONTENT_TYPE)
