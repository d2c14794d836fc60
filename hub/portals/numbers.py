"""Whole numbers of an address. Promises: none is larger than what a row or its JSON can hold.

Beyond that a database refuses them with an error that nobody who typed an address should see.
"""

import re
from typing import Final

from flask import Flask
from werkzeug.routing import IntegerConverter, Map

from shared.wire.fields import MAX_INT

DIGITS_MAX: Final = len(str(MAX_INT))
_WHOLE: Final = re.compile(rf"-?\d{{1,{DIGITS_MAX}}}", re.ASCII)


def whole_number(text: str) -> int:
    """The number, from -MAX_INT to MAX_INT. Raises ValueError."""
    if _WHOLE.fullmatch(text.strip()) is None or abs(int(text)) > MAX_INT:
        raise ValueError(f"no whole number: {text[:40]!r}")
    return int(text)


class RowNumber(IntegerConverter):
    """``<int:…>`` in a rule: an address with a larger number is none of this hub."""

    regex = rf"\d{{1,{DIGITS_MAX}}}"

    def __init__(self, map: Map) -> None:  # noqa: A002 - werkzeug's name, given by keyword
        """As werkzeug makes one for each rule."""
        super().__init__(map, max=MAX_INT)


def install_numbers(app: Flask) -> None:
    """From now on, in the rules that are added to `app`."""
    app.url_map.converters["int"] = RowNumber
