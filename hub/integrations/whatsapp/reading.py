"""Looking into a vendor's JSON without trusting it: a field of another kind is a field missing."""

import json
import math
from typing import Any, Final, TypeAlias

import orjson

Object: TypeAlias = dict[str, Any]

TEXT_CHARS_MAX: Final = 4096
NAME_CHARS_MAX: Final = 256
ID_CHARS_MAX: Final = 256
INSTANT_S_MAX: Final = 253_402_300_799
"""The last second of the year 9999: later is no time but a mistake."""


def decode(body: bytes) -> object | None:
    """What the bytes say, None when they are not JSON. Never raises.

    Half an emoji makes strict readers refuse a whole body, and with it somebody's message: it is
    read leniently then.
    """
    try:
        value: object = orjson.loads(body)
    except ValueError:
        try:
            value = json.loads(body.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            return None
    return value


def mapping(value: object) -> Object:
    """An object, or an empty one."""
    return value if isinstance(value, dict) else {}


def objects(value: object) -> list[tuple[int, Object]]:
    """The objects of a list with their places; what is none is left out."""
    if not isinstance(value, list):
        return []
    return [(place, item) for place, item in enumerate(value) if isinstance(item, dict)]


def strays(value: object) -> int:
    """How many elements `objects` has left out."""
    if value is None:
        return 0
    return sum(not isinstance(item, dict) for item in value) if isinstance(value, list) else 1


def text(values: Object, name: str, chars_max: int = TEXT_CHARS_MAX) -> str | None:
    """A text that every database can store, cut to `chars_max`; None when there is none."""
    value = values.get(name)
    if not isinstance(value, str):
        return None
    if not value.isascii():
        value = value.encode("utf-8", "replace").decode()
    return value.replace("\0", "")[:chars_max] or None


def identifier(values: Object, name: str) -> str | None:
    """An id, whole or not at all: a cut id would be another one."""
    value = text(values, name, ID_CHARS_MAX + 1)
    if value is None or len(value) > ID_CHARS_MAX or not value.isprintable():
        return None
    return value


def whole(values: Object, name: str) -> int | None:
    """An integer; True is none."""
    value = values.get(name)
    return value if type(value) is int and abs(value) < 1 << 53 else None


def degrees(values: Object, name: str) -> float | None:
    """A number as it was sent, however unlikely; NaN and infinity are none."""
    value = values.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def instant_ms(values: Object, name: str) -> int | None:
    """POSIX seconds, as text or number, in milliseconds."""
    value = values.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 13:
        value = int(value)
    if type(value) is not int or not 0 <= value <= INSTANT_S_MAX:
        return None
    return value * 1000
