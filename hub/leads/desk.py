"""What every use case of leads works with, and the small steps that all of them take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

import orjson
from sqlalchemy import Connection

from hub.config import LeadsConfig
from hub.leads import store
from hub.leads.needs import Alarms, Customers, Directory, Facts, Outgoing
from hub.leads.records import Lead, OfferState, Standing
from hub.leads.states import CLOSED, OWNED, Event, Refusal, after
from hub.leads.timeline import store as timeline
from hub.outbox.messages import Draft, Role
from shared.clock import Clock

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
TAPS_MAX: Final = 50
"""Taps that one fact of a race names: more than a round has offers."""
OFFER_KINDS: Final = ("offer",)
ANSWER_KINDS: Final = frozenset(
    {
        "card",
        "card_contact",
        "too_slow",
        "yours",
        "expired",
        "noted_contacted",
        "noted_demo",
        "noted_lost",
        "not_now",
        "ask_serial",
        "serial_unreadable",
        "serial_taken",
        "won_waits",
    }
)
"""What a rep is told who has just tapped or written: it overtakes offers and notices."""
CUSTOMER_KINDS: Final = (
    "question",
    "nudge",
    "told_dealers",
    "told_waiting",
    "told_customer",
    "customer_greeting",
    "checkin",
)


IsFree: TypeAlias = Callable[[Connection, str, int], bool]
"""Whether a person's window is open at a time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The other features, the settings and the clock."""

    directory: Directory
    outbox: Outgoing
    alerts: Alarms
    facts: Facts
    customers: Customers
    settings: LeadsConfig
    clock: Clock
    is_free: IsFree | None = None
    """Whether a rep may be written to without a template; None: of nobody that is known."""
    is_mute: Callable[[Connection], bool] = lambda _connection: False
    """Whether nothing goes through the number that speaks to reps."""
    one_offer_each: bool = False
    """Whether that number may show a tap without saying on which offer (Qontak): then nobody holds
    two at a time."""

    def say(
        self,
        connection: Connection,
        lead: Lead,
        kind: str,
        to: str,
        *,
        key: str,
        lasts_ms: int = HOUR_MS,
        data: Mapping[str, object] | None = None,
        now_ms: int | None = None,
        wait_ms: int = 0,
        not_after_ms: int | None = None,
    ) -> str:
        """Enqueue a message about a lead (see `draft`); its id."""
        draft = self.draft(
            lead,
            kind,
            to,
            key=key,
            lasts_ms=lasts_ms,
            data=data,
            now_ms=now_ms,
            wait_ms=wait_ms,
            not_after_ms=not_after_ms,
        )
        return self.outbox.enqueue(connection, draft)

    def draft(
        self,
        lead: Lead | Standing,
        kind: str,
        to: str,
        *,
        key: str,
        lasts_ms: int = HOUR_MS,
        data: Mapping[str, object] | None = None,
        now_ms: int | None = None,
        wait_ms: int = 0,
        not_after_ms: int | None = None,
    ) -> Draft:
        """A message about a lead; `key` tells it from others of its kind and lead."""
        now = self.clock.wall_ms() if now_ms is None else now_ms
        role: Role = "customers" if to.startswith("cus_") else "reps"
        return Draft(
            key=f"{kind}/{lead.id}/{key}",
            to=to,
            role=role,
            kind=kind,
            ref=lead.id,
            data=dict(data or {}),
            not_before_ms=now + wait_ms,
            not_after_ms=now + wait_ms + lasts_ms if not_after_ms is None else not_after_ms,
            urgent=kind in ANSWER_KINDS,
        )

    def reply(
        self, connection: Connection, person: str, text: str, *, key: str, **values: object
    ) -> str:
        """Answer words of a rep that concern no single lead."""
        now = self.clock.wall_ms()
        return self.outbox.enqueue(
            connection,
            Draft(
                key=f"reply/{person}/{key}",
                to=person,
                role="reps",
                kind="reply",
                ref=person,
                data={"text": text, **values},
                not_before_ms=now,
                not_after_ms=now + HOUR_MS,
                urgent=True,
            ),
        )

    def mail_dealer(
        self, connection: Connection, lead: Lead, dealer: str, *, lasts_ms: int, now_ms: int
    ) -> None:
        """Tell a dealer's mailbox that this lead waits in the portal, once a round."""
        if lead.test:
            return
        self.outbox.enqueue(
            connection,
            Draft(
                key=f"mail/{lead.id}/{dealer}/{lead.round}",
                to=f"dlr_{dealer}",
                role="reps",
                kind="lead_waits",
                ref=lead.id,
                data={"dealer": dealer, "round": lead.round},
                not_before_ms=now_ms,
                not_after_ms=now_ms + lasts_ms,
                channel="mail",
            ),
        )

    def tell_customer(
        self,
        connection: Connection,
        lead: Lead,
        kind: str,
        *,
        key: str,
        data: Mapping[str, object] | None = None,
        lasts_ms: int = 12 * HOUR_MS,
    ) -> None:
        """Say something to the customer, if this lead has one who agreed to be written to."""
        draft = self.for_customer(lead, kind, key=key, data=data, lasts_ms=lasts_ms)
        if draft is not None:
            self.outbox.enqueue(connection, draft)

    def for_customer(
        self,
        lead: Lead,
        kind: str,
        *,
        key: str,
        data: Mapping[str, object] | None = None,
        lasts_ms: int = 12 * HOUR_MS,
        wait_ms: int = 0,
    ) -> Draft | None:
        """A message to the customer; None where nobody has agreed to be written to."""
        if lead.test or lead.consent_version is None:
            return None
        return self.draft(
            lead, kind, lead.contact, key=key, data=data, lasts_ms=lasts_ms, wait_ms=wait_ms
        )

    def move(
        self, connection: Connection, lead: Lead, event: Event, now_ms: int, **values: object
    ) -> Lead | Refusal:
        """Let `event` happen to a locked lead and set `values` with it."""
        state = after(lead.state, event, back=lead.back)
        if isinstance(state, Refusal):
            return state
        if state in CLOSED:
            values = {"closed_ms": now_ms, "next_step": None, "next_step_ms": None} | values
        if lead.state != state and (lead.state == "CLAIMED" or state not in OWNED):
            values |= {"taps_told": self._tell_race(connection, lead, now_ms)}
        store.change(connection, lead.id, state=state, **values)
        moved = store.get(connection, lead.id)
        if moved is None:
            raise AssertionError("a locked lead is gone")
        return moved

    def _tell_race(self, connection: Connection, lead: Lead, now_ms: int) -> int:
        """State on the ledger who has tapped, in the order of arrival, each tap once.

        When the winner's wait ends, whichever way, and again when the lead is nobody's any more or
        ends, of those who have tapped since: the hand-off was written with the first tap, when
        nobody had come second yet. How far the timeline is told.
        """
        told = lead.taps_told
        while not lead.test and (race := timeline.next_race(connection, lead.id, told, TAPS_MAX)):
            told = race.last
            fact = {"lead": lead.id, "round": lead.round, "first": race.first, "last": race.last}
            self.facts.append(connection, "lead.race", fact | {"taps": race.taps}, now_ms=now_ms)
        return told

    def close_fact(self, connection: Connection, lead: Lead, now_ms: int) -> None:
        """State on the ledger how a lead ended."""
        if lead.test:
            return
        data: dict[str, object] = {"lead": lead.id, "state": lead.state}
        if lead.serial is not None:
            data["serial"] = lead.serial
        if lead.sale_index is not None:
            data["sale_index"] = lead.sale_index
        self.facts.append(connection, "lead.closed", data, now_ms=now_ms)

    def retract(self, connection: Connection, lead: Lead, *, became: OfferState) -> None:
        """Take the lead off the market: no tap wins, no offer goes out any more."""
        store.withdraw(connection, [(lead.id, "", became)])
        self.outbox.withdraw(connection, ref=lead.id, kinds=OFFER_KINDS)

    def retract_all(self, connection: Connection, winners: Mapping[str, str]) -> None:
        """The same for leads that somebody has won, by lead and person."""
        store.withdraw(connection, [(*won, "withdrawn") for won in winners.items()])
        self.outbox.withdraw_all(connection, list(winners), OFFER_KINDS)


def detail(**values: object) -> str:
    """What a timeline entry needs besides."""
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS).decode()
