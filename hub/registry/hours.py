"""Opening hours: ``Mon-Fri 09:00-17:00|Sat 09:00-14:00``, local to the dealer."""

import re
from dataclasses import dataclass
from itertools import pairwise

from hub.registry.cells import CellRefused, text

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
EXAMPLE = "Mon-Fri 09:00-17:00|Sat 09:00-14:00"
MAX_SPANS = 28
_SPAN = re.compile(
    r"(?P<first>[A-Za-z]{3})(?:\s*[-–]\s*(?P<last>[A-Za-z]{3}))?\s+"  # noqa: RUF001 - typed so
    r"(?P<opens>\d\d?[:.]\d\d)\s*[-–]\s*(?P<closes>\d\d?[:.]\d\d)",  # noqa: RUF001 - people type dashes
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Open on one day of the week (Monday 0), from and until a minute of that day."""

    weekday: int
    opens_min: int
    closes_min: int


@dataclass(frozen=True, slots=True)
class Hours:
    """When a dealer is open in an ordinary week. `written` is the grammar's normal form."""

    written: str
    spans: tuple[Span, ...]

    def open_at(self, weekday: int, minute: int) -> bool:
        """Whether the dealer is open in that minute of that day (Monday 0)."""
        return any(
            span.weekday == weekday and span.opens_min <= minute < span.closes_min
            for span in self.spans
        )


def parse_hours(cell: str) -> Hours:
    """Read opening hours. Raises CellRefused for anything that is none."""
    parts = [part.strip() for part in text(cell).split("|") if part.strip()]
    if not 0 < len(parts) <= MAX_SPANS:
        raise CellRefused("malformed_hours", f"write hours like {EXAMPLE}")
    spans: list[Span] = []
    written: list[str] = []
    for part in parts:
        shown, of_part = _part(part)
        written.append(shown)
        spans += of_part
    spans.sort()
    for before, after in pairwise(spans):
        if before.weekday == after.weekday and after.opens_min < before.closes_min:
            raise CellRefused(
                "overlapping_hours", f"two spans overlap on {DAYS[before.weekday]} in {cell!r}"
            )
    return Hours("|".join(written), tuple(spans))


def _part(part: str) -> tuple[str, list[Span]]:
    match = _SPAN.fullmatch(part)
    if match is None:
        raise CellRefused("malformed_hours", f"{part!r}: write hours like {EXAMPLE}")
    first = _weekday(match["first"])
    last = _weekday(match["last"] or match["first"])
    opens_min, closes_min = _minute(match["opens"]), _minute(match["closes"])
    if last < first:
        raise CellRefused("malformed_hours", f"{part!r}: the week runs from Mon to Sun")
    if closes_min <= opens_min:
        raise CellRefused("malformed_hours", f"{part!r}: closes before it opens")
    named = DAYS[first] if first == last else f"{DAYS[first]}-{DAYS[last]}"
    shown = f"{named} {_clock(opens_min)}-{_clock(closes_min)}"
    return shown, [Span(weekday, opens_min, closes_min) for weekday in range(first, last + 1)]


def _weekday(name: str) -> int:
    try:
        return DAYS.index(name.capitalize())
    except ValueError:
        raise CellRefused(
            "malformed_hours", f"{name!r} is no day; the days are {' '.join(DAYS)}"
        ) from None


def _minute(clock: str) -> int:
    hour, minute = (int(part) for part in re.split("[:.]", clock))
    if minute > 59 or hour * 60 + minute > 24 * 60:
        raise CellRefused("malformed_hours", f"{clock!r} is no time of a day")
    return hour * 60 + minute


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
