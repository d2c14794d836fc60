"""Stored values as a person reads them. No I/O."""

from typing import Any, Final

from shared.instants import rfc3339

SPANS: Final = frozenset({"margin_ms", "response_ms"})
"""Lengths of time; every other ``…_ms`` is a moment."""


def times_in(value: Any) -> Any:
    """The same with every moment as ``…_at`` in words, at any depth."""
    if isinstance(value, dict):
        return dict(_named(name, each) for name, each in value.items())
    if isinstance(value, list | tuple):
        return [times_in(each) for each in value]
    return value


def _named(name: str, value: Any) -> tuple[str, Any]:
    if name.endswith("_ms") and name not in SPANS and isinstance(value, int | None):
        said = "at" if name == "at_ms" else name.removesuffix("_ms") + "_at"
        return said, None if value is None else rfc3339(value)
    return name, times_in(value)
