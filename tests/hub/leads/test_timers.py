"""What time does to a lead: rings, rounds, the manager, the end; reminded and taken back."""

from dataclasses import replace

import orjson
import pytest

from hub.leads.routing import BUSY_MS
from hub.leads.service import Leads
from hub.outbox.messages import Withhold
from hub.outbox.service import Change
from tests.fakes.lead_market import Market, a_dealer, a_rep

CLAIM_MS = 300_000


@pytest.fixture
def market(database):
    """Two rings of one dealer each, two rounds."""
    market = Market(database, dealers_per_ring=1, max_rings=2, max_rounds=2)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"))
    market.town.add(a_dealer("SBY02", 2.0), a_rep(2, "SBY02"))
    return market


def asked(market):
    """Who was offered the lead, in order."""
    return [draft.to for draft in market.outbox.said("offer")]


def test_nobody_claims_in_time(market):
    """Next ring, the manager, the next round, and after its last ring the end."""
    lead = market.lead()
    market.pass_time(CLAIM_MS)
    assert asked(market) == ["per_1", "per_2"]
    assert market.bells.rung == []
    market.pass_time(CLAIM_MS)
    assert asked(market) == ["per_1", "per_2", "per_1"]
    [bell] = market.bells.rung
    assert bell["key"] == "lead_unclaimed/JATIM"
    assert bell["owner"] == "per_boss"
    assert (market.get(lead).round, market.get(lead).ring) == (2, 1)
    market.pass_time(2 * CLAIM_MS)
    assert market.get(lead).state == "EXPIRED"
    assert market.facts("lead.closed") == [{"lead": lead, "state": "EXPIRED"}]
    assert market.tap("per_1", f"CLAIM_{lead}") == "expired"


def test_a_single_round_ends_after_the_manager_had_time(database):
    """With one ring and one round the manager is told first, and only then it expires."""
    market = Market(database, max_rings=1, max_rounds=1)
    market.town.add(a_dealer("SBY01"), a_rep(1, "SBY01"))
    lead = market.lead()
    market.pass_time(CLAIM_MS)
    assert (market.get(lead).state, len(market.bells.rung)) == ("UNCLAIMED", 1)
    assert market.get(lead).told
    market.pass_time(CLAIM_MS)
    assert market.get(lead).state == "EXPIRED"


def test_an_offer_of_an_earlier_ring_still_wins(market):
    """The second ring widens the market, it does not shut the first out."""
    lead = market.lead()
    market.pass_time(CLAIM_MS)
    assert market.tap("per_1", f"CLAIM_{lead}") == "won"


def test_where_a_tap_may_come_without_its_lead_nobody_holds_two_offers(market):
    """Through Qontak: the third lead waits, says why, and goes out when somebody is free."""
    desk = replace(market.desk, one_offer_each=True)
    market.leads = Leads(market.database, desk, market.units)
    first, second, third = (market.lead(contact=f"cus_{name}") for name in "abc")
    assert asked(market) == ["per_1", "per_2"]
    assert [market.get(lead).state for lead in (second, third)] == ["UNCLAIMED", "QUALIFIED"]
    rows = orjson.loads(market.get(third).nearest or "")["rows"]
    assert [row["why"] for row in rows] == ["busy", "busy"]

    market.tap("per_1", f"CLAIM_{first}")
    market.pass_time(BUSY_MS)
    assert asked(market) == ["per_1", "per_2", "per_1"]
    assert market.get(third).state == "UNCLAIMED"


def test_nobody_on_duty_means_waiting_until_the_first_opens(market):
    """No clock runs, nobody is alarmed, the customer is told when."""
    opens_ms = market.clock.wall_ms() + 8 * 3_600_000
    market.town.shut = {"SBY01": opens_ms, "SBY02": opens_ms + 1}
    lead = market.lead()
    assert market.get(lead).state == "QUALIFIED"
    assert market.get(lead).next_step_ms == opens_ms
    [told] = market.outbox.said("told_waiting")
    assert "buka lagi" in market.words(told).text
    market.pass_time(8 * 3_600_000 - 1)
    assert asked(market) == []
    market.town.shut = {}
    market.pass_time(1)
    assert asked(market) == ["per_1"]
    assert market.bells.rung == []
    assert market.kinds(lead) == [
        "lead.received",
        "lead.qualified",
        "lead.waiting",
        "offer.queued",
    ]


def test_ready_outside_hours_brings_the_waiting_lead(market):
    """SIAP at night means on duty for two hours."""
    market.town.shut = dict.fromkeys(("SBY01", "SBY02"), market.clock.wall_ms() + 9_000_000)
    lead = market.lead()
    market.say("per_2", "siap")
    market.pass_time(1000)
    assert asked(market) == ["per_2"]
    assert market.get(lead).state == "UNCLAIMED"


def test_a_claim_without_contact_is_reminded_then_taken_back(market):
    """It goes to somebody else in a new round, and who lost it cannot win it again."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    market.pass_time(900_000)
    [reminder] = market.outbox.said("reminder")
    assert "+6281234567890" in market.words(reminder).text
    market.pass_time(900_000)
    back = market.get(lead)
    assert (back.state, back.round, back.rep) == ("UNCLAIMED", 2, None)
    assert asked(market) == ["per_1", "per_2"]
    assert [draft.to for draft in market.outbox.said("taken_back")] == ["per_1"]
    assert market.tap("per_1", f"CLAIM_{lead}") == "expired"
    assert market.tap("per_2", f"CLAIM_{lead}") == "won"
    cards = market.outbox.said("card")
    assert isinstance(market.words(cards[0]), Withhold)
    assert "Budi Santoso" in market.words(cards[1]).text
    assert len(market.facts("lead.handoff")) == 2


def test_who_made_contact_keeps_the_lead(market):
    """The clock stops with the owner's tap, and a second tap changes nothing."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    market.tap("per_1", f"CONTACTED_{lead}")
    market.tap("per_1", f"CONTACTED_{lead}")
    market.tap("per_2", f"LOST_{lead}")
    market.pass_time(4_000_000)
    assert (market.get(lead).state, market.get(lead).rep) == ("CONTACTED", "per_1")
    assert market.kinds(lead).count("lead.contacted") == 1
    market.tap("per_1", f"DEMO_{lead}")
    assert market.get(lead).state == "DEMO_SCHEDULED"
    market.tap("per_1", f"LOST_{lead}")
    assert market.get(lead).state == "LOST_UNRESPONSIVE"
    assert market.get(lead).close_reason == "rep_lost"


def test_a_customer_nobody_called_gets_another_dealer(market):
    """*No* reopens the lead; an old button about the earlier owner does not do it again."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    market.tap("per_1", f"CONTACTED_{lead}")
    market.pass_time(1_800_000)
    [checkin] = market.outbox.said("checkin")
    assert checkin.not_before_ms == market.clock.wall_ms()
    market.tap("cus_b", f"CALLED_NO_{lead}")
    assert market.get(lead).state == "CONTACTED"
    market.tap("cus_a", f"CALLED_NO_{lead}")
    assert market.get(lead).state == "UNCLAIMED"
    market.tap("per_2", f"CLAIM_{lead}")
    market.tap("cus_a", f"CALLED_NO_{lead}")
    assert market.get(lead).rep == "per_2"
    market.pass_time(1_800_000 - 900_000)
    market.pass_time(890_000)
    market.tap("per_2", f"CONTACTED_{lead}")
    market.pass_time(10_000)
    market.tap("cus_a", f"CALLED_YES_{lead}")
    assert market.get(lead).confirmed_ms == market.clock.wall_ms()


def status_of(market, lead, person, state):
    """The outbox says what became of a person's offer."""
    [draft] = market.outbox.said("offer", person)
    change = Change(
        id="out_1",
        to=person,
        role="reps",
        kind="offer",
        ref=lead,
        data=draft.data,
        state=state,
        at_ms=market.clock.wall_ms(),
    )
    market.do(lambda connection: market.leads.offer_status(connection, change))


def test_an_unreachable_dealer_gives_its_place_away_at_once(market):
    """A failed offer means not reached; told twice it gives away one place."""
    lead = market.lead()
    status_of(market, lead, "per_1", "failed")
    status_of(market, lead, "per_1", "failed")
    assert asked(market) == ["per_1", "per_2"]
    assert (market.get(lead).ring, market.kinds(lead).count("offer.failed")) == (1, 1)


def test_an_unreachable_dealer_s_mailbox_is_told_that_a_lead_waits(market):
    """What is wanted and where and a link into the portal; nobody's name or number. Claimed from
    there by who was not reached, it is theirs; after that it is not said any more."""
    lead = market.lead()
    status_of(market, lead, "per_1", "failed")

    [mail] = market.outbox.said("lead_waits")
    said = market.words(mail)
    assert (mail.to, mail.channel) == ("dlr_SBY01", "mail")
    assert f"https://hub.example/leads/{lead}" in said.text
    for private in ("Budi", "Santoso", "6281", "7890"):
        assert private not in said.text + said.subject
    assert market.tap("per_1", f"CLAIM_{lead}") == "won"
    assert isinstance(market.words(mail), Withhold)


def test_while_nothing_goes_to_reps_their_mailboxes_are_told_at_once(market):
    """The vendor has stopped our number: the offers wait, and who reads mail claims in the portal.
    The next ring is told in its turn."""
    market.mute = True
    lead = market.lead()
    assert ["dlr_SBY01"] == [mail.to for mail in market.outbox.said("lead_waits")]
    market.pass_time(300_000)
    assert ["dlr_SBY01", "dlr_SBY02"] == [mail.to for mail in market.outbox.said("lead_waits")]
    assert market.tap("per_2", f"CLAIM_{lead}") == "won"
    assert isinstance(market.words(market.outbox.said("lead_waits")[1]), Withhold)


def test_others_of_an_unreachable_dealer_are_asked_where_a_window_is_open(market):
    """Before its place is given away: who has written today, although it had its share of reps
    already. Not reached either, the mailbox is told and the next dealer asked."""
    for number in range(5, 9):
        rep = a_rep(number, "SBY01")
        market.town.people[rep.id] = rep
    lead = market.lead()
    first = asked(market)
    assert 3 == len(first)
    [more] = {"per_5", "per_6", "per_7", "per_8", "per_1"} - {*first, "per_8"} - {first[0]}
    market.free = {more, first[0]}
    for person in first:
        status_of(market, lead, person, "failed")

    assert [*first, more] == asked(market)
    assert [] == market.outbox.said("lead_waits")
    status_of(market, lead, more, "failed")
    assert 1 == len(market.outbox.said("lead_waits"))
    assert [*first, more, "per_2"] == asked(market)
    assert {"SBY01", "SBY02"} == {offer.dealer for offer in market.offers(lead)}


def test_statuses_move_an_offer_only_forward(market):
    """They come late and in any order."""
    lead = market.lead()
    for state in ("delivered", "accepted", "read", "delivered"):
        status_of(market, lead, "per_1", state)
    [offer] = market.offers(lead)
    assert offer.state == "read"
    assert market.kinds(lead)[-2:] == ["offer.delivered", "offer.read"]


def test_a_manager_hands_a_lead_to_somebody(market):
    """The new owner gets the card, the old one is told, offers are off the market."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    now = market.clock.wall_ms()
    assert market.do(lambda c: market.leads.transfer(c, lead, "per_2", by="per_boss", now_ms=now))
    assert (market.get(lead).rep, market.get(lead).dealer) == ("per_2", "SBY02")
    assert [draft.to for draft in market.outbox.said("card")] == ["per_1", "per_2"]
    assert market.do(lambda c: market.leads.release(c, lead, by="per_boss", now_ms=now))
    assert market.do(lambda c: market.leads.close(c, lead, reason="spam", now_ms=now))
    assert not market.do(lambda c: market.leads.close(c, lead, reason="spam", now_ms=now))
    assert market.get(lead).state == "LOST_UNRESPONSIVE"


def test_a_lead_that_cannot_be_moved_keeps_no_other_waiting(market):
    """It is put off and logged, the others go on."""
    broken, fine = market.lead(), market.lead(contact="cus_b")
    real = market.leads._timers._steps["claim"]

    def fails_for_one(connection, lead, now_ms):
        if lead.id == broken:
            raise ValueError("broken")
        real(connection, lead, now_ms)

    market.leads._timers._steps = dict(market.leads._timers._steps) | {"claim": fails_for_one}
    market.clock.advance(CLAIM_MS)
    market.leads.step(market.clock.wall_ms())
    assert market.get(fine).ring == 2
    assert market.get(broken).next_step_ms == market.clock.wall_ms() + 60_000


def test_a_title_alone_means_the_one_offer_it_can_mean(market):
    """Where a channel gives no id: one live offer, or the rep is asked, never guessed."""
    lead = market.lead()
    assert market.tap("per_1", None, title="claim") == "won"
    other, third = market.lead(contact="cus_b"), market.lead(contact="cus_c")
    assert market.tap("per_1", None, title="Claim") is None
    [question] = market.outbox.said("reply")
    rows = [row.id for row in market.words(question).rows]
    assert sorted(rows) == sorted([f"CLAIM_{other}", f"CLAIM_{third}"])
    assert market.get(lead).rep == "per_1"


def test_a_test_offer_goes_to_one_person_and_is_counted_nowhere(market):
    """Marked, claimable, no ledger entry, no alarm when it is left alone."""
    now = market.clock.wall_ms()
    lead = market.do(lambda c: market.leads.test_offer(c, "per_2", now))
    [offer] = market.outbox.said("offer")
    assert offer.to == "per_2"
    assert "TES" in market.words(offer).text
    assert market.tap("per_2", f"CLAIM_{lead}") == "won"
    alone = market.do(lambda c: market.leads.test_offer(c, "per_2", now))
    market.pass_time(CLAIM_MS)
    assert market.get(alone).state == "EXPIRED"
    assert (market.bells.rung, market.facts("lead.handoff"), market.facts("lead.closed")) == (
        [],
        [],
        [],
    )
    assert market.do(lambda c: market.leads.test_offer(c, "per_nobody", now)) is None


def test_what_stays_due_is_not_done_again_at_once(market):
    """A step that leaves its own moment standing would be taken for ever."""
    lead = market.lead()
    market.leads._timers._steps = dict(market.leads._timers._steps) | {
        "claim": lambda _connection, _lead, _now_ms: None
    }
    market.clock.advance(CLAIM_MS)
    market.leads.step(market.clock.wall_ms())
    assert market.get(lead).next_step_ms > market.clock.wall_ms()
