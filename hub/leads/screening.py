"""The conversation before a lead is a lead: where, which model, how paid, when, which number.

Pure: a state and what came in give the next state and what to say. Nothing is asked that is
known, every answer can be corrected at any time, and no answer is asked for more than twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

import msgspec

from hub.contacts.rules import whatsapp_phone
from hub.inbox.incoming import ContactCard, Content, Media, Pin, Tap, Text
from hub.leads.answers import (
    Language,
    command,
    language_of,
    model_in,
    payment_in,
    undecided,
    when_in,
)
from hub.leads.places import (
    SMALL_PROVINCES,
    Place,
    Places,
    check_pin,
    coordinates,
    has_link,
    shipped,
)
from hub.leads.records import BuyWhen, Payment

Question: TypeAlias = Literal["location", "model", "payment", "buy_when", "phone"]
Models: TypeAlias = Sequence[tuple[str, str]]
"""(code, name) of what is sold, in the order in which it is listed."""
ORDER: Final[tuple[Question, ...]] = ("location", "model", "payment", "buy_when", "phone")
TRIES_MAX: Final = 2
ROWS_MAX: Final = 10
# Where most people live: offered when two typed places were not understood.
BIG_CITIES: Final = (
    "Kota Jakarta Selatan",
    "Kota Surabaya",
    "Kota Bandung",
    "Kota Medan",
    "Kota Semarang",
    "Kota Makassar",
    "Kota Palembang",
    "Kota Denpasar",
    "Kota Yogyakarta",
)
_PAYMENT_TAPS: Final[Mapping[str, Payment]] = {
    "PAY_cash": "cash",
    "PAY_instalments": "instalments",
    "PAY_unknown": "unknown",
}
_WHEN_TAPS: Final[Mapping[str, BuyWhen]] = {
    "WHEN_now": "now",
    "WHEN_month": "month",
    "WHEN_later": "later",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What is known of a conversation, and what was asked last."""

    language: Language = "id"
    lat: float | None = None
    lon: float | None = None
    area: str | None = None
    place: str | None = None
    """What they typed for it; None after a pin."""
    model: str | None = None
    payment: Payment = "unknown"
    buy_when: BuyWhen = "unknown"
    settled: tuple[Question, ...] = ()
    """What is answered, be it with "do not know", or given up."""
    asked: Question | None = None
    tries: int = 0
    """Answers to `asked` that were not understood."""
    options: tuple[tuple[str, str], ...] = ()
    """(id, title) of the rows offered last."""
    listed: bool = False
    """Whether the list of cities was offered: after it only a person can help."""
    human: bool = False
    begun: bool = False

    @property
    def done(self) -> bool:
        """Whether nothing is left to ask."""
        return self.human or not self.missing

    @property
    def missing(self) -> tuple[Question, ...]:
        """What is still to be asked, in order."""
        return tuple(question for question in ORDER if question not in self.settled)


REMARKS: Final = frozenset(
    {"noted", "human", "welcome_back", "erasing", "link", "media", "pin_zero", "pin_abroad"}
)
"""What is said in the conversation and asks nothing."""


@dataclass(frozen=True, slots=True)
class Say:
    """A message to the customer: a draft of kind ``question`` with this data."""

    question: str
    more: Mapping[str, object] = field(default_factory=dict)

    @property
    def data(self) -> dict[str, object]:
        """For the outbox: plain values, nothing that says who it is."""
        return {"question": self.question, **self.more}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What came of a message."""

    state: Screening
    says: tuple[Say, ...] = ()
    learned: tuple[Question, ...] = ()
    """What it told us, for the timeline."""
    phone: str | None = None
    """A number they gave (E.164): goes to the contacts, never into the state."""


def begin(
    *,
    language: Language = "id",
    has_phone: bool,
    has_models: bool = True,
    model: str | None = None,
    payment: Payment = "unknown",
    buy_when: BuyWhen = "unknown",
    at: tuple[float, float, str] | None = None,
) -> Screening:
    """A conversation about to start, with what an advertisement, form or earlier lead told."""
    known: list[Question] = []
    known += ["location"] if at is not None else []
    known += ["model"] if model is not None or not has_models else []
    known += ["payment"] if payment != "unknown" else []
    known += ["buy_when"] if buy_when != "unknown" else []
    known += ["phone"] if has_phone else []
    lat, lon, area = at or (None, None, None)
    return Screening(
        language=language,
        lat=lat,
        lon=lon,
        area=area,
        model=model,
        payment=payment,
        buy_when=buy_when,
        settled=tuple(known),
    )


def answer(
    state: Screening, content: Content, *, models: Models = (), places: Places | None = None
) -> Answered:
    """Take in what a customer sent. STOP and erasure are the caller's and never come here."""
    turn = _Turn(state, models, places or shipped())
    turn.take(content)
    return turn.result()


def ask(state: Screening, models: Models = ()) -> tuple[Screening, Say | None]:
    """The next question, None when there is none: to open a conversation, or to nudge."""
    if state.done:
        return state, None
    question = state.missing[0]
    fresh = question != state.asked
    rows = tuple(models[: ROWS_MAX - 1]) if question == "model" else ()
    options = tuple((f"MODEL_{code}", name) for code, name in rows)
    if options:
        options = (*options, ("MODEL_any", ""))
    more: dict[str, object] = {"rows": [list(option) for option in options]} if options else {}
    if not state.begun:
        more["first"] = True
    asked = replace(
        state,
        asked=question,
        tries=0 if fresh else state.tries,
        options=options,
        begun=True,
    )
    return asked, Say(question, more)


def dump(state: Screening) -> str:
    """As the lead's row holds it."""
    return msgspec.json.encode(state).decode()


def load(stored: str | None) -> Screening | None:
    """What `dump` wrote; None for none, or for what an older release wrote in another form."""
    try:
        return msgspec.json.decode(stored, type=Screening) if stored else None
    except msgspec.MsgspecError:
        return None


class _Turn:
    """One message being taken in."""

    def __init__(self, state: Screening, models: Models, places: Places) -> None:
        self._state = state
        self._models = models
        self._places = places
        self._says: list[Say] = []
        self._learned: list[Question] = []
        self._understood = False
        """Did they tell a fact, be it one that we know?"""
        self._phone: str | None = None
        self._asks = True
        self._was_done = state.done

    def result(self) -> Answered:
        """The next state, and what is said: a remark if there is one, then the next question."""
        state = self._state
        if self._asks and not state.done and not self._repeats():
            state, say = ask(state, self._models)
            self._says += [say] if say is not None else []
        elif self._was_done and self._learned and not self._says and not state.human:
            self._says.append(Say("noted"))
        return Answered(
            state=state,
            says=tuple(self._says),
            learned=tuple(self._learned),
            phone=self._phone,
        )

    def _repeats(self) -> bool:
        """Whether they only said once more what they had said, and our question stands.

        Asked again it would be answered again: of two taps on each answer a conversation would
        grow to twice as many questions with every step.
        """
        state = self._state
        known = self._understood and not self._learned and not self._says
        return known and state.begun and state.asked == state.missing[0]

    def take(self, content: Content) -> None:
        """By the kind of what came."""
        match content:
            case Text(body):
                self._text(body)
            case Tap(identity, title):
                self._tap(identity, title)
            case Pin():
                self._pin(content.lat, content.lon, None)
            case ContactCard(phones, own):
                self._card(phones, own=own)
            case Media():
                self._media(content.caption)
            case _:
                # A reaction or a sticker is no answer; only a first message opens the talk.
                self._asks = not self._state.begun

    # --- kinds ---

    def _text(self, body: str) -> None:
        order = command(body)
        if order == "human":
            self._to_a_person()
        elif order in {"english", "indonesian"}:
            self._state = replace(self._state, language="en" if order == "english" else "id")
        elif self._state.asked == "phone" and (number := whatsapp_phone(body)):
            self._number(number)
        else:
            if not self._state.begun:
                language = language_of(body) or self._state.language
                self._state = replace(self._state, language=language)
            self._words(body)

    def _words(self, body: str) -> None:
        """Every fact in a text counts, whatever was asked."""
        if (model := model_in(body, self._models)) is not None:
            self._settle("model", model=model)
        if (payment := payment_in(body)) is not None:
            self._settle("payment", payment=payment)
        if (when := when_in(body)) is not None:
            self._settle("buy_when", buy_when=when)
        point = coordinates(body)
        if point is not None:
            self._pin(*point, None)
        else:
            self._typed_place(body, told=self._understood)
        if not self._understood and not self._says:
            self._not_understood(body)

    def _typed_place(self, body: str, *, told: bool) -> None:
        """A place in a text; who told another fact and whose place is known, means no place."""
        if told and "location" in self._state.settled:
            return
        found = self._places.resolve(body)
        if len(found) == 1:
            self._at_place(found[0], body)
        elif found:
            self._which(found)
        elif has_link(body) and "location" not in self._state.settled:
            self._says.append(Say("link"))

    def _tap(self, identity: str | None, title: str) -> None:
        if identity is None:
            # A channel that gives titles only: they are those of the rows offered last.
            identity = next(
                (key for key, offered in self._state.options if offered and offered == title), None
            )
        if identity is None:
            self._text(title)
        elif identity in _PAYMENT_TAPS:
            self._settle("payment", payment=_PAYMENT_TAPS[identity])
        elif identity in _WHEN_TAPS:
            self._settle("buy_when", buy_when=_WHEN_TAPS[identity])
        elif identity.startswith("MODEL_"):
            code = identity.removeprefix("MODEL_")
            known = any(code == sold for sold, _ in self._models)
            self._settle("model", model=code if known else None)
        elif identity.startswith("PLACE_"):
            self._tapped_place(identity.removeprefix("PLACE_"), title)
        elif identity == "HUMAN":
            self._to_a_person()
        else:
            self._asks = False

    def _tapped_place(self, identity: str, title: str) -> None:
        place = self._places.place(identity)
        if place is None:
            # "Another place": they may type once more, and after that a person helps.
            self._state = replace(self._state, tries=TRIES_MAX - 1)
        else:
            self._at_place(place, title)

    def _pin(self, lat: float, lon: float, typed: str | None) -> None:
        judged = check_pin(lat, lon)
        if judged == "swapped":
            lat, lon, judged = lon, lat, "ok"
        if judged != "ok":
            self._says.append(Say("pin_zero" if judged == "zero" else "pin_abroad"))
            self._failed_place()
            return
        near = self._places.nearest(lat, lon)
        self._settle("location", lat=lat, lon=lon, area=near.area if near else None, place=typed)

    def _card(self, phones: Sequence[str], *, own: bool) -> None:
        if not own and self._state.asked != "phone":
            self._asks = False
            return
        number = next((found for found in map(whatsapp_phone, phones) if found), None)
        if number is None:
            self._says.append(Say("phone_wrong"))
        else:
            self._number(number)

    def _media(self, caption: str | None) -> None:
        if caption:
            self._text(caption)
        elif self._state.begun and not self._state.done:
            self._says.append(Say("media"))

    # --- what is learned ---

    def _settle(self, question: Question, **values: object) -> None:
        before, settled = self._state, self._state.settled
        if question not in settled:
            settled = (*settled, question)
        # msgspec checks nothing here and mypy cannot: the names are those of the fields.
        self._state = replace(before, settled=settled, **values)  # type: ignore[arg-type]
        self._understood = True
        if self._state != before:
            self._learned.append(question)

    def _number(self, number: str) -> None:
        self._phone = number
        self._settle("phone")

    def _at_place(self, place: Place, typed: str) -> None:
        if place.kind == "province" and place.name not in SMALL_PROVINCES:
            # Half an island has no nearest dealer.
            self._which(self._places.cities_of(place.province)[: ROWS_MAX - 1])
            return
        self._settle("location", lat=place.lat, lon=place.lon, area=place.area, place=typed[:100])

    def _to_a_person(self) -> None:
        self._state = replace(self._state, human=True)
        self._says = [Say("human")]
        self._asks = False

    # --- what is not understood ---

    def _which(self, found: Sequence[Place]) -> None:
        if self._state.tries >= TRIES_MAX:
            self._failed_place()
            return
        self._offer("which", found)
        self._state = replace(self._state, tries=self._state.tries + 1)

    def _offer(self, question: str, found: Sequence[Place]) -> None:
        options = tuple((f"PLACE_{place.id}", place.name) for place in found[: ROWS_MAX - 1])
        options = (*options, ("PLACE_other", ""))
        rows = [[key, name, place.area] for (key, name), place in zip(options, found, strict=False)]
        more: dict[str, object] = {"rows": [*rows, ["PLACE_other", "", ""]]}
        if not self._state.begun:
            more["first"] = True
        asked = "location" if not self._state.done else self._state.asked
        self._state = replace(self._state, asked=asked, options=options, begun=True)
        self._says.append(Say(question, more))
        self._asks = False

    def _failed_place(self) -> None:
        """Twice not understood: a list of cities; after that a person."""
        if "location" in self._state.settled:
            return
        tries = self._state.tries + 1
        self._state = replace(self._state, asked="location", tries=tries)
        if tries < TRIES_MAX:
            return
        if self._state.listed:
            self._to_a_person()
        else:
            self._state = replace(self._state, listed=True, tries=TRIES_MAX - 1)
            self._offer("cities", self._places.named(BIG_CITIES))

    def _not_understood(self, body: str) -> None:
        state = self._state
        asked = state.asked
        if not state.begun or state.done or asked is None:
            self._asks = not state.done
            return
        if undecided(body) and asked in {"model", "payment", "buy_when"}:
            self._settle(asked)
        elif asked == "location":
            self._failed_place()
            if self._asks:
                self._says.append(Say("place_unknown"))
        elif state.tries + 1 >= TRIES_MAX:
            # Better a lead with a gap than a customer who is asked a third time.
            self._state = replace(state, settled=(*state.settled, asked))
        else:
            self._state = replace(state, tries=state.tries + 1)
            self._says.append(Say("not_understood"))
