"""A lead is won when the sale stands on the ledger: not before, and not after it was undone."""

import pytest

from hub.leads.winning import Sale, Sold
from tests.fakes.lead_market import START_MS, Market, a_dealer, a_rep

SERIAL = "MH1KS1110RK000001"


@pytest.fixture
def market(database):
    """A lead in the hands of per_1 of SBY01, which made contact; SBY02 is the neighbour."""
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    return market


@pytest.fixture
def lead(market):
    """Claimed and contacted."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    market.tap("per_1", f"CONTACTED_{lead}")
    return lead


def sold(market, dealer="SBY01", contact=None, index=7):
    """The sale comes onto the ledger."""
    sale = Sale(
        index=index,
        dealer=dealer,
        at_ms=market.clock.wall_ms(),
        serials=(SERIAL,),
        contact=contact,
    )
    market.do(lambda c: market.leads.winning.sale(c, sale, market.clock.wall_ms()))


def voided(market, undoes=7):
    """The sale is undone."""
    void = Sale(index=undoes + 1, dealer="SBY01", at_ms=0, serials=(), undoes=undoes)
    market.do(lambda c: market.leads.winning.undone(c, void, market.clock.wall_ms()))


def test_a_word_waits_for_its_sale(market, lead):
    """WON_REPORTED until that serial's sale by that dealer, and then it is closed."""
    market.say("per_1", f"menang {SERIAL.lower()}")
    assert (market.get(lead).state, market.get(lead).serial) == ("WON_REPORTED", SERIAL)
    sold(market, dealer="SBY02")
    assert market.get(lead).state == "WON_REPORTED"
    sold(market, index=9)
    won = market.get(lead)
    assert (won.state, won.sale_index) == ("CLOSED_WON", 9)
    assert market.facts("lead.closed") == [
        {"lead": lead, "state": "CLOSED_WON", "serial": SERIAL, "sale_index": 9}
    ]


def test_a_word_without_a_sale_falls_back(market, lead):
    """After `won_wait_s` it is as it was."""
    market.say("per_1", f"MENANG {SERIAL}")
    market.pass_time(market.settings.won_wait_s * 1000)
    assert market.get(lead).state == "CONTACTED"
    assert [draft.to for draft in market.outbox.said("fell_back")] == ["per_1"]
    assert market.kinds(lead)[-1] == "notice.sent"


def test_a_mistyped_serial_can_be_corrected(market, lead):
    """Who has named a serial already is asked for which lead, and names it again."""
    market.say("per_1", "MENANG MH1KS1110RK000009")
    market.say("per_1", f"MENANG {SERIAL}")
    [question] = market.outbox.said("reply")
    assert {row.id for row in market.words(question).rows} == {f"WON_{lead}"}
    assert market.get(lead).serial == "MH1KS1110RK000009"
    market.tap("per_1", f"WON_{lead}")
    market.say("per_1", f"MENANG {SERIAL}")
    assert (market.get(lead).state, market.get(lead).serial) == ("WON_REPORTED", SERIAL)
    sold(market)
    assert market.get(lead).state == "CLOSED_WON"


def test_a_void_reopens_what_the_sale_closed(market, lead):
    """Nobody is paid for what was given back."""
    market.say("per_1", f"MENANG {SERIAL}")
    sold(market)
    voided(market)
    assert (market.get(lead).state, market.get(lead).sale_index) == ("CONTACTED", None)
    voided(market)
    assert market.get(lead).state == "CONTACTED"


def test_a_sale_that_stands_already_wins_at_once(market, lead):
    """The till was faster than the rep's message."""
    market.units.known[SERIAL] = Sold(
        state="sold", dealer="SBY01", sale_index=3, sale_ms=START_MS + 1
    )
    market.say("per_1", f"MENANG {SERIAL}")
    assert (market.get(lead).state, market.get(lead).sale_index) == ("CLOSED_WON", 3)


@pytest.mark.parametrize(
    ("dealer", "sale_ms"), [("SBY02", START_MS + 1), ("SBY01", START_MS - 86_400_000)]
)
def test_another_sale_wins_nothing(market, lead, dealer, sale_ms):
    """Sold by another dealer, or before the customer ever wrote."""
    market.units.known[SERIAL] = Sold(state="sold", dealer=dealer, sale_index=3, sale_ms=sale_ms)
    market.say("per_1", f"MENANG {SERIAL}")
    assert market.get(lead).state == "CONTACTED"
    [said] = market.outbox.said("serial_taken")
    assert said.to == "per_1"


def test_the_buyers_phone_takes_an_open_lead_off_the_market(market):
    """Offers are withdrawn, the reps are told, the ledger hears."""
    lead = market.lead()
    sold(market, dealer="SBY02", contact="cus_a")
    assert market.get(lead).state == "CLOSED_WON"
    assert {draft.to for draft in market.outbox.said("sold")} == {"per_1", "per_2"}
    assert market.tap("per_1", f"CLAIM_{lead}") == "expired"
    voided(market)
    assert market.get(lead).state == "UNCLAIMED"
    market.pass_time(0)
    assert len(market.outbox.said("offer")) == 4
    assert market.tap("per_1", f"CLAIM_{lead}") == "won"


def test_sold_by_another_dealer_than_the_claimer_is_shown(market, lead):
    """Closed as sold elsewhere, with the seller on the timeline."""
    sold(market, dealer="SBY02", contact="cus_a")
    closed = market.get(lead)
    assert (closed.state, closed.close_reason, closed.dealer) == (
        "CLOSED_WON",
        "sold_elsewhere",
        "SBY01",
    )
    assert any("SBY02" in (event.detail or "") for event in market.events(lead))


def test_a_sale_before_the_lead_is_another_purchase(market, lead):
    """Who bought last year may want a second one."""
    sale = Sale(index=7, dealer="SBY01", at_ms=START_MS - 1, serials=(), contact="cus_a")
    market.do(lambda c: market.leads.winning.sale(c, sale, START_MS))
    assert market.get(lead).state == "CONTACTED"


def test_of_several_leads_the_rep_says_which(market, lead):
    """WON on one of them, then the serial; without it the rep is asked."""
    other = market.lead(contact="cus_b")
    market.tap("per_1", f"CLAIM_{other}")
    market.say("per_1", f"MENANG {SERIAL}")
    [question] = market.outbox.said("reply")
    assert {row.id for row in market.words(question).rows} == {f"WON_{lead}", f"WON_{other}"}
    market.tap("per_1", f"WON_{lead}")
    market.say("per_1", f"MENANG {SERIAL}")
    assert market.get(lead).state == "WON_REPORTED"
    assert market.get(other).state == "CLAIMED"


def test_what_is_no_serial_is_asked_for_again(market, lead):
    """Nothing is stored of it."""
    market.say("per_1", "MENANG 12")
    assert market.get(lead).state == "CONTACTED"
    [said] = market.outbox.said("serial_unreadable")
    assert "MENANG" in market.words(said).text


def test_words_without_a_lead_are_answered(market):
    """Every word has an answer, and none starts a screening."""
    for word in ("LEAD", "MENANG x", "SIAP", "LIBUR", "what?"):
        market.say("per_2", word)
    texts = [market.words(draft).text for draft in market.outbox.said("reply")]
    assert len(texts) == 5
    assert "per_2" in market.town.off
