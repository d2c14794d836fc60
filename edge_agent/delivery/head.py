"""The hub's view of this box, read strictly, and what follows from comparing it with ours."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from edge_agent.buffer import Place, SealedBatch
from edge_agent.errors import AnswerUnproven
from shared.wire import fields
from shared.wire.events import LANES
from shared.wire.fields import MalformedField


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Epoch, highest generation, and per lane the next position and the last batch."""

    epoch: int
    max_gen: int
    lanes: Mapping[str, Place]

    @property
    def is_fresh(self) -> bool:
        """Whether the hub has never received anything of this box."""
        return self.max_gen == 0 and all(
            place.next_seq == 1 and place.last_batch is None for place in self.lanes.values()
        )


class Agreement(Enum):
    """How one lane compares."""

    SAME = "same"
    RECEIVED = "received"
    """The hub is ahead by exactly the batch in flight: only its receipt is missing."""
    DIFFERENT = "different"


def parse_head(values: Mapping[str, Any]) -> Head:
    """Read an answer. Raises AnswerUnproven: a hub knows its own format."""
    try:
        lanes = fields.mapping(values.get("lanes"), "lanes")
        return Head(
            epoch=fields.integer(values, "epoch", 1),
            max_gen=fields.integer({"max_gen": values.get("max_gen") or 0}, "max_gen"),
            lanes={lane: _place(lanes.get(lane), lane) for lane in LANES},
        )
    except MalformedField as error:
        raise AnswerUnproven(f"the hub's head is not readable: {error}") from error


def _place(value: object, lane: str) -> Place:
    if value is None:
        return Place(next_seq=1, last_batch=None)
    place = fields.mapping(value, lane)
    last = place.get("last_batch")
    return Place(
        next_seq=fields.integer(place, "next_seq", 1),
        last_batch=None if last is None else fields.hexadecimal(place, "last_batch"),
    )


def compare(hub: Place, ours: Place, in_flight: SealedBatch | None) -> Agreement:
    """How the hub's place for a lane compares with ours; `ours` counts the batch in flight."""
    if in_flight is None:
        return Agreement.SAME if hub == ours else Agreement.DIFFERENT
    if hub == ours:
        return Agreement.RECEIVED
    # Not received: the hub stands where the batch begins. Its chain is checked there by `prev`.
    if hub.next_seq == in_flight.first_seq and hub.last_batch != in_flight.batch_id:
        return Agreement.SAME
    return Agreement.DIFFERENT
