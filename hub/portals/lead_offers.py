"""Open offers as pages show them to those who may claim, and what a tap on one was worth."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.leads.board import Offered, Whole
from hub.leads.records import Happened, Lead
from hub.leads.rules import seconds
from hub.portals.formats import number
from hub.portals.languages import current_language, later, say
from hub.portals.lead_words import person_name
from hub.portals.services import store_text

ANSWERS: Final = {
    "won": later("It is yours. The customer waits for your call."),
    "yours": later("It is yours already."),
    "expired": later("This lead is no longer available."),
    "skipped": later("You did not want it; it is offered to others."),
    "not_offered": later("This lead was not offered to you."),
}


@dataclass(frozen=True, slots=True)
class OpenOffer:
    """A lead to be claimed: how far away it is, and who of the store was offered it."""

    lead: Lead
    dealer: str
    km: str
    people: Sequence[str]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tap was worth, and how that is to be taken."""

    text: str
    tone: str


def open_offers(found: Sequence[Offered]) -> list[OpenOffer]:
    """Offers by lead and store: a manager chooses among those who were offered it."""
    groups: dict[tuple[str, str], list[Offered]] = {}
    for each in found:
        groups.setdefault((each.lead.id, each.offer.dealer), []).append(each)
    return [
        OpenOffer(
            lead=group[0].lead,
            dealer=dealer,
            km=f"{number(round(group[0].offer.distance_m / 1000, 1))} km",
            people=[each.offer.person for each in group],
        )
        for (_, dealer), group in groups.items()
    ]


def claim_answer(whole: Whole, person: str) -> Answer | None:
    """The answer to somebody's last tap on a lead, in the words of WhatsApp."""
    taps = [
        entry for entry in whole.timeline if entry.kind == "tap.received" and entry.person == person
    ]
    if not taps:
        return Answer(say("Your tap is in line. Reload this page in a moment."), "plain")
    last = taps[-1]
    if last.decision == "too_slow":
        return Answer(_too_slow(whole.lead, last), "bad")
    text = ANSWERS.get(last.decision or "")
    if text is None:
        return None
    return Answer(say(text), "ok" if last.decision in {"won", "yours"} else "plain")


def _too_slow(lead: Lead, tap: Happened) -> str:
    first_name = str(person_name(lead.rep)).split(maxsplit=1)[0]
    return say(
        "❌ Too Slow. %(first_name)s (%(dealer)s) was %(seconds)s s faster.",
        first_name=first_name,
        dealer=store_text(lead.dealer),
        seconds=seconds(tap.margin_ms or 1, current_language()),
    )
