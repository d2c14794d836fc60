"""What a refusal of Meta's means for the message, and for everybody behind it. Pure."""

from typing import Final

from hub.outbox.codes import meaning_of
from hub.outbox.messages import Action

UNUSABLE_TEMPLATE: Final = frozenset({132001, 132007, 132015, 132016})
"""The template itself cannot be used at present, by nobody."""
NOT_THIS_TEMPLATE: Final = UNUSABLE_TEMPLATE | {132000, 132005, 132008, 132012}
"""The template was refused before anything was sent: the next of the list may fit."""


def action_of(code: int, *, status: int = 400, transient: bool = False) -> Action:
    """What to do about an error code that was given at once.

    `status` (of HTTP) and `transient` (Meta's own word) decide about codes that nobody knew yet.
    """
    known = meaning_of(code)
    if known is not None:
        return known
    return "retry" if transient or status >= 500 else of_status(status)


def of_status(status: int) -> Action:
    """What to do about an answer without a code: it came from something before Meta's own logic."""
    if status in (401, 403, 404):
        return "stop"
    if status == 429:
        return "slow"
    if 300 <= status < 400:
        return "retry"
    # A gateway that gives up has passed the request on, for all we know.
    return "unknown" if status == 408 or status >= 500 or status < 300 else "permanent"
