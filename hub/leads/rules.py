"""Decisions about leads: who is near, who comes next, by how much a tap was late. No I/O."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from hub.leads.records import Decision, Lead, Offer, Standing
from hub.leads.states import CLOSED, OWNED
from hub.registry.rules import Dealer

EARTH_KM: Final = 6371.0088
SHOWN_MAX: Final = 20
"""Dealers kept with a lead as the reason why it went where it went."""
SKIPS_OF_A_RING: Final = 3
T = TypeVar("T")


def distance_km(lat: float, lon: float, to_lat: float, to_lon: float) -> float:
    """Along the great circle."""
    a, b = math.radians(lat), math.radians(to_lat)
    half = math.sin((b - a) / 2) ** 2
    half += math.cos(a) * math.cos(b) * math.sin(math.radians(to_lon - lon) / 2) ** 2
    return 2 * EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


@dataclass(frozen=True, slots=True)
class Near:
    """A dealer as seen from a customer. `why_not` is None while it may get the lead."""

    dealer: Dealer
    km: float
    why_not: str | None


def by_distance(
    dealers: Iterable[Dealer],
    lat: float,
    lon: float,
    *,
    max_km: float,
    loads: Mapping[str, int],
) -> list[Near]:
    """Every dealer, the nearest first and of two equally near the lower code.

    Whether one is open and somebody is there is asked later, and only of those who may.
    """
    seen = [
        (distance_km(lat, lon, dealer.lat, dealer.lon), dealer.code, dealer) for dealer in dealers
    ]
    seen.sort(key=lambda found: found[:2])
    return [Near(dealer, km, _why_not(dealer, km, max_km, loads)) for km, _, dealer in seen]


def _why_not(dealer: Dealer, km: float, max_km: float, loads: Mapping[str, int]) -> str | None:
    if not dealer.authorised:
        return "not_authorised"
    if km > max_km:
        return "too_far"
    if dealer.capacity is not None and loads.get(dealer.code, 0) >= dealer.capacity:
        return "full"
    return None


def longest_waiting(people: Sequence[T], last_ms: Sequence[int], limit: int) -> list[T]:
    """At most `limit` people, those first who have been offered nothing for longest."""
    order = sorted(range(len(people)), key=lambda place: (last_ms[place], place))
    return [people[place] for place in order[:limit]]


def late_tap(lead: Lead | Standing, person: str, offer: Offer | None) -> Decision:
    """What a tap is that did not win."""
    if offer is None:
        return "not_offered"
    if lead.rep == person:
        return "yours" if lead.state in OWNED or lead.state == "CLOSED_WON" else "expired"
    return "expired" if lead.rep is None or offer.state == "lost" else "too_slow"


def margin_ms(claimed_ms: int | None, tapped_ms: int) -> int:
    """By how much a tap came too late: at least a millisecond, for somebody was first."""
    return max(1, tapped_ms - (tapped_ms if claimed_ms is None else claimed_ms))


def ring_is_over(offers: Sequence[Offer], ring: int, round_: int) -> bool:
    """Whether nobody of a ring is left who may still want it: skipped thrice, or by all."""
    asked = [offer for offer in offers if offer.ring == ring and offer.round == round_]
    skips = sum(offer.state == "skipped" for offer in asked)
    gone = sum(offer.state in {"skipped", "failed"} for offer in asked)
    return skips >= SKIPS_OF_A_RING or (bool(asked) and gone == len(asked))


def unreached_dealers(offers: Sequence[Offer], ring: int, round_: int) -> Collection[str]:
    """Dealers of a ring none of whose people could be reached."""
    reached: dict[str, bool] = {}
    for offer in offers:
        if offer.ring == ring and offer.round == round_:
            reached[offer.dealer] = reached.get(offer.dealer, False) or offer.state != "failed"
    return [dealer for dealer, was in reached.items() if not was]


def masked(phone: str | None) -> str | None:
    """``62812•••890``: enough to recognise, too little to call."""
    if phone is None:
        return None
    return f"{phone[:5]}•••{phone[-3:]}" if len(phone) > 8 else "•••"


def seconds(margin: int, language: str) -> str:
    """A margin in seconds: three decimals below ten, else whole; a decimal comma in Indonesian."""
    written = f"{margin / 1000:.3f}" if margin < 10_000 else str((margin + 500) // 1000)
    return written.replace(".", ",") if language == "id" else written


def may_be_routed(lead: Lead) -> bool:
    """Whether it may be offered: known where, agreed to, and still anybody's."""
    return lead.located and lead.state not in CLOSED and lead.consent_version is not None
