"""Looking at leads: who sees which, in what shape, and that every reading of a name is logged."""

import pytest
from sqlalchemy import select

from hub.contacts.service import Contacts
from hub.contacts.store import IDENTITY_READING
from hub.leads import store
from hub.leads.board import Board
from hub.leads.objects import ROUTER_COLUMNS
from hub.leads.reads import Chosen, Part, Viewer
from hub.leads.states import STATES
from tests.fakes.lead_market import START_MS, SURABAYA, Market, a_dealer, a_rep

HEAD_OFFICE = Viewer(id="acc_1", everything=True, reveals=True)
KEYS = {
    *("id", "state", "sale_status", "human", "test", "round", "ring", "source", "campaign"),
    *("first_touch", "last_touch", "model", "payment", "buy_when", "language", "area", "region"),
    *("customer", "owner", "response_ms", "next_step_at", "serial", "sale_ledger_index"),
    *("duplicate_of", "nearest", "received_at", "qualified_at", "offered_at", "claimed_at"),
    *("contacted_at", "closed_at", "timeline"),
}


def manager(*dealers):
    """Somebody who manages these dealers."""
    return Viewer(id="per_boss", dealers=frozenset(dealers), reveals=True)


@pytest.fixture
def market(database):
    """Two dealers near by, two more a hundred kilometres off in another region."""
    market = Market(database)
    for number, (code, km, region) in enumerate(
        [("SBY01", 1, "JATIM"), ("SBY02", 2, "JATIM"), ("FAR01", 100, "BALI")], start=1
    ):
        market.town.add(a_dealer(code, km, region=region), a_rep(number, code))
    return market


@pytest.fixture
def board(market):
    """The board over that market, its readings in the real log."""
    return Board(market.database, market.desk, Contacts(b"k" * 32))


@pytest.fixture
def customer(market):
    """A customer the contacts know."""
    return market.do(
        lambda connection: Contacts(b"k" * 32).meet(
            connection, phone="6281234567890", now_ms=START_MS
        )
    )


def readings(market):
    """The log of readings: by whom and why."""
    with market.database.read() as connection:
        rows = connection.execute(select(IDENTITY_READING.c.by, IDENTITY_READING.c.why)).all()
    return [tuple(row) for row in rows]


def ids(rows):
    """Ids of some rows."""
    return [row.lead.id for row in rows]


def test_a_lead_has_the_contracts_shape_and_no_name(market, board):
    """Every key of the contract; the customer masked, the owner and the race in the timeline."""
    lead = market.lead()
    market.clock.advance(8421)
    market.tap("per_1", f"CLAIM_{lead}")
    market.tap("per_2", f"CLAIM_{lead}", START_MS + 9625)

    shown = board.one(HEAD_OFFICE, lead)

    assert set(shown) >= KEYS
    assert shown["customer"] == {
        "id": "cus_a",
        "masked": "62812•••890",
        "consent_version": "2026-11",
        "name": None,
        "phone": None,
    }
    assert shown["owner"] == {"dealer": "SBY01", "rep": "per_1"}
    assert (shown["state"], shown["sale_status"]) == ("CLAIMED", "Pending_Contact")
    touch = {"source": "form", "campaign": "c", "click_id": None, "external_id": "x"}
    market.do(
        lambda c: store.change(
            c, lead, first_touch='{"source":"form","campaign":"c","external_id":"x","at_ms":0}'
        )
    )
    again = board.one(HEAD_OFFICE, lead)
    assert again["first_touch"] == touch | {"at": "1970-01-01T00:00:00.000Z"}
    assert shown["nearest"][0] == {"dealer": "SBY01", "km": 1.0, "chosen": True, "why": "nearest"}
    [late] = [entry for entry in shown["timeline"] if entry["decision"] == "too_slow"]
    assert (late["person"], late["margin_ms"]) == ("per_2", 1204)
    assert [entry["seq"] for entry in shown["timeline"]] == sorted(
        entry["seq"] for entry in shown["timeline"]
    )


def test_who_a_customer_is_is_read_by_name_and_logged(market, board, customer):
    """Nothing is shown that is not in the log, and nothing is logged that was not shown."""
    lead = market.lead(contact=customer)

    assert board.one(HEAD_OFFICE, lead)["customer"]["phone"] is None
    assert readings(market) == []
    assert board.one(HEAD_OFFICE, lead, why="api")["customer"]["phone"] == "6281234567890"
    assert board.identity(HEAD_OFFICE, lead, why="page").name == "Budi Santoso"
    assert readings(market) == [("acc_1", f"api {lead}"), ("acc_1", f"page {lead}")]

    blind = Viewer(id="acc_2", everything=True)
    assert board.one(blind, lead, why="api")["customer"]["phone"] is None
    assert board.identity(blind, lead, why="page") is None
    assert len(readings(market)) == 2


def test_a_dealer_sees_what_it_was_offered_and_the_customer_once_it_has_claimed(
    market, board, customer
):
    """Another dealer's lead does not exist for it; a lost one tells it how, and no more."""
    lead = market.lead(contact=customer)
    assert board.whole(manager("FAR01"), lead) is None
    assert board.rows(manager("FAR01"), Chosen(), Part()) == []
    assert board.identity(manager("SBY01"), lead, why="page") is None

    market.tap("per_1", f"CLAIM_{lead}")

    assert board.identity(manager("SBY01"), lead, why="page").phone == "6281234567890"
    assert board.identity(manager("SBY02"), lead, why="page") is None
    lost = board.whole(manager("SBY02"), lead)
    assert not lost.may_know
    assert {entry.dealer for entry in lost.timeline if entry.kind != "lead.handoff"} <= {
        None,
        "SBY02",
    }
    assert board.whole(Viewer(id="per_x"), lead) is None
    assert board.whole(Viewer(id="per_y", regions=frozenset({"JATIM"})), lead) is not None


def test_a_list_goes_on_where_it_ended_in_both_directions(market, board):
    """Every lead once, whatever the size of a page, leads of the same millisecond too."""
    made = []
    for place in range(7):
        market.clock.advance(place % 2)
        made.append(market.lead(contact=f"cus_{place}"))
    newest = ids(board.rows(HEAD_OFFICE, Chosen(), Part(limit=100)))

    for order in ("newest", "oldest"):
        found, after = [], None
        while page := board.rows(HEAD_OFFICE, Chosen(), Part(after=after, limit=3, order=order)):
            found += ids(page)
            after = found[-1]
        assert found == (newest if order == "newest" else newest[::-1])
    before = board.rows(HEAD_OFFICE, Chosen(), Part(before=newest[5], limit=3))
    assert ids(before) == newest[2:5]
    assert sorted(newest) == sorted(made)
    assert board.rows(HEAD_OFFICE, Chosen(), Part(after="led_unknown")) == []


def test_a_page_for_programs_says_where_it_goes_on(market, board):
    """`next` is null on the last page, and only then."""
    for place in range(3):
        market.lead(contact=f"cus_{place}")
    first = board.listed(HEAD_OFFICE, Chosen(), Part(limit=2, order="oldest"))
    second = board.listed(HEAD_OFFICE, Chosen(), Part(limit=2, order="oldest", after=first["next"]))
    assert [len(page["items"]) for page in (first, second)] == [2, 1]
    assert second["next"] is None


def test_counters_count_what_their_filter_shows(market, board):
    """Every state and special kind: the number on it is the number of rows behind it."""
    claimed = market.lead(contact="cus_1")
    market.lead(contact="cus_2", at=(0.5, 101.0))
    market.lead(contact="cus_3", test=True)
    market.tap("per_1", f"CLAIM_{claimed}")
    market.do(lambda c: c.exec_driver_sql("UPDATE lead SET reminded = 1, human = 1 WHERE rep > ''"))

    counts = board.counts(HEAD_OFFICE, Chosen())

    for state in STATES:
        assert counts[state] == len(board.rows(HEAD_OFFICE, Chosen(states=(state,)), Part()))
    for special in ("late", "human", "test"):
        assert counts[special] == 1
        assert len(board.rows(HEAD_OFFICE, Chosen(special=special), Part())) == 1
    assert counts["all"] == 2
    assert board.unclaimed(HEAD_OFFICE) == 1
    assert ids(board.rows(HEAD_OFFICE, Chosen(lead=claimed[:12]), Part())) == [claimed]
    assert ids(board.rows(HEAD_OFFICE, Chosen(rep="per_1"), Part())) == [claimed]
    assert board.rows(HEAD_OFFICE, Chosen(source="tiktok"), Part()) == []
    assert board.rows(HEAD_OFFICE, Chosen(since_ms=START_MS + 1), Part()) == []


def test_the_routers_sheet_has_six_columns_and_no_number(market, board):
    """The identity in the raw payload is masked."""
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}", START_MS + 8421)
    [row] = board.router_rows(HEAD_OFFICE, Chosen(), Part())
    assert tuple(row) == ROUTER_COLUMNS
    assert row["Response Velocity (s)"] == 8.421
    assert "62812•••890" in row["Raw Payload"]
    assert "6281234567890" not in str(row)


def test_who_is_closed_is_not_called_farther(market, board):
    """The reason that an admin can do something about, also behind the three that are chosen."""
    market.town.add(a_dealer("SBY03", 3.0), a_rep(13, "SBY03"))
    market.town.add(a_dealer("SBY04", 4.0), a_rep(14, "SBY04"))
    market.town.add(a_dealer("SBY05", 5.0), a_rep(15, "SBY05"))
    market.town.shut["SBY05"] = START_MS + 1000
    why = {stop.near.dealer.code: stop.why for stop in board.nearest(*SURABAYA)}
    assert (why["SBY04"], why["SBY05"]) == ("farther", "closed")


def test_who_would_get_a_lead_here_and_why_not_the_others(market, board):
    """Chosen ones with their reps, the others with their reason."""
    market.town.shut["SBY01"] = START_MS + 1000
    stops = board.nearest(*SURABAYA)
    assert [(stop.near.dealer.code, stop.chosen, stop.why) for stop in stops] == [
        ("SBY01", False, "closed"),
        ("SBY02", True, "nearest"),
        ("FAR01", False, "too_far"),
    ]
