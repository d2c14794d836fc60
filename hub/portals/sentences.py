"""What a ledger entry says, as a sentence, and the name and mark of its kind.

Promises: no raw value of an event reaches a page unescaped; a fact that is not recorded is not
mentioned; every kind this version does not know still gets a plain line.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup, escape

from hub.portals.formats import distance, duration, money, number, percent
from hub.portals.languages import later, say, say_html, say_many
from hub.portals.lead_facts import SENTENCES as LEAD_SENTENCES
from hub.portals.read_models import Entry
from hub.portals.words import PAYMENTS, code, enumerated
from shared.wire.events import (
    Activated,
    Fact,
    Fault,
    Heartbeat,
    Loss,
    Report,
    Return,
    Sale,
    Void,
)


@dataclass(frozen=True, slots=True)
class Kind:
    """How one event type is named and marked. The mark's shape says it without colour."""

    one: str
    many: str
    mark: str


KINDS: Final[Mapping[str, Kind]] = {
    "pos.sale": Kind(later("Sale"), later("Sales"), "sale"),
    "pos.void": Kind(later("Void"), later("Voids"), "back"),
    "pos.return": Kind(later("Return"), later("Returns"), "back"),
    "scooter.activated": Kind(later("Activated"), later("Activations"), "alive"),
    "scooter.report": Kind(later("Report"), later("Reports"), ""),
    "scooter.fault": Kind(later("Fault"), later("Faults"), "odd"),
    "agent.heartbeat": Kind(later("Heartbeat"), later("Heartbeats"), "beat"),
    "agent.loss": Kind(later("Declared loss"), later("Losses"), "loss"),
    "quarantined": Kind(later("Unreadable"), later("Unreadable"), "bad"),
    "device.enrolled": Kind(later("Box enrolled"), later("Boxes enrolled"), "hub"),
    "device.suspended": Kind(later("Box suspended"), later("Boxes suspended"), "odd"),
    "device.resumed": Kind(later("Box let in again"), later("Boxes let in again"), "hub"),
    "device.epoch_opened": Kind(later("New epoch"), later("New epochs"), "odd"),
    "ledger.generation_opened": Kind(
        later("New generation of the ledger"), later("New generations of the ledger"), "odd"
    ),
    "hub.key_rotated": Kind(later("New key of the hub"), later("New keys of the hub"), "odd"),
    "key.added": Kind(later("Key added"), later("Keys added"), "hub"),
    "key.retired": Kind(later("Key retired"), later("Keys retired"), "hub"),
    "key.revoked": Kind(later("Key revoked"), later("Keys revoked"), "odd"),
    "lead.handoff": Kind(later("Lead claimed"), later("Leads claimed"), "alive"),
    "lead.race": Kind(later("Race for a lead"), later("Races for leads"), "hub"),
    "lead.closed": Kind(later("Lead closed"), later("Leads closed"), "back"),
    "subject.erased": Kind(later("Data erased"), later("Data erased"), "bad"),
}
STATES: Final = {
    "stock": later("In stock"),
    "sold": later("Sold"),
    "returned": later("Returned"),
    "unknown": later("State unknown"),
}
LANE_NAMES: Final = {
    "sale": later("sales"),
    "vehicle": later("scooters"),
    "system": later("system"),
    "hub": later("hub"),
}
LOSS_REASONS: Final = {
    "disk_full": later("the disk was full"),
    "corrupt": later("the buffer was damaged"),
}


def kind_of(event_type: str) -> Kind:
    """The kind of an event type, known or not."""
    return KINDS.get(event_type) or Kind(event_type, event_type, "hub")


def name_of(entry: Entry) -> str:
    """What an entry is called in a list."""
    if entry.quarantined is not None:
        return say("Unreadable")
    if _is_flagged_sale(entry):
        return say("Sale, flagged")
    return say(kind_of(entry.type).one)


def mark_of(entry: Entry) -> str:
    """The CSS class of an entry's mark."""
    if entry.quarantined is not None:
        return "bad"
    return "odd" if _is_flagged_sale(entry) else kind_of(entry.type).mark


def _is_flagged_sale(entry: Entry) -> bool:
    if entry.event is None or not isinstance(entry.event.data, Sale):
        return False
    units = entry.event.data.units
    return not units or any(unit.serial is None for unit in units)


def _sale(data: Sale) -> Markup:
    units = data.units
    total_idr = sum(unit.net_idr for unit in units)
    if len(units) == 1:
        thing: str | None = units[0].model or say("one unit")
    else:
        thing = say_many("%(n)s unit", "%(n)s units", len(units), n=number(len(units)))
    nameless = sum(1 for unit in units if unit.serial is None)
    warning = None
    if nameless:
        warning = Markup('<span class="flag">{}</span>').format(
            say_many(
                "%(n)s without a valid serial",
                "%(n)s without a valid serial",
                nameless,
                n=number(nameless),
            )
            if len(units) > 1
            else say("no valid serial")
        )
    receipt = say_html("receipt %(receipt)s", receipt=code(data.receipt))
    return enumerated([thing, money(total_idr), say(PAYMENTS[data.payment]), receipt, warning])


def _undone(text: str, receipt: str, serials: Sequence[str] | None) -> Markup:
    line = say_html(text, receipt=code(receipt))
    if serials is None:
        return enumerated([line, say("all units")])
    return enumerated(
        [line, say_many("%(n)s unit", "%(n)s units", len(serials), n=number(len(serials)))]
    )


def _void(data: Void) -> Markup:
    return _undone(later("receipt %(receipt)s cancelled at the till"), data.receipt, data.serials)


def _return(data: Return) -> Markup:
    return _undone(later("receipt %(receipt)s came back"), data.receipt, data.serials)


def _firmware(version: str | None) -> str | None:
    return None if version is None else say("firmware %(version)s", version=version)


def _battery(level_pct: int | None) -> str | None:
    return None if level_pct is None else say("battery %(level)s", level=percent(level_pct))


def _odometer(ridden_m: int | None) -> str | None:
    return None if ridden_m is None else distance(ridden_m)


def _report(data: Report) -> Markup:
    state = say(STATES[data.state])
    return enumerated(
        [
            state,
            _battery(data.battery_pct),
            _odometer(data.odometer_m),
        ]
    )


def _activated(data: Activated) -> Markup:
    told = [_firmware(data.firmware), _battery(data.battery_pct), _odometer(data.odometer_m)]
    return enumerated(told) or escape(say("the scooter answered"))


def _fault(data: Fault) -> Markup:
    if data.code == "activation_unanswered":
        return escape(say("The scooter did not answer within a day of its sale"))
    return enumerated([Markup("{} {}").format(say("code"), code(data.code)), data.detail])


def _heartbeat(data: Heartbeat) -> Markup:
    waiting = sum(data.backlog.values())
    backlog = (
        say("nothing waiting")
        if not waiting
        else say_many("%(n)s event waiting", "%(n)s events waiting", waiting, n=number(waiting))
    )
    failed = sorted(name for name, state in data.sources.items() if state == "failed")
    return enumerated(
        [
            say("version %(version)s", version=data.version),
            say("up %(time)s", time=duration(data.uptime_ms)),
            backlog,
            say("failed: %(sources)s", sources=", ".join(failed)) if failed else None,
        ]
    )


def _loss(data: Loss) -> Markup:
    lane = say(LANE_NAMES.get(data.lane, data.lane))
    what = say_many(
        "%(n)s event of lane %(lane)s lost",
        "%(n)s events of lane %(lane)s lost",
        data.count,
        n=number(data.count),
        lane=lane,
    )
    reason = LOSS_REASONS.get(data.reason)
    return enumerated([what, data.reason if reason is None else say(reason)])


def _fact(data: Fact) -> Markup:
    plain = [(k, v) for k, v in data.values.items() if isinstance(v, str | int) and v != ""]
    return enumerated(
        [Markup("{} {}").format(k.replace("_", " "), code(str(v))) for k, v in plain[:5]]
    )


SENTENCES: Final[Mapping[type, Callable[..., Markup]]] = {
    Sale: _sale,
    Void: _void,
    Return: _return,
    Report: _report,
    Activated: _activated,
    Fault: _fault,
    Heartbeat: _heartbeat,
    Loss: _loss,
    Fact: _fact,
}


def fact(entry: Entry) -> Markup:
    """The entry as one sentence, first letter upper-case."""
    if entry.event is None:
        reason = entry.quarantined or say("the bytes are kept as they came")
        return escape(say("Cannot be read: %(reason)s", reason=reason))
    data, of_a_lead = entry.event.data, LEAD_SENTENCES.get(entry.event.type)
    if of_a_lead is not None and isinstance(data, Fact):
        sentence = of_a_lead(data.values)
    else:
        sentence = SENTENCES[type(data)](data)
    return sentence[:1].upper() + sentence[1:]
