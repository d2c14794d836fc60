"""Leads in words: states, sources, what happened, and whether somebody is late.

Promises: every word a lead can carry has its text, an unknown one is shown as it is, and nothing
here says who a customer is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, cast

import orjson
from flask import g
from markupsafe import Markup, escape

from hub.leads.objects import nearest_of
from hub.leads.reads import Special
from hub.leads.records import Happened, Lead
from hub.leads.states import State
from hub.portals.formats import NOTHING, duration, margin, number, short, when
from hub.portals.languages import later, say, say_html
from hub.portals.services import portal, store_name, zone_for
from hub.portals.words import DECISIONS, PAYMENTS, STATE_NAMES

STATE_MARKS: Final[Mapping[State, str]] = {
    "SCREENING": "beat",
    "QUALIFIED": "beat",
    "UNCLAIMED": "sale",
    "CLAIMED": "hub",
    "CONTACTED": "hub",
    "DEMO_SCHEDULED": "hub",
    "WON_REPORTED": "odd",
    "CLOSED_WON": "alive",
    "LOST_UNRESPONSIVE": "back",
    "EXPIRED": "bad",
    "OPTED_OUT": "back",
    "DUPLICATE": "",
}
RARE: Final = frozenset({"OPTED_OUT", "DUPLICATE"})
"""States whose filter appears once there is one."""
SPECIALS: Final[Mapping[Special, str]] = {
    "late": later("Late"),
    "human": later("Needs a person"),
    "test": later("Tests"),
}
SOURCES: Final = {
    "whatsapp": later("WhatsApp"),
    "whatsapp_ad": later("WhatsApp advert"),
    "tiktok": later("TikTok"),
    "google_ads": later("Google Ads"),
    "meta_leads": later("Meta form"),
    "form": later("Web form"),
    "walk_in": later("Walk-in"),
    "csv": later("Imported"),
    "partner": later("Partner"),
    "unknown": later("Unknown"),
}
BUY_WHEN: Final = {
    "now": later("now"),
    "month": later("within a month"),
    "later": later("later"),
    "unknown": later("time unknown"),
}
WHY: Final = {
    "nearest": later("among the nearest that can take it"),
    "closed": later("closed now"),
    "holiday": later("shut today"),
    "paused": later("paused"),
    "not_opened_yet": later("not opened yet"),
    "closed_down": later("closed down"),
    "not_authorised": later("not authorised"),
    "too_far": later("too far away"),
    "full": later("has as many leads as it takes"),
    "already_asked": later("had its turn"),
    "farther": later("farther than those chosen"),
    "nobody_on_duty": later("nobody on duty"),
    "busy": later("everybody there holds an offer"),
}
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "lead.received": (later("Received"), "sale"),
    "question.asked": (later("Asked"), ""),
    "answer.given": (later("Answered"), ""),
    "lead.qualified": (later("Qualified"), ""),
    "lead.waiting": (later("Waits for somebody on duty"), "beat"),
    "offer.queued": (later("Offered"), ""),
    "offer.sent": (later("Offer sent"), ""),
    "offer.delivered": (later("Offer delivered"), ""),
    "offer.read": (later("Offer read"), ""),
    "offer.failed": (later("Offer not delivered"), "odd"),
    "offer.skipped": (later("Skipped"), "back"),
    "tap.received": (later("Tapped"), ""),
    "lead.handoff": (later("Handed over"), "alive"),
    "notice.sent": (later("Told"), ""),
    "lead.contacted": (later("Contacted"), "alive"),
    "contact.confirmed": (later("The customer confirms the call"), "alive"),
    "contact.denied": (later("The customer says nobody called"), "odd"),
    "lead.released": (later("Back on the market"), "back"),
    "lead.transferred": (later("Given to somebody else"), "hub"),
    "lead.demo": (later("Test ride agreed"), "hub"),
    "won.reported": (later("Reported won"), "odd"),
    "lead.won": (later("Won"), "alive"),
    "lead.lost": (later("Lost, no sale"), "back"),
    "lead.expired": (later("Expired"), "bad"),
    "lead.human": (later("Needs a person"), "odd"),
    "subject.erased": (later("The customer's data was erased"), "bad"),
}
CLOSE_REASONS: Final = {
    "not_interested": later("Not interested any more"),
    "unreachable": later("Cannot be reached"),
    "bought_elsewhere": later("Bought elsewhere"),
    "wrong_number": later("Wrong number"),
    "no_lead": later("Was never a lead"),
    "other": later("Other"),
}
REASONS: Final = {
    **CLOSE_REASONS,
    "contact": later("not called in time"),
    "denied": later("the customer says nobody called"),
    "released": later("given back"),
    "transferred": later("transferred"),
    "opted_out": later("the customer wants no messages"),
    "sale_undone": later("the sale was undone"),
    "rep_lost": later("the rep says it is lost"),
    "unclaimed": later("nobody claimed it"),
    "sold": later("it is sold"),
    "sold_elsewhere": later("sold by another store than the one that had claimed it"),
    "closed": later("closed by hand"),
}
MESSAGE_STATES: Final = {
    "queued": later("waiting"),
    "sending": later("being sent"),
    "accepted": later("sent"),
    "delivered": later("delivered"),
    "read": later("read"),
    "failed": later("failed"),
    "withheld": later("withheld"),
}
MESSAGE_MARKS: Final = {"failed": "odd", "withheld": "beat", "read": "alive", "delivered": "alive"}
MESSAGE_KINDS: Final = {
    "question": later("Question"),
    "not_known": later("Never offered to them"),
    "nudge": later("Reminder to the customer"),
    "told_dealers": later("How many dealers were told"),
    "told_waiting": later("When the first dealer opens"),
    "told_customer": later("Who will call"),
    "told_place": later("Where the dealer is"),
    "checkin": later("Have you been called?"),
    "offer": later("Offer"),
    "card": later("Lead card"),
    "card_contact": later("The customer's contact card"),
    "too_slow": later("Too slow"),
    "yours": later("Already yours"),
    "expired": later("Too late"),
    "reminder": later("Reminder"),
    "taken_back": later("Taken back"),
    "ask_serial": later("Which serial?"),
    "stopped": later("The customer wants no messages"),
    "again": later("The customer writes again"),
    "lead_waits": later("E-mail: a lead waits"),
    "customer_greeting": later("Greeting"),
    "noted_contacted": later("Noted: contacted"),
    "noted_demo": later("Noted: demo"),
    "noted_lost": later("Noted: lost"),
    "not_now": later("Not possible now"),
    "serial_unreadable": later("Serial not readable"),
    "serial_taken": later("Serial refused"),
    "won": later("Sale confirmed"),
    "won_waits": later("Sale not on the ledger yet"),
    "fell_back": later("No sale came"),
    "sold": later("Sold already"),
    "given": later("Lead handed over"),
    "sorry": later("Apology"),
    "thanks": later("Thanks"),
}


@dataclass(frozen=True, slots=True)
class Due:
    """What is expected next, until when, and whether it should have been done by now."""

    text: str
    late: bool


def state_name(state: State) -> str:
    """A state in words."""
    return say(STATE_NAMES[state])


def state_mark(lead: Lead) -> str:
    """The mark of a lead's state."""
    return STATE_MARKS[lead.state]


def source_name(source: str) -> str:
    """Where a lead came from."""
    return say(SOURCES[source]) if source in SOURCES else source


def wishes(lead: Lead) -> Markup:
    """Model, payment and when, as far as they are known."""
    known: list[str] = []
    if lead.model is not None:
        known.append(lead.model)
    if lead.payment != "unknown":
        known.append(say(PAYMENTS[lead.payment]))
    if lead.buy_when != "unknown":
        known.append(say(BUY_WHEN[lead.buy_when]))
    return escape(", ".join(known)) if known else NOTHING


def due(lead: Lead) -> Due | None:
    """Where a lead stands against its SLA; None when no clock runs."""
    if lead.next_step not in ("claim", "contact") or lead.next_step_ms is None:
        return None
    left_ms = lead.next_step_ms - g.now_ms
    late = left_ms < 0 or lead.reminded or lead.told
    if left_ms < 0:
        return Due(say("%(time)s late", time=duration(-left_ms)), late)
    left = duration(left_ms)
    if lead.next_step == "claim":
        return Due(say("%(time)s to claim", time=left), late)
    return Due(say("%(time)s to call", time=left), late)


def sla(lead: Lead) -> Markup:
    """That in a cell: late, time left, else how fast it was claimed."""
    found = due(lead)
    if found is not None:
        if found.late:
            return Markup('<b class="flag">■ {}</b>').format(found.text)
        return escape(found.text)
    if lead.state == "QUALIFIED" and lead.next_step_ms is not None:
        return say_html("waits until %(when)s", when=when(lead.next_step_ms, zone_for(lead.dealer)))
    if lead.response_ms is not None:
        text = say("claimed in %(time)s", time=duration(lead.response_ms))
        return Markup('<span class="soft">{}</span>').format(text)
    return NOTHING


def why_text(why: str) -> str:
    """Why a dealer was chosen or not."""
    return say(WHY[why]) if why in WHY else why


def person_name(person: str | None) -> str | Markup:
    """Somebody of a dealer by name; a customer is never named here."""
    if person is None:
        return NOTHING
    if person.startswith("cus_"):
        return say("the customer")
    known: dict[str, str] = g.setdefault("people", {})
    desk = portal().leads
    if person not in known and desk is not None:
        rep = desk.board.rep(person)
        known[person] = short(person) if rep is None else rep.name
    return known.get(person, person)


def owner(lead: Lead) -> str | Markup:
    """Whose it is."""
    return person_name(lead.rep)


def near_rows(lead: Lead) -> list[dict[str, object]]:
    """The dealers near the customer, the nearest first."""
    return nearest_of(lead)


def km(value: object) -> str:
    """A distance in kilometres."""
    return f"{number(value)} km" if isinstance(value, int | float) else ""


def entry_name(entry: Happened) -> str:
    """What happened, in a word or two."""
    found = KINDS.get(entry.kind)
    return entry.kind if found is None else say(found[0])


def entry_mark(entry: Happened) -> str:
    """The mark of that; of a tap by what it was worth."""
    if entry.kind == "tap.received":
        return {"won": "alive", "unknown_sender": "odd"}.get(entry.decision or "", "beat")
    return KINDS.get(entry.kind, ("", ""))[1]


def entry_text(entry: Happened) -> Markup:
    """Who it was, and what else there is to say."""
    parts: list[object] = []
    if entry.person is not None:
        parts.append(person_name(entry.person))
    if entry.decision is not None:
        parts.append(say(DECISIONS[entry.decision]))
    if entry.margin_ms is not None:
        parts.append(say("by %(time)s", time=margin(entry.margin_ms)))
    parts += _details(_detail(entry))
    return Markup(", ").join(escape(part) for part in parts)


def _detail(entry: Happened) -> Mapping[str, object]:
    found = None if entry.detail is None else orjson.loads(entry.detail)
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {}


def _details(known: Mapping[str, object]) -> list[object]:
    parts = [tell(known[name]) for name, tell in _TOLD.items() if known.get(name) is not None]
    if isinstance(until_ms := known.get("until_ms"), int):
        parts.append(say_html("until %(when)s", when=when(until_ms)))
    if (ring := known.get("ring")) is not None and known.get("round") is not None:
        parts.append(say("ring %(ring)s, round %(round)s", ring=ring, round=known["round"]))
    if (serial := known.get("serial")) is not None:
        parts.append(Markup('<span class="id">{}</span>').format(serial))
    return parts


def reason_text(reason: str) -> str:
    """Why something ended or was taken back."""
    return say(REASONS[reason]) if reason in REASONS else reason


def message_kind(kind: str) -> str:
    """What a message is for."""
    return say(MESSAGE_KINDS[kind]) if kind in MESSAGE_KINDS else kind


def message_state(state: str) -> str:
    """How far a message got."""
    return say(MESSAGE_STATES[state]) if state in MESSAGE_STATES else state


def message_mark(state: str) -> str:
    """The mark of that."""
    return MESSAGE_MARKS.get(state, "")


def dealer_name(code: object) -> str | Markup:
    """A dealer by name, its code when it has none."""
    return store_name(None if code is None else str(code))


_TOLD: Final[Mapping[str, Callable[[object], object]]] = {
    "source": lambda source: source_name(str(source)),
    "what": lambda what: message_kind(str(what)),
    "reason": lambda reason: reason_text(str(reason)),
    "sold_by": lambda seller: say_html("sold by %(store)s", store=dealer_name(seller)),
    "why": str,
}
"""What of an entry's details is told, in this order."""
WORDS: Final = {
    "close_reasons": CLOSE_REASONS,
    "dealer_name": dealer_name,
    "due": due,
    "entry_mark": entry_mark,
    "entry_name": entry_name,
    "entry_text": entry_text,
    "km": km,
    "message_kind": message_kind,
    "message_mark": message_mark,
    "message_state": message_state,
    "near_rows": near_rows,
    "owner": owner,
    "person_name": person_name,
    "reason_text": reason_text,
    "say": say,
    "sla": sla,
    "source_name": source_name,
    "state_mark": state_mark,
    "state_name": state_name,
    "why_text": why_text,
    "wishes": wishes,
}
