"""Bugs that others have shipped, planted into ours: the simulation has to catch each of them."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from edge_agent.buffer import (
    Buffer,
    Capture,
    Duplicate,
    RingPlace,
    SealedBatch,
    Sealer,
    Stored,
)
from edge_agent.delivery import Delivery, lanes
from firmware_sim.chaos.box import Parts
from firmware_sim.chaos.world import ROOMY_BYTES, run_seed
from hub.ledger import claims
from hub.ledger.sequencer import Incoming
from hub.wiring import Hub
from shared.checkpoint import parse_checkpoint

SEEDS_TRIED = 24
ROOMY = Parts(buffer_bytes=ROOMY_BYTES)


class EarlyAcknowledgement(Buffer):
    """Says "stored" while the facts are still in memory, as the closest peer does."""

    _memory: list[Capture]

    def put(self, captures: Sequence[Capture]) -> list[Stored | Duplicate]:
        """Keep for the next time."""
        late, self._memory = getattr(self, "_memory", []), list(captures)
        super().put(late)
        return [Stored(1, "sale", 1) for _ in captures]


class SealInMemory(Buffer):
    """Sends a batch whose seal is not on disk: after every answer it is cut anew."""

    def seal(self, lane: str, sealer: Sealer) -> SealedBatch | None:
        """Cut, and forget on disk what was cut."""
        batch = super().seal(lane, sealer)
        if batch is not None:
            with self._file.transaction() as connection:
                connection.execute("UPDATE segment SET batch = NULL WHERE batch = ?", (batch.row,))
                connection.execute("DELETE FROM batch WHERE id = ?", (batch.row,))
                connection.execute(
                    "UPDATE lane SET next_seq = ?, last_batch = ? WHERE lane = ?",
                    (batch.first_seq, self._before(batch), lane),
                )
        return batch

    @staticmethod
    def _before(batch: SealedBatch) -> str | None:
        from shared.wire.batch import parse_statement  # noqa: PLC0415 - only this bug needs it

        return parse_statement(batch.statement).prev


class FreesOnPromise(Delivery):
    """Takes 202 for a receipt."""

    def _deliver(self, lane: str, batch: SealedBatch) -> int:
        wait_ms = super()._deliver(lane, batch)
        if self.lanes[lane].polling == batch.batch_id:
            self._buffer.receipted(batch, first_index=0, received_ms=0)
            self.lanes[lane].polling = None
        return wait_ms


class ForgetsWhen(Buffer):
    """Gives a restored hub its batches back with a time of receipt that is not the old one."""

    def ring_places(self) -> list[RingPlace]:
        """Off by a millisecond."""
        return [replace(p, received_ms=p.received_ms + 1) for p in super().ring_places()]


class ForgetsBeyond(Buffer):
    """Follows a new generation of the ledger and takes what the old one had for delivered."""

    def follow_generation(self, begins: str) -> None:
        """Nothing waits again."""
        self.remember("checkpoint", begins)


def no_dedupe(hub: Hub) -> None:
    """The hub gives a batch that it has already a second place."""
    sequencer = hub.ledger.sequencer
    place = sequencer._place

    def careless(connection, incoming: Incoming, group, size):
        statement = incoming.body.statement
        key = (incoming.device, statement.epoch, statement.lane)
        head = group.heads.get(key)
        if head is not None and head.next_seq == statement.first_seq + statement.count:
            head.next_seq = statement.first_seq
            head.last_batch = bytes.fromhex(statement.prev or "")
        return place(connection, incoming, group, size)

    sequencer._place = careless  # type: ignore[method-assign]


def nothing(_hub: Hub) -> None:
    """No bug in the hub."""


def caught(parts: Parts, prepare: Callable[[Hub], None] = nothing, **kind: bool) -> list[str]:
    """The violations of the first seed that finds any, a crash included."""
    for seed in range(SEEDS_TRIED):
        try:
            outcome = run_seed(seed, parts=parts, prepare=prepare, **kind)
        except Exception as error:  # noqa: BLE001 - a crash catches a bug as well as a check
            return [f"seed {seed}: {error!r}"]
        if outcome.violations:
            return outcome.violations
    return []


@pytest.mark.parametrize(
    "parts",
    [
        Parts(buffer=EarlyAcknowledgement),
        Parts(buffer=SealInMemory),
        Parts(delivery=FreesOnPromise),
    ],
    ids=["early acknowledgement", "seal not persisted", "freeing on 202"],
)
@pytest.mark.timeout(600)
def test_a_bug_in_the_box_is_caught(parts):
    """The simulation is only worth its time if it finds what it was built to find."""
    assert caught(parts)


@pytest.mark.timeout(600)
def test_a_hub_without_dedupe_is_caught():
    """A batch that is delivered twice must not stand twice."""
    assert caught(Parts(), no_dedupe)


@pytest.mark.timeout(600)
def test_a_skipped_proof_check_is_caught(monkeypatch):
    """A signed answer without a valid proof frees nothing, or the fact is gone."""

    def believe(receipt, **_: object):
        return parse_checkpoint(receipt.checkpoint)

    monkeypatch.setattr(lanes, "verify_receipt", believe)

    assert caught(Parts())


@pytest.mark.timeout(600)
def test_a_restored_hub_that_goes_on_at_once_is_caught(monkeypatch):
    """It would sign a second history over the first, and the boxes would refuse it for ever."""
    monkeypatch.setattr(claims.Standing, "is_read_only", lambda *_: False)

    assert caught(ROOMY, restores_hub=True)


@pytest.mark.timeout(600)
def test_a_ring_that_forgets_when_is_caught():
    """The leaf holds the time of receipt: with another one the old root never comes back."""
    assert caught(replace(ROOMY, buffer=ForgetsWhen), restores_hub=True)


@pytest.mark.timeout(600)
def test_a_box_that_forgets_what_a_new_generation_lacks_is_caught():
    """The ring is the only copy of what the old generation had proven beyond the backup."""
    assert caught(replace(ROOMY, buffer=ForgetsBeyond), loses_facts=True)


def test_the_same_seeds_are_clean_without_a_bug():
    """What catches the bugs does not cry wolf."""
    assert [] == [seed for seed in range(3) if run_seed(seed).violations]
