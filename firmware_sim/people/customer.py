"""A customer with a phone: asks for a scooter and answers what is asked, well or badly."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from firmware_sim.people.contest import Contest
from firmware_sim.providers.handset import Person, Sent
from firmware_sim.providers.message_forms import Option
from firmware_sim.providers.timeline import Timeline

CALLED_YES, CALLED_NO = "CALLED_YES_", "CALLED_NO_"
PLACE_SIGN = "📍"
REPLIES_MAX = 30
"""A customer who was asked more often than this gives up."""


class Temper(Enum):
    """How a customer goes about it."""

    PINS = auto()
    """Shares a location and taps the rest."""
    TYPES = auto()
    """Types the place, and the rest as well."""
    SILENT = auto()
    """Says hello and nothing more."""
    STOPS = auto()
    """Answers the first question, then STOP."""
    HUMAN = auto()
    """Wants a human."""
    STUTTERS = auto()
    """Sends everything twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What somebody wants, and where they are."""

    lat: float
    lon: float
    town: str
    model: str
    payment: str = "cash"
    """Of the contract: cash, instalments."""
    buy_when: str = "now"
    """Of the contract: now, month, later."""
    called: bool = True
    """Whether they say that the rep has called."""


# How buttons may be named, ids included.
NAMES = {
    "cash": ("cash", "tunai", "kontan"),
    "instalments": ("instal", "kredit", "cicil"),
    "now": ("now", "sekarang", "segera", "minggu", "week"),
    "month": ("month", "bulan"),
    "later": ("later", "nanti", "belum"),
}


class Customer:
    """One person who writes to the brand's number."""

    def __init__(
        self,
        person: Person,
        *,
        number: str,
        wishes: Wishes,
        contest: Contest,
        timeline: Timeline,
        seed: int,
        temper: Temper = Temper.PINS,
        thinks_ms: tuple[int, int] = (100, 800),
    ) -> None:
        """Answers from now on; `begin` says hello."""
        self.person, self.wishes, self.temper = person, wishes, temper
        self._number, self._contest, self._timeline = number, contest, timeline
        self._random, self._thinks_ms = random.Random(seed), thinks_ms
        self._replies = 0
        self.asked: list[Sent] = []
        """Everything that came, in order."""
        person.on_message = self._got

    def begin(self) -> None:
        """The first words. Nothing in them answers a question that may come."""
        self._contest.customer_wrote(self.person.phone)
        self._say("Halo, saya tertarik motor listrik")

    def _got(self, sent: Sent) -> None:
        """On the network's thread."""
        self.asked.append(sent)
        if self._replies >= REPLIES_MAX or self.temper is Temper.SILENT:
            return
        self._timeline.after(self._random.randint(*self._thinks_ms), lambda: self._reply(sent))

    def _reply(self, sent: Sent) -> None:
        if self._is_out_of_patience():
            return
        called = sent.option(CALLED_YES if self.wishes.called else CALLED_NO)
        if called is not None:
            self._say_whether_called(sent, called)
        elif sent.kind == "contact_request":
            self._again(lambda: self.person.share_contact(sent))
        elif sent.kind == "location_request":
            self._tell_place()
        elif sent.options:
            self._choose(sent)
        elif PLACE_SIGN in sent.text:
            # A road without a location request asks in plain words.
            self._tell_place()

    def _is_out_of_patience(self) -> bool:
        self._replies += 1
        if self.temper is Temper.HUMAN and self._replies == 1:
            self._say("ORANG")
            return True
        if self.temper is Temper.STOPS and self._replies > 1:
            if self._replies == 2:
                self._say("STOP")
            return True
        return False

    def _say_whether_called(self, sent: Sent, option: Option) -> None:
        if option.id.startswith(CALLED_NO):
            self._contest.let_go(option.id.removeprefix(CALLED_NO))
        self.person.tap(sent, option)

    def _tell_place(self) -> None:
        if self.temper is Temper.TYPES:
            self._say(self.wishes.town)
        else:
            self._again(lambda: self.person.pin(self._number, self.wishes.lat, self.wishes.lon))

    def _choose(self, sent: Sent) -> None:
        option = self._preferred(sent.options)
        if self.temper is Temper.TYPES:
            self._say(option.title)
        else:
            self._again(lambda: self.person.tap(sent, option))

    def _preferred(self, options: tuple[Option, ...]) -> Option:
        """What fits a wish; else the first, e.g. of a list of towns without one's own."""
        wishes = self.wishes
        wanted = (
            wishes.model.casefold(),
            wishes.town.casefold(),
            *NAMES[wishes.payment],
            *NAMES[wishes.buy_when],
        )
        for option in options:
            words = f"{option.id} {option.title}".casefold()
            if any(want in words for want in wanted):
                return option
        return options[0]

    def _say(self, words: str) -> None:
        self._again(lambda: self.person.text(self._number, words))

    def _again(self, act: Callable[[], str]) -> None:
        act()
        if self.temper is Temper.STUTTERS:
            act()
