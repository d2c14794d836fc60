"""A number of ours at a vendor that answers as told, and the people who are written to."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from sqlalchemy import Connection

from hub.outbox.messages import (
    Accepted,
    Address,
    Draft,
    Failed,
    Outgoing,
    Rendered,
    TemplateUse,
    Withhold,
)

TEMPLATE = TemplateUse(purpose="offer", language="id", body=("E8",))
FOREVER_MS = 1 << 52


@dataclass(frozen=True, slots=True)
class Call:
    """A request to the vendor."""

    out_id: str
    to: str | None
    text: str
    window_open: bool


@dataclass
class ScriptedChannel:
    """Takes everything, unless the script holds an answer; may fail after it took effect."""

    name: str = "brand"
    script: list[Failed] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    arrived: list[str] = field(default_factory=list)
    """The out_ ids of what the vendor has taken, an unknown answer included."""
    during: Callable[[str], object] = lambda _out_id: None
    numbers: count = field(default_factory=count)  # type: ignore[type-arg]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(
        self, address: Address, rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted | Failed:
        """Answer by the script, or accept."""
        with self.lock:
            self.calls.append(Call(out_id, address.phone, rendered.text, window_open))
            answer = self.script.pop(0) if self.script else None
            number = next(self.numbers)
        if answer is None or answer.action == "unknown":
            self.arrived.append(out_id)
        self.during(out_id)
        return answer or Accepted(f"wamid.{number}")


@dataclass
class PlainWords:
    """Says kind and ref, unless told that it is no longer true; everybody has an address."""

    untrue: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    template: TemplateUse | None = TEMPLATE

    def render(self, _connection: Connection, row: Outgoing) -> Rendered | Withhold:
        """The words of a row."""
        if row.ref in self.broken:
            raise KeyError(row.ref)
        if row.ref in self.untrue:
            return Withhold("claimed")
        return Rendered(text=f"{row.kind} {row.ref}", template=self.template)

    def address(self, _connection: Connection, to: str) -> Address | Withhold:
        """The address of somebody."""
        return Withhold("erased") if to in self.gone else Address(phone=to, bsuid=None)


def draft(
    key: str,
    *,
    to: str = "per_a",
    ref: str = "led_1",
    kind: str = "offer",
    not_before_ms: int = 0,
    not_after_ms: int = FOREVER_MS,
    urgent: bool = False,
) -> Draft:
    """Something to say to a rep."""
    return Draft(
        key=key,
        to=to,
        role="reps" if to.startswith("per_") else "customers",
        kind=kind,
        ref=ref,
        not_before_ms=not_before_ms,
        not_after_ms=not_after_ms,
        urgent=urgent,
    )


def texts(calls: Sequence[Call]) -> list[str]:
    """What was said, in order."""
    return [call.text for call in calls]
