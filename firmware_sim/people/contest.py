"""What the people saw of every lead: who was asked, who tapped, who was told what. Thread-safe."""

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

HOLD_MS = 1_800_000


@dataclass(frozen=True, slots=True)
class Holding:
    """A lead card that somebody got."""

    rep: str
    """Phone."""
    mono_ms: int


@dataclass(slots=True)
class Race:
    """One lead, as seen by the reps."""

    lead: str
    offered: dict[str, int] = field(default_factory=dict)
    """Rep's phone to when the offer was last sent (mono)."""
    tapped: dict[str, int] = field(default_factory=dict)
    """Rep's phone to the first tap (mono)."""
    too_slow: set[str] = field(default_factory=set)
    cards: list[Holding] = field(default_factory=list)
    holding: Holding | None = None
    """Who may believe to have it."""


Tell = Callable[[str, str, str, str], None]
"""Store, lead, what happens, detail."""


def silent(_store: str, _lead: str, _step: str, _detail: str) -> None:
    """Tell nobody."""


class Contest:
    """The people's own account of the leads."""

    def __init__(self, tell: Tell = silent, *, hold_ms: int = HOLD_MS) -> None:
        """A second card within `hold_ms` of the first, without the lead coming free, is a fault."""
        self._tell, self._hold_ms = tell, hold_ms
        self._lock = threading.Lock()
        self._races: dict[str, Race] = {}
        self._customers: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        """How often each rep was told that a lead was somebody else's."""
        self._double: list[tuple[str, str, str]] = []
        self._decision_ms: list[int] = []

    def customer_wrote(self, phone: str) -> None:
        """Somebody who wants a scooter began to write."""
        with self._lock:
            self._customers[phone] += 1

    def offered(self, lead: str, *, rep: str, store: str, at_ms: int) -> None:
        """A rep got an offer with a button to claim it."""
        with self._lock:
            race = self._races.setdefault(lead, Race(lead))
            first = not race.offered
            race.offered[rep] = at_ms
        self._tell(store, lead, "new lead offered" if first else "offered, too", "")

    def tapped(self, lead: str, *, rep: str, store: str, at_ms: int) -> None:
        """A rep tapped *Claim*."""
        with self._lock:
            race = self._races.setdefault(lead, Race(lead))
            race.tapped.setdefault(rep, at_ms)
        self._tell(store, lead, "claim tapped", "")

    def got_card(self, lead: str, *, rep: str, store: str, at_ms: int) -> None:
        """A rep got the customer: of two who hold one lead at the same time one is too many."""
        with self._lock:
            race = self._races.setdefault(lead, Race(lead))
            before = race.holding
            repeated = before is not None and before.rep == rep
            if before is not None and not repeated and at_ms - before.mono_ms < self._hold_ms:
                self._double.append((lead, before.rep, rep))
            race.holding = Holding(rep, at_ms)
            race.cards.append(race.holding)
            took = self._took(race, rep, at_ms)
        if not repeated:
            self._tell(store, lead, "claimed", took)

    def was_too_slow(self, lead: str, *, rep: str, store: str, at_ms: int, words: str) -> None:
        """A rep was told that another was faster, or that the lead is gone."""
        with self._lock:
            self._refused[rep] += 1
            race = self._races.setdefault(lead, Race(lead))
            race.too_slow.add(rep)
            took = self._took(race, rep, at_ms)
        self._tell(store, lead, "too slow", f"{words}  {took}".rstrip())

    def let_go(self, lead: str) -> None:
        """The lead is free again: lost by its rep, or the customer says that nobody called."""
        with self._lock:
            race = self._races.get(lead)
            if race is not None:
                race.holding = None
                race.tapped.clear()

    def _took(self, race: Race, rep: str, at_ms: int) -> str:
        began_ms = race.tapped.get(rep)
        if began_ms is None:
            return ""
        self._decision_ms.append(max(0, at_ms - began_ms))
        return f"({max(0, at_ms - began_ms):,} ms)".replace(",", " ")

    def races(self) -> list[Race]:
        """Every lead that any rep has seen."""
        with self._lock:
            return list(self._races.values())

    def leads(self) -> int:
        """Customers who wanted a scooter."""
        with self._lock:
            return len(self._customers)

    def claimed(self) -> int:
        """Leads of which somebody got the card."""
        with self._lock:
            return sum(1 for race in self._races.values() if race.cards)

    def double_winners(self) -> list[tuple[str, str, str]]:
        """Lead, who held it, and who got it as well."""
        with self._lock:
            return list(self._double)

    def untold(self) -> dict[str, int]:
        """Reps who were answered less often than they tapped, and by how much.

        Words name no lead, so they are counted: one for each lead tapped and not won.
        """
        with self._lock:
            owed: Counter[str] = Counter()
            for race in self._races.values():
                owed.update(race.tapped.keys() - {card.rep for card in race.cards})
            return dict(owed - self._refused)

    def tap_to_decision_ms(self) -> list[int]:
        """From a tap to the vendor taking the answer to it: the hub's part and both ways."""
        with self._lock:
            return list(self._decision_ms)
