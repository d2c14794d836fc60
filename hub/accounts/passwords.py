"""Password hashes: argon2id, a few at a time.

A hash takes 19 MiB and some tens of milliseconds; without a bound, a crowd of guesses would take
all the memory and every core.
"""

import threading
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

# OWASP's minimum profile: 19 MiB, two passes, one lane.
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_AT_ONCE: Final = threading.BoundedSemaphore(2)
WAIT_S_MAX = 5.0


class TooBusy(Exception):
    """More passwords are being checked than this machine can take; try again in seconds."""


def hash_password(password: str) -> str:
    """The argon2id hash to store. Raises TooBusy."""
    with _turn():
        return _HASHER.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Does the password fit? Takes as long when there is no hash at all. Raises TooBusy."""
    with _turn():
        try:
            _HASHER.verify(stored or _nobody(), password)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None


def needs_new_hash(stored: str) -> bool:
    """Was it made with weaker settings than today's?"""
    return _HASHER.check_needs_rehash(stored)


class _turn:  # noqa: N801 - used as a statement
    def __enter__(self) -> None:
        if not _AT_ONCE.acquire(timeout=WAIT_S_MAX):
            raise TooBusy("too many passwords are being checked; try again in a few seconds")

    def __exit__(self, *_: object) -> None:
        _AT_ONCE.release()


_NOBODY: list[str] = []


def _nobody() -> str:
    """A hash nobody's password fits, so that an unknown e-mail answers as slowly as a known one."""
    if not _NOBODY:
        _NOBODY.append(_HASHER.hash("nobody has this password"))
    return _NOBODY[0]
