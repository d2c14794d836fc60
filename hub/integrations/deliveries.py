"""What the doors of all vendors do alike: keep what came, count what was turned away."""

from collections.abc import Mapping
from typing import Final, Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from hub.doors import Answer
from hub.errors import HubError

BODY_BYTES_MAX: Final = 3 * 1024 * 1024 + 64 * 1024
PLAIN: Final = {"content-type": "text/plain; charset=utf-8"}
log = structlog.get_logger()


class Keeper(Protocol):
    """The inbox, as far as this door knows it."""

    def keep(
        self, source: str, body: bytes, headers: Mapping[str, str], *, patient: bool = False
    ) -> str:
        """Store a delivery; its id once it is durable. `patient`: others go first."""
        ...


def keep_delivery(
    inbox: Keeper, source: str, body: bytes, headers: Mapping[str, str], *, patient: bool = False
) -> Answer:
    """Keep a delivery whose sender is known, and say so once it is durable."""
    try:
        inbox.keep(source, body, headers, patient=patient)
    except (SQLAlchemyError, HubError) as error:
        log.error("webhook_not_stored", source=source, error=type(error).__name__)  # noqa: TRY400 - a traceback would hold the body
        return Answer.problem(503, "not-stored", "come again")
    return Answer(200, headers=PLAIN)
