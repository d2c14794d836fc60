"""A rep with a phone: gets offers, is quick or slow, skips, doubles taps, and follows up."""

import random
import threading
from dataclasses import dataclass

from firmware_sim.people.contest import Contest
from firmware_sim.providers.handset import Person, Sent
from firmware_sim.providers.message_forms import Option
from firmware_sim.providers.timeline import Timeline
from shared.clock import Clock

CLAIM, SKIP, CONTACTED, LOST = "CLAIM_", "SKIP_", "CONTACTED_", "LOST_"
TOO_SLOW, GONE = "❌", "⌛"
READY_WORD = "SIAP"


@dataclass(slots=True, kw_only=True)
class Habits:
    """How somebody works. Shares are of 1."""

    reaction_ms: tuple[int, int] = (200, 2_000)
    """Fastest and slowest tap."""
    skips: float = 0.0
    ignores: float = 0.0
    taps_twice: float = 0.0
    follows_up: float = 1.0
    follow_up_ms: tuple[int, int] = (200, 1_000)


class Rep:
    """One rep of one dealer."""

    def __init__(
        self,
        person: Person,
        *,
        store: str,
        number: str,
        contest: Contest,
        timeline: Timeline,
        clock: Clock,
        seed: int,
        habits: Habits | None = None,
    ) -> None:
        """Answers from now on. `number` is ours for reps."""
        self.person, self.store, self.habits = person, store, habits or Habits()
        self._number, self._contest, self._timeline = number, contest, timeline
        self._clock, self._random = clock, random.Random(seed)
        self._lock = threading.Lock()
        self._awaiting: list[str] = []
        """Leads tapped and not answered yet, oldest first."""
        self._known: set[str] = set()
        """What the hub calls the messages that came: one sent twice in doubt is one."""
        self.cards: list[Sent] = []
        self.told: list[str] = []
        """Everything without a button, in words."""
        person.on_message = self._got

    def come_on_duty(self) -> None:
        """The morning's *Siap*: opens the window, so that the day's offers are free."""
        self.person.text(self._number, READY_WORD)

    def report_sale(self, serial: str) -> None:
        """The customer bought."""
        self.person.text(self._number, f"MENANG {serial}")

    def tap(self, sent: Sent, option: Option) -> None:
        """Tap now; a claim is timed from here."""
        if option.id.startswith(CLAIM):
            lead = option.id.removeprefix(CLAIM)
            with self._lock:
                self._awaiting.append(lead)
            self._contest.tapped(
                lead, rep=self.person.phone, store=self.store, at_ms=self._clock.mono_ms()
            )
        elif option.id.startswith(LOST):
            self._contest.let_go(option.id.removeprefix(LOST))
        self.person.tap(sent, option)

    def _got(self, sent: Sent) -> None:
        """On the network's thread."""
        if sent.form.ours is not None:
            if sent.form.ours in self._known:
                return
            self._known.add(sent.form.ours)
        claim, card = sent.option(CLAIM), sent.option(CONTACTED)
        if claim is not None:
            self._offer(sent, claim)
        elif card is not None:
            self._card(sent, card)
        elif sent.text.startswith((TOO_SLOW, GONE)):
            self._slow(sent)
        else:
            self.told.append(sent.text)

    def _offer(self, sent: Sent, claim: Option) -> None:
        lead = claim.id.removeprefix(CLAIM)
        self._contest.offered(lead, rep=self.person.phone, store=self.store, at_ms=sent.mono_ms)
        mood, habits = self._random.random(), self.habits
        reaction_ms = self._random.randint(*habits.reaction_ms)
        skip = sent.option(SKIP)
        if mood < habits.ignores:
            return
        if mood < habits.ignores + habits.skips and skip is not None:
            self._timeline.after(reaction_ms, lambda: self.tap(sent, skip))
            return
        self._timeline.after(reaction_ms, lambda: self.tap(sent, claim))
        if self._random.random() < habits.taps_twice:
            self._timeline.after(reaction_ms + 1, lambda: self._tap_again(sent, claim))

    def _tap_again(self, sent: Sent, option: Option) -> None:
        self.person.tap(sent, option)

    def _card(self, sent: Sent, contacted: Option) -> None:
        lead = contacted.id.removeprefix(CONTACTED)
        known = any(card.option(CONTACTED) == contacted for card in self.cards)
        self.cards.append(sent)
        self._answered(lead)
        self._contest.got_card(lead, rep=self.person.phone, store=self.store, at_ms=sent.mono_ms)
        if not known and self._random.random() < self.habits.follows_up:
            pause_ms = self._random.randint(*self.habits.follow_up_ms)
            self._timeline.after(pause_ms, lambda: self.tap(sent, contacted))

    def _slow(self, sent: Sent) -> None:
        """The words name no lead: it is the one tapped first of those not answered yet."""
        with self._lock:
            lead = self._awaiting.pop(0) if self._awaiting else None
        if lead is not None:
            self._contest.was_too_slow(
                lead,
                rep=self.person.phone,
                store=self.store,
                at_ms=sent.mono_ms,
                words=sent.text,
            )

    def _answered(self, lead: str) -> None:
        with self._lock:
            self._awaiting = [each for each in self._awaiting if each != lead]
