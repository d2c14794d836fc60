"""What a refusal of Meta's means for the message, and for everybody behind it. Pure."""

from typing import Final

from hub.outbox.messages import Action

ACTIONS: Final[dict[int, Action]] = {
    # The recipient.
    131047: "template",  # more than 24 hours since they wrote
    131056: "pair",
    131026: "unreachable",  # not on WhatsApp, an old app, terms not accepted
    131049: "unreachable",  # too much marketing from everybody: not before tomorrow
    131050: "unreachable",  # has stopped marketing: whoever asked records the opt-out by this code
    130472: "unreachable",  # part of an experiment of Meta's
    131062: "unreachable",  # this message needs a phone, and we know only a BSUID
    # The number, the app and the account: everything through it waits.
    4: "slow",
    80007: "slow",
    130429: "slow",
    133016: "slow",
    131048: "stop",  # blocked too often as spam
    131042: "stop",  # unpaid
    131031: "stop",
    368: "stop",
    0: "stop",
    3: "stop",
    10: "stop",
    33: "stop",  # the number is gone
    190: "stop",
    131005: "stop",
    131037: "stop",  # the display name is not approved
    131045: "stop",
    133010: "stop",  # the number is not registered
    # Passing troubles.
    1: "retry",
    2: "retry",
    131000: "retry",
    131016: "retry",
    131057: "retry",
    # Mistakes of ours, of the settings or of the template: trying again changes nothing.
    100: "permanent",
    130497: "permanent",
    131008: "permanent",
    131009: "permanent",
    131021: "permanent",
    131030: "permanent",
    131051: "permanent",
    131052: "permanent",
    131053: "permanent",
    132000: "permanent",
    132001: "permanent",
    132005: "permanent",
    132007: "permanent",
    132008: "permanent",
    132012: "permanent",
    132015: "permanent",
    132016: "permanent",
    135000: "permanent",
}
PERMISSIONS: Final = range(200, 300)
OPTED_OUT: Final = 131050
"""The person has stopped marketing messages: an opt-out to record."""
UNUSABLE_TEMPLATE: Final = frozenset({132001, 132007, 132015, 132016})
"""The template itself cannot be used at present, by nobody."""
NOT_THIS_TEMPLATE: Final = UNUSABLE_TEMPLATE | {132000, 132005, 132008, 132012}
"""The template was refused before anything was sent: the next of the list may fit."""


def action_of(code: int, *, status: int = 400, transient: bool = False) -> Action:
    """What to do about an error code, given at once or later by a failed status.

    `status` (of HTTP) and `transient` (Meta's own word) decide about codes that nobody knew yet.
    """
    known = ACTIONS.get(code)
    if known is not None:
        return known
    if code in PERMISSIONS:
        return "stop"
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
