"""`kickstand-hub ledger generation`: go on without what nobody can give back.

Three steps, each durable and safe to repeat: the root key signs the opening, into the history
beside the keys; the opening becomes the first leaf of the new generation; then what boxes gave back
gets its places. Cut anywhere, the same command goes on from there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from hub.config import HubConfig
from hub.errors import HubError
from hub.key_history import write_history
from hub.ledger import claims
from hub.ledger.generations import is_recorded
from hub.ledger.tree import newest_checkpoint
from hub.wiring import Hub
from shared.checkpoint import NoteSigner, parse_checkpoint, sign_checkpoint
from shared.generation import MAX_REASON_CHARS, Opening, origin_of


class NothingMissing(HubError):
    """The ledger takes new entries, or can still be refilled: it needs no new generation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What came of it."""

    opening: Opening
    placed: int
    """Batches that boxes had given back and that now have places."""
    aside: int
    """Batches that do not follow in their lanes; their boxes deliver what is in them anew."""


def open_generation(hub: Hub, *, reason: str, again: Callable[[HubConfig], Hub]) -> Opened:
    """Open the next generation of a read-only ledger, or finish opening it; closes `hub`.

    `again` opens the hub under the keys that it now has. Nobody else may write meanwhile.
    Raises NothingMissing, or OSError when the history cannot be written.
    """
    folder = hub.config.server.keys_dir
    history = hub.keys.history
    opening = _unfinished(hub)
    if opening is None:
        opening = _sign(hub, reason)
        openings = (*history.openings, opening)
        history = replace(history, version=history.version + 1, openings=openings)
        write_history(folder, history)
    hub.close()
    # Power lost here: boxes may learn of the generation, and the hub is as read-only as before.
    fresh = again(hub.config)
    try:
        if not _is_begun(fresh, opening):
            fresh.ledger.sequencer.begin_generation(opening)
        if history.begun < opening.generation:
            write_history(folder, replace(history, begun=opening.generation))
        placed, aside = fresh.devices.take_aside()
    finally:
        fresh.close()
    return Opened(opening=opening, placed=placed, aside=aside)


def _is_begun(hub: Hub, opening: Opening) -> bool:
    with hub.database.read() as connection:
        return is_recorded(connection, opening.generation)


def _unfinished(hub: Hub) -> Opening | None:
    """The opening that was signed for exactly this ledger and has not had all its effects."""
    history = hub.keys.history
    if not history.openings:
        return None
    newest = history.openings[-1]
    if _is_begun(hub, newest):
        refill = hub.ledger.refill
        return newest if refill.aside() and not refill.state().read_only else None
    with hub.database.read() as connection:
        same = newest_checkpoint(connection) == (newest.begins.size, newest.begins.root)
    # Once begun, a database without it is a copy from before: that generation has lived.
    return newest if same and history.begun < newest.generation else None


def _sign(hub: Hub, reason: str) -> Opening:
    keys = hub.keys
    state = hub.ledger.refill.state()
    if not state.read_only:
        raise NothingMissing(
            "the ledger is open: a new generation is for one that stays read-only after a restore. "
            "If boxes say history-forked, run `kickstand-hub ledger hold` first"
        )
    with hub.database.read() as connection:
        size, root = newest_checkpoint(connection)
        shown = claims.largest_claim(connection)
    if shown is None or parse_checkpoint(shown).origin != keys.signer.verifier.name:
        shown = sign_checkpoint(keys.signer, size=size, root=root)
    generation = keys.history.generation + 1
    signer = NoteSigner(origin_of(hub.config.server.origin, generation), keys.ledger)
    return Opening.sign(
        keys.root,
        generation=generation,
        begins=sign_checkpoint(signer, size=size, root=root),
        ended=shown,
        reason=reason[:MAX_REASON_CHARS],
        now_ms=hub.clock.wall_ms(),
    )
