"""Reading fields of untrusted JSON: one error, and it names field, expectation and value."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeVar

T = TypeVar("T")
Json = Mapping[str, object]
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
MAX_INT = 2**53 - 1
"""Integers above this do not survive every JSON reader."""


class MalformedField(ValueError):
    """A field is missing or is not what it has to be."""


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def refuse(name: str, expected: str, value: object) -> MalformedField:
    """The error to raise."""
    return MalformedField(f"{name}: expected {expected}, got {_shown(value)}")


def mapping(value: object, name: str) -> Json:
    """`value` as a JSON object."""
    if not isinstance(value, dict):
        raise refuse(name, "an object", value)
    return value


def integer(source: Json, name: str, low: int = 0, high: int = MAX_INT) -> int:
    """A whole number in ``[low, high]``; true and 1.0 are none."""
    value = source.get(name)
    if type(value) is not int or not low <= value <= high:
        raise refuse(name, f"a whole number in [{low}, {high}]", value)
    return value


def maybe_integer(source: Json, name: str, low: int = 0, high: int = MAX_INT) -> int | None:
    """A whole number, or None when the field is null or absent."""
    return None if source.get(name) is None else integer(source, name, low, high)


def text(source: Json, name: str, limit: int = 200) -> str:
    """A text of 1 to `limit` characters without control characters."""
    value = source.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= limit or not value.isprintable():
        raise refuse(name, f"a printable text of at most {limit} characters", value)
    return value


def maybe_text(source: Json, name: str, limit: int = 200) -> str | None:
    """A text, or None when the field is null or absent."""
    return None if source.get(name) is None else text(source, name, limit)


def choice(source: Json, name: str, choices: Sequence[str]) -> str:
    """One of `choices`."""
    value = source.get(name)
    if value not in choices or not isinstance(value, str):
        raise refuse(name, " or ".join(choices), value)
    return value


def array(source: Json, name: str, limit: int) -> Sequence[object]:
    """A list of at most `limit` items."""
    value = source.get(name)
    if not isinstance(value, list) or len(value) > limit:
        raise refuse(name, f"a list of at most {limit}", value)
    return value


def each(source: Json, name: str, limit: int, read: Callable[[object, str], T]) -> tuple[T, ...]:
    """Every item of a list, read by `read(item, name)`."""
    return tuple(read(item, f"{name}[{i}]") for i, item in enumerate(array(source, name, limit)))


def hexadecimal(source: Json, name: str, length_bytes: int = 32) -> str:
    """Lower-case hex of exactly `length_bytes` bytes."""
    value = source.get(name)
    if (
        not isinstance(value, str)
        or len(value) != 2 * length_bytes
        or not set(value) <= set("0123456789abcdef")
    ):
        raise refuse(name, f"{2 * length_bytes} lower-case hex characters", value)
    return value


def number(source: Json, name: str, low: float, high: float) -> float:
    """A finite number in ``[low, high]``."""
    value = source.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise refuse(name, f"a number in [{low}, {high}]", value)
    return float(value)


def time_ms(source: Json, name: str) -> int | None:
    """Milliseconds since 1970 of an RFC 3339 UTC time with milliseconds, or None for null."""
    value = source.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or _TIME.fullmatch(value) is None:
        raise refuse(name, "a time such as 2026-11-22T08:04:11.284Z", value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise refuse(name, "a time that exists", value) from None
    return round(moment.timestamp() * 1000)


@lru_cache(maxsize=64)
def _format_second(seconds: int) -> str:
    """A box states the same second hundreds of times; formatting it costs more than all else."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def format_time(ms: int) -> str:
    """RFC 3339 UTC with milliseconds."""
    seconds, rest = divmod(ms, 1000)
    return f"{_format_second(seconds)}.{rest:03d}Z"


def read_range(value: object, name: str) -> tuple[int, int]:
    """``[from, to]``, both included, from ≤ to. Raises MalformedField."""
    if not isinstance(value, list) or len(value) != 2:
        raise refuse(name, "[from, to]", value)
    pair = {"from": value[0], "to": value[1]}
    first = integer(pair, "from", 1)
    return first, integer(pair, "to", first)


Clockwork = Literal["rtc", "ntp", "hub", "none"]


def unprintable(value: object, name: str) -> str | None:
    """The first place below `value` with a text that is not printable."""
    if isinstance(value, str):
        return None if value.isprintable() else name
    children: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        children = value.items()
    elif isinstance(value, list):
        children = enumerate(value)
    for key, child in children:
        found = unprintable(child, f"{name}.{key}"[:200])
        if found is not None:
            return found
    return None
