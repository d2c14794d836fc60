"""The vault's table."""

from collections.abc import Sequence
from hashlib import sha256

from sqlalchemy import Column, Connection, Index, Table, insert, select, update

from hub.store import BYTES, INT64, METADATA, TEXT

VAULT_ITEM = Table(
    "vault_item",
    METADATA,
    Column("sha256", TEXT, primary_key=True),
    Column("device", TEXT, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Column("content", BYTES),
    Column("phone_hash", TEXT),
    Index("vault_item_phone", "phone_hash"),
)
"""`phone_hash`: by which a buyer is found; NULL until somebody has looked, "" for nobody's."""
NOBODY = ""


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


def unfiled(connection: Connection, limit: int) -> list[tuple[str, bytes]]:
    """Items nobody has looked into yet, with their contents."""
    rows = connection.execute(
        select(VAULT_ITEM.c.sha256, VAULT_ITEM.c.content)
        .where(VAULT_ITEM.c.phone_hash.is_(None), VAULT_ITEM.c.content.is_not(None))
        .limit(limit)
    )
    return [(row.sha256, bytes(row.content)) for row in rows]


def file_under(connection: Connection, digest: str, phone_hash: str) -> None:
    """An item is found by this hash from now on; one erased meanwhile stays nobody's."""
    connection.execute(
        update(VAULT_ITEM)
        .where(VAULT_ITEM.c.sha256 == digest, VAULT_ITEM.c.phone_hash.is_(None))
        .values(phone_hash=phone_hash)
    )


def filed(connection: Connection, phone_hashes: Sequence[str]) -> list[tuple[str, str, int]]:
    """Hash, device and time of arrival of what is filed under these, the oldest first."""
    rows = connection.execute(
        select(VAULT_ITEM.c.sha256, VAULT_ITEM.c.device, VAULT_ITEM.c.received_ms)
        .where(VAULT_ITEM.c.phone_hash.in_([each for each in phone_hashes if each != NOBODY]))
        .order_by(VAULT_ITEM.c.received_ms, VAULT_ITEM.c.sha256)
    )
    return [(row.sha256, row.device, row.received_ms) for row in rows]


def erase(connection: Connection, digests: Sequence[str], *, now_ms: int) -> int:
    """Empty these items, for ever; how many had a content.

    One that was never held leaves an empty place, so that a box that still has it does not bring
    it back.
    """
    erased = 0
    for digest in digests:
        held = connection.execute(
            select(VAULT_ITEM.c.content).where(VAULT_ITEM.c.sha256 == digest)
        ).first()
        if held is None:
            row = {"sha256": digest, "device": "", "received_ms": now_ms, "phone_hash": NOBODY}
            connection.execute(insert(VAULT_ITEM).values(row))
            continue
        erased += held.content is not None
        connection.execute(
            update(VAULT_ITEM)
            .where(VAULT_ITEM.c.sha256 == digest)
            .values(content=None, phone_hash=NOBODY)
        )
    return erased
