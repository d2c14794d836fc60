"""The facts of one entry, line by line: what the page of an entry shows first.

Promises: only what the event states; every value escaped; money, times and ids as everywhere.
"""

from collections.abc import Callable, Mapping
from typing import Final

from markupsafe import Markup, escape

from hub.portals.formats import (
    NOTHING,
    distance,
    duration,
    exact_time,
    money,
    number,
    percent,
    size,
)
from hub.portals.languages import later, say
from hub.portals.lead_facts import LINES
from hub.portals.read_models import Entry
from hub.portals.sentences import LANE_NAMES, LOSS_REASONS, STATES
from hub.portals.words import PAYMENTS, code
from shared.wire.events import (
    Activated,
    Event,
    Fact,
    Fault,
    Heartbeat,
    Loss,
    Report,
    Return,
    Sale,
    Unit,
    Void,
)

Line = tuple[str, Markup]
CLOCK_NAMES: Final = {
    "rtc": later("own clock"),
    "ntp": later("network time"),
    "hub": later("hub time"),
    "none": later("no clock"),
}
RANGES_SHOWN = 20
BREAK = Markup("<br>")


def unit_code(serial: str | None, raw: str | None = None) -> Markup:
    """A serial as a link to its scooter; text that is no serial is quoted as it came."""
    if serial is not None:
        return Markup('<a class="id" href="/units/{0}">{0}</a>').format(serial)
    if raw:
        return Markup('<span class="id">{}</span> <span class="flag">{}</span>').format(
            raw, say("not a valid serial")
        )
    return Markup('<span class="flag">{}</span>').format(say("none given"))


def price(unit: Unit) -> Markup:
    """What was paid, and from what it was discounted."""
    paid = Markup("{}").format(money(unit.net_idr))
    if unit.list_idr == unit.net_idr and not unit.discount_idr:
        return paid
    detail = say(
        "list %(list)s, discount %(discount)s",
        list=money(unit.list_idr),
        discount=money(unit.discount_idr),
    )
    return Markup('{} <span class="soft">({})</span>').format(paid, detail)


def _sale(data: Sale) -> list[Line]:
    units = BREAK.join(
        Markup("{} · {}").format(unit_code(unit.serial, unit.serial_raw), unit.model or NOTHING)
        for unit in data.units
    )
    lines = [
        (say("Unit") if len(data.units) == 1 else say("Units"), units or NOTHING),
        (say("Receipt"), code(data.receipt)),
        (say("Price"), BREAK.join(price(unit) for unit in data.units) or NOTHING),
    ]
    if len(data.units) > 1:
        total_idr = sum(unit.net_idr for unit in data.units)
        lines.append((say("Total"), Markup("{}").format(money(total_idr))))
    lines += [
        (say("Payment"), escape(say(PAYMENTS[data.payment]).capitalize())),
        (say("Till"), code(data.till)),
        (say("Operator"), code(data.operator) if data.operator else NOTHING),
    ]
    if data.buyer_commitment:
        kept = say("name and phone are kept encrypted, apart from the ledger")
        lines.append((say("Buyer"), Markup('<span class="soft">{}</span>').format(kept)))
    return lines


def _undone(data: Void | Return) -> list[Line]:
    units = escape(say("all units of the receipt"))
    if data.serials is not None:
        units = BREAK.join(unit_code(serial) for serial in data.serials)
    receipt = Markup('<a class="id" href="/sales?q={0}">{0}</a>').format(data.receipt)
    return [
        (say("Receipt"), receipt),
        (say("Units"), units),
        (say("Till"), code(data.till)),
    ]


def _known(lines: list[tuple[str, object]]) -> list[Line]:
    return [(label, escape(value)) for label, value in lines if value is not None]


def _condition(data: Report | Activated) -> list[Line]:
    battery, odometer = data.battery_pct, data.odometer_m
    return _known(
        [
            (say("Battery"), None if battery is None else percent(battery)),
            (say("Odometer"), None if odometer is None else distance(odometer)),
            (say("Firmware"), None if data.firmware is None else code(data.firmware)),
        ]
    )


def _report(data: Report) -> list[Line]:
    place = data.position
    where = None if place is None else code(f"{place.lat:.5f}, {place.lon:.5f}")
    extra = [
        (name, None if value is None else code(str(value)))
        for name, value in (data.extra or {}).items()
    ]
    return [
        (say("Unit"), unit_code(data.serial)),
        (say("State"), escape(say(STATES[data.state]))),
        *_condition(data),
        *_known(
            [
                (
                    say("Position"),
                    where,
                ),
                (say("Its counter"), None if data.counter is None else number(data.counter)),
                *extra,
            ]
        ),
    ]


def _activated(data: Activated) -> list[Line]:
    return [(say("Unit"), unit_code(data.serial)), *_condition(data)]


def _fault(data: Fault) -> list[Line]:
    serial = None if data.serial is None else unit_code(data.serial)
    return _known(
        [(say("Unit"), serial), (say("Code"), code(data.code)), (say("Detail"), data.detail)]
    )


def _heartbeat(data: Heartbeat) -> list[Line]:
    waiting = ", ".join(
        f"{say(LANE_NAMES.get(lane, lane))} {number(n)}" for lane, n in data.backlog.items()
    )
    sources = ", ".join(f"{name}: {state}" for name, state in data.sources.items())
    free, oldest = data.disk_free_bytes, data.oldest_unsent_ms
    return _known(
        [
            (say("Version"), code(data.version)),
            (say("Running for"), duration(data.uptime_ms)),
            (say("Waiting to be sent"), waiting or None),
            (say("Oldest unsent"), None if oldest is None else duration(oldest)),
            (say("Buffer"), size(data.buffer_bytes)),
            (say("Disk free"), None if free is None else size(free)),
            (say("Sources"), sources or None),
        ]
    )


def _loss(data: Loss) -> list[Line]:
    shown = [f"{a}" if a == b else f"{a}\N{EN DASH}{b}" for a, b in data.ranges[:RANGES_SHOWN]]
    if len(data.ranges) > RANGES_SHOWN:
        shown.append("…")
    reason = LOSS_REASONS.get(data.reason)
    return [
        (say("Lost"), escape(number(data.count))),
        (say("Lane"), escape(say(LANE_NAMES.get(data.lane, data.lane)))),
        (say("Numbers"), code(", ".join(shown))),
        (say("Reason"), escape(data.reason if reason is None else say(reason))),
    ]


def _fact(data: Fact) -> list[Line]:
    return [(str(name).replace("_", " "), code(str(value))) for name, value in data.values.items()]


FACTS: Final[Mapping[type, Callable[..., list[Line]]]] = {
    Sale: _sale,
    Void: _undone,
    Return: _undone,
    Report: _report,
    Activated: _activated,
    Fault: _fault,
    Heartbeat: _heartbeat,
    Loss: _loss,
    Fact: _fact,
}


def occurred(event: Event, zone: str | None) -> Markup:
    """The time of the event with its uncertainty and the clock it came from."""
    moment = event.occurred
    clock = say(CLOCK_NAMES[moment.clock])
    if moment.wall_ms is None:
        return Markup('{} <span class="soft">{}</span>').format(
            say("not known"), say("the box had no clock yet")
        )
    error = f"± {duration(moment.err_ms)}, {clock}"
    return Markup('{} <span class="soft">{}</span>').format(exact_time(moment.wall_ms, zone), error)


def facts_of(entry: Entry, store: str | None, zone: str | None) -> list[Line]:
    """Every line of one entry, its own facts first."""
    lines: list[Line] = []
    event = entry.event
    if event is not None:
        said = LINES.get(event.type)
        if said is not None and isinstance(event.data, Fact):
            lines = said(event.data.values, zone)
        else:
            lines = FACTS[type(event.data)](event.data)
    if store is not None:
        lines.append((say("Store"), escape(store)))
    if event is not None:
        lines.append((say("Happened"), occurred(event, zone)))
    return lines
