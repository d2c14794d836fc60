"""What may become of a message, how fast one may follow another, and when to try again."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from hub.outbox.messages import State

WINDOW_MS = 24 * 3600 * 1000
"""After a person's last message we may answer freely for so long."""
WINDOW_MARGIN_MS = 60_000
"""Nearer to its end than this a window counts as closed: the vendor's clock is not ours."""
PASSING_MAX = 5
"""A message that fails in passing after it was accepted is sent so often again."""
STOP_MS = 300_000
"""After the vendor has blocked a number, one message tries again so much later."""
SLOW_MS = 1_000
"""After the vendor has said, late, that a number was too fast."""
HELD_WAIT_MS = 600_000
"""A message that may not be the first to a person looks again so much later."""
LIMITED, SPAM = "messaging_limit", "spam"
HELD_REASONS = (LIMITED, SPAM)
"""Why a message waits that could only be the first to its person."""
CANNOT_WAIT = frozenset({"offer", "p0"})
"""Kinds that are worth nothing later: somebody else is asked instead."""
DOUBT_WAIT_MS = 5_000
"""A message that may have been sent is sent again so much later, next time four times as much: a
status often ends the doubt."""
DOUBTS_MAX = 3
"""So often. A vendor that leaves one of thirty answers out would keep one card in a thousand from
its winner if it were once; what comes twice meanwhile is harmless and counted."""
PASSED_AT_DOUBTS = 2
"""What waits behind a message that was left unanswered so often need not wait for it any longer: a
notice must not keep a card from its winner for minutes."""
RETRY_MS, RETRY_MAX_MS = 1_000, 60_000
PAIR_RETRY_MS, PAIR_EXPONENT_MAX = 6_000, 4

Event: TypeAlias = Literal[
    "send",  # the sender has taken it and will call the vendor
    "again",  # not now: it waits for its next turn
    "accept",  # the vendor has taken it
    "refuse",  # the vendor has refused it, or it cannot be sent at all
    "withhold",  # it is no longer true, wanted or in time
    "sent",  # a status: it is on its way
    "delivered",
    "read",
    "failed",  # a status: it did not arrive
]
STATES: tuple[State, ...] = (
    "queued",
    "sending",
    "accepted",
    "delivered",
    "read",
    "failed",
    "withheld",
)
EVENTS: tuple[Event, ...] = (
    "send",
    "again",
    "accept",
    "refuse",
    "withhold",
    "sent",
    "delivered",
    "read",
    "failed",
)
FINAL: frozenset[State] = frozenset({"read", "failed", "withheld"})

NEXT: dict[tuple[State, Event], State] = {
    ("queued", "send"): "sending",
    ("queued", "withhold"): "withheld",
    ("queued", "refuse"): "failed",
    # We asked without hearing the answer, queued it again, and now it turns out that it went.
    ("queued", "sent"): "accepted",
    ("queued", "delivered"): "delivered",
    ("queued", "read"): "read",
    ("sending", "again"): "queued",
    ("sending", "accept"): "accepted",
    ("sending", "refuse"): "failed",
    ("sending", "withhold"): "withheld",
    # A status overtakes the vendor's own answer to the request.
    ("sending", "sent"): "accepted",
    ("sending", "delivered"): "delivered",
    ("sending", "read"): "read",
    ("sending", "failed"): "failed",
    # Accepted is not delivered: the closed window is told afterwards, and it goes as a template.
    ("accepted", "again"): "queued",
    ("accepted", "delivered"): "delivered",
    ("accepted", "read"): "read",
    ("accepted", "failed"): "failed",
    ("delivered", "read"): "read",
}
"""Everything else changes nothing: statuses come repeated, late and in any order."""


def next_state(state: State, event: Event) -> State | None:
    """What `event` makes of a message in `state`; None when it changes nothing."""
    return NEXT.get((state, event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How fast one of our numbers may speak."""

    pair_ms: int = 6_000
    """Between two messages to one person, in the long run."""
    pair_burst: int = 20
    """Messages to one person that may follow each other at once, borrowed from what comes; the
    vendor lends up to 45 (Meta, Cloud API throughput)."""
    per_second: float = 72.0
    """Messages to everybody together. Meta takes 80 at first (Cloud API throughput), 20 of a number
    that is also on a phone, and says when it was too many."""


def pair_wait_ms(paced_ms: int, now_ms: int, limits: Limits) -> int:
    """How long to wait with the next message to a person; 0: it may go now."""
    return max(0, paced_ms - now_ms - (limits.pair_burst - 1) * limits.pair_ms)


def paced_after(paced_ms: int, now_ms: int, limits: Limits) -> int:
    """What to remember after a message to a person has gone."""
    return max(paced_ms, now_ms) + limits.pair_ms


def retry_wait_ms(attempts: int) -> int:
    """After `attempts` that failed in passing: 1 s, 2 s, 4 s … a minute."""
    return min(RETRY_MS << min(attempts - 1, 10), RETRY_MAX_MS)


def pair_retry_wait_ms(attempts: int) -> int:
    """After the vendor said that it was too fast for one person: 6 s, 24 s, 96 s …"""
    return PAIR_RETRY_MS << 2 * min(attempts - 1, PAIR_EXPONENT_MAX)


def doubts_max(kind: str) -> int:
    """How often a message of this kind that may have been sent is sent again."""
    return 1 if kind in CANNOT_WAIT else DOUBTS_MAX


def doubt_wait_ms(doubts: int) -> int:
    """After so many doubts before this one: 5 s, 20 s, 80 s."""
    return DOUBT_WAIT_MS << 2 * doubts


def window_is_open(opened_ms: int, now_ms: int) -> bool:
    """Whether a person who last wrote at `opened_ms` may be answered freely."""
    return now_ms < opened_ms + WINDOW_MS - WINDOW_MARGIN_MS
