"""Every state meets every event, in the table and in a market that anything may happen to."""

import random
from itertools import product

import pytest

from hub.leads import erasing, store
from hub.leads.service import Beginning
from hub.leads.states import BEFORE_CLAIM, CLOSED, EVENTS, OPEN, OWNED, STATES, Refusal, after
from hub.leads.states import sale_status as status_of
from hub.leads.winning import Sale
from hub.store import METADATA, Database
from tests.fakes.lead_market import Market, a_dealer, a_rep

SALE_STATUSES = {"Pending_Contact", "Demo_Scheduled", "Closed_Won", "Lost_Unresponsive"}


@pytest.mark.parametrize(("state", "event"), list(product(STATES, EVENTS)))
def test_every_state_answers_every_event(state, event):
    """A state or a refusal; out of a closed state only by a sale, its undoing or a hand."""
    found = after(state, event, back="CONTACTED")
    if isinstance(found, Refusal):
        assert (found.state, found.event) == (state, event)
        return
    assert found in STATES
    if state in CLOSED:
        assert event in {"sale", "void", "transfer"}
    if found == "CLAIMED":
        assert event in {"claim", "transfer"}
    if state in BEFORE_CLAIM and found in OWNED:
        assert event in {"claim", "transfer"}


@pytest.mark.parametrize("state", sorted(OPEN))
def test_every_open_lead_can_be_sold_lost_and_left_alone(state):
    """Nobody is trapped in a state."""
    assert after(state, "sale") == "CLOSED_WON"
    assert after(state, "lose") == "LOST_UNRESPONSIVE"
    assert after(state, "opt_out") == "OPTED_OUT"


def test_every_state_has_one_of_the_four_words():
    """The retail ledger knows four; a duplicate has that of its original."""
    assert {status_of(state) for state in STATES} == SALE_STATUSES
    assert status_of("DUPLICATE", "CLOSED_WON") == "Closed_Won"
    assert status_of("CONTACTED") == "Pending_Contact"
    assert status_of("WON_REPORTED", "DEMO_SCHEDULED") == "Demo_Scheduled"
    assert status_of("CLOSED_WON", "DEMO_SCHEDULED") == "Closed_Won"


def everything_that_may_happen(market, dice, leads):
    """One step of anything, by anybody, to any lead."""
    lead = dice.choice(leads)
    person = f"per_{dice.randrange(9)}"
    now = market.clock.wall_ms()
    match dice.randrange(9):
        case 0 | 1 | 2:
            button = dice.choice(["CLAIM", "CLAIM", "SKIP", "CONTACTED", "DEMO", "LOST", "WON"])
            market.tap(person, f"{button}_{lead}")
        case 3:
            market.tap("cus_a", f"CALLED_{dice.choice(['YES', 'NO'])}_{lead}")
        case 4:
            market.say(person, dice.choice(["SIAP", "lead", "Libur", "hm", f"MENANG {SERIAL}"]))
        case 5:
            market.do(lambda c: market.leads.release(c, lead, by="x", now_ms=now))
        case 6:
            market.do(lambda c: market.leads.transfer(c, lead, person, by="x", now_ms=now))
        case 7:
            market.town.shut = dict.fromkeys(
                dice.sample(sorted(market.town.stores), 2), now + dice.randrange(9_000_000)
            )
        case 8:
            market.pass_time(dice.choice([1000, 300_000, 2_000_000]))


SERIAL = "MH1KS1110RK000001"


def what_must_hold(market, lead):
    """Whatever happened."""
    now = market.get(lead)
    offers = market.offers(lead)
    assert (now.rep is not None) or now.state not in OWNED
    assert now.state not in {"QUALIFIED", "UNCLAIMED", "EXPIRED"} or now.rep is None
    assert not any(offer.live for offer in offers) or now.state == "UNCLAIMED"
    assert now.state != "UNCLAIMED" or now.next_step_ms is not None
    assert now.next_step is None or now.state in OPEN
    wins = [event for event in market.events(lead) if event.decision == "won"]
    assert len({(event.at_ms, event.person) for event in wins}) == len(wins)
    handed = [fact for fact in market.facts("lead.handoff") if fact["lead"] == lead]
    assert len(handed) == len(wins)
    for _, draft in market.outbox.drafts.values():
        market.words(draft)
        if draft.kind == "card" and draft.ref == lead and draft.to != now.rep:
            assert "Budi" not in str(market.words(draft))


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_nothing_breaks(sqlite_url, seed):
    """Taps, words, time and managers in any order: one owner or none, and an end in sight."""
    database = Database(sqlite_url)
    dice = random.Random(seed)
    market = Market(database, dealers_per_ring=2, reps_per_dealer=2)
    for place in range(4):
        reps = [a_rep(2 * place + 1, f"SBY0{place}"), a_rep(2 * place + 2, f"SBY0{place}")]
        market.town.add(a_dealer(f"SBY0{place}", place, capacity=2), *reps)
    leads = [market.lead(contact=f"cus_{letter}") for letter in "ab"]
    for _ in range(40):
        everything_that_may_happen(market, dice, leads)
        for lead in leads:
            what_must_hold(market, lead)
    database.close()


def in_state(market, state, number):
    """A lead of a new customer, brought into a state the way life does; whose it is."""
    customer, now = f"cus_{number}", market.clock.wall_ms()
    if state in {"SCREENING", "DUPLICATE"}:
        start = Beginning(contact=customer, consent_version="1")
        lead = market.do(lambda c: market.leads.begin(c, start, now))
        if state == "DUPLICATE":
            market.do(lambda c: market.desk.move(c, lead, "duplicate", now, duplicate_of=lead.id))
        return lead.id, customer
    away = (-2.5, 140.7)
    lead = market.lead(contact=customer, **({"at": away} if state == "QUALIFIED" else {}))
    if state in OWNED:
        market.tap("per_1", f"CLAIM_{lead}")
    if state in {"CONTACTED", "DEMO_SCHEDULED"}:
        market.tap("per_1", f"{'DEMO' if state == 'DEMO_SCHEDULED' else 'CONTACTED'}_{lead}")
    if state == "WON_REPORTED":
        market.tap("per_1", f"WON_{lead}")
        market.say("per_1", f"MENANG MH1KS1110RK{number:06}")
    ends = {
        "CLOSED_WON": lambda c: market.leads.winning.sale(c, sale_to(customer, number, now), now),
        "LOST_UNRESPONSIVE": lambda c: market.leads.close(c, lead, reason="other", now_ms=now),
        "OPTED_OUT": lambda c: market.leads.opted_out(c, customer, now),
        "EXPIRED": lambda c: market.leads.custody.end(
            c, store.lock(c, lead), "expire", reason="unclaimed", now_ms=now
        ),
    }
    if state in ends:
        market.do(ends[state])
    return lead, customer


def sale_to(customer, number, at_ms, undoes=None):
    """A sale to a customer, or what undid one."""
    return Sale(
        index=number, dealer="SBY01", at_ms=at_ms, serials=(), contact=customer, undoes=undoes
    )


def make_due(connection, lead, now_ms):
    """What a lead waits for has come."""
    known = store.get(connection, lead)
    if known is not None and known.next_step is not None:
        store.change(connection, lead, next_step_ms=now_ms)


def happenings(market, lead, customer, number):
    """Everything that people, the ledger and time can do to a lead, once each."""
    now = market.clock.wall_ms()
    leads, winning = market.leads, market.leads.winning
    for button in ("CLAIM", "SKIP", "CONTACTED", "DEMO", "LOST", "WON"):
        for person in ("per_1", "per_2"):
            yield lambda b=button, p=person: market.tap(p, f"{b}_{lead}")
    for answer in ("YES", "NO"):
        yield lambda a=answer: market.tap(customer, f"CALLED_{a}_{lead}")
    for work in (
        lambda c: leads.release(c, lead, by="x", now_ms=now),
        lambda c: leads.transfer(c, lead, "per_2", by="x", now_ms=now),
        lambda c: leads.close(c, lead, reason="other", now_ms=now),
        lambda c: leads.opted_out(c, customer, now),
        lambda c: winning.sale(c, sale_to(customer, number, now), now),
        lambda c: winning.undone(c, sale_to(None, number + 1, now, undoes=number), now),
        lambda c: erasing.forget(c, leads.custody, lead, now_ms=now),
        lambda c: make_due(c, lead, now),
    ):
        yield lambda work=work: market.do(work)


@pytest.mark.parametrize("state", STATES)
def test_every_state_meets_everything_that_can_happen(sqlite_url, state):
    """In the tables, not in the transition table alone: nothing raises, and what must hold holds.

    A lead comes into no state that its own does not lead to.
    """
    database = Database(sqlite_url)
    database.write(METADATA.create_all)
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1), a_rep(1, "SBY01"), a_rep(2, "SBY01"))
    reachable = {after(state, event, back=back) for event in EVENTS for back in OPEN}
    lead, customer = in_state(market, state, 1)
    count = len(list(happenings(market, lead, customer, 1)))
    for number in range(10, 10 + 10 * count, 10):
        market.clock.advance(1)
        lead, customer = in_state(market, state, number)
        assert market.get(lead).state == state
        do = list(happenings(market, lead, customer, number))[number // 10 - 1]
        do()
        market.leads.step(market.clock.wall_ms(), 100)
        what_must_hold(market, lead)
        assert market.get(lead).state in reachable | {state}, number
    database.close()
