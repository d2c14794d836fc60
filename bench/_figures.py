"""What every bench says of its measurements."""

from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all, in any order, do not exceed. Raises IndexError of nothing."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]
