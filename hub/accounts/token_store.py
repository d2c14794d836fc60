"""The table of API tokens and the SQL over it. Secrets come in as SHA-256, never as themselves."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Column, Connection, Index, Table, insert, select, update

from hub.store import BYTES, INT64, METADATA, TEXT

API_TOKEN = Table(
    "api_token",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("secret_hash", BYTES, nullable=False, unique=True),
    Column("scopes", TEXT, nullable=False),
    Column("dealer", TEXT),
    Column("created_ms", INT64, nullable=False),
    Column("revoked_ms", INT64),
    Index("api_token_created", "created_ms", "id"),
)


def create(connection: Connection, values: Mapping[str, object]) -> None:
    """Store a new token."""
    connection.execute(insert(API_TOKEN).values(**values))


def by_hash(connection: Connection, secret_hash: bytes) -> Mapping[str, Any] | None:
    """The token with this secret, revoked or not."""
    found = select(API_TOKEN).where(API_TOKEN.c.secret_hash == secret_hash)
    row = connection.execute(found).one_or_none()
    return None if row is None else row._asdict()


def everything(connection: Connection) -> list[Mapping[str, Any]]:
    """Every token, the oldest first."""
    order = (API_TOKEN.c.created_ms, API_TOKEN.c.id)
    return [row._asdict() for row in connection.execute(select(API_TOKEN).order_by(*order))]


def revoke(connection: Connection, token: str, now_ms: int) -> bool:
    """End a token; False when there is none that is alive."""
    ended = connection.execute(
        update(API_TOKEN)
        .where(API_TOKEN.c.id == token, API_TOKEN.c.revoked_ms.is_(None))
        .values(revoked_ms=now_ms)
    )
    return bool(ended.rowcount)
