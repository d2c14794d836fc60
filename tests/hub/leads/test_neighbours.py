"""Leads beside the real ledger, sales, vault, contacts and registry."""

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import orjson
import pytest

from hub.contacts.service import Contacts
from hub.leads import store
from hub.leads.neighbours import ContactBook, RegistryDirectory, SalesFollowing, SalesUnits
from hub.leads.service import Leads
from hub.ledger.batches import batch_of
from hub.store import Database
from hub.vault.store import keep
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO, encrypt
from tests.fakes.hub_boxes import Box, deliver, running
from tests.fakes.lead_market import START_MS, Market, a_dealer, a_rep

SERIAL = "MH1KS1110RK000001"
PHONE = "6281234567890"
UNIT = {
    "serial": SERIAL,
    "serial_raw": SERIAL,
    "model": "E8",
    "list_idr": 2,
    "discount_idr": 1,
    "net_idr": 1,
}
REGIONS = b"code,name,timezone\nJATIM,Jawa Timur,WIB\n"
DEALERS = (
    b"code;name;region;lat;lon;timezone;hours;authorised\n"
    b"SBY01;Dealer SBY01;JATIM;-7,2575;112,7521;WIB;Mon-Sun 00:00-24:00;yes\n"
    b"SBY02;Dealer SBY02;JATIM;-7,2575;112,7621;WIB;Mon-Sun 00:00-24:00;no\n"
)


@pytest.fixture
def hub(tmp_path, database_url):
    """A hub, once on each engine."""
    with running(tmp_path, database_url) as opened:
        yield opened


@pytest.fixture
def market(hub):
    """The market of one dealer on the hub's database, its leads asking the real sales."""
    market = Market(hub.database)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"))
    market.leads = Leads(hub.database, market.desk, SalesUnits())
    return market


@pytest.fixture
def following(hub, market):
    """What the hub's worker runs."""
    return SalesFollowing(
        hub.database,
        hub.vault,
        market.leads.winning,
        position=hub.ledger.followers.position,
    )


def caught_up(hub, following):
    """Every pending fact has its place and everything was looked at."""
    while hub.ledger.sequencer.sequence_facts():
        pass
    hub.ledger.followers.catch_up()
    while following.step(START_MS):
        pass


def sale_at(hub, box, *, buyer=None):
    """The till of a box sells the unit, perhaps to a buyer whose phone it has."""
    data: dict[str, object] = {"till": "T1", "receipt": "r1", "units": [UNIT], "payment": "cash"}
    sealed: tuple[bytes, ...] = ()
    if buyer is not None:
        salt = b"\x05" * 16
        inside = {"name": "Siti", "phone": buyer, "salt": salt.hex()}
        sealed = (encrypt(orjson.dumps(inside), hub.keys.keyset.encryption, info=BUYER_INFO),)
        data["buyer"] = {"commitment": commit_buyer(name="Siti", phone=buyer, salt=salt)}
    event = box.event(data, lane="sale", type="pos.sale", attachments=sealed)
    hub.database.write(lambda c: keep(c, sealed, device=box.device, received_ms=START_MS))
    deliver(hub, box.batch([event], lane="sale", attachments=sealed))


def test_from_the_tap_to_the_sale_and_its_void(hub, market, following):
    """The hand-off and the closing find their places; a void opens the lead again."""
    box = Box(1).enrolled(hub, "SBY01")
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}")
    market.say("per_1", f"MENANG {SERIAL}")
    caught_up(hub, following)
    assert market.get(lead).state == "WON_REPORTED"
    sale_at(hub, box)
    caught_up(hub, following)
    assert market.get(lead).state == "CLOSED_WON"
    caught_up(hub, following)
    placed = {e.kind: e.ledger_index for e in market.events(lead) if e.ledger_index is not None}
    assert set(placed) == {"tap.received", "lead.handoff", "lead.won"}
    void = {"till": "T1", "receipt": "r1", "serials": None}
    event = box.event(void, lane="sale", type="pos.void")
    deliver(hub, box.batch([event], lane="sale"))
    caught_up(hub, following)
    assert market.get(lead).state == "CLAIMED"


@pytest.mark.parametrize("written", [PHONE, f"0{PHONE[2:5]}-{PHONE[5:]}"])
def test_the_buyers_phone_is_matched_in_the_vault(hub, market, following, written):
    """A sale nobody reported closes the buyer's open lead, however the till writes a number."""
    box = Box(1).enrolled(hub, "SBY01")
    contact = market.do(
        lambda c: Contacts(bytes(32)).meet(c, phone=PHONE, name="Siti", now_ms=START_MS)
    )
    lead = market.lead(contact=contact)
    sale_at(hub, box, buyer=written)
    caught_up(hub, following)
    assert (market.get(lead).state, market.get(lead).serial) == ("CLOSED_WON", SERIAL)
    book = ContactBook(Contacts(bytes(32)))
    with hub.database.read() as connection:
        who = book.customer(connection, contact)
    assert who is not None
    assert (who.name, who.phone) == ("Siti", PHONE)


def test_the_directory_is_the_registry(hub):
    """Who is near and why not the others, from imported files."""
    hub.registry.regions.import_file(REGIONS)
    assert hub.registry.dealers.import_file(DEALERS).created == 2
    market = Market(hub.database)
    directory = RegistryDirectory(hub.registry)
    with hub.database.read() as connection:
        first, second = directory.dealers(connection)
        assert (first.code, second.authorised) == ("SBY01", False)
        assert directory.closed(connection, first, START_MS) is None
        assert directory.next_open_ms(connection, first, START_MS) == START_MS
        assert directory.due_ms(connection, first, START_MS, 300_000) == START_MS + 300_000
        region = directory.region(connection, "JATIM")
        assert region is not None
        assert region.name == "Jawa Timur"
        assert directory.on_duty(connection, first, START_MS) == []
        assert directory.rep(connection, "per_x") is None
    assert market.settings.claim_s == 300


def test_two_processes_that_follow_sales_pass_each_entry_once(database):
    """Both begin at once, before there is a cursor: one moves it, and the other does nothing."""
    other = Database(database.url.render_as_string(hide_password=False))
    together = threading.Barrier(2)
    passed: list[str] = []

    def follow(opened):
        for turn in range(20):
            together.wait()
            name = f"cursor {turn}"
            if opened.write(partial(store.advance, name=name, start=0, end=7)):
                passed.append(name)

    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(follow, (database, other)))
    finally:
        other.close()

    assert [f"cursor {turn}" for turn in range(20)] == passed


# --- the order of claims ---


def two_reps(market):
    """Two reps of one dealer."""
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"), a_rep(2, "SBY01"))


def taps_and_their_entries(hub, market, lead):
    """Each tap of the timeline as it stands there, and whether its entry on the ledger says so."""
    found = []
    with hub.database.read() as connection:
        for event in market.events(lead):
            if event.kind != "tap.received" or event.ledger_index is None:
                continue
            batch = batch_of(connection, event.ledger_index)
            assert batch is not None
            raw = batch.events[event.ledger_index - batch.first_index]
            said = [(tap["person"], tap["at"]) for tap in orjson.loads(raw)["data"]["taps"]]
            found.append((event.person, event.decision, (event.person, event.at_ms) in said))
    return found


def test_a_tap_points_at_the_entry_that_holds_it(hub, market, following):
    """Of two rounds, and of a tap that came after the call of the first."""
    two_reps(market)
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}", market.clock.wall_ms() + 10)
    market.clock.advance(1000)
    market.tap("per_1", f"CONTACTED_{lead}")
    market.clock.advance(1000)
    market.tap("per_2", f"CLAIM_{lead}")
    caught_up(hub, following)
    market.clock.advance(60_000)
    now_ms = market.clock.wall_ms()
    assert market.do(lambda c: market.leads.release(c, lead, by="x", now_ms=now_ms))
    market.clock.advance(60_000)
    market.tap("per_2", f"CLAIM_{lead}")
    market.clock.advance(1000)
    market.tap("per_2", f"CONTACTED_{lead}")
    caught_up(hub, following)

    assert taps_and_their_entries(hub, market, lead) == [
        ("per_1", "won", True),
        ("per_2", "too_slow", True),
        ("per_2", "won", True),
    ]


def test_a_tap_that_waited_in_the_inbox_is_told_later_and_not_taken_for_told(
    hub, market, following
):
    """It is older than the fact that was written before it was decided."""
    two_reps(market)
    lead = market.lead()
    start = market.clock.wall_ms()
    market.tap("per_1", f"CLAIM_{lead}", start + 10)
    market.clock.advance(1000)
    market.tap("per_1", f"CONTACTED_{lead}")
    market.tap("per_2", f"CLAIM_{lead}", start + 900)
    caught_up(hub, following)
    now_ms = market.clock.wall_ms()
    assert market.do(lambda c: market.leads.close(c, lead, reason="x", now_ms=now_ms))
    caught_up(hub, following)

    assert taps_and_their_entries(hub, market, lead) == [
        ("per_1", "won", True),
        ("per_2", "too_slow", True),
    ]


def test_a_race_is_told_once_also_where_two_things_happen_at_once(hub, market, following):
    """The sale is on the ledger already when the rep reports it."""
    two_reps(market)
    box = Box(1).enrolled(hub, "SBY01")
    lead = market.lead()
    market.tap("per_1", f"CLAIM_{lead}", market.clock.wall_ms() + 10)
    market.tap("per_2", f"CLAIM_{lead}", market.clock.wall_ms() + 20)
    sale_at(hub, box)
    caught_up(hub, following)
    market.say("per_1", f"MENANG {SERIAL}")
    assert market.get(lead).state == "CLOSED_WON"
    assert len(market.facts("lead.race")) == 1
