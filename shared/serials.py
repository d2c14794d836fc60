"""Serial numbers of units: the grammar and the one normal form.

The raw text is always kept beside the normal form, so normalising loses no evidence.
The default grammar is that of a VIN (ISO 3779: 17 characters without I, O, Q) or of the
15-digit Chinese whole-vehicle code. A VIN's check digit is not mandatory in Asia: not checked.
"""

import re
import unicodedata
from functools import lru_cache

DEFAULT_PATTERN = r"(?:[A-HJ-NPR-Z0-9]{17}|\d{15})"
MAX_RAW_CHARS = 64
_SEPARATORS = re.compile(r"[\s\-\u2010-\u2015_.]+")
# None of I, O, Q can occur in a serial, so a till that prints them meant the digit.
_MISREAD = str.maketrans({"O": "0", "Q": "0", "I": "1"})


class MalformedSerial(ValueError):
    """The text is not a serial of this grammar. The message says what was seen."""


def normalise(text: str) -> str:
    """The normal form of any text: NFKC, no separators, upper case, O and Q as 0, I as 1."""
    folded = unicodedata.normalize("NFKC", text)
    return _SEPARATORS.sub("", folded).upper().translate(_MISREAD)


@lru_cache(maxsize=16)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII)


def parse(text: str, pattern: str = DEFAULT_PATTERN) -> str:
    """The normal form of a serial. Raises MalformedSerial when `text` is none."""
    if len(text) > MAX_RAW_CHARS:
        raise MalformedSerial(f"serial of {len(text)} characters; at most {MAX_RAW_CHARS}")
    normal = normalise(text)
    if _compiled(pattern).fullmatch(normal) is None:
        raise MalformedSerial(f"not a serial: {text!r} (normal form {normal!r})")
    return normal
