"""The vault's table."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Column, Connection, Table, insert, select

from hub.store import BYTES, INT64, METADATA, TEXT

VAULT_ITEM = Table(
    "vault_item",
    METADATA,
    Column("sha256", TEXT, primary_key=True),
    Column("device", TEXT, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Column("content", BYTES),
)


def keep(connection: Connection, items: Sequence[bytes], *, device: str, received_ms: int) -> None:
    """Store encrypted items in the caller's transaction; one that is there already stays."""
    for content in items:
        digest = sha256(content).hexdigest()
        known = connection.execute(
            select(VAULT_ITEM.c.sha256).where(VAULT_ITEM.c.sha256 == digest)
        ).first()
        if known is None:
            connection.execute(
                insert(VAULT_ITEM).values(
                    sha256=digest, device=device, received_ms=received_ms, content=content
                )
            )


def fetch(connection: Connection, digest: str) -> bytes | None:
    """The encrypted item, or None when it was never stored or has been erased."""
    found = connection.execute(
        select(VAULT_ITEM.c.content).where(VAULT_ITEM.c.sha256 == digest)
    ).scalar_one_or_none()
    return None if found is None else bytes(found)


def absent(connection: Connection, digests: Sequence[str]) -> list[str]:
    """Those of `digests` that the vault has never held."""
    return [
        digest
        for digest in digests
        if connection.execute(
            select(VAULT_ITEM.c.sha256).where(VAULT_ITEM.c.sha256 == digest)
        ).first()
        is None
    ]
