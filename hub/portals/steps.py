"""The way of an entry from the store to the ledger. A step without a recorded time is not shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from hub.portals.formats import duration, percent
from hub.portals.languages import say
from hub.portals.read_models import Entry, Proof
from shared.identifiers import HUB_DEVICE
from shared.wire.events import Activated, Occurred, Sale


@dataclass(frozen=True, slots=True)
class Step:
    """One step and how long after the first it happened."""

    what: str
    after: str


def steps_of(entry: Entry, proof: Proof | None, related: Sequence[Entry]) -> list[Step]:
    """The recorded steps in their order; empty when the box had no clock."""
    if entry.event is None or entry.event.occurred.wall_ms is None:
        return []
    start_ms = entry.event.occurred.wall_ms
    sale = isinstance(entry.event.data, Sale)
    by_hub = entry.device == HUB_DEVICE
    begun = say("Recorded by the hub") if by_hub else say("Stored on the box")
    if sale:
        begun = say("The till finished; stored on the box")
    moments = [(start_ms, begun)]
    sealed_ms = None if proof is None else _sealed_ms(entry.event.occurred, proof.sealed)
    if sealed_ms is not None:
        moments.append(
            (sealed_ms, say("Sealed by the hub") if by_hub else say("Sealed by the box"))
        )
    moments.append((entry.received_ms, say("On the ledger, durable and signed")))
    if sale:
        moments += _answers(entry, related)
    return [
        Step(what, duration(0) if at_ms == start_ms else f"+{duration(at_ms - start_ms)}")
        for at_ms, what in sorted(moments, key=lambda moment: moment[0])
        if at_ms >= start_ms
    ]


def _sealed_ms(begun: Occurred, sealed: Occurred | None) -> int | None:
    """When the box sealed it; by its own clock when it had not been restarted in between."""
    if sealed is None or begun.wall_ms is None:
        return None
    if sealed.boot == begun.boot:
        return begun.wall_ms + sealed.mono_ms - begun.mono_ms
    return sealed.wall_ms


def _answers(entry: Entry, related: Sequence[Entry]) -> list[tuple[int, str]]:
    answers = []
    event = entry.event
    for other in related:
        if event is None or other.event is None or other.device != entry.device:
            continue
        data, wall_ms = other.event.data, other.event.occurred.wall_ms
        if not isinstance(data, Activated) or wall_ms is None:
            continue
        if (data.sale.gen, data.sale.n) == (event.gen, event.n):
            answers.append((wall_ms, _answer_text(data)))
    return answers


def _answer_text(data: Activated) -> str:
    if data.battery_pct is not None and data.firmware is not None:
        return say(
            "The scooter answered: battery %(battery)s, firmware %(firmware)s",
            battery=percent(data.battery_pct),
            firmware=data.firmware,
        )
    return say("The scooter answered")
