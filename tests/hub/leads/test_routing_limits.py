"""How much goes to whom: no dealer beyond its capacity, a few of its people, everybody in turn."""

import orjson
import pytest

from hub.leads.needs import Rep
from hub.leads.routing import FULL_MS
from tests.fakes.lead_market import Market, a_dealer, a_rep


def asked(market, lead):
    """Who was offered the lead, in order."""
    return [draft.to for draft in market.outbox.said("offer") if draft.ref == lead]


def offered(market, lead):
    """Every offer of the lead: for which dealer, to whom."""
    return sorted((offer.dealer, offer.person) for offer in market.offers(lead))


def why(market, lead):
    """What the lead says of each dealer."""
    rows = orjson.loads(market.get(lead).nearest or "")["rows"]
    return {row["dealer"]: row["why"] for row in rows}


def one_after_another(market, count):
    """So many leads of as many customers, a second between them."""
    leads = []
    for number in range(count):
        leads.append(market.lead(contact=f"cus_{number}"))
        market.pass_time(1000)
    return leads


def of_two(number, *dealers):
    """A rep who works for several dealers."""
    return Rep(id=f"per_{number}", name=f"Rep{number} Wijaya", language="id", dealers=dealers)


# --- a dealer's capacity ---


@pytest.fixture
def small(database):
    """A dealer that takes two leads, and farther away one that takes any number."""
    market = Market(database, dealers_per_ring=1)
    market.town.add(a_dealer("SBY01", 1.0, capacity=2), a_rep(1, "SBY01"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    return market


def in_hand(market, count):
    """So many leads that per_1 has claimed and called; they stay theirs."""
    leads = [market.lead(contact=f"cus_{number}") for number in range(count)]
    for lead in leads:
        assert market.tap("per_1", f"CLAIM_{lead}") == "won"
        market.tap("per_1", f"CONTACTED_{lead}")
    return leads


def test_a_dealer_takes_leads_up_to_its_capacity(small):
    """One below it the next still comes, and offers that nobody has claimed yet fill no place."""
    in_hand(small, 1)
    second, third = small.lead(contact="cus_b"), small.lead(contact="cus_c")
    assert [asked(small, lead) for lead in (second, third)] == [["per_1"], ["per_1"]]
    assert why(small, third)["SBY01"] == "nearest"


@pytest.mark.parametrize("called", [False, True])
def test_a_full_dealer_is_passed_by(small, called):
    """Claimed or called, it is in hand: the next dealer gets the lead, and the lead says why."""
    for number in range(2):
        mine = small.lead(contact=f"cus_{number}")
        assert small.tap("per_1", f"CLAIM_{mine}") == "won"
        if called:
            small.tap("per_1", f"CONTACTED_{mine}")
    lead = small.lead(contact="cus_c")
    assert offered(small, lead) == [("SBY02", "per_2")]
    assert (why(small, lead)["SBY01"], why(small, lead)["SBY02"]) == ("full", "nearest")
    assert small.tap("per_1", f"CLAIM_{lead}") == "not_offered"


@pytest.mark.parametrize("by", ["rep", "manager"])
def test_a_closed_lead_makes_room_for_one(small, by):
    """The nearest gets leads again as soon as one of its own is closed, until it is full anew."""
    first, _ = in_hand(small, 2)
    assert asked(small, small.lead(contact="cus_c")) == ["per_2"]
    if by == "rep":
        small.tap("per_1", f"LOST_{first}")
    else:
        now = small.clock.wall_ms()
        assert small.do(lambda c: small.leads.close(c, first, reason="other", now_ms=now))
    assert small.get(first).state == "LOST_UNRESPONSIVE"

    again = small.lead(contact="cus_d")
    assert asked(small, again) == ["per_1"]
    assert why(small, again)["SBY01"] == "nearest"
    assert small.tap("per_1", f"CLAIM_{again}") == "won"
    assert asked(small, small.lead(contact="cus_e")) == ["per_2"]


def test_another_dealer_s_leads_fill_nobody_else(small):
    """What the farther one has in hand takes no place of the nearest."""
    small.town.off.add("per_1")
    for number in range(2):
        lead = small.lead(contact=f"cus_{number}")
        assert small.tap("per_2", f"CLAIM_{lead}") == "won"
    small.town.off.clear()
    assert asked(small, small.lead(contact="cus_c")) == ["per_1"]


def test_where_every_dealer_is_full_the_lead_waits_for_room(database):
    """It says why, nobody is asked, and a minute after a lead was closed it has gone out."""
    market = Market(database)
    market.town.add(a_dealer("SBY01", capacity=1), a_rep(1, "SBY01"))
    [mine] = in_hand(market, 1)
    lead = market.lead(contact="cus_c")
    assert (market.get(lead).state, why(market, lead)) == ("QUALIFIED", {"SBY01": "full"})
    assert offered(market, lead) == []
    market.tap("per_1", f"LOST_{mine}")
    market.pass_time(FULL_MS)
    assert "per_1" in asked(market, lead)


# --- how many of a dealer, and who ---


@pytest.fixture
def team(database):
    """A dealer with four reps, two of whom are offered a lead."""
    market = Market(database, reps_per_dealer=2, max_rings=1)
    market.town.add(a_dealer("SBY01"), *(a_rep(number, "SBY01") for number in range(1, 5)))
    return market


def test_two_leads_reach_all_four(team):
    """Two people each, and the second lead goes to those who had nothing of the first."""
    first, second = one_after_another(team, 2)
    assert [asked(team, lead) for lead in (first, second)] == [
        ["per_1", "per_2"],
        ["per_3", "per_4"],
    ]
    assert len(offered(team, first)) == len(offered(team, second)) == 2


def test_who_waited_longest_comes_first(team):
    """Never offered any comes before all others, then whose last offer is the oldest."""
    one_after_another(team, 2)
    team.town.people["per_5"] = a_rep(5, "SBY01")
    third, fourth, fifth = one_after_another(team, 3)
    assert asked(team, third) == ["per_5", "per_1"]
    assert asked(team, fourth) == ["per_2", "per_3"]
    assert asked(team, fifth) == ["per_4", "per_1"]


def test_who_was_away_has_not_lost_their_turn(team):
    """Back on duty they come first: the others were offered leads meanwhile."""
    team.town.off = {"per_3", "per_4"}
    for lead in one_after_another(team, 2):
        assert asked(team, lead) == ["per_1", "per_2"]
    team.town.off.clear()
    [lead] = one_after_another(team, 1)
    assert asked(team, lead) == ["per_3", "per_4"]


def test_the_limit_holds_for_each_dealer_of_a_ring(team):
    """Two of every dealer, not two of them all; of a smaller dealer everybody."""
    team.town.add(a_dealer("SBY02", 1.0), *(a_rep(number, "SBY02") for number in range(5, 9)))
    team.town.add(a_dealer("SBY03", 2.0), a_rep(9, "SBY03"))
    lead = team.lead()
    assert offered(team, lead) == [
        ("SBY01", "per_1"),
        ("SBY01", "per_2"),
        ("SBY02", "per_5"),
        ("SBY02", "per_6"),
        ("SBY03", "per_9"),
    ]


# --- who works for two dealers ---


def shared_rep(database):
    """Three dealers asking one person each; per_1 is the first in line of the nearest two."""
    market = Market(database, dealers_per_ring=3, reps_per_dealer=1)
    market.town.add(a_dealer("SBY01", 1.0), of_two(1, "SBY01", "SBY02"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    market.town.add(a_dealer("SBY03", 3.0), a_rep(3, "SBY03"))
    return market


def test_who_works_for_two_of_the_nearest_is_asked_once(database):
    """For the nearer one; the offer of the other goes to its other rep, the third is as ever."""
    market = shared_rep(database)
    lead = market.lead()
    assert offered(market, lead) == [("SBY01", "per_1"), ("SBY02", "per_2"), ("SBY03", "per_3")]
    assert asked(market, lead) == ["per_1", "per_2", "per_3"]
    assert set(why(market, lead).values()) == {"nearest"}


def test_whose_only_rep_was_asked_already_leaves_its_place_to_the_next(database):
    """Nobody else being there, the ring is filled by the dealer behind it."""
    market = shared_rep(database)
    market.town.add(a_dealer("SBY04", 4.0), a_rep(4, "SBY04"))
    market.town.off = {"per_2"}
    lead = market.lead()
    assert offered(market, lead) == [("SBY01", "per_1"), ("SBY03", "per_3"), ("SBY04", "per_4")]
    assert why(market, lead)["SBY02"] == "nobody_on_duty"


def test_who_works_for_two_is_not_asked_again_in_the_next_ring(database):
    """One offer of a lead in a round, whichever ring their other dealer is in."""
    market = Market(database, dealers_per_ring=1, max_rings=2)
    market.town.add(a_dealer("SBY01", 1.0), of_two(1, "SBY01", "SBY02"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    lead = market.lead()
    market.pass_time(300_000)
    assert offered(market, lead) == [("SBY01", "per_1"), ("SBY02", "per_2")]
    assert (market.get(lead).round, market.get(lead).ring) == (1, 2)


def test_who_works_for_two_has_one_turn(database):
    """An offer for one dealer counts at the other, where somebody else is first now."""
    market = Market(database, dealers_per_ring=1, reps_per_dealer=1)
    market.town.add(a_dealer("SBY01", 1.0), of_two(1, "SBY01", "SBY02"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    one_after_another(market, 1)
    market.town.shut = {"SBY01": market.clock.wall_ms() + 3_600_000}
    [lead] = one_after_another(market, 1)
    assert offered(market, lead) == [("SBY02", "per_2")]
