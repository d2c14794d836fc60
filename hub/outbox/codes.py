"""WhatsApp's error codes, whoever carries the message: told at once or later, each means the same.

One table for both. Pure.
"""

from typing import Final

from hub.outbox.messages import Action

ACTIONS: Final[dict[int, Action]] = {
    # The recipient.
    131047: "template",  # more than 24 hours since they wrote
    131056: "pair",
    131026: "unreachable",  # not on WhatsApp, an old app, terms not accepted
    131049: "unreachable",  # too much marketing from everybody: not before tomorrow
    131050: "unreachable",  # has stopped marketing: an opt-out to record
    130472: "unreachable",  # part of an experiment of Meta's
    131062: "unreachable",  # this message needs a phone, and we know only a BSUID
    # The number, the app and the account: everything through it waits.
    4: "slow",
    80007: "slow",
    130429: "slow",
    133016: "slow",
    131048: "spam",  # too many people have blocked the number or reported it
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
TOO_FAST_FOR_ONE: Final = frozenset({131056})
OPTED_OUT: Final = 131050
"""The person has stopped marketing messages: an opt-out to record."""
MISTAKES: Final = frozenset(
    {100, 131008, 131009, 131021, 131030, 135000}
    | {132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016}
)
"""Refused because of our code, settings or templates: nobody gets such a message until that is
mended, so somebody is told."""


def meaning_of(code: int | None) -> Action | None:
    """What to do about a code; None for one that nobody knows, or none."""
    if code is None:
        return None
    return "stop" if code in PERMISSIONS else ACTIONS.get(code)
