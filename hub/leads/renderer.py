"""Rows of the outbox that speak of leads, in words, from the tables as they are at that moment.

Before a claim nobody learns who the customer is; what is no longer true is withheld.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.needs import Customer, Customers, Directory, Questions, Rep
from hub.leads.records import Lead
from hub.leads.states import BEFORE_CLAIM, OWNED
from hub.leads.words import words
from hub.outbox.messages import Button, Card, Outgoing, Rendered, Row, TemplateUse, Withhold
from hub.registry.rules import Dealer

ZONES: Final = {"Asia/Jakarta": "WIB", "Asia/Makassar": "WITA", "Asia/Jayapura": "WIT"}
TRANSCRIPT_LINES: Final = 12
TEXT_MAX: Final = 1000
"""Of a message with buttons; the vendor's limit is 1024."""
LIST_MAX: Final = 10


@dataclass(frozen=True, slots=True)
class _Stage:
    """Where the words' values come from."""

    directory: Directory
    customers: Customers
    questions: Questions
    claim_s: int
    contact_s: int
    portal_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """One row and what it speaks of."""

    stage: _Stage
    connection: Connection
    row: Outgoing
    lead: Lead
    rep: Rep | None
    """To whom it is said, unless that is the customer."""

    @property
    def language(self) -> str:
        return self.lead.language if self.rep is None else self.rep.language

    def say(self, key: str, **values: object) -> str:
        return words(self.language, key, **values)


_Maker = Callable[[_Scene], Rendered | Withhold]


# --- pieces ---


def _wishes(scene: _Scene, *, whole: bool = False) -> dict[str, str]:
    """`whole`: the model in its customer's own words, too, which only the owner reads."""
    lead = scene.lead
    said = " ".join((lead.model_said or "").split()) if whole else ""
    model = lead.model and scene.stage.directory.model(scene.connection, lead.model)
    return {
        "model": (model.name if model else lead.model) or said or scene.say("any_model"),
        "area": lead.area or scene.say("no_area"),
        "payment": scene.say(lead.payment),
        "buy_when": scene.say(lead.buy_when),
    }


def _who(scene: _Scene) -> tuple[Customer | None, dict[str, str]]:
    """Who it is. Only for the owner of a lead."""
    who = scene.stage.customers.customer(scene.connection, scene.lead.contact)
    email = who.email if who else None
    return who, {
        "name": (who.name if who else None) or scene.say("no_name"),
        "phone": f"+{who.phone}" if who and who.phone else email or scene.say("no_phone"),
    }


def _owner(scene: _Scene) -> tuple[str, Dealer | None]:
    """First name and dealer of whoever has the lead."""
    rep = scene.stage.directory.rep(scene.connection, scene.lead.rep or "")
    dealer = scene.stage.directory.dealer(scene.connection, scene.lead.dealer or "")
    return (rep.first_name if rep else "?", dealer)


def _time(scene: _Scene, at_ms: int | None, dealer: Dealer | None) -> str:
    if at_ms is None:
        return "-"
    zone = dealer.timezone if dealer else "Asia/Jakarta"
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    today = datetime.fromtimestamp(scene.row.created_ms / 1000, UTC).astimezone(local.tzinfo)
    day = "" if local.date() == today.date() else f"{local:%d/%m} "
    return f"{day}{local:%H.%M} {ZONES.get(zone, zone)}"


def _due_ms(scene: _Scene, dealer: Dealer | None) -> int | None:
    """Until when the owner has to have called."""
    claimed_ms = scene.lead.claimed_ms
    if claimed_ms is None or dealer is None:
        return claimed_ms
    return scene.stage.directory.due_ms(
        scene.connection, dealer, claimed_ms, scene.stage.contact_s * 1000
    )


# --- to reps ---


def _offer(scene: _Scene) -> Rendered | Withhold:
    lead, to = scene.lead, scene.row.to
    offer = store.offer_of(scene.connection, lead.id, to)
    if offer is None or offer.id != scene.row.data.get("offer") or not offer.live:
        return Withhold("withdrawn")
    if lead.state != "UNCLAIMED" or lead.round != offer.round:
        return Withhold("claimed" if lead.rep else "no longer offered")
    dealer = scene.stage.directory.dealer(scene.connection, offer.dealer)
    km = f"{offer.distance_m / 1000:.1f}"
    shown = _wishes(scene) | {
        "km": km if scene.language == "en" else km.replace(".", ","),
        "dealer": dealer.name if dealer else offer.dealer,
    }
    taps = (f"CLAIM_{lead.id}", f"SKIP_{lead.id}")
    return Rendered(
        text=scene.say("offer", **shown),
        buttons=(Button(taps[0], scene.say("claim")), Button(taps[1], scene.say("skip"))),
        template=TemplateUse(
            purpose="offer",
            language=scene.language,
            body=(shown["model"], shown["area"], shown["km"]),
            payloads=taps,
        ),
        ttl_ms=scene.stage.claim_s * 1000,
    )


def _card(scene: _Scene) -> Rendered | Withhold:
    lead = scene.lead
    if lead.rep != scene.row.to or lead.state not in OWNED:
        return Withhold("no longer theirs")
    _, who = _who(scene)
    _, dealer = _owner(scene)
    shown = (
        _wishes(scene, whole=True)
        | who
        | {
            "area": _whole_place(scene),
            "due": _time(scene, _due_ms(scene, dealer), dealer),
            "transcript": _transcript(scene),
        }
    )
    return Rendered(
        text=_cut(scene.say("card", **shown)),
        buttons=tuple(
            Button(f"{tap}_{lead.id}", scene.say(title))
            for tap, title in (("CONTACTED", "contacted"), ("DEMO", "demo"), ("LOST", "lost"))
        ),
        template=TemplateUse(
            purpose="won",
            language=scene.language,
            body=(who["name"], who["phone"], shown["area"], shown["model"]),
        ),
    )


def _whole_place(scene: _Scene) -> str:
    """The area and the customer's own words for the place, which only the owner reads."""
    area, typed = scene.lead.area, " ".join((scene.lead.place or "").split())
    if area is None or not typed:
        return area or typed or scene.say("no_area")
    return area if typed.casefold() in area.casefold() else f"{area} ({typed})"


def _transcript(scene: _Scene) -> str:
    lines = scene.stage.customers.transcript(scene.connection, scene.lead.id, TRANSCRIPT_LINES)
    return scene.say("transcript", lines="\n".join(lines)) if lines else ""


def _card_contact(scene: _Scene) -> Rendered | Withhold:
    if scene.lead.rep != scene.row.to or scene.lead.state not in OWNED:
        return Withhold("no longer theirs")
    who, shown = _who(scene)
    if who is None or who.phone is None:
        return Withhold("no number is known")
    return Rendered(text="", card=Card(name=shown["name"], phone=who.phone))


def _too_slow(scene: _Scene) -> Rendered | Withhold:
    data = scene.row.data
    winner = scene.stage.directory.rep(scene.connection, str(data.get("winner")))
    dealer = scene.stage.directory.dealer(scene.connection, str(data.get("dealer")))
    margin = data.get("margin_ms")
    return Rendered(
        text=scene.say(
            "too_slow",
            first_name=winner.first_name if winner else "?",
            dealer=dealer.name if dealer else str(data.get("dealer")),
            seconds=rules.seconds(margin if isinstance(margin, int) else 1, scene.language),
        )
    )


def _reminder(scene: _Scene) -> Rendered | Withhold:
    lead = scene.lead
    if lead.rep != scene.row.to or lead.state != "CLAIMED":
        return Withhold("contacted or no longer theirs")
    _, who = _who(scene)
    _, dealer = _owner(scene)
    due = _time(scene, _due_ms(scene, dealer), dealer)
    return Rendered(
        text=scene.say("reminder", **who, due=due),
        buttons=(Button(f"CONTACTED_{lead.id}", scene.say("contacted")),),
        template=TemplateUse(
            purpose="reminder",
            language=scene.language,
            body=(who["name"], who["phone"], due),
            payloads=(f"CONTACTED_{lead.id}",),
        ),
    )


def _taken_back(scene: _Scene) -> Rendered | Withhold:
    shown = _wishes(scene)
    reason = scene.say(f"reason_{scene.row.data.get('reason', 'closed')}")
    return Rendered(
        text=scene.say("taken_back", model=shown["model"], area=shown["area"], reason=reason)
    )


def _about_customer(scene: _Scene) -> Rendered | Withhold:
    """`stopped` and `again`: only while the lead is theirs."""
    if scene.lead.rep != scene.row.to:
        return Withhold("no longer theirs")
    _, who = _who(scene)
    return Rendered(text=scene.say(scene.row.kind, **who))


def _plain(scene: _Scene) -> Rendered | Withhold:
    """`yours`, `expired`, `sold`, `won` …: a fact that stays true."""
    values = _wishes(scene) | {"serial": scene.lead.serial or ""}
    return Rendered(text=scene.say(scene.row.kind, **values))


def _clock_time(at_ms: int, zone: str) -> str:
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone))
    return f"{local:%H.%M} {ZONES.get(zone, zone)}"


def _reply(row: Outgoing, rep: Rep, zone: str) -> Rendered:
    """An answer to words of a rep that concern no single lead."""
    values = dict(row.data)
    key = str(values.pop("text"))
    until = values.pop("until_ms", None)
    if isinstance(until, int):
        values["until"] = _clock_time(until, zone)
    buttons = values.pop("buttons", ())
    rows = values.pop("rows", ())
    return Rendered(
        text=_cut(words(rep.language, key, **values)),
        buttons=tuple(_button(rep.language, tap) for tap in _pairs(buttons)),
        rows=tuple(Row(tap, title) for tap, title in _pairs(rows))[:LIST_MAX],
        rows_button=words(rep.language, "choose") if rows else "",
    )


def _good_morning(rep: Rep) -> Rendered:
    """The question that opens a day."""
    return Rendered(
        text=words(rep.language, "morning", first_name=rep.first_name),
        buttons=(_button(rep.language, ("READY", "siap")),),
        template=TemplateUse(
            purpose="checkin",
            language=rep.language,
            body=(rep.first_name,),
            payloads=("READY",),
        ),
    )


# --- to customers ---


def _question(scene: _Scene) -> Rendered | Withhold:
    return scene.stage.questions.render(scene.connection, scene.lead, scene.row)


def _customer_greeting(scene: _Scene) -> Rendered | Withhold:
    """The first words to somebody who filled in a form: their answer is worth a dealer."""
    if scene.lead.located or scene.lead.state not in BEFORE_CLAIM:
        return Withhold("no longer asked")
    who, _ = _who(scene)
    name = who.name if who and who.name else scene.say("dear_customer")
    return Rendered(
        text=scene.say("customer_greeting", name=name),
        asks="location",
        template=TemplateUse(purpose="greeting", language=scene.language, body=(name,)),
    )


def _told_dealers(scene: _Scene) -> Rendered | Withhold:
    if scene.lead.state != "UNCLAIMED":
        return Withhold("no longer true")
    dealers = scene.row.data.get("dealers")
    return _update(
        scene, scene.say("told_dealer" if dealers == 1 else "told_dealers", dealers=dealers)
    )


def _told_waiting(scene: _Scene) -> Rendered | Withhold:
    if scene.lead.next_step != "route":
        return Withhold("no longer true")
    opens = scene.row.data.get("opens_ms")
    if not isinstance(opens, int):
        return _update(scene, scene.say("told_waiting_unknown"))
    return _update(scene, scene.say("told_waiting", opens=_time(scene, opens, None)))


def _told_customer(scene: _Scene) -> Rendered | Withhold:
    if not _same_owner(scene):
        return Withhold("no longer true")
    first_name, dealer = _owner(scene)
    if dealer is None:
        return Withhold("there is no such dealer")
    said = scene.say("told_customer", first_name=first_name, dealer=dealer.name)
    where = dealer.address and "\n" + scene.say("told_address", address=dealer.address.rstrip("."))
    return _update(scene, said + (where or ""))


def _told_place(scene: _Scene) -> Rendered | Withhold:
    _, dealer = _owner(scene)
    if dealer is None or not _same_owner(scene):
        return Withhold("no longer true")
    return Rendered(text="", pin=(dealer.lat, dealer.lon, dealer.name))


def _checkin(scene: _Scene) -> Rendered | Withhold:
    lead = scene.lead
    if not _same_owner(scene) or lead.state == "WON_REPORTED" or lead.confirmed_ms:
        return Withhold("no longer asked")
    first_name, dealer = _owner(scene)
    text = scene.say("checkin", first_name=first_name, dealer=dealer.name if dealer else "?")
    return Rendered(
        text=text,
        buttons=(
            Button(f"CALLED_YES_{lead.id}", scene.say("yes")),
            Button(f"CALLED_NO_{lead.id}", scene.say("no")),
        ),
    )


def _courtesy(scene: _Scene) -> Rendered | Withhold:
    return _update(scene, scene.say(scene.row.kind))


def _unknown(scene: _Scene) -> Withhold:
    return Withhold(f"nobody knows the words for {scene.row.kind}")


def _same_owner(scene: _Scene) -> bool:
    return scene.lead.rep == scene.row.data.get("rep") and scene.lead.state in OWNED


def _update(scene: _Scene, text: str) -> Rendered:
    """News for a customer, with the template for those who wrote long ago."""
    return Rendered(
        text=text,
        template=TemplateUse(
            purpose="customer_update", language=scene.language, body=(text.replace("\n", " "),)
        ),
    )


def _marked(said: Rendered, scene: _Scene) -> Rendered:
    """A test says so before everything else."""
    return Rendered(
        text=scene.say("test") + said.text,
        buttons=said.buttons,
        card=said.card,
        template=said.template,
        ttl_ms=said.ttl_ms,
    )


def _cut(text: str) -> str:
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _pairs(found: object) -> list[tuple[str, str]]:
    if not isinstance(found, list | tuple):
        return []
    return [(str(pair[0]), str(pair[1])) for pair in found]


def _button(language: str, tap: tuple[str, str]) -> Button:
    return Button(tap[0], words(language, tap[1]))


def _lead_waits(scene: _Scene) -> Rendered | Withhold:
    """To a mailbox that others read as well: what is wanted and where, never by whom."""
    lead = scene.lead
    if lead.state != "UNCLAIMED" or lead.round != scene.row.data.get("round"):
        return Withhold("no longer offered")
    link = f"{scene.stage.portal_url}/leads/{lead.id}"
    shown = _wishes(scene)
    return Rendered(
        subject=scene.say("mail_subject", **shown),
        text=scene.say("mail_text", **shown, link=link),
    )


_MAKERS: Final[Mapping[str, _Maker]] = {
    "lead_waits": _lead_waits,
    "offer": _offer,
    "card": _card,
    "card_contact": _card_contact,
    "too_slow": _too_slow,
    "reminder": _reminder,
    "taken_back": _taken_back,
    "stopped": _about_customer,
    "again": _about_customer,
    **dict.fromkeys(
        (
            *("yours", "expired", "not_known", "sold", "won", "won_waits", "fell_back"),
            *("noted_contacted", "noted_demo", "noted_lost", "not_now", "ask_serial"),
            *("serial_taken", "serial_unreadable", "given"),
        ),
        _plain,
    ),
    "question": _question,
    "customer_greeting": _customer_greeting,
    "told_dealers": _told_dealers,
    "told_waiting": _told_waiting,
    "told_customer": _told_customer,
    "told_place": _told_place,
    "checkin": _checkin,
    "sorry": _courtesy,
    "thanks": _courtesy,
}


class LeadRenderer:
    """Implements `hub.outbox.messages.Renderer` for everything that leads say."""

    def __init__(
        self,
        directory: Directory,
        customers: Customers,
        questions: Questions,
        *,
        claim_s: int,
        contact_s: int,
        portal_url: str = "",
    ) -> None:
        """`questions` words what a customer is asked; an offer lives `claim_s` at the vendor.

        `portal_url`: where a dealer's people sign in, without a slash at its end.
        """
        self._stage = _Stage(directory, customers, questions, claim_s, contact_s, portal_url)

    def render(self, connection: Connection, row: Outgoing) -> Rendered | Withhold:
        """The words, or why it must not be said any more. No writes."""
        rep = None
        if row.role == "reps" and row.kind != "lead_waits":
            rep = self._stage.directory.rep(connection, row.to)
            if rep is None:
                return Withhold("there is no such person")
            if row.kind == "reply":
                return _reply(row, rep, self._zone(connection, rep))
            if row.kind == "morning":
                return self._morning(connection, row, rep)
        lead = store.get(connection, row.ref)
        if lead is None:
            return Withhold("there is no such lead")
        if rep is None and lead.state == "OPTED_OUT" and row.kind != "question":
            return Withhold("the customer wants no more messages")
        maker = _MAKERS.get(row.kind, _unknown)
        scene = _Scene(stage=self._stage, connection=connection, row=row, lead=lead, rep=rep)
        said = maker(scene)
        return _marked(said, scene) if lead.test and isinstance(said, Rendered) else said

    def _morning(self, connection: Connection, row: Outgoing, rep: Rep) -> Rendered | Withhold:
        dealer = self._stage.directory.dealer(connection, str(row.data.get("dealer")))
        expected = self._stage.directory.expected
        if dealer is None or rep not in expected(connection, dealer, row.created_ms):
            return Withhold("not there today")
        return _good_morning(rep)

    def _zone(self, connection: Connection, rep: Rep) -> str:
        """Whose clock a rep reads: their first dealer's."""
        dealer = self._stage.directory.dealer(connection, rep.dealers[0]) if rep.dealers else None
        return "Asia/Jakarta" if dealer is None else dealer.timezone
