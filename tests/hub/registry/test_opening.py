"""When a dealer is open, held against a calendar on the wall."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.registry.hours import DAYS, parse_hours
from hub.registry.opening import due_ms, next_open_ms, open_at, open_times, why_closed
from hub.registry.rules import Dealer

MINUTE_MS = 60_000
ZONES = ("Asia/Jakarta", "Asia/Makassar", "Asia/Jayapura")
MONDAY = date(2026, 11, 23)


def dealer(**values) -> Dealer:
    """A dealer in Surabaya, open on weekdays, that differs in these values."""
    usual = {
        "code": "SBY01",
        "name": "Kickstand Surabaya",
        "company": None,
        "region": "JATIM",
        "address": None,
        "lat": -7.2575,
        "lon": 112.7521,
        "timezone": "Asia/Jakarta",
        "phone": None,
        "email": None,
        "hours": "Mon-Fri 09:00-17:00",
        "closed_days": (),
        "capacity": None,
        "weight": 1.0,
        "authorised": True,
        "paused_until_ms": None,
        "opened_on": None,
        "closed_on": None,
    }
    return Dealer(**(usual | values))


def at(text: str, zone: str = "Asia/Jakarta") -> int:
    """A local time, e.g. ``2026-11-23 09:00``, in ms."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


@pytest.mark.parametrize(
    ("time", "is_open"),
    [
        ("2026-11-23 08:59:59.999", False),
        ("2026-11-23 09:00", True),
        ("2026-11-23 16:59:59.999", True),
        ("2026-11-23 17:00", False),
        ("2026-11-22 12:00", False),
    ],
)
def test_hours_begin_with_their_first_minute_and_end_before_their_last(time, is_open):
    """At closing time it is closed; on a Sunday it stays so."""
    assert open_at(dealer(), at(time)) is is_open


@pytest.mark.parametrize("zone", ZONES)
def test_nine_is_nine_where_the_dealer_is(zone):
    """Three zones, three different moments."""
    there = dealer(timezone=zone)
    assert next_open_ms(there, at("2026-11-22 00:00", zone)) == at("2026-11-23 09:00", zone)


def test_half_an_hour_before_closing_goes_on_at_the_next_opening():
    """Friday 16:50 and thirty minutes: Monday 09:20."""
    assert due_ms(dealer(), at("2026-11-20 16:50"), 30 * MINUTE_MS) == at("2026-11-23 09:20")


def test_time_that_ends_with_the_day_is_due_at_closing_time():
    """Nobody waits until the next morning for the last second."""
    assert due_ms(dealer(), at("2026-11-23 16:30"), 30 * MINUTE_MS) == at("2026-11-23 17:00")


def test_nothing_to_wait_for_is_due_at_once():
    """Also outside the hours."""
    assert due_ms(dealer(), at("2026-11-22 03:00"), 0) == at("2026-11-22 03:00")


def test_closed_days_and_holidays_do_not_count():
    """Monday is closed, Tuesday is a holiday."""
    shut = dealer(closed_days=("2026-11-23",))
    start = at("2026-11-20 16:59")
    assert due_ms(shut, start, 2 * MINUTE_MS, holidays={"2026-11-24"}) == at("2026-11-25 09:01")
    assert due_ms(shut, start, 2 * MINUTE_MS) == at("2026-11-24 09:01")
    assert why_closed(shut, at("2026-11-23 10:00")) == "holiday"
    assert why_closed(shut, at("2026-11-24 10:00"), holidays={"2026-11-24"}) == "holiday"
    assert why_closed(shut, at("2026-11-22 10:00"), holidays={"2026-11-22"}) == "closed"


def test_a_pause_ends_when_it_says():
    """In the middle of a day."""
    paused = dealer(paused_until_ms=at("2026-11-23 13:00"))
    assert not open_at(paused, at("2026-11-23 12:59"))
    assert why_closed(paused, at("2026-11-23 12:59")) == "paused"
    assert why_closed(paused, at("2026-11-23 13:00")) is None
    assert next_open_ms(paused, at("2026-11-23 09:00")) == at("2026-11-23 13:00")


def test_a_dealer_opens_on_its_first_day_and_is_closed_from_its_last():
    """Both days are the dealer's own; after the last nothing is ever due."""
    short = dealer(opened_on="2026-11-24", closed_on="2026-11-25")
    assert next_open_ms(short, at("2026-11-01 00:00")) == at("2026-11-24 09:00")
    assert next_open_ms(short, at("2026-11-24 17:00")) is None
    assert due_ms(short, at("2026-11-01 00:00"), 9 * 60 * MINUTE_MS) is None
    assert why_closed(short, at("2026-11-23 12:00")) == "not_opened_yet"
    assert why_closed(short, at("2026-11-24 08:00")) == "closed"
    assert why_closed(short, at("2026-11-25 00:00")) == "closed_down"


def test_midnight_belongs_to_the_hours_that_end_with_it():
    """24:00 is the next day's first moment: two days are open without a gap."""
    always = dealer(hours="Mon-Sun 00:00-24:00")
    assert due_ms(always, at("2026-11-23 23:59"), 2 * MINUTE_MS) == at("2026-11-24 00:01")


@pytest.mark.parametrize(
    "never",
    [
        {"paused_until_ms": 10**17},
        {"opened_on": "9999-12-31"},
        {"paused_until_ms": 253_402_300_799_000},
    ],
)
def test_what_never_comes_is_none(never):
    """A hundred centuries of pause are an answer, not an error."""
    assert next_open_ms(dealer(**never), at("2026-11-23 09:00")) is None


days = st.builds(lambda n: (MONDAY + timedelta(days=n)).isoformat(), st.integers(-3, 12))
clocks = st.integers(0, 24 * 4).map(lambda n: f"{n // 4:02d}:{n % 4 * 15:02d}")


@st.composite
def hours(draw) -> str:
    """One or two spans on some days of the week."""
    parts = []
    for weekday in draw(st.sets(st.integers(0, 6), min_size=1)):
        borders = sorted(draw(st.sets(clocks, min_size=2, max_size=4)))
        parts += [
            f"{DAYS[weekday]} {opens}-{closes}"
            for opens, closes in zip(borders[::2], borders[1::2], strict=False)
        ]
    return "|".join(parts)


@st.composite
def dealers(draw) -> Dealer:
    """Any dealer around one fortnight."""
    return dealer(
        timezone=draw(st.sampled_from(ZONES)),
        hours=draw(hours()),
        closed_days=tuple(sorted(draw(st.sets(days, max_size=4)))),
        paused_until_ms=draw(st.none() | quarters),
        opened_on=draw(st.none() | days),
        closed_on=draw(st.none() | days),
    )


parsed = lru_cache(parse_hours)
quarters = st.integers(0, 10 * 24 * 4).map(lambda n: at("2026-11-22 00:00") + n * 15 * MINUTE_MS)
moments = st.tuples(quarters, st.integers(0, 15 * MINUTE_MS - 1)).map(sum)


QUARTER_MS = 15 * MINUTE_MS
"""Hours and pauses of these dealers begin and end with a quarter of an hour."""


def looked_up(there: Dealer, ms: int) -> bool:
    """Open by looking at the calendar on the wall."""
    local = datetime.fromtimestamp(ms // 1000, tz=UTC).astimezone(ZoneInfo(there.timezone))
    day = local.date().isoformat()
    in_business = (there.opened_on or "") <= day < (there.closed_on or "9999")
    paused = there.paused_until_ms is not None and ms < there.paused_until_ms
    minute = local.hour * 60 + local.minute
    open_then = parsed(there.hours).open_at(local.weekday(), minute)
    return in_business and not paused and day not in there.closed_days and open_then


@given(dealers(), moments)
def test_open_is_what_the_calendar_says(there, moment):
    """At every moment of any dealer's fortnight."""
    assert open_at(there, moment) == looked_up(there, moment)


@given(dealers(), quarters)
def test_the_next_opening_is_open_and_nothing_before_it_is(there, start):
    """Looked at every quarter of an hour until it opens, or for four days."""
    looks = range(start, start + 4 * 24 * 60 * MINUTE_MS, QUARTER_MS)
    opens = next_open_ms(there, start, until_ms=looks.stop - 1)
    assert opens == next((moment for moment in looks if looked_up(there, moment)), None)


@given(dealers(), quarters, st.integers(1, 40), st.integers(1, QUARTER_MS))
def test_a_due_moment_has_seen_exactly_the_open_time_asked_for(there, start, wanted, rest_ms):
    """Counted by open quarters of an hour, the last of them begun."""
    due = due_ms(there, start, (wanted - 1) * QUARTER_MS + rest_ms)
    end = start + 4 * 24 * 60 * MINUTE_MS
    open_quarters = (m for m in range(start, end, QUARTER_MS) if looked_up(there, m))
    last = next(islice(open_quarters, wanted - 1, None), None)
    if last is None:
        assert due is None or due > end
    else:
        assert due == last + rest_ms


@given(dealers(), moments, st.integers(0, 10**8), st.integers(0, 10**8))
def test_waiting_twice_is_waiting_once_for_both(there, start, first, second):
    """A clock that is stopped and goes on loses and gains nothing."""
    middle = due_ms(there, start, first)
    at_once = due_ms(there, start, first + second)
    if middle is not None:
        assert due_ms(there, middle, second) == at_once or second == 0
    else:
        assert at_once is None


@given(st.sampled_from(["Australia/Lord_Howe", "America/New_York", "Asia/Jakarta"]), moments)
def test_times_of_being_open_never_overlap(zone, start):
    """Also where clocks are put forward and back."""
    before = start - 30 * 24 * 60 * MINUTE_MS
    always = dealer(timezone=zone, hours="Mon-Sun 00:00-01:30|Mon-Sun 01:30-24:00")
    last = before
    for _, open_time in zip(range(300), open_times(always, before), strict=False):
        assert last <= open_time.start_ms < open_time.end_ms
        last = open_time.end_ms
