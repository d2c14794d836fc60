"""A hub that was restored from an older backup gets back what this box still keeps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from edge_agent.buffer import Buffer, RingPlace
from edge_agent.delivery.link import Link
from edge_agent.errors import AnswerUnproven, HubRefused
from shared.wire import batch as wire
from shared.wire import fields
from shared.wire.fields import Json, MalformedField

STEP_BATCHES = 32
"""Given back in one step, so that a lane's thread shows a sign of life in between."""
RANGES_MAX = 1000
NOT_FOUND = 404


class Refiller:
    """Step by step, and safe to repeat: the hub knows what it has already."""

    def __init__(
        self, buffer: Buffer, *, on_event: Callable[[str, Mapping[str, object]], None]
    ) -> None:
        """Nothing is asked before step()."""
        self._buffer = buffer
        self._on_event = on_event
        self._refused: set[str] = set()

    def step(self, link: Link, checkpoint: str) -> bool:
        """Show the hub the tree head that was proven to this box, give back a part of the rest.

        Whether anything was given, so that the next step is worth taking at once. Raises LinkError.
        """
        try:
            wanted = _wanted(link.show_checkpoint(checkpoint))
        except HubRefused as refusal:
            if refusal.problem.status != NOT_FOUND:
                raise
            # A hub of an earlier release: it takes nothing back, and nothing is sent to it.
            return False
        given = 0
        for kept in self._buffer.ring_places():
            end = kept.first_index + kept.count
            if kept.batch_id in self._refused or not _inside(kept.first_index, end, wanted):
                continue
            if given == STEP_BATCHES:
                break
            given += self._give(link, kept)
        if given:
            self._on_event("ring_given_back", {"batches": given})
        return bool(given)

    def _give(self, link: Link, kept: RingPlace) -> bool:
        batch = self._buffer.ring_batch(kept)
        if batch is None:
            return False
        body = wire.encode_body(batch.statement, batch.seal, batch.events, batch.attachments)
        try:
            link.give_back(body, first_index=kept.first_index, received_ms=kept.received_ms)
        except HubRefused as refusal:
            if refusal.retryable:
                raise
            # One batch that has no place there must not keep the others from theirs.
            self._refused.add(kept.batch_id)
            self._on_event("refill_refused", {"batch_id": kept.batch_id, "code": refusal.code})
        return True


def _wanted(answer: Mapping[str, Any]) -> Sequence[tuple[int, int]]:
    try:
        return fields.each(answer, "wanted", RANGES_MAX, _range)
    except MalformedField as error:
        raise AnswerUnproven(f"the hub's wish is not readable: {error}") from error


def _range(value: object, name: str) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise fields.refuse(name, "[first, end)", value)
    pair: Json = {"first": value[0], "end": value[1]}
    first = fields.integer(pair, "first")
    return first, fields.integer(pair, "end", first)


def _inside(first: int, end: int, wanted: Sequence[tuple[int, int]]) -> bool:
    return any(low <= first and end <= high for low, high in wanted)
