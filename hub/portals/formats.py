"""How numbers, money, times and ids are written, in the reader's language.

Promises: a time is always a ``<time>`` with the exact instant in ``datetime`` and the absolute
time of its store in the tooltip; nothing here reads a clock (`now_ms` is that of the request).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel import Locale
from flask import g
from markupsafe import Markup

from hub.portals.languages import current_language, later, say
from hub.portals.read_models import Count
from shared.money import format_idr

HEAD_OFFICE_ZONE = "Asia/Jakarta"
SWAPPED: Final = str.maketrans(",.", ".,")
"""Indonesian groups with dots and has a decimal comma."""

ZONE_NAMES: Final = {
    "Asia/Jakarta": "WIB",
    "Asia/Pontianak": "WIB",
    "Asia/Makassar": "WITA",
    "Asia/Jayapura": "WIT",
    "UTC": "UTC",
}
SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
RELATIVE_MS_MAX = 7 * DAY_MS
"""Beyond a week a date says more than a distance."""

CLOCK_TIME_MS_MAX = 300 * DAY_MS
"""Within the year the time of day says more than the year."""

AGES: Final = {
    "now": later("just now"),
    "s": later("{n} s ago"),
    "min": later("{n} min ago"),
    "h": later("{n} h ago"),
    "d": later("{n} d ago"),
}
NOTHING = Markup('<span class="faint">\N{EN DASH}</span>')


@lru_cache(maxsize=64)
def zone_of(name: str | None) -> ZoneInfo:
    """A store's time zone; head office's when it has none or an unknown one."""
    try:
        return ZoneInfo(name or HEAD_OFFICE_ZONE)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo(HEAD_OFFICE_ZONE)


@cache
def _months(language: str) -> Mapping[int, str]:
    """Short names of the months, from CLDR."""
    names: Mapping[int, str] = Locale.parse(language).months["format"]["abbreviated"]
    return names


def _day(moment: datetime) -> str:
    """``22 Nov``: day first, as dates are written in Indonesia, in both languages."""
    return f"{moment.day} {_months(current_language())[moment.month]}"


def number(value: float) -> str:
    """``1,284,550.5`` or ``1.284.550,5``."""
    text = f"{value:,}"
    return text.translate(SWAPPED) if current_language() == "id" else text


def counted(count: Count) -> str:
    """A count; one that stopped early ends in ``+``."""
    return number(count.n) + ("+" if count.capped else "")


def money(amount_idr: int) -> str:
    """``Rp 21.400.000``: rupiah are written the Indonesian way in both languages."""
    return format_idr(amount_idr, "id")


def percent(value: int) -> str:
    """``96 %``, never broken over two lines."""
    return f"{value}\N{NO-BREAK SPACE}%"


def distance(metres: int) -> str:
    """``640 m``, ``3.1 km``, ``312 km``."""
    if metres < SECOND_MS:
        return f"{number(metres)} m"
    km = metres / 1000
    return f"{number(round(km) if km >= 100 else round(km, 1))} km"


def size(size_bytes: int) -> str:
    """``12.4 GB`` in decimal units."""
    amount = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{number(round(amount, 1) if unit != 'B' else int(amount))} {unit}"
        amount /= 1000
    return f"{number(round(amount, 1))} TB"


def margin(margin_ms: int) -> str:
    """A duration to the millisecond: it decided something."""
    return say("%(n)s s", n=number(margin_ms / 1000)) if margin_ms >= 1000 else duration(margin_ms)


def duration(duration_ms: int) -> str:
    """``84 ms``, ``11.2 s``, ``4 min``, ``3 h``, ``12 d``."""
    if duration_ms < SECOND_MS:
        return say("%(n)s ms", n=number(duration_ms))
    if duration_ms < MINUTE_MS:
        seconds = duration_ms / SECOND_MS
        return say("%(n)s s", n=number(round(seconds, 1)))
    if duration_ms < 2 * HOUR_MS:
        return say("%(n)s min", n=number(duration_ms // MINUTE_MS))
    if duration_ms < 2 * DAY_MS:
        return say("%(n)s h", n=number(duration_ms // HOUR_MS))
    return say("%(n)s d", n=number(duration_ms // DAY_MS))


def iso(at_ms: int) -> str:
    """RFC 3339 UTC with milliseconds."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z"


def absolute(at_ms: int, zone: str | None = None) -> str:
    """``22 Nov 2026 15:04:11.284 WIB``, the time on the store's wall."""
    moment = datetime.fromtimestamp(at_ms // 1000, zone_of(zone))
    clock = f"{moment:%H:%M:%S}.{at_ms % 1000:03d}"
    if current_language() == "id":
        clock = clock.replace(".", ",").replace(":", ".")
    return f"{_day(moment)} {moment.year} {clock} {zone_name(zone, moment)}"


def zone_name(zone: str | None, moment: datetime) -> str:
    """``WIB``, ``WITA``, ``WIT``, else the zone's own abbreviation."""
    tz = zone_of(zone)
    return ZONE_NAMES.get(tz.key) or moment.astimezone(tz).strftime("%Z")


def age(passed_ms: int) -> str:
    """``12 s ago``; the page's script says the same from the same words."""
    if passed_ms < SECOND_MS:
        return say(AGES["now"])
    unit, n = "d", passed_ms // DAY_MS
    if passed_ms < MINUTE_MS:
        unit, n = "s", passed_ms // SECOND_MS
    elif passed_ms < HOUR_MS:
        unit, n = "min", passed_ms // MINUTE_MS
    elif passed_ms < 2 * DAY_MS:
        unit, n = "h", passed_ms // HOUR_MS
    return say(AGES[unit]).replace("{n}", number(n))


def when(at_ms: int | None, zone: str | None = None, err_ms: int | None = None) -> Markup:
    """A time as people say it, with the exact one in reach."""
    if at_ms is None:
        return NOTHING
    exact = absolute(at_ms, zone)
    if err_ms:
        exact = f"{exact} ± {duration(err_ms)}"
    passed_ms = g.now_ms - at_ms
    if 0 <= passed_ms < RELATIVE_MS_MAX:
        return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
            iso(at_ms), exact, age(passed_ms)
        )
    moment = datetime.fromtimestamp(at_ms // 1000, zone_of(zone))
    shown = f"{_day(moment)} {moment.year}"
    if abs(passed_ms) < CLOCK_TIME_MS_MAX:
        shown = f"{_day(moment)} {moment:%H:%M}"
        if current_language() == "id":
            shown = shown.replace(":", ".")
    return Markup('<time datetime="{}" title="{}">{}</time>').format(iso(at_ms), exact, shown)


def exact_time(at_ms: int | None, zone: str | None = None) -> Markup:
    """The absolute time as text, for the page of one thing."""
    if at_ms is None:
        return NOTHING
    return Markup('<time datetime="{}">{}</time>').format(iso(at_ms), absolute(at_ms, zone))


def short(identifier: str, length: int = 12) -> str:
    """``dev_4kq7m2xa…``: enough of a long id to recognise it."""
    return identifier if len(identifier) <= length + 1 else f"{identifier[:length]}…"


def or_none(value: object) -> object:
    """The value, or a faint dash where nothing is known."""
    return NOTHING if value is None or value == "" else value


def day_start_ms(now_ms: int, zone: str | None) -> int:
    """When today began in this zone."""
    now = datetime.fromtimestamp(now_ms // 1000, zone_of(zone))
    return int(now.replace(hour=0, minute=0, second=0, microsecond=0).timestamp() * 1000)
