"""Rows that bring leads: checked, stored once, told from those we have."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.contacts.service import Contacts
from hub.errors import Refused
from hub.leads.intake import Intake
from hub.leads.lead_rows import read_row
from hub.leads.places import shipped
from tests.fakes.lead_market import SURABAYA, Market, a_dealer, a_rep

ROW = {
    "source": "form",
    "name": "Budi",
    "phone": "0812-3456-7890",
    "model": "e8",
    "place": "Surabaya",
    "consent_version": "2026-11",
    "consent_at": "2026-11-22T08:00:00+07:00",
}


@pytest.fixture
def market(database):
    """One dealer, two reps, and an intake with real contacts."""
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"), a_rep(2, "SBY01"))
    where = {"Surabaya": (*SURABAYA, "Surabaya")}
    market.intake = Intake(market.desk, market.leads, Contacts(bytes(32)), locate=where.get)
    return market


def take(market, changes=None, key=None):
    """A row comes in."""
    values = ROW | (changes or {})
    raw = repr(values).encode()
    return market.do(
        lambda connection: market.intake.take(
            connection, read_row(values), raw=raw, key=key, now_ms=market.clock.wall_ms()
        )
    )


def test_a_row_becomes_a_lead_and_is_offered(market):
    """Answered at once; the offers go out with the next step."""
    answer = take(market)
    assert (answer.status, answer.body["state"]) == (201, "QUALIFIED")
    assert answer.body["duplicate_of"] is None
    market.pass_time(0)
    lead = market.get(answer.lead)
    assert (lead.state, lead.model, lead.area) == ("UNCLAIMED", "E8", "Surabaya")
    assert len(market.outbox.said("offer")) == 2


def test_who_told_no_place_is_greeted_once_and_asked_for_it(market):
    """With consent and a number: the window is closed, so the approved greeting; the same form
    again greets nobody twice. Silent until the screening's end, a person looks after the lead."""
    answer = take(market, {"place": None})
    assert answer.body["state"] == "SCREENING"
    assert take(market, {"place": None}).duplicate_of == answer.lead

    [greeting] = market.outbox.said("customer_greeting")
    said = market.words(greeting)
    assert (said.template.purpose, said.template.body) == ("greeting", ("Budi Santoso",))
    assert said.asks == "location"
    market.pass_time(1_800_000)
    lead = market.get(answer.lead)
    assert (lead.state, lead.human) == ("QUALIFIED", True)


@pytest.mark.parametrize(
    ("changes", "human"),
    [
        ({"consent_version": None, "consent_at": None}, False),
        ({"phone": None, "email": "budi@example.com"}, True),
    ],
)
def test_who_must_not_or_cannot_be_written_to_is_not_greeted(market, changes, human):
    """Without consent never; without a number a person looks after it at once."""
    market.book.phone = changes.get("phone", market.book.phone)
    answer = take(market, {"place": "Antah Berantah", **changes})

    assert (answer.body["state"], market.get(answer.lead).human) == ("QUALIFIED", human)
    assert [] == market.outbox.said("customer_greeting")


def test_a_replay_repeats_the_answer_and_another_body_is_refused(market):
    """One key, one lead."""
    first, again = take(market, key="k/1"), take(market, key="k/1")
    assert (again.status, again.body) == (200, first.body)
    with pytest.raises(Refused) as refused:
        take(market, {"name": "Siti"}, key="k/1")
    assert refused.value.problem.status == 409


def test_the_same_person_by_any_road_is_one_open_lead(market):
    """0812…, 62812… and the e-mail lead to the same owner, who hears of it."""
    first = take(market, {"email": "Budi@Example.com"})
    market.pass_time(0)
    market.tap("per_1", f"CLAIM_{first.lead}")
    by_phone = take(market, {"phone": "+62 812 3456 7890", "source": "tiktok"})
    by_mail = take(market, {"phone": None, "email": "budi@example.com"})
    assert (by_phone.status, by_phone.duplicate_of) == (200, first.lead)
    assert by_mail.duplicate_of == first.lead
    assert market.get(by_phone.lead).state == "DUPLICATE"
    assert len(market.outbox.said("offer")) == 2
    assert [draft.to for draft in market.outbox.said("again")] == ["per_1"]


def test_who_asks_again_while_the_owner_is_silent_gets_another(market):
    """A reminded owner who has not called loses the lead to the next."""
    first = take(market)
    market.pass_time(0)
    market.tap("per_1", f"CLAIM_{first.lead}")
    market.pass_time(901_000)
    take(market)
    lead = market.get(first.lead)
    assert (lead.state, lead.round) == ("UNCLAIMED", 2)
    assert market.outbox.said("offer")[-1].to == "per_2"


@pytest.mark.parametrize("days", [0, 91])
def test_a_closed_or_old_lead_makes_room_for_a_new_linked_one(market, days):
    """Closed, or older than 90 days: a new lead that knows its predecessor."""
    first = take(market)
    if days == 0:
        market.do(lambda c: market.leads.close(c, first.lead, reason="x", now_ms=1))
    market.clock.advance(days * 86_400_000)
    second = take(market)
    assert second.status == 201
    assert market.get(second.lead).previous == first.lead
    assert market.get(second.lead).duplicate_of is None


@pytest.mark.parametrize(
    "place",
    ["Rumah Pak Budi, gang buntu 5, telp 081234560001", "budi@example.com", None],
)
def test_what_reps_read_before_the_claim_never_holds_the_forms_own_words(market, place):
    """A place that nobody knows stays where only the owner sees it: the area is the point's. A
    model that the registry does not know is no place for a name or a number either: in words of
    its own it stays there, too."""
    market.intake = Intake(market.desk, market.leads, Contacts(bytes(32)), locate=shipped().locate)
    market.town.model = lambda _connection, _code: None
    at = {"lat": -7.2905, "lon": 112.7402, "place": place}
    for number, model in enumerate(("Budi 0812-3456-0001", "Budi Santoso", "budi@example.com")):
        phone = f"6281300000{number:03}"
        lead = market.get(take(market, {**at, "model": model, "phone": phone}).lead)
        assert (lead.area, lead.model) == ("Wonokromo, Surabaya", None)
    own = take(market, {**at, "model": "Sprint buat Budi", "phone": "6281300000999"})
    assert market.get(own.lead).model is None
    named = take(market, {**at, "model": "E8 Pro", "phone": "6281300000998"})
    assert (market.get(named.lead).model, market.get(named.lead).model_said) == ("E8 Pro", None)

    market.pass_time(0)
    assert not any("Sprint" in market.words(each).text for each in market.outbox.said("offer"))
    market.tap("per_1", f"CLAIM_{own.lead}")
    [card] = market.outbox.said("card")
    assert "Sprint buat Budi" in market.words(card).text
    assert f"Wonokromo, Surabaya{f' ({place})' if place else ''}\n" in market.words(card).text


def test_a_form_that_answers_everything_ends_the_questions(market):
    """Who is being asked on WhatsApp and fills in the form meanwhile is not kept waiting."""
    first = take(market, {"place": None})
    assert market.get(first.lead).state == "SCREENING"
    take(market, {"payment": "cash"})
    assert market.get(first.lead).state == "SCREENING"
    take(market, {"payment": "cash", "buy_when": "now"})
    lead = market.get(first.lead)
    assert (lead.state, lead.area) == ("UNCLAIMED", "Surabaya")
    assert len(market.outbox.said("offer")) == 2


def test_without_consent_it_is_stored_and_never_messaged(market):
    """QUALIFIED, no next step, no offer, no word to the customer."""
    answer = take(market, {"consent_version": None, "consent_at": None})
    market.pass_time(10_000_000)
    lead = market.get(answer.lead)
    assert (lead.state, lead.next_step_ms) == ("QUALIFIED", None)
    assert market.outbox.drafts == {}


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        ({"phone": "021 5551234"}, "phone", "not_mobile"),
        ({"phone": None}, "phone", "missing"),
        ({"source": "carrier pigeon"}, "source", "unknown_word"),
        ({"lat": 0, "lon": 0}, "lat", "outside_indonesia"),
        ({"lat": 112.7, "lon": -7.2}, "lat", "outside_indonesia"),
        ({"lat": "x", "lon": "1"}, "lat", "not_a_number"),
        ({"email": "no address"}, "email", "malformed"),
        ({"consent_at": "yesterday"}, "consent_at", "malformed"),
        ({"name": ["a"]}, "name", "not_text"),
    ],
)
def test_what_is_wrong_is_named(changes, field, code):
    """Every field that is wrong, with a code a program can act on."""
    with pytest.raises(Refused) as refused:
        read_row(ROW | changes)
    assert refused.value.problem.status == 422
    assert refused.value.problem.extra["fields"] == {field: code}


@given(
    st.dictionaries(
        st.sampled_from([*ROW, "lat", "lon", "email", "payment", "buy_when"]),
        st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.text()),
    )
)
def test_any_values_are_read_or_refused(values):
    """Nothing that is sent is anything else than a row or a 422."""
    with suppress(Refused):
        assert read_row(ROW | values).source
