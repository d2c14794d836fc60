"""To whom a lead goes: ring by ring the nearest dealers that can take it, fairly within each."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection

from hub.leads import rules, store
from hub.leads.desk import HOUR_MS, MINUTE_MS, Desk, detail
from hub.leads.needs import Rep
from hub.leads.records import Lead, Offer
from hub.leads.rules import Near
from hub.leads.states import Refusal
from hub.leads.timeline import store as timeline
from hub.registry.rules import Dealer
from shared.identifiers import new_id

BUSY_MS: Final = 10_000
"""Where everybody holds an offer, it may be over at any moment."""
FULL_MS: Final = MINUTE_MS
"""Where a dealer has as many leads as it takes, one may be closed at any time."""
_SOON_MS: Final = {"busy": BUSY_MS, "full": FULL_MS}
LOOK_AGAIN_MS: Final = 15 * MINUTE_MS
"""When a dealer is open and nobody is there, or none is in sight at all."""
NOBODY_NEAR_MS: Final = 6 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Stop:
    """A dealer on the way outwards from a customer, and what was decided about it."""

    near: Near
    chosen: bool
    why: str
    reps: tuple[Rep, ...] = ()

    def as_json(self) -> dict[str, object]:
        """As the contract's `nearest` shows it."""
        dealer = self.near.dealer.code
        return {
            "dealer": dealer,
            "km": round(self.near.km, 1),
            "chosen": self.chosen,
            "why": self.why,
        }


class Routing:
    """Puts leads on the market."""

    def __init__(self, desk: Desk) -> None:
        """Everything happens on the callers' connections."""
        self._desk = desk

    # --- who would get it ---

    def explain(
        self,
        connection: Connection,
        lat: float,
        lon: float,
        now_ms: int,
        *,
        want: int | None = None,
        asked: Collection[str] = (),
        not_people: Collection[str] = (),
    ) -> list[Stop]:
        """The dealers from the nearest outwards, who of them gets the lead, and why not others.

        `asked` are dealers that had their turn, `not_people` people who get no offer.
        """
        settings = self._desk.settings
        left = settings.dealers_per_ring if want is None else want
        near = rules.by_distance(
            self._desk.directory.dealers(connection),
            lat,
            lon,
            max_km=settings.max_distance_km,
            loads=store.loads(connection),
        )
        taken = set(not_people)
        stops: list[Stop] = []
        for one in near:
            stop = self._stop(connection, one, now_ms, left=left, asked=asked, taken=taken)
            if stop.chosen:
                left -= 1
                taken.update(rep.id for rep in stop.reps)
            stops.append(stop)
            if left == 0 and len(stops) >= rules.SHOWN_MAX:
                break
        return stops

    def _stop(
        self,
        connection: Connection,
        near: Near,
        now_ms: int,
        *,
        left: int,
        asked: Collection[str],
        taken: Collection[str],
    ) -> Stop:
        if near.why_not is not None:
            return Stop(near, chosen=False, why=near.why_not)
        if near.dealer.code in asked:
            return Stop(near, chosen=False, why="already_asked")
        if left == 0:
            closed = self._desk.directory.closed(connection, near.dealer, now_ms)
            return Stop(near, chosen=False, why=closed or "farther")
        reps = self._reps(connection, near.dealer, now_ms, taken)
        if reps:
            return Stop(near, chosen=True, why="nearest", reps=tuple(reps))
        directory = self._desk.directory
        closed = directory.closed(connection, near.dealer, now_ms)
        free = [r for r in directory.on_duty(connection, near.dealer, now_ms) if r.id not in taken]
        return Stop(near, chosen=False, why=closed or ("busy" if free else "nobody_on_duty"))

    def _reps(
        self, connection: Connection, dealer: Dealer, now_ms: int, taken: Collection[str]
    ) -> list[Rep]:
        free = [
            rep
            for rep in self._desk.directory.on_duty(connection, dealer, now_ms)
            if rep.id not in taken
        ]
        if self._desk.one_offer_each:
            holding = store.holders(connection, [rep.id for rep in free])
            free = [rep for rep in free if rep.id not in holding]
        last = store.last_offered(connection, [rep.id for rep in free])
        return rules.longest_waiting(
            free, [last[rep.id] for rep in free], self._desk.settings.reps_per_dealer
        )

    # --- putting it on the market ---

    def offer_to(
        self, connection: Connection, lead: Lead, rep: Rep, dealer: Dealer, *, now_ms: int
    ) -> None:
        """Offer a locked test lead to one person alone, whatever the hour."""
        near = Near(dealer, 0.0, None)
        stop = Stop(near, chosen=True, why="test", reps=(rep,))
        self._offer(connection, lead, [stop], ring=1, now_ms=now_ms)

    def ask_others_there(
        self, connection: Connection, lead: Lead, offer: Offer, now_ms: int
    ) -> bool:
        """Nobody of the offer's dealer was reached: ask those there whose window is open, too.

        Whether there were any. The lead is locked.
        """
        dealer = self._desk.directory.dealer(connection, offer.dealer)
        is_free = self._desk.is_free
        if dealer is None or is_free is None or not rules.may_be_routed(lead):
            return False
        taken = _not_again(lead, store.offers_of(connection, lead.id))
        taken |= {
            rep.id
            for rep in self._desk.directory.on_duty(connection, dealer, now_ms)
            if not is_free(connection, rep.id, now_ms)
        }
        reps = self._reps(connection, dealer, now_ms, taken)
        if not reps:
            return False
        near = Near(dealer, offer.distance_m / 1000, None)
        stop = Stop(near, chosen=True, why="nearest", reps=tuple(reps))
        self._offer(connection, lead, [stop], ring=offer.ring, now_ms=now_ms, why=lead.nearest)
        return True

    def route(
        self, connection: Connection, lead: Lead, now_ms: int, *, want: int | None = None
    ) -> bool:
        """Offer a locked lead to the next dealers of its round; whether anybody was found.

        Without `want` it is the next ring, with it so many more dealers of the ring it is in.
        """
        if not rules.may_be_routed(lead) or lead.state not in {"QUALIFIED", "UNCLAIMED"}:
            return False
        if lead.lat_udeg is None or lead.lon_udeg is None:
            raise AssertionError("routable without a place")
        offers = store.offers_of(connection, lead.id)
        stops = self.explain(
            connection,
            lead.lat_udeg / 1e6,
            lead.lon_udeg / 1e6,
            now_ms,
            want=want,
            asked={offer.dealer for offer in offers if offer.round == lead.round},
            not_people=_not_again(lead, offers),
        )
        chosen = [stop for stop in stops if stop.chosen]
        if chosen:
            ring = lead.ring + 1 if want is None else lead.ring
            self._offer(connection, lead, stops, ring=ring, now_ms=now_ms)
        elif lead.ring == 0:
            self._wait(connection, lead, stops, now_ms)
        return bool(chosen)

    def _offer(
        self,
        connection: Connection,
        lead: Lead,
        stops: Sequence[Stop],
        *,
        ring: int,
        now_ms: int,
        why: str | None = None,
    ) -> None:
        """`why`: the explanation that is kept, if it is not that of `stops`."""
        settings = self._desk.settings
        chosen = [stop for stop in stops if stop.chosen]
        deadline_ms = min(
            self._desk.directory.due_ms(
                connection, stop.near.dealer, now_ms, settings.claim_s * 1000
            )
            for stop in chosen
        )
        if ring == lead.ring and lead.next_step == "claim" and lead.next_step_ms is not None:
            deadline_ms = max(deadline_ms, lead.next_step_ms)
        moved = self._desk.move(
            connection,
            lead,
            "offer",
            now_ms,
            ring=ring,
            region=lead.region or chosen[0].near.dealer.region,
            nearest=why or _shown(stops, lead, now_ms),
            offered_ms=lead.offered_ms or now_ms,
            next_step="claim",
            next_step_ms=deadline_ms,
        )
        if isinstance(moved, Refusal):
            raise TypeError(f"{lead.state} cannot be offered")
        made = [
            Offer(
                id=new_id("ofr"),
                lead=lead.id,
                person=rep.id,
                dealer=stop.near.dealer.code,
                round=lead.round,
                ring=ring,
                state="queued",
                live=True,
                distance_m=round(stop.near.km * 1000),
                offered_ms=now_ms,
            )
            for stop in chosen
            for rep in stop.reps
        ]
        store.create_offers(connection, made)
        for offer in made:
            self._send(connection, moved, offer, now_ms=now_ms, deadline_ms=deadline_ms)
        if self._desk.is_mute(connection):
            # Nobody would hear of it before it is too late: whoever reads mail can still claim.
            for dealer in dict.fromkeys(offer.dealer for offer in made):
                self._desk.mail_dealer(
                    connection, moved, dealer, lasts_ms=deadline_ms - now_ms, now_ms=now_ms
                )
        if lead.round == 1 and ring == 1 and lead.ring == 0:
            self._desk.tell_customer(
                connection, moved, "told_dealers", key="1", data={"dealers": len(chosen)}
            )

    def _send(
        self, connection: Connection, lead: Lead, offer: Offer, *, now_ms: int, deadline_ms: int
    ) -> None:
        out = self._desk.say(
            connection,
            lead,
            "offer",
            offer.person,
            key=f"{offer.person}/{offer.round}",
            data={"offer": offer.id, "dealer": offer.dealer, "round": offer.round},
            now_ms=now_ms,
            not_after_ms=deadline_ms,
        )
        timeline.note(
            connection,
            lead.id,
            "offer.queued",
            now_ms,
            person=offer.person,
            dealer=offer.dealer,
            detail=detail(offer=offer.id, out=out, ring=offer.ring, round=offer.round),
        )

    def _wait(self, connection: Connection, lead: Lead, stops: Sequence[Stop], now_ms: int) -> None:
        """Nobody is there now: until the first opens. No clock of ours runs meanwhile."""
        opens = [
            ms
            for stop in stops
            if stop.near.why_not is None
            and (ms := self._desk.directory.next_open_ms(connection, stop.near.dealer, now_ms))
            is not None
        ]
        if opens:
            at_ms = max(min(opens), now_ms + LOOK_AGAIN_MS if min(opens) <= now_ms else 0)
        else:
            at_ms = now_ms + NOBODY_NEAR_MS
        soon_ms = min((_SOON_MS[stop.why] for stop in stops if stop.why in _SOON_MS), default=None)
        if soon_ms is not None:
            at_ms = min(at_ms, now_ms + soon_ms)
        store.change(
            connection,
            lead.id,
            next_step="route",
            next_step_ms=at_ms,
            nearest=_shown(stops, lead, now_ms),
            region=lead.region or (stops[0].near.dealer.region if stops else None),
        )
        if lead.next_step == "route" and lead.nearest is not None:
            return  # it has been waiting already: that is no news
        timeline.note(connection, lead.id, "lead.waiting", now_ms, detail=detail(until_ms=at_ms))
        opening = min(opens, default=0)
        self._desk.tell_customer(
            connection,
            lead,
            "told_waiting",
            key=str(lead.round),
            data={"opens_ms": opening if opening > now_ms else None},
        )


def _not_again(lead: Lead, offers: Sequence[Offer]) -> set[str]:
    """People who get no offer of this lead in this round."""
    return {offer.person for offer in offers if offer.round == lead.round or offer.state == "lost"}


def _shown(stops: Sequence[Stop], lead: Lead, now_ms: int) -> str:
    """What is kept as the explanation: those of this ring, and those before it."""
    last = max((place for place, stop in enumerate(stops) if stop.chosen), default=len(stops))
    kept = stops[: max(last + 1, min(rules.SHOWN_MAX, len(stops)))][: rules.SHOWN_MAX + last]
    before = orjson.loads(lead.nearest) if lead.nearest else {}
    chosen = set(before.get("chosen", [])) if before.get("round") == lead.round else set()
    rows = [stop.as_json() for stop in kept]
    for row in rows:
        if row["why"] == "already_asked" and row["dealer"] in chosen:
            row |= {"chosen": True, "why": "nearest"}
    return orjson.dumps(
        {
            "at_ms": now_ms,
            "round": lead.round,
            "chosen": [row["dealer"] for row in rows if row["chosen"]],
            "rows": rows,
        }
    ).decode()
