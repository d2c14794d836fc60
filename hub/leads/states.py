"""What a lead can become: every state, every event, and which of the two go together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

State: TypeAlias = Literal[
    "SCREENING",
    "QUALIFIED",
    "UNCLAIMED",
    "CLAIMED",
    "CONTACTED",
    "DEMO_SCHEDULED",
    "WON_REPORTED",
    "CLOSED_WON",
    "LOST_UNRESPONSIVE",
    "EXPIRED",
    "OPTED_OUT",
    "DUPLICATE",
]
Event: TypeAlias = Literal[
    "qualify",  # enough is known
    "offer",  # at least one offer is queued
    "claim",  # the first tap
    "contact",  # the rep says that they have spoken, or the customer does
    "deny",  # the customer says that nobody called
    "demo",  # a test ride is agreed
    "report_won",  # the rep names the serial
    "fall_back",  # no sale of that serial came
    "sale",  # the sale stands on the ledger
    "void",  # that sale was undone
    "lose",  # closed without a sale
    "release",  # given back by its owner or for them
    "take_back",  # not contacted in time
    "transfer",  # given to somebody by a manager
    "expire",  # nobody wanted it
    "opt_out",  # the customer wants no more messages
    "duplicate",  # it is another open lead's customer
]
STATES: Final[tuple[State, ...]] = get_args(State)
EVENTS: Final[tuple[Event, ...]] = get_args(Event)
BEFORE_CLAIM: Final = frozenset[State]({"SCREENING", "QUALIFIED", "UNCLAIMED"})
OWNED: Final = frozenset[State]({"CLAIMED", "CONTACTED", "DEMO_SCHEDULED", "WON_REPORTED"})
OPEN: Final = BEFORE_CLAIM | OWNED
CLOSED: Final = frozenset(STATES) - OPEN

BACK: Final = "BACK"
"""To the state it had before a rep reported it won, or before the sale came."""
_Next: TypeAlias = State | Literal["BACK"]

_EVERY_OPEN: Final[Mapping[Event, _Next]] = {
    "sale": "CLOSED_WON",
    "lose": "LOST_UNRESPONSIVE",
    "opt_out": "OPTED_OUT",
}
_OWNED: Final[Mapping[Event, _Next]] = {
    **_EVERY_OPEN,
    "release": "UNCLAIMED",
    "transfer": "CLAIMED",
    "demo": "DEMO_SCHEDULED",
    "report_won": "WON_REPORTED",
}
_NEXT: Final[Mapping[State, Mapping[Event, _Next]]] = {
    "SCREENING": {**_EVERY_OPEN, "qualify": "QUALIFIED", "duplicate": "DUPLICATE"},
    "QUALIFIED": {**_EVERY_OPEN, "offer": "UNCLAIMED", "transfer": "CLAIMED"},
    "UNCLAIMED": {
        **_EVERY_OPEN,
        "offer": "UNCLAIMED",
        "claim": "CLAIMED",
        "transfer": "CLAIMED",
        "expire": "EXPIRED",
    },
    "CLAIMED": {**_OWNED, "contact": "CONTACTED", "deny": "UNCLAIMED", "take_back": "UNCLAIMED"},
    "CONTACTED": {**_OWNED, "deny": "UNCLAIMED"},
    "DEMO_SCHEDULED": {**_OWNED, "deny": "UNCLAIMED"},
    "WON_REPORTED": {**_OWNED, "fall_back": BACK},
    # A sale proves itself, whatever was thought before it.
    "CLOSED_WON": {"void": BACK},
    "LOST_UNRESPONSIVE": {"sale": "CLOSED_WON"},
    "EXPIRED": {"sale": "CLOSED_WON", "transfer": "CLAIMED"},
    "OPTED_OUT": {"sale": "CLOSED_WON"},
    "DUPLICATE": {},
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """This event does not happen to a lead in this state: nothing changes."""

    state: State
    event: Event


def after(state: State, event: Event, *, back: State | None = None) -> State | Refusal:
    """The state after `event`; `back` is what the lead falls back to from won."""
    found = _NEXT[state].get(event)
    if found is None:
        return Refusal(state, event)
    if found == "BACK":
        return "CLAIMED" if back is None else back
    return found


def sale_status(state: State, counts: State | None = None) -> str:
    """The four words of the retail ledger.

    `counts`: the state that counts instead: of a duplicate its original's, of a sale that is only
    reported the one before it.
    """
    match state:
        case "DEMO_SCHEDULED":
            return "Demo_Scheduled"
        case "CLOSED_WON":
            return "Closed_Won"
        case "LOST_UNRESPONSIVE" | "EXPIRED" | "OPTED_OUT":
            return "Lost_Unresponsive"
        case "DUPLICATE" | "WON_REPORTED" if counts is not None and counts != state:
            return sale_status(counts)
        case _:
            return "Pending_Contact"
