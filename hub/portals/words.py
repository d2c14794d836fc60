"""Words and marks that several kinds of page share."""

from collections.abc import Iterable, Mapping
from typing import Final

from markupsafe import Markup, escape

from hub.leads.states import State
from hub.portals.languages import later

PAYMENTS: Final = {
    "cash": later("cash"),
    "instalments": later("instalments"),
    "unknown": later("payment unknown"),
}
STATE_NAMES: Final[Mapping[State, str]] = {
    "SCREENING": later("Screening"),
    "QUALIFIED": later("Waiting"),
    "UNCLAIMED": later("Offered"),
    "CLAIMED": later("Claimed"),
    "CONTACTED": later("Contacted"),
    "DEMO_SCHEDULED": later("Test ride"),
    "WON_REPORTED": later("Won, no sale yet"),
    "CLOSED_WON": later("Won"),
    "LOST_UNRESPONSIVE": later("Lost, no sale"),
    "EXPIRED": later("Expired"),
    "OPTED_OUT": later("Opted out"),
    "DUPLICATE": later("Duplicate"),
}
DECISIONS: Final = {
    "won": later("won"),
    "yours": later("had it already"),
    "too_slow": later("too slow"),
    "expired": later("too late for everybody"),
    "skipped": later("did not want it"),
    "not_offered": later("was not offered it"),
    "unknown_sender": later("a stranger's phone"),
}


def code(text: str) -> Markup:
    """A value that is copied and compared rather than read."""
    return Markup('<span class="id">{}</span>').format(text)


def enumerated(parts: Iterable[str | Markup | None]) -> Markup:
    """What there is of them, one behind the other."""
    return Markup(", ").join(escape(part) for part in parts if part)
