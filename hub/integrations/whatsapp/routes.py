"""Meta's door: what is signed is stored as it came, then answered; everything else is refused.

Nothing is read here but the signature. Meta repeats for seven days whatever is not answered 200,
so an answer is given only for what is durable.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog
from flask import Blueprint
from flask import request as http

from hub.doors import Answer, Asked, BodyTooLarge, Handle, through_flask
from hub.integrations.deliveries import (
    BODY_BYTES_MAX,
    PLAIN,
    Keeper,
    keep_delivery,
)
from hub.refusals import Refusals

CHALLENGE_CHARS_MAX: Final = 256
SIGNATURE: Final = "X-Hub-Signature-256"
KEPT_HEADERS: Final = ("Content-Type", "User-Agent", SIGNATURE)
_NAMES: Final = re.compile(rb'"(messages|statuses)"\s*:')
_FIELDS: Final = re.compile(rb'"field"\s*:\s*"([^"]*)"')
log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """What Meta and we share. Without a secret nothing is let in."""

    app_secret: str = field(repr=False)
    verify_token: str = field(repr=False)


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


class MetaDoor:
    """``/webhooks/<source>``; `source` is also what the inbox calls it."""

    def __init__(
        self,
        inbox: Keeper,
        settings: WebhookSettings,
        refusals: Refusals,
        *,
        source: str = "whatsapp",
    ) -> None:
        """Where deliveries go, who may bring them, where the others are counted."""
        self._inbox = inbox
        self._settings = settings
        self._refusals = refusals
        self.source = source

    def _refuse(self, status: int, why: str, detail: str) -> Answer:
        self._refusals.count(why)
        log.warning("webhook_refused", source=self.source, why=why)
        return Answer.problem(status, why, detail)

    def challenge(self, query: Mapping[str, str]) -> Answer:
        """Meta asks whether this address is ours."""
        answer = answers_challenge(query, self._settings.verify_token)
        if answer is None:
            return self._refuse(403, "challenge", "not the verify token of this hub")
        return Answer(200, answer.encode(), PLAIN)

    def deliver(self, asked: Asked) -> Answer:
        """A delivery: durable before it is answered."""
        try:
            body = asked.body(BODY_BYTES_MAX)
        except BodyTooLarge:
            return self._refuse(413, "too-large", f"at most {BODY_BYTES_MAX} bytes")
        if not is_signed(body, asked.header(SIGNATURE), self._settings.app_secret):
            return self._refuse(403, "signature", f"{SIGNATURE} does not belong to this body")
        return keep_delivery(
            self._inbox,
            self.source,
            body,
            asked.headers(KEPT_HEADERS),
            patient=tells_statuses_only(body),
        )

    def quick(self) -> dict[tuple[str, str], Handle]:
        """What Meta posts all day, past Flask."""
        return {("POST", f"/webhooks/{self.source}"): self.deliver}


def webhooks(door: MetaDoor) -> Blueprint:
    """``GET`` and ``POST`` of the door's address, Flask's way."""
    blueprint = Blueprint(f"webhooks-{door.source}", __name__)
    path = f"/webhooks/{door.source}"

    challenge = through_flask(lambda _asked: door.challenge(http.args))
    blueprint.add_url_rule(path, "challenge", challenge, methods=["GET"])
    blueprint.add_url_rule(path, "deliver", through_flask(door.deliver), methods=["POST"])
    return blueprint
