"""When a dealer is open: pure arithmetic on its row. Instants are ms since 1970.

A week's hours hold in the dealer's own time zone, but for its closed days and the holidays that
the caller names; before its first day, from its last day on and while it is paused it is closed.
What a row does not say is not known: a pause counts from the beginning of time until its end.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from hub.registry.hours import DAYS, Span, parse_hours
from hub.registry.rules import Dealer

DAY_MS: Final = 24 * 60 * 60 * 1000
LAST_MS: Final = 250_000_000_000_000
"""Some day in the year 9892: what is later never comes, and calendars end soon after."""

WhyClosed: TypeAlias = Literal["not_opened_yet", "closed_down", "paused", "holiday", "closed"]


@dataclass(frozen=True, slots=True)
class OpenTime:
    """Open from `start_ms` until just before `end_ms`."""

    start_ms: int
    end_ms: int


@lru_cache(maxsize=1024)
def _week(written: str) -> tuple[tuple[Span, ...], ...]:
    """The spans of each weekday, in order. A week has at least one."""
    spans = parse_hours(written).spans
    return tuple(
        tuple(span for span in spans if span.weekday == weekday) for weekday in range(len(DAYS))
    )


def local_day(zone: str, ms: int) -> str:
    """The day (ISO text) that it is in a time zone."""
    return _local_date(zone, ms).isoformat()


def out_of_business(dealer: Dealer, ms: int) -> WhyClosed | None:
    """Why nobody there may sell at this moment, whatever the hour; None: somebody may."""
    day = local_day(dealer.timezone, ms)
    if dealer.opened_on is not None and day < dealer.opened_on:
        return "not_opened_yet"
    if dealer.closed_on is not None and dealer.closed_on <= day:
        return "closed_down"
    if dealer.paused_until_ms is not None and ms < dealer.paused_until_ms:
        return "paused"
    return None


def why_closed(dealer: Dealer, ms: int, *, holidays: Collection[str] = ()) -> WhyClosed | None:
    """Why the dealer is not open at this moment; None: it is."""
    why = out_of_business(dealer, ms)
    if why is None and not open_at(dealer, ms, holidays=holidays):
        return "holiday" if _shut_all_day(dealer, ms, holidays) else "closed"
    return why


def _shut_all_day(dealer: Dealer, ms: int, holidays: Collection[str]) -> bool:
    """Whether only the calendar keeps it shut on this day: a holiday, or a day of its own."""
    date_ = _local_date(dealer.timezone, ms)
    day = date_.isoformat()
    opens = bool(_week(dealer.hours)[date_.weekday()])
    return opens and (day in dealer.closed_days or day in holidays)


def open_at(dealer: Dealer, ms: int, *, holidays: Collection[str] = ()) -> bool:
    """Is the dealer open at this moment?"""
    return next_open_ms(dealer, ms, holidays=holidays, until_ms=ms) is not None


def next_open_ms(
    dealer: Dealer, ms: int, *, holidays: Collection[str] = (), until_ms: int = LAST_MS
) -> int | None:
    """The first moment at or after `ms` (up to `until_ms`) at which it is open; None: never."""
    for open_time in open_times(dealer, ms, holidays=holidays):
        return open_time.start_ms if open_time.start_ms <= until_ms else None
    return None


def hours_of_day(dealer: Dealer, ms: int, *, holidays: Collection[str] = ()) -> OpenTime | None:
    """From its first opening to its last closing on the dealer's day that `ms` is in.

    None: it does not open on that day.
    """
    day = _local_date(dealer.timezone, ms)
    spans: list[OpenTime] = []
    midnight_ms = _moment_ms(dealer.timezone, day, 0)
    for open_time in open_times(dealer, midnight_ms, holidays=holidays):
        if _local_date(dealer.timezone, open_time.start_ms) != day:
            break
        spans.append(open_time)
    return OpenTime(spans[0].start_ms, spans[-1].end_ms) if spans else None


def clock_ms(zone: str, ms: int, clock: str) -> int:
    """When it is `clock` (such as ``08:30``) on the day that `ms` is in."""
    hour, _, minute = clock.partition(":")
    return _moment_ms(zone, _local_date(zone, ms), 60 * int(hour) + int(minute))


def due_ms(
    dealer: Dealer, start_ms: int, open_ms: int, *, holidays: Collection[str] = ()
) -> int | None:
    """The first moment by which the dealer was open for `open_ms` since `start_ms`; None: never.

    That can be the very moment it closes. For nothing to wait for it is `start_ms` itself.
    """
    if open_ms <= 0:
        return start_ms
    left_ms = open_ms
    for open_time in open_times(dealer, start_ms, holidays=holidays):
        length_ms = open_time.end_ms - open_time.start_ms
        if length_ms >= left_ms:
            return open_time.start_ms + left_ms
        left_ms -= length_ms
    return None


def open_times(
    dealer: Dealer, from_ms: int, *, holidays: Collection[str] = ()
) -> Iterator[OpenTime]:
    """Every time of being open that ends after `from_ms`, clipped to it, in order.

    Endless for a dealer without a last day; none is empty.
    """
    week = _week(dealer.hours)
    from_ms = max(from_ms, dealer.paused_until_ms or from_ms)
    for day in _days(dealer, from_ms):
        if day.isoformat() in dealer.closed_days or day.isoformat() in holidays:
            continue
        for span in week[day.weekday()]:
            start_ms = max(from_ms, _moment_ms(dealer.timezone, day, span.opens_min))
            end_ms = _moment_ms(dealer.timezone, day, span.closes_min)
            if start_ms < end_ms:
                # Where clocks are put back, a span must not begin before the last one ended.
                from_ms = end_ms
                yield OpenTime(start_ms, end_ms)


def _days(dealer: Dealer, from_ms: int) -> Iterator[date]:
    """The dealer's days in business, from the one that `from_ms` is in."""
    if from_ms > LAST_MS:
        return
    day = _local_date(dealer.timezone, from_ms)
    if dealer.opened_on is not None:
        day = max(day, date.fromisoformat(dealer.opened_on))
    end = date.max if dealer.closed_on is None else date.fromisoformat(dealer.closed_on)
    # A calendar that ends cannot be asked for its day after the last.
    end = min(end, _local_date("UTC", LAST_MS))
    while day < end:
        yield day
        day += timedelta(days=1)


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


def _local_date(zone: str, ms: int) -> date:
    # Whole seconds: a float of milliseconds may round up, into the next day.
    return datetime.fromtimestamp(ms // 1000, tz=_zone(zone)).date()


@lru_cache(maxsize=4096)
def _moment_ms(zone: str, day: date, minute: int) -> int:
    if minute == DAY_MS // 60_000:
        day, minute = day + timedelta(days=1), 0
    local = datetime.combine(day, time(minute // 60, minute % 60), tzinfo=_zone(zone))
    return int(local.timestamp()) * 1000
