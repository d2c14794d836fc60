"""Tokens of programs that read the API: made once, shown once, stored as a hash, revocable."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hub.accounts import token_store as store
from hub.errors import Refused
from hub.store import Database
from shared.identifiers import new_id

SCOPES: Final = ("leads:read", "customers:read", "alerts:read", "claims:read", "inbox:read")
OF_ALL_DEALERS: Final = frozenset({"inbox:read"})
"""What is not any one dealer's, and so cannot be read by a token of one."""
SECRET_BYTES: Final = 32
PREFIX: Final = "kickstand_"
"""So that a scanner for lost secrets knows one when it sees it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token may read; of one dealer only, when it names one."""

    id: str
    scopes: frozenset[str]
    dealer: str | None
    created_ms: int
    revoked_ms: int | None


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token and its secret, which exists here and with whoever asked for it."""

    token: Token
    secret: str


class Tokens:
    """The API tokens of one database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`; nothing is read yet."""
        self._database: Final = database

    def create(self, scopes: Sequence[str], *, dealer: str | None, now_ms: int) -> NewToken:
        """A new token. Raises Refused for a scope that does not exist or does not fit a dealer."""
        unknown = [scope for scope in scopes if scope not in SCOPES]
        if unknown or not scopes:
            named = ", ".join(unknown) or "no scope"
            raise Refused(422, "unknown-scope", f"{named}: it must be of {' '.join(SCOPES)}")
        if dealer is not None and OF_ALL_DEALERS.intersection(scopes):
            raise Refused(422, "not-of-a-dealer", "inbox:read is not for a token of one dealer")
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        values = {
            "id": new_id("tok"),
            "secret_hash": _hashed(secret),
            "scopes": " ".join(scope for scope in SCOPES if scope in scopes),
            "dealer": dealer,
            "created_ms": now_ms,
            "revoked_ms": None,
        }
        self._database.write(lambda connection: store.create(connection, values))
        return NewToken(_token(values), secret)

    def of_secret(self, secret: str) -> Token | None:
        """The live token with this secret."""
        with self._database.read() as connection:
            row = store.by_hash(connection, _hashed(secret))
        return None if row is None or row["revoked_ms"] is not None else _token(row)

    def all(self) -> list[Token]:
        """Every token that was ever made, the oldest first."""
        with self._database.read() as connection:
            return [_token(row) for row in store.everything(connection)]

    def revoke(self, token: str, *, now_ms: int) -> bool:
        """End a token at once; False when there is none that is alive."""
        return self._database.write(lambda connection: store.revoke(connection, token, now_ms))


def _hashed(secret: str) -> bytes:
    # 256 random bits need no slow hash.
    return hashlib.sha256(secret.encode()).digest()


def _token(row: Mapping[str, Any]) -> Token:
    return Token(
        id=row["id"],
        scopes=frozenset(row["scopes"].split()),
        dealer=row["dealer"],
        created_ms=row["created_ms"],
        revoked_ms=row["revoked_ms"],
    )
