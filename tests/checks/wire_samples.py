"""The golden wire bytes by name, and hostile values to put in their place."""

import json
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

GOLDEN = Path(__file__).parent.parent / "golden" / "v1"


@cache
def golden(name: str) -> bytes:
    """The bytes of a golden file; those kept as hex are unpacked."""
    content = (GOLDEN / name).read_bytes()
    return bytes.fromhex(content.decode()) if name.endswith(".hex") else content


@cache
def event_names() -> tuple[str, ...]:
    """The golden files of events, one for every type."""
    return tuple(sorted(path.name for path in GOLDEN.glob("event.*.json")))


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: object, here: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The way to every value inside a JSON document."""
    found = [here] if here else []
    if isinstance(value, dict):
        for key, item in value.items():
            found += paths(item, (*here, key))
    if isinstance(value, list):
        for index, item in enumerate(value):
            found += paths(item, (*here, index))
    return found


def replaced(document: bytes, path: tuple[str | int, ...], value: object) -> bytes:
    """The JSON document with the value at `path` replaced."""
    root = json.loads(document)
    inner = root
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    return json.dumps(root).encode()
