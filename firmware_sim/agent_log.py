"""The agent's log lines that a simulation listens to."""

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where an event stands on its box: generation, lane, number."""

    gen: int
    lane: str
    n: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """An event is on the box's disk."""

    type: str
    place: Place
    mono_ms: int
    till: str | None
    receipt: str | None
    serial: str | None
    sale: Place | None
    """For an activation: the sale that asked for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipted:
    """A receipt was verified: these places stand on the ledger from `first_index` on."""

    places: tuple[Place, ...]
    batch_id: str
    first_index: int
    mono_ms: int


def read_line(line: str) -> Captured | Receipted | None:
    """What a log line says; None for anything else."""
    try:
        said = json.loads(line)
        if said["event"] == "captured":
            return _captured(said)
        if said["event"] == "batch_receipted":
            return _receipted(said)
    except (ValueError, KeyError, TypeError):
        return None
    return None


def _captured(said: dict[str, Any]) -> Captured:
    sale = None
    if said.get("sale_gen") is not None:
        sale = Place(gen=said["sale_gen"], lane="sale", n=said["sale_n"])
    return Captured(
        type=said["type"],
        place=Place(gen=said["gen"], lane=said["lane"], n=said["n"]),
        mono_ms=said["mono_ms"],
        till=said.get("till"),
        receipt=said.get("receipt"),
        serial=said.get("serial"),
        sale=sale,
    )


def _receipted(said: dict[str, Any]) -> Receipted:
    return Receipted(
        places=tuple(
            Place(gen=gen, lane=said["lane"], n=n)
            for gen, first, last in said["gen_n"]
            for n in range(first, last + 1)
        ),
        batch_id=said["batch_id"],
        first_index=said["first_index"],
        mono_ms=said["mono_ms"],
    )
