"""What the hub's facts about leads and people say, as a sentence and line by line.

Promises: ids and plain values only, as on the ledger; what an older hub did not record is not
mentioned; nothing of it reaches a page unescaped.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias, cast

from markupsafe import Markup, escape

from hub.leads.states import State
from hub.portals.formats import duration, exact_time, margin, number
from hub.portals.languages import later, say, say_html, say_many
from hub.portals.words import DECISIONS, STATE_NAMES, code, enumerated
from shared.wire.events import Fact

Values: TypeAlias = Mapping[str, object]
Line: TypeAlias = tuple[str, Markup]
_FAR_MS: Final = 2**47
"""Times beyond it cannot be shown: the year 6429."""
SCOPES: Final = {
    "contact": later("a customer, without purchases"),
    "all": later("a customer, with purchases"),
}


def _taps(values: Values) -> list[Values]:
    taps = values.get("taps")
    return [tap for tap in taps if isinstance(tap, dict)] if isinstance(taps, list) else []


def _state(values: Values) -> str:
    state = str(values.get("state", ""))
    name = STATE_NAMES.get(cast(State, state))
    return state if name is None else say(name)


def _after(milliseconds: object) -> str | None:
    return duration(milliseconds) if isinstance(milliseconds, int) else None


def _of_lead(lead: object) -> Markup:
    return say_html("lead %(lead)s", lead=code("" if lead is None else str(lead)))


def _lead(values: Values) -> Markup:
    return Markup('<a class="id" href="/leads/{0}">{0}</a>').format(str(values.get("lead", "")))


def dealer_in(data: object) -> str | None:
    """The dealer that a fact of the hub's names: no box stands behind it that would."""
    dealer = data.values.get("dealer") if isinstance(data, Fact) else None
    return dealer if isinstance(dealer, str) else None


def _handoff(values: Values) -> Markup:
    took, dealer = _after(values.get("response_ms")), values.get("dealer")
    return enumerated(
        [
            code(dealer) if isinstance(dealer, str) else None,
            None if took is None else say("claimed after %(time)s", time=took),
            code(str(values.get("person", ""))),
            _of_lead(values.get("lead")),
        ]
    )


def _race(values: Values) -> Markup:
    taps = _taps(values)
    # A later fact of the same race begins with whoever came after the first one was written.
    won = bool(taps) and taps[0].get("decision") == "won"
    margins = [behind for tap in taps if isinstance(behind := tap.get("margin_ms"), int)]
    return enumerated(
        [
            say_many("%(n)s tap", "%(n)s taps", len(taps), n=number(len(taps))),
            say("the second %(time)s behind", time=margin(margins[0])) if won and margins else None,
            _of_lead(values.get("lead")),
        ]
    )


def _closed(values: Values) -> Markup:
    serial = values.get("serial")
    return enumerated(
        [
            _state(values),
            code(serial) if isinstance(serial, str) else None,
            _of_lead(values.get("lead")),
        ]
    )


def _scope(values: Values) -> Markup:
    scope = str(values.get("scope", ""))
    if scope in SCOPES:
        return escape(say(SCOPES[scope]))
    return _of_lead(scope)


def _erased(values: Values) -> Markup:
    return enumerated([_scope(values), code(str(values.get("subject", "")))])


SENTENCES: Final[Mapping[str, Callable[[Values], Markup]]] = {
    "lead.handoff": _handoff,
    "lead.race": _race,
    "lead.closed": _closed,
    "subject.erased": _erased,
}


def _race_lines(values: Values, zone: str | None) -> list[Line]:
    lines = [(say("Lead"), _lead(values))]
    for place, tap in enumerate(_taps(values), start=1):
        at, came = tap.get("at"), str(tap.get("decision", ""))
        behind = tap.get("margin_ms")
        said = enumerated(
            [
                code(str(tap.get("person", ""))),
                str(tap.get("dealer", "")),
                say(DECISIONS[came]) if came in DECISIONS else came,
                say("%(time)s behind", time=margin(behind)) if isinstance(behind, int) else None,
            ]
        )
        if isinstance(at, int) and 0 <= at < _FAR_MS:
            said += Markup(' <span class="soft">{}</span>').format(exact_time(at, zone))
        lines.append((say("Tap %(n)s", n=number(place)), said))
    return lines


def _handoff_lines(values: Values, zone: str | None) -> list[Line]:
    moments = {"offered_at": say("Offered"), "claimed_at": say("Claimed")}
    took, ring = _after(values.get("response_ms")), values.get("ring")
    return [
        (say("Lead"), _lead(values)),
        (say("Rep"), code(str(values.get("person", "")))),
        *(
            (label, escape(exact_time(at, zone)))
            for name, label in moments.items()
            if isinstance(at := values.get(name), int) and 0 <= at < _FAR_MS
        ),
        *([] if took is None else [(say("Claimed after"), escape(took))]),
        *([(say("Ring"), escape(number(ring)))] if isinstance(ring, int) else []),
    ]


LINES: Final[Mapping[str, Callable[[Values, str | None], list[Line]]]] = {
    "lead.handoff": _handoff_lines,
    "lead.race": _race_lines,
}
