"""The whole ledger of a hub, looked at from outside: unbroken, complete, each event once."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import select

from hub.ledger.tables import BATCH, CHECKPOINT
from hub.ledger.verify import Verification, Verifier
from hub.rebuild import rebuild
from hub.wiring import Hub
from tests.fakes.hub_boxes import Batch


def verification(hub: Hub) -> Verification:
    """What `ledger verify` finds."""
    with hub.database.read() as connection:
        return Verifier(hub_keys=hub.keys.http_ever, root=hub.keys.root.public).run(connection)


def findings(hub: Hub) -> list[str]:
    """What `ledger verify` complains about."""
    return verification(hub).findings


def batch_ids(hub: Hub) -> Counter[str]:
    """How often each batch of a box stands on the ledger."""
    with hub.database.read() as connection:
        rows = connection.execute(select(BATCH.c.batch_id).where(BATCH.c.lane != "hub")).scalars()
        return Counter(bytes(digest).hex() for digest in rows)


def heads(hub: Hub) -> dict[int, bytes]:
    """Every tree head: size and root."""
    with hub.database.read() as connection:
        rows = connection.execute(select(CHECKPOINT.c.size, CHECKPOINT.c.root))
        return {size: bytes(root) for size, root in rows}


def check_ledger(hub: Hub, delivered: Iterable[Batch]) -> None:
    """Assert that it is unbroken, holds exactly these batches once, and projections fit."""
    assert [] == findings(hub)
    assert Counter(batch.id for batch in delivered) == batch_ids(hub)
    assert [] == rebuild(hub).differing
