"""Decisions about boxes; no I/O."""

from collections.abc import Iterable, Sequence
from typing import Protocol

Refusal = tuple[int, str, str]
"""HTTP status, problem code and sentence."""

UNKNOWN_INVITATION: Refusal = (403, "invitation-unknown", "no such invitation; ask for a new code")
USED_INVITATION: Refusal = (
    409,
    "invitation-used",
    "another box has used this code; ask for a new one",
)

Run = tuple[int, int]
"""Capture numbers ``first..last``, both included."""


class Invited(Protocol):
    """What has to be known of an invitation."""

    @property
    def used_by(self) -> str | None:
        """The box that used it."""
        ...

    @property
    def expires_ms(self) -> int:
        """Until when it can be used."""
        ...


def refuse_invitation(invitation: Invited | None, *, now_ms: int, enrolled: bool) -> Refusal | None:
    """Why a box may not enrol with this invitation, or None. `enrolled`: its key is known."""
    if invitation is None:
        return UNKNOWN_INVITATION
    if invitation.used_by is not None:
        return USED_INVITATION
    if invitation.expires_ms < now_ms:
        return (410, "invitation-expired", "this code has expired; ask for a new one")
    if enrolled:
        return (409, "already-enrolled", "this box is enrolled already")
    return None


def merge(runs: Iterable[Run]) -> list[Run]:
    """The same numbers as few rising runs as possible."""
    merged: list[Run] = []
    for first, last in sorted(runs):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return merged


def gaps(runs: Sequence[Run]) -> list[Run]:
    """What is missing below the highest number: captures begin at 1 and are never reused."""
    missing: list[Run] = []
    expected = 1
    for first, last in merge(runs):
        if first > expected:
            missing.append((expected, first - 1))
        expected = last + 1
    return missing


def subtract(runs: Sequence[Run], taken: Iterable[Run]) -> list[Run]:
    """`runs` without the numbers in `taken`."""
    left = merge(runs)
    for first, last in merge(taken):
        rest: list[Run] = []
        for low, high in left:
            if high < first or low > last:
                rest.append((low, high))
                continue
            if low < first:
                rest.append((low, first - 1))
            if high > last:
                rest.append((last + 1, high))
        left = rest
    return left


def undeclared_holes(runs: Sequence[Run], losses: Iterable[Run]) -> list[Run]:
    """Captures that neither arrived nor were declared lost."""
    return subtract(gaps(runs), losses)
