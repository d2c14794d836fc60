"""What the keys of a hub were before: `history.json` beside them, absent while nothing changed.

Whoever checks what is old needs it, and boxes never take a key set of a smaller version. It is
written whole and renamed into place, so that a power cut leaves the old one or the new one.
"""

import os
from dataclasses import dataclass
from pathlib import Path

import orjson

from hub.errors import ConfigError
from shared.crypto.keys import BadKey, PublicKey, b64url, from_b64url
from shared.generation import MalformedOpening, Opening, read_chain

HISTORY = "history.json"
FIRST_VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyHistory:
    """Version of the key set, and what has ended."""

    version: int = FIRST_VERSION
    openings: tuple[Opening, ...] = ()
    """Of the ledger's later generations, the second one first."""
    begun: int = 1
    """The last generation whose first leaf was placed: a database without it is an older copy."""
    http: tuple[PublicKey, ...] = ()
    """Every http key there was, the one in use last; empty while there was only one."""
    ledger: tuple[PublicKey, ...] = ()
    """The same of the ledger key."""

    @property
    def generation(self) -> int:
        """The one that is open."""
        return len(self.openings) + 1


def read_history(folder: Path, *, name: str, root: PublicKey) -> KeyHistory:
    """The history in `folder` of the ledger `name`. Raises ConfigError."""
    path = folder / HISTORY
    try:
        values = orjson.loads(path.read_bytes())
        generations = values["generations"]
        version, begun = values["version"], values["begun"]
        if values["v"] != 1 or type(version) is not int or type(begun) is not int:
            raise ConfigError(f"{path}: of a version that this release does not know")
        origin = f"{name}/{len(generations) + 1}" if generations else name
        openings = read_chain(generations, origin=origin, root=root)
        return KeyHistory(
            version=version,
            openings=openings,
            begun=begun,
            http=_publics(values["http"]),
            ledger=_publics(values["ledger"]),
        )
    except FileNotFoundError:
        return KeyHistory()
    except (OSError, ValueError, KeyError, TypeError, BadKey, MalformedOpening) as error:
        raise ConfigError(f"{path} cannot be used: {error}; put its newest copy back") from error


def _publics(values: list[str]) -> tuple[PublicKey, ...]:
    return tuple(PublicKey(from_b64url(value)) for value in values)


def write_history(folder: Path, history: KeyHistory) -> None:
    """Replace the history; durable on return. Raises OSError."""
    values = {
        "v": 1,
        "version": history.version,
        "generations": [opening.values() for opening in history.openings],
        "begun": history.begun,
        "http": [b64url(key.raw) for key in history.http],
        "ledger": [b64url(key.raw) for key in history.ledger],
    }
    draft = folder / f".{HISTORY}.new"
    with draft.open("wb") as file:
        file.write(orjson.dumps(values, option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / HISTORY)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
