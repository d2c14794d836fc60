"""Whether this hub may take anything new: not while a box holds more of its ledger than it has.

A hub restored from an older backup does not know that it is. A box does: it keeps the largest
tree head that was proven to it, signed by this very ledger's key.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select

from hub.errors import Refused
from hub.ledger.tables import REFILL_BATCH, REFILL_CLAIM, REFILL_HOLD
from hub.store import Statement
from shared.merkle import EMPTY_ROOT

WANTED_MAX = 1000
READ_ONLY = "read-only"
_STANDING = Statement(
    "SELECT newest.size, newest.root, (SELECT count(*) FROM refill_hold),"
    " (SELECT max(size) FROM refill_claim), (SELECT max(generation) FROM ledger_generation)"
    " FROM (SELECT 1 AS one) AS always LEFT JOIN"
    " (SELECT size, root FROM checkpoint ORDER BY size DESC LIMIT 1) AS newest ON always.one = 1"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RefillState:
    """How far a restored hub is."""

    size: int
    target: int | None
    """The largest tree head of ours that a box holds and we do not have; None: none is known."""
    held: bool
    """An operator said that this database was restored, and has not yet released it."""
    staged: int
    """Entries that boxes gave back and that wait for those before them."""
    wanted: tuple[tuple[int, int], ...]
    """What nobody has given back yet, as ``[first, end)``, at most WANTED_MAX ranges."""
    lacks_generation: int | None = None
    """The generation that was opened for this ledger and of which this database has nothing."""

    @property
    def read_only(self) -> bool:
        """Whether new batches and facts are put off."""
        return self.held or self.target is not None or self.lacks_generation is not None

    def sentence(self) -> str:
        """For an operator: what it is and what to do."""
        if self.target is not None:
            missing = sum(end - first for first, end in self.wanted)
            return (
                f"read-only: a box holds a proof of {self.target} entries, this database has "
                f"{self.size}: it is older than that. The boxes give back what they keep; "
                f"{missing} entries are still missing. Leave it running and connected. What no "
                "box can give back: `kickstand-hub ledger generation`"
            )
        if self.lacks_generation is not None:
            return (
                f"read-only: this database is older than generation {self.lacks_generation} of "
                "the ledger, whose opening no box can give back; when every box has been heard, "
                "stop the hub and run `kickstand-hub ledger generation`"
            )
        if self.held:
            return (
                f"read-only: held by an operator at {self.size} entries; when every box has "
                "been heard, run `kickstand-hub ledger release`"
            )
        return f"open, {self.size} entries"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What decides whether anything new has a place: asked for in one step by every transaction
    that gives places."""

    size: int
    root: bytes
    held: bool
    claimed: int
    """The largest tree head that a box has shown."""
    generation: int
    """In which the database is."""

    def is_read_only(self, generation: int) -> bool:
        """Whether the ledger must not be written to, except by a refill.

        `generation`: the newest that was opened; a database from before it cannot go on in it.
        """
        return self.held or self.claimed > self.size or self.generation < generation


def standing(connection: Connection) -> Standing:
    """How this database stands."""
    [(size, root, held, claimed, begun)] = _STANDING.rows(connection)
    return Standing(
        size=size or 0,
        root=EMPTY_ROOT if root is None else bytes(root),
        held=bool(held),
        claimed=claimed or 0,
        generation=begun or 1,
    )


def refusal(size: int) -> Refused:
    """The answer to whoever brings something new."""
    return Refused(
        503,
        READ_ONLY,
        f"this hub has {size} entries and was restored from an older backup: it takes nothing "
        "new before the boxes have refilled it; keep what you have, show your checkpoint",
    )


def refill_state(connection: Connection, generation: int) -> RefillState:
    """Everything about it, in one snapshot."""
    found = standing(connection)
    size = found.size
    target = found.claimed if found.claimed > size else None
    staged = connection.execute(
        select(REFILL_BATCH.c.first_index, REFILL_BATCH.c.count)
        .where(REFILL_BATCH.c.first_index >= size)
        .order_by(REFILL_BATCH.c.first_index)
    ).all()
    wanted: list[tuple[int, int]] = []
    at = size
    for first, count in staged:
        if first > at:
            wanted.append((at, first))
        at = max(at, first + count)
    if target is not None and at < target:
        wanted.append((at, target))
    return RefillState(
        size=size,
        target=target,
        held=found.held,
        staged=sum(count for _, count in staged),
        wanted=tuple(wanted[:WANTED_MAX]) if target is not None else (),
        lacks_generation=generation if found.generation < generation else None,
    )


def claims_above(connection: Connection, size: int) -> Sequence[tuple[int, bytes]]:
    """Sizes and roots that boxes hold signed, the smallest first."""
    rows = connection.execute(
        select(REFILL_CLAIM.c.size, REFILL_CLAIM.c.root)
        .where(REFILL_CLAIM.c.size > size)
        .order_by(REFILL_CLAIM.c.size)
        .distinct()
    )
    return [(found, bytes(root)) for found, root in rows]


def note_claim(
    connection: Connection, device: str, *, size: int, root: bytes, note: str, now_ms: int
) -> None:
    """Keep a device's largest verified tree head in the caller's transaction."""
    known = connection.execute(
        select(REFILL_CLAIM.c.size).where(REFILL_CLAIM.c.device == device)
    ).scalar()
    if known is not None and known >= size:
        return
    connection.execute(delete(REFILL_CLAIM).where(REFILL_CLAIM.c.device == device))
    connection.execute(
        insert(REFILL_CLAIM).values(
            device=device, size=size, root=root, checkpoint=note, noted_ms=now_ms
        )
    )


def drop_reached(connection: Connection, size: int) -> None:
    """Forget claims and leftovers that a ledger of `size` has made pointless."""
    connection.execute(delete(REFILL_CLAIM).where(REFILL_CLAIM.c.size <= size))
    connection.execute(delete(REFILL_BATCH).where(REFILL_BATCH.c.first_index < size))


def hold(connection: Connection, *, now_ms: int) -> None:
    """Take nothing new until `release`; idempotent."""
    held = connection.execute(select(func.count()).select_from(REFILL_HOLD)).scalar_one()
    if not held:
        connection.execute(insert(REFILL_HOLD).values(id=1, held_ms=now_ms))


def release(connection: Connection) -> None:
    """End a hold; what boxes claim stays claimed."""
    connection.execute(delete(REFILL_HOLD))


def clear(connection: Connection) -> None:
    """Await nothing any more: a new generation goes on with what there is.

    Batches aside stay: their boxes' lanes may still take them up.
    """
    connection.execute(delete(REFILL_HOLD))
    connection.execute(delete(REFILL_CLAIM))


def largest_claim(connection: Connection) -> str | None:
    """The signed note of the largest tree head that a box has shown and we do not have."""
    return connection.execute(
        select(REFILL_CLAIM.c.checkpoint).order_by(REFILL_CLAIM.c.size.desc()).limit(1)
    ).scalar()


def drop_foreign(connection: Connection, origin: str) -> None:
    """Forget claims of earlier generations: they were settled when this one was opened."""
    foreign = ~REFILL_CLAIM.c.checkpoint.startswith(f"{origin}\n", autoescape=True)
    connection.execute(delete(REFILL_CLAIM).where(foreign))
