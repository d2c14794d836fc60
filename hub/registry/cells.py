"""One cell of a table: untrusted text in, a typed value or a refusal with a code out."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers

MAX_CELL_CHARS = 400
MAX_LIST_CHARS = 2000
MAX_LIST_ITEMS = 100
COUNTRY = "ID"

INDONESIAN_ZONES = {"WIB": "Asia/Jakarta", "WITA": "Asia/Makassar", "WIT": "Asia/Jayapura"}
_YES = frozenset({"yes", "y", "true", "1", "ya"})
_NO = frozenset({"no", "n", "false", "0", "tidak"})
_CODE = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,31}", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,12}(?:[.,]\d{1,18})?", re.ASCII)
_PHONE = re.compile(r"[+\d\s().\-/]{3,32}", re.ASCII)
_SPREADSHEET_NUMBER = re.compile(r"\d+(?:[.,]\d+)?[eE]\+?\d+", re.ASCII)
_SPREADSHEET_WHOLE = re.compile(r"\+?\d{6,15}\.0{1,3}", re.ASCII)
_MOBILE = frozenset(
    {phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE_OR_MOBILE}
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d)", re.ASCII
)


class CellRefused(ValueError):
    """The cell is not what its column holds. `code` is stable, the message is for a person."""

    def __init__(self, code: str, message: str) -> None:
        """Say why."""
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Column:
    """A column's name, how its text is read, and what an empty cell means."""

    name: str
    read: Callable[[str], object]
    required: bool = False
    default: object = None


def text(cell: str) -> str:
    """Printable text of at most MAX_CELL_CHARS characters."""
    if len(cell) > MAX_CELL_CHARS:
        raise CellRefused("too_long", f"{len(cell)} characters; at most {MAX_CELL_CHARS}")
    if not cell.isprintable():
        raise CellRefused("control_character", "holds a line break or another control character")
    return cell


def code(cell: str) -> str:
    """A short name used in URLs and files, in upper case."""
    value = cell.upper()
    if _CODE.fullmatch(value) is None:
        raise CellRefused(
            "malformed_code",
            f"{_shown(cell)} is no code: up to 32 of A-Z, 0-9, dot, dash and underscore, "
            "and the first a letter or digit",
        )
    return value


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


def timezone(cell: str) -> str:
    """An IANA time zone; WIB, WITA and WIT are understood."""
    value = INDONESIAN_ZONES.get(cell.upper(), cell)
    if value not in _zones():
        raise CellRefused(
            "unknown_timezone",
            f"{_shown(cell)} is no time zone; Indonesia has Asia/Jakarta (WIB), Asia/Makassar "
            "(WITA) and Asia/Jayapura (WIT)",
        )
    return value


def yes_or_no(cell: str) -> bool:
    """Yes or no, in English or Indonesian."""
    value = cell.lower()
    if value in _YES:
        return True
    if value in _NO:
        return False
    raise CellRefused("not_yes_or_no", f"{_shown(cell)} is neither yes nor no")


def phone(cell: str) -> str:
    """A phone number as E.164 without ``+``; numbers without a country are Indonesian."""
    if _SPREADSHEET_NUMBER.fullmatch(cell):
        raise CellRefused(
            "spreadsheet_number",
            f"{_shown(cell)} is what a spreadsheet made of a phone number; format the column as "
            "text and enter the number again",
        )
    cell = re.sub(r"\.0{1,3}$", "", cell) if _SPREADSHEET_WHOLE.fullmatch(cell) else cell
    dialled = re.sub(r"^00", "+", re.sub(r"[\s().\-/]", "", cell))
    refused = CellRefused("malformed_phone", f"{_shown(cell)} is no phone number")
    if _PHONE.fullmatch(cell) is None:
        raise refused
    try:
        parsed = phonenumbers.parse(dialled, COUNTRY)
    except phonenumbers.NumberParseException:
        raise refused from None
    if not phonenumbers.is_valid_number(parsed):
        raise CellRefused("malformed_phone", f"{_shown(cell)} is no number that can be called")
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)[1:]


def mobile(cell: str) -> str:
    """A phone number that can have WhatsApp, as E.164 without ``+``."""
    value = phone(cell)
    kind = phonenumbers.number_type(phonenumbers.parse(f"+{value}"))
    if kind not in _MOBILE:
        raise CellRefused(
            "not_mobile", f"{_shown(cell)} is no mobile number; messages go to mobile phones only"
        )
    return value


def email(cell: str) -> str:
    """An e-mail address, its domain in lower case."""
    if _EMAIL.fullmatch(text(cell)) is None:
        raise CellRefused("malformed_email", f"{_shown(cell)} is no e-mail address")
    local, _, domain = cell.rpartition("@")
    return f"{local}@{domain.lower()}"


def number(cell: str) -> float:
    """A finite decimal number; the decimal mark may be a comma."""
    if _NUMBER.fullmatch(cell) is None:
        raise CellRefused("not_a_number", f"{_shown(cell)} is no number such as -7.2575")
    value = float(cell.replace(",", "."))
    if not math.isfinite(value):
        raise CellRefused("not_a_number", f"{_shown(cell)} is no number such as -7.2575")
    return value


def count(cell: str) -> int:
    """A whole number from 0 to a million."""
    value = number(cell)
    if not value.is_integer() or not 0 <= value <= 1_000_000:
        raise CellRefused("not_a_count", f"{_shown(cell)} is no whole number from 0 to 1000000")
    return int(value)


def weight(cell: str) -> float:
    """A share of the leads relative to others, from 0.001 to 1000."""
    value = number(cell)
    if not 0.001 <= value <= 1000:
        raise CellRefused("malformed_weight", f"{_shown(cell)} is not from 0.001 to 1000")
    return value


def day(cell: str) -> str:
    """A day that exists, as ``2026-11-22``."""
    # A spreadsheet's day arrives as a moment at midnight.
    value = re.sub(r"[T ]00:00:00(?:\.0+)?$", "", cell)
    refused = CellRefused("malformed_day", f"{_shown(cell)} is no day such as 2026-11-22")
    if _DAY.fullmatch(value) is None:
        raise refused
    try:
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise refused from None


def days(cell: str) -> tuple[str, ...]:
    """Days separated by ``|``, sorted, each once."""
    return tuple(sorted({day(item) for item in words(cell)}))


def day_or_moment(cell: str) -> str | int:
    """A day (as text: its midnight is local) or a moment with its offset (as milliseconds)."""
    if _MOMENT.fullmatch(cell) is None:
        return day(cell)
    try:
        return round(datetime.fromisoformat(cell).timestamp() * 1000)
    except ValueError:
        raise CellRefused("malformed_time", f"{_shown(cell)} is no time that exists") from None


def midnight_ms(local_day: str, zone: str) -> int:
    """The first moment of a day in a time zone, in milliseconds since 1970."""
    moment = datetime.fromisoformat(local_day).replace(tzinfo=ZoneInfo(zone))
    return round(moment.astimezone(UTC).timestamp() * 1000)


def words(cell: str) -> tuple[str, ...]:
    """Texts separated by ``|``; empty ones are left out."""
    items = tuple(text(item.strip()) for item in cell.split("|") if item.strip())
    if len(cell) > MAX_LIST_CHARS:
        raise CellRefused("too_long", f"{len(cell)} characters; at most {MAX_LIST_CHARS}")
    if len(items) > MAX_LIST_ITEMS:
        raise CellRefused("too_many_items", f"{len(items)} items; at most {MAX_LIST_ITEMS}")
    return items


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 40 else f"{cell[:39]}…")
