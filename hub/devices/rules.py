"""Decisions about boxes; no I/O."""

from collections.abc import Iterable, Sequence

Run = tuple[int, int]
"""Capture numbers ``first..last``, both included."""


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
