"""Competition mode on both engines: one winner, everybody else told the truth, nothing twice."""

import threading
from contextlib import contextmanager
from itertools import product

import pytest

from hub.leads import store
from hub.leads.needs import Customer
from hub.outbox.messages import Rendered, Withhold
from hub.store import Database
from tests.fakes.lead_market import Market, a_dealer, a_rep
from tests.fakes.postgres import until_blocked


@contextmanager
def rivals_of(market, count):
    """The same market seen by as many other processes."""
    url = market.database.url.render_as_string(hide_password=False)
    rivals = [Market(Database(url)) for _ in range(count)]
    for rival in rivals:
        rival.town.stores |= market.town.stores
        rival.town.people |= market.town.people
    try:
        yield rivals
    finally:
        for rival in rivals:
            rival.database.close()


@pytest.fixture
def market(database):
    """Four dealers from near to far with two reps each."""
    market = Market(database)
    number = 0
    for code, km in (("SBY01", 1.0), ("SBY02", 2.0), ("SBY03", 3.0), ("SBY04", 4.0)):
        reps = [a_rep(number + place, code) for place in (1, 2)]
        market.town.add(a_dealer(code, km), *reps)
        number += 2
    return market


def test_the_card_of_who_left_only_an_address_names_it(market):
    """The winner can reach everybody whose lead they have."""
    market.book.names["cus_mail"] = Customer(
        id="cus_mail", name="Siti", phone=None, email="siti@example.com"
    )
    lead = market.lead(contact="cus_mail")
    market.tap("per_1", f"CLAIM_{lead}")
    [card] = market.outbox.said("card")
    assert "siti@example.com" in market.words(card).text


def test_a_lead_goes_to_the_three_nearest_dealers_and_the_first_tap_gets_it(market):
    """The thinnest whole: offers, a tap, the card, a fact for the ledger."""
    lead = market.lead()
    assert market.get(lead).state == "UNCLAIMED"
    assert {draft.to for draft in market.outbox.said("offer")} == {
        f"per_{number}" for number in range(1, 7)
    }

    market.clock.advance(8421)
    assert market.tap("per_3", f"CLAIM_{lead}") == "won"

    won = market.get(lead)
    assert (won.state, won.rep, won.dealer) == ("CLAIMED", "per_3", "SBY02")
    assert won.response_ms == 8421
    [card] = market.outbox.said("card")
    text = market.words(card).text
    assert "Budi Santoso" in text
    assert "+6281234567890" in text
    assert [b.id for b in market.words(card).buttons] == [
        f"CONTACTED_{lead}",
        f"DEMO_{lead}",
        f"LOST_{lead}",
    ]
    assert market.facts("lead.handoff") == [
        {
            "lead": lead,
            "dealer": "SBY02",
            "person": "per_3",
            "offered_at": won.offered_ms,
            "claimed_at": won.claimed_ms,
            "response_ms": 8421,
            "ring": 1,
            "taps": 1,
        }
    ]
    assert [draft.to for draft in market.outbox.said("told_customer")] == ["cus_a"]
    assert card.urgent
    assert not market.outbox.said("offer")[0].urgent


def test_an_offer_never_says_who_the_customer_is(market):
    """Model, area and distance, and the two buttons; no name, no number."""
    lead = market.lead()
    [offer] = market.outbox.said("offer", "per_1")
    said = market.words(offer)
    assert "Model E8" in said.text
    assert "Wonokromo, Surabaya" in said.text
    assert "1,0 km" in said.text
    assert "Budi" not in said.text + str(said.template)
    assert "62812" not in said.text + str(said.template)
    assert [button.id for button in said.buttons] == [f"CLAIM_{lead}", f"SKIP_{lead}"]


def test_a_loser_hears_who_was_faster_and_by_how_much(market):
    """The margin is the difference of the two taps' arrivals; at ten seconds it is whole."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_1", f"CLAIM_{lead}", start + 1000)
    assert market.tap("per_2", f"CLAIM_{lead}", start + 1000) == "too_slow"
    assert market.tap("per_3", f"CLAIM_{lead}", start + 2204) == "too_slow"
    market.town.people["per_4"] = a_rep(4, "SBY02", "en")
    assert market.tap("per_4", f"CLAIM_{lead}", start + 13_600) == "too_slow"
    assert [market.words(draft).text for draft in market.outbox.said("too_slow")] == [
        "❌ Too Slow. Rep1 (Dealer SBY01) lebih cepat 0,001 detik.",
        "❌ Too Slow. Rep1 (Dealer SBY01) lebih cepat 1,204 detik.",
        "❌ Too Slow. Rep1 (Dealer SBY01) was 13 s faster.",
    ]
    margins = [e.margin_ms for e in market.events(lead) if e.decision == "too_slow"]
    assert margins == [1, 1204, 12_600]


def test_who_taps_again_hears_the_same_again(market):
    """A button cannot be taken back from a phone: the answer does not change."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_1", f"CLAIM_{lead}", start + 10)
    assert market.tap("per_1", f"CLAIM_{lead}", start + 20) == "yours"
    assert market.tap("per_2", f"CLAIM_{lead}", start + 30) == "too_slow"
    assert market.tap("per_2", f"CLAIM_{lead}", start + 600_000) == "too_slow"
    first, again = market.outbox.said("too_slow")
    assert market.words(first) == market.words(again)
    assert len(market.facts("lead.handoff")) == 1


@pytest.mark.parametrize(
    ("party", "decision"),
    [("per_8", "not_offered"), ("per_nobody", "unknown_sender"), (None, "unknown_sender")],
)
def test_the_button_alone_is_no_authority(market, party, decision):
    """A forwarded button in a stranger's hand changes nothing, and is seen."""
    lead = market.lead()
    assert market.tap(party, f"CLAIM_{lead}") == decision
    assert market.get(lead).state == "UNCLAIMED"
    assert market.events(lead)[-1].decision == decision
    # Somebody of the network wonders why nothing happens; a stranger is told nothing at all.
    told = [market.words(draft).text for draft in market.outbox.said("not_known")]
    assert told == (["Nomor ini tidak terdaftar untuk lead itu."] if party == "per_8" else [])


def test_a_tap_on_a_lead_nobody_knows_is_answered_and_nothing_else(market):
    """The id is made up."""
    assert market.tap("per_1", "CLAIM_led_" + "a" * 26) == "not_offered"
    assert market.tap("per_1", "CLAIM_../../etc") is None


def test_an_offer_that_was_lost_meanwhile_is_withheld(market):
    """What the vendor has not taken yet is not sent any more."""
    lead = market.lead()
    [offer] = market.outbox.said("offer", "per_2")
    assert isinstance(market.words(offer), Rendered)
    market.tap("per_1", f"CLAIM_{lead}")
    assert offer.key in market.outbox.withdrawn
    assert isinstance(market.words(offer), Withhold)


def test_three_skips_start_the_next_ring(market):
    """The fourth dealer is asked at once, those who skipped are not asked twice."""
    lead = market.lead()
    for person in ("per_1", "per_3"):
        assert market.tap(person, f"SKIP_{lead}") == "skipped"
        assert market.tap(person, f"SKIP_{lead}") == "skipped"
    assert market.get(lead).ring == 1
    market.tap("per_5", f"SKIP_{lead}")
    assert market.get(lead).ring == 2
    assert {draft.to for draft in market.outbox.said("offer")} == {
        f"per_{number}" for number in range(1, 9)
    }


def test_who_skipped_may_still_be_first(market):
    """Nobody else wanted it, and they changed their mind."""
    lead = market.lead()
    market.tap("per_1", f"SKIP_{lead}")
    assert market.tap("per_1", f"CLAIM_{lead}") == "won"


def test_a_test_lead_is_marked_and_never_counted(market):
    """It says TEST, and the ledger hears nothing of it."""
    lead = market.lead(test=True)
    [offer] = market.outbox.said("offer", "per_1")
    assert "TES" in market.words(offer).text
    market.tap("per_1", f"CLAIM_{lead}")
    assert market.facts("lead.handoff") == []
    assert market.outbox.said("told_customer") == []


def test_many_connections_give_one_winner(database):
    """Every rep taps at once from a database of their own: one wins, all others are told."""
    market = Market(database, reps_per_dealer=8)
    market.town.add(a_dealer("SBY01"), *(a_rep(number, "SBY01") for number in range(8)))
    leads = [market.lead(contact=f"cus_{number}") for number in range(12)]
    decisions: list[tuple[str, str]] = []

    def race(rival, people):
        for lead, person in product(leads, people):
            decisions.append((lead, rival.tap(f"per_{person}", f"CLAIM_{lead}")))

    with rivals_of(market, 4) as rivals:
        threads = [
            threading.Thread(target=race, args=(rival, (2 * place, 2 * place + 1)))
            for place, rival in enumerate(rivals)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for lead in leads:
        outcomes = sorted(decision for of, decision in decisions if of == lead)
        assert outcomes == ["too_slow"] * 7 + ["won"]


def test_many_runs_of_taps_give_one_winner(database):
    """The same with all taps of two reps decided at once, on the leads in another order each."""
    market = Market(database, reps_per_dealer=8)
    market.town.add(a_dealer("SBY01"), *(a_rep(number, "SBY01") for number in range(8)))
    leads = [market.lead(contact=f"cus_{number}") for number in range(12)]
    decisions: list[tuple[str, str]] = []

    def race(rival, place):
        wanted = leads[3 * place :] + leads[: 3 * place]
        run = list(product(wanted, (2 * place, 2 * place + 1)))
        won = rival.tap_all([(f"per_{person}", lead) for lead, person in run])
        decisions.extend((lead, decision) for (lead, _), decision in zip(run, won, strict=True))

    with rivals_of(market, 4) as rivals:
        threads = [
            threading.Thread(target=race, args=(rival, place)) for place, rival in enumerate(rivals)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for lead in leads:
        outcomes = sorted(decision for of, decision in decisions if of == lead)
        assert outcomes == ["too_slow"] * 7 + ["won"]


@pytest.mark.postgres
def test_a_tap_that_waits_for_a_new_round_is_of_the_new_round(postgres_url):
    """Another process puts the lead back on the market meanwhile: the first tapper has it still."""
    market = Market(Database(postgres_url), reps_per_dealer=2)
    market.town.add(a_dealer("SBY01"), a_rep(1, "SBY01"), a_rep(2, "SBY01"))
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    released, decided = threading.Event(), []

    def release(connection):
        market.leads.release(connection, lead, by="x", now_ms=market.clock.wall_ms())
        known = store.lock(connection, lead)
        assert known is not None
        market.leads.routing.route(connection, known, market.clock.wall_ms())
        released.set()
        until_blocked(market.database, 1)

    def tap(rival):
        assert released.wait(30)
        decided.extend(rival.tap_all([("per_2", lead), ("per_1", lead)]))

    with rivals_of(market, 1) as [rival]:
        thread = threading.Thread(target=tap, args=(rival,))
        thread.start()
        market.do(release)
        thread.join()
    assert ["won", "expired"] == decided  # who gave it back is offered it no more
    market.database.close()


def test_who_came_first_second_and_third_is_on_the_ledger(market):
    """Written when the winner's wait ends: each tapper once, in the order of arrival."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_3", f"CLAIM_{lead}", start + 900)
    market.tap("per_1", f"CLAIM_{lead}", start + 1000)
    market.tap("per_5", f"CLAIM_{lead}", start + 2500)
    market.tap("per_1", f"CLAIM_{lead}", start + 3000)
    market.tap("per_8", f"CLAIM_{lead}", start + 3100)
    assert market.facts("lead.race") == []

    market.tap("per_3", f"CONTACTED_{lead}")
    market.tap("per_3", f"DEMO_{lead}")

    [race] = market.facts("lead.race")
    assert (race["lead"], race["round"]) == (lead, 1)
    assert [(tap["person"], tap["decision"], tap["at"] - start) for tap in race["taps"]] == [
        ("per_3", "won", 900),
        ("per_1", "too_slow", 1000),
        ("per_5", "too_slow", 2500),
    ]
    assert [tap.get("margin_ms") for tap in race["taps"]] == [None, 100, 1600]
    assert [tap["dealer"] for tap in race["taps"]] == ["SBY02", "SBY01", "SBY03"]


def test_a_race_that_begins_again_is_told_of_itself(market):
    """What is given back is raced for anew: its order holds no tap of the race before."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}", market.clock.wall_ms() + 10)
    market.clock.advance(60_000)
    now_ms = market.clock.wall_ms()
    assert market.do(lambda c: market.leads.release(c, lead, by="per_boss", now_ms=now_ms))
    market.clock.advance(60_000)
    market.tap("per_3", f"CLAIM_{lead}", market.clock.wall_ms())
    market.tap("per_3", f"CONTACTED_{lead}")

    first, second = market.facts("lead.race")
    assert (first["round"], [tap["person"] for tap in first["taps"]]) == (1, ["per_1"])
    assert (second["round"], [tap["person"] for tap in second["taps"]]) == (2, ["per_3"])


def test_the_race_for_a_test_offer_is_nobodys_business(market):
    """TEST leaves nothing on the ledger."""
    lead = market.lead(test=True)
    market.tap("per_1", f"CLAIM_{lead}")
    market.tap("per_1", f"CONTACTED_{lead}")
    assert market.facts("lead.race") == []


def test_who_taps_after_the_call_is_told_when_the_lead_ends(market):
    """Each tap stands on the ledger once, whenever it came."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_3", f"CLAIM_{lead}", start + 900)
    market.tap("per_3", f"CONTACTED_{lead}")
    market.tap("per_1", f"CLAIM_{lead}", start + 60_000)
    market.tap("per_3", f"LOST_{lead}")

    first, second = market.facts("lead.race")
    assert [tap["person"] for tap in first["taps"]] == ["per_3"]
    assert [tap["person"] for tap in second["taps"]] == ["per_1"]
    assert first["last"] < second["first"]


def test_a_race_that_was_told_whole_is_not_told_again(market):
    """Nobody tapped after the call."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_3", f"CLAIM_{lead}", start + 900)
    market.tap("per_1", f"CLAIM_{lead}", start + 950)
    market.tap("per_3", f"CONTACTED_{lead}")
    market.tap("per_3", f"LOST_{lead}")
    assert len(market.facts("lead.race")) == 1
    assert market.get(lead).state == "LOST_UNRESPONSIVE"


def test_a_tap_that_waited_longer_than_the_offers_is_the_first(market):
    """The winner's tap came while the round before was still on: it is told all the same."""
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_1", f"CLAIM_{lead}", start - 5)
    market.tap("per_3", f"CLAIM_{lead}", start + 500)
    market.tap("per_1", f"CONTACTED_{lead}")
    [race] = market.facts("lead.race")
    assert [tap["person"] for tap in race["taps"]] == ["per_1", "per_3"]


def test_a_race_with_a_crowd_is_told_in_pieces(market, monkeypatch):
    """A fact has a limit; nobody is left out for it."""
    monkeypatch.setattr("hub.leads.desk.TAPS_MAX", 2)
    lead = market.lead()
    start = market.clock.wall_ms()
    asked = {offer.person for offer in market.offers(lead)}
    crowd = [person for person in ("per_3", "per_1", "per_5", "per_2", "per_4") if person in asked]
    for number, person in enumerate(crowd):
        market.tap(person, f"CLAIM_{lead}", start + 100 * number)
    market.tap("per_3", f"CONTACTED_{lead}")
    races = market.facts("lead.race")
    told = [tap["person"] for race in races for tap in race["taps"]]
    assert told == crowd
    assert len(races) == -(-len(told) // 2)
