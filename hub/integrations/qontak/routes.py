"""Qontak's door: whoever knows the word at the end of its address is believed, nobody else.

Qontak signs nothing. Nothing is read here: a delivery is durable before it is answered.
"""

import hmac
from typing import Final

import structlog
from flask import Blueprint

from hub.doors import Answer, Asked, BodyTooLarge, Handle, through_flask
from hub.integrations.deliveries import BODY_BYTES_MAX, Keeper, keep_delivery
from hub.refusals import Refusals

KEPT_HEADERS: Final = ("Content-Type", "User-Agent")
log = structlog.get_logger()


def is_known(given: str, secret: str) -> bool:
    """Whether the word is ours. Constant time; without a secret nobody knows it."""
    known = hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode())
    return known and bool(secret)


class QontakDoor:
    """``/webhooks/<source>/<secret>``; `source` is also what the inbox calls it."""

    def __init__(
        self, inbox: Keeper, secret: str, refusals: Refusals, *, source: str = "qontak"
    ) -> None:
        """Where deliveries go, the word their sender knows, where the others are counted."""
        self._inbox = inbox
        self._secret = secret
        self._refusals = refusals
        self.source = source

    def deliver(self, asked: Asked) -> Answer:
        """A delivery: durable before it is answered."""
        if not is_known(asked.path.rpartition("/")[2], self._secret):
            self._refusals.count("secret")
            log.warning("webhook_refused", source=self.source, why="secret")
            return Answer.problem(404, "not-found", "there is nothing here")
        try:
            body = asked.body(BODY_BYTES_MAX)
        except BodyTooLarge:
            self._refusals.count("too-large")
            log.warning("webhook_refused", source=self.source, why="too-large")
            return Answer.problem(413, "too-large", f"at most {BODY_BYTES_MAX} bytes")
        return keep_delivery(self._inbox, self.source, body, asked.headers(KEPT_HEADERS))

    def quick(self) -> dict[tuple[str, str], Handle]:
        """What Qontak posts all day, past Flask."""
        return {("POST", f"/webhooks/{self.source}/"): self.deliver}


def webhooks(door: QontakDoor) -> Blueprint:
    """``POST`` to the door's address, Flask's way."""
    blueprint = Blueprint(f"webhooks-{door.source}", __name__)
    path = f"/webhooks/{door.source}/<_given>"
    blueprint.add_url_rule(path, "deliver", through_flask(door.deliver), methods=["POST"])
    return blueprint
