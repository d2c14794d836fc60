"""Decisions about signing in: values in, a reason out."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
SESSION_IDLE_MS = 2 * HOUR_MS
SESSION_LIFE_MS = 12 * HOUR_MS
SESSION_TOUCH_MS = MINUTE_MS
"""A session's last use is written at most this often: reading pages must not write each time."""

LINK_LIFE_MS = 10 * MINUTE_MS
FIRST_LINK_LIFE_MS = 24 * HOUR_MS
"""`init` prints a link that has to survive the way to whoever will use it."""

GUESS_WINDOW_MS = 15 * MINUTE_MS
GUESSES_AN_ACCOUNT = 10
GUESSES_AN_ADDRESS = 50
PASSWORD_CHARS_MIN = 12
PASSWORD_CHARS_MAX = 256
EMAIL_CHARS_MAX = 254

Role = Literal["admin", "executive", "regional_manager", "auditor"]
ROLES: Final[tuple[Role, ...]] = ("admin", "executive", "regional_manager", "auditor")
"""Of an account that is nobody of the people's file; they read every dealer's pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who has signed in. `language` is None until they chose one.

    `person` is who it is in the people's file (None: an account of the hub alone); then role,
    dealers and regions are those of the file at this moment.
    """

    id: int
    email: str | None
    role: str
    language: str | None
    has_password: bool
    has_totp: bool
    disabled: bool
    person: str | None = None
    dealers: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()

    @property
    def head_office(self) -> bool:
        """May this account read every dealer's pages?"""
        return self.role in ROLES

    @property
    def label(self) -> str:
        """What an authenticator app shows beside the code."""
        return self.email or self.person or str(self.id)

    def may_see_dealer(self, code: str) -> bool:
        """Head office sees every dealer, everybody else those they work at."""
        return self.head_office or code in self.dealers


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionTimes:
    """When a session began and when it was last used."""

    created_ms: int
    seen_ms: int


def session_is_live(times: SessionTimes, *, now_ms: int) -> bool:
    """A session ends after two idle hours, and after twelve in any case."""
    return now_ms - times.seen_ms < SESSION_IDLE_MS and now_ms - times.created_ms < SESSION_LIFE_MS


def normal_email(text: str) -> str | None:
    """The address as it is compared: stripped, lower case. None when it cannot be one."""
    email = text.strip().lower()
    name, at, host = email.rpartition("@")
    plain = email.isprintable() and not any(letter.isspace() for letter in email)
    return email if name and at and host and plain and len(email) <= EMAIL_CHARS_MAX else None


PasswordFault = Literal[
    "too_short", "too_long", "too_plain", "is_the_email", "no_address", "address_taken"
]


def password_fault(password: str, email: str | None) -> PasswordFault | None:
    """Why this password is no good. Length decides; no rules about kinds of characters."""
    if len(password) < PASSWORD_CHARS_MIN:
        return "too_short"
    if len(password) > PASSWORD_CHARS_MAX:
        return "too_long"
    if email and password.strip().lower() in {email, email.partition("@")[0]}:
        return "is_the_email"
    if len(set(password.lower())) < 5 or _is_a_run(password.lower()):
        return "too_plain"
    return None


def _is_a_run(text: str) -> bool:
    """Is it one short pattern repeated, a straight run, or the word itself with digits?"""
    steps = {ord(b) - ord(a) for a, b in pairwise(text)}
    repeated = any(
        text == text[:width] * (len(text) // width) + text[: len(text) % width]
        for width in range(1, 5)
    )
    common = ("password", "kickstand", "qwertyuiop", "12345678", "rahasia", "katasandi")
    plain = text.strip("0123456789!@#.")
    return len(steps) == 1 or repeated or plain in common or plain == ""
