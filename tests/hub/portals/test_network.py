"""Stores and people as pages: what each viewer sees of them, and what managers say of today."""

import json
from typing import get_args

import pytest

from hub.portals.dealer_pages import STATES
from hub.portals.lead_words import WHY
from hub.portals.network_desk import Store
from hub.portals.network_words import store_state
from hub.registry.opening import WhyClosed
from hub.registry.service import Registry
from tests.fakes.lead_market import START_MS, a_dealer, a_rep

PEOPLE = b"""id,name,role,dealers,regions,phone,wa_opt_in_at,language
per_m,Mira,dealer_manager,SBY01,,,,en
per_1,Rudi,rep,SBY01,,081234567801,2026-01-01,en
per_2,Susi,rep,DPS01,,081234567802,,en
per_j,Joko,regional_manager,,BALI,,,en
"""
DEALERS = b"""code,name,region,lat,lon,timezone,hours,authorised,capacity
SBY01,Surabaya Darmo,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-23:59,yes,4
DPS01,Denpasar,BALI,-8.65,115.21,WITA,Mon-Sun 00:00-23:59,no,
"""


@pytest.fixture
def registry(house):
    """Two stores, one of them without authority, and their people."""
    registry = Registry(house.database)
    registry.regions.import_file(b"code,name,timezone\nJATIM,Jawa Timur,WIB\nBALI,Bali,WITA\n")
    assert not registry.dealers.import_file(DEALERS).refused
    assert not registry.people.import_file(PEOPLE).refused
    house.market.town.add(a_dealer("SBY01"), a_rep(1, "SBY01"))
    return registry


@pytest.fixture
def person(house, registry):
    """Signs somebody of the people's file in."""

    def sign_in(who):
        visitor = house.visitor()
        visitor.sign_in_by(house.accounts.person_link(who, now_ms=house.net.clock.now_ms))
        return visitor

    return sign_in


def names(visitor, path, key="code"):
    """What a list holds."""
    return [row[key] for row in json.loads(visitor.text(path))["items"]]


def test_everybody_sees_their_own_stores_and_people(registry, admin, person):
    """Head office all of them, a region its own, a dealer its own; numbers are masked."""
    assert ["DPS01", "SBY01"] == names(admin, "/dealers.json")
    assert ["SBY01"] == names(person("per_m"), "/dealers.json")
    assert ["DPS01"] == names(person("per_j"), "/dealers.json")
    assert ["per_m", "per_1"] == names(person("per_1"), "/people.json", "id")
    assert person("per_m").get("/dealers/DPS01").status_code == 404
    assert person("per_m").get("/people/per_2").status_code == 404
    assert ["SBY01"] == names(admin, "/dealers.json?state=open")
    assert ["SBY01"] == names(admin, "/dealers.json?q=darmo")
    assert ["SBY01"] == names(admin, "/dealers.json?after=DPS01&limit=1")
    assert ["per_1", "per_2"] == names(admin, "/people.json?role=rep", "id")
    for path in ("/people", "/people.json", "/people.csv", "/people/per_1", "/people/per_1.json"):
        assert "6281234567801" not in admin.text(path)
    page = admin.text("/people")
    assert "on duty" in page
    assert "has not agreed to messages" in page
    assert admin.text("/dealers.csv").startswith("code,name,company,region")


def test_whatever_keeps_a_store_shut_has_its_words():
    """A national holiday as well: a reason without words would break the page on that day."""
    dealer = a_dealer("SBY01")
    for why in (None, "not_authorised", *get_args(WhyClosed)):
        assert store_state(Store(dealer=dealer, why_closed=why, opens_ms=None, load=0)) in STATES
        assert why is None or why in WHY


def test_a_manager_closes_for_today_and_opens_again(registry, house, person):
    """Until the next day where the store is; no rep may, and no other dealer's manager."""
    mine = person("per_m")
    assert person("per_1").post("/dealers/SBY01/closed-today").status_code == 403
    assert person("per_j").post("/dealers/SBY01/closed-today").status_code == 404

    assert mine.post("/dealers/SBY01/closed-today").status_code == 303

    shown = json.loads(mine.text("/dealers/SBY01.json"))
    assert ("paused", False) == (shown["why_closed"], shown["open"])
    # START_MS is the evening of 18 November in Surabaya: midnight there is 17:00 UTC.
    assert shown["paused_until"] == "2026-11-18T17:00:00.000Z"
    assert "Open again" in mine.text("/dealers/SBY01")
    assert mine.post("/dealers/SBY01/edit", paused_until="").status_code == 303
    assert registry.why_closed(registry.dealer("SBY01"), START_MS) is None


def test_hours_days_capacity_and_zone_are_changed_by_hand(registry, admin, person):
    """Read like cells of a file: what is none is said beside its field and changes nothing."""
    mine = person("per_m")
    form = {"hours": "Mon-Fri 09:00-17:00", "closed_days": "2026-12-25", "capacity": "7"}
    assert mine.post("/dealers/SBY01/edit", **form).status_code == 303
    dealer = registry.dealer("SBY01")
    assert ("Mon-Fri 09:00-17:00", ("2026-12-25",), 7) == (
        dealer.hours, dealer.closed_days, dealer.capacity,
    )  # fmt: skip
    wrong = mine.post("/dealers/SBY01/edit", hours="when I like", capacity="9")
    assert wrong.status_code == 422
    assert "write hours like" in wrong.text
    assert 'value="when I like"' in wrong.text
    assert registry.dealer("SBY01") == dealer
    assert mine.post("/dealers/SBY01/edit", timezone="WIT").status_code == 403
    assert admin.post("/dealers/SBY01/edit", timezone="Asia/Makassar").status_code == 303
    assert registry.dealer("SBY01").timezone == "Asia/Makassar"


def test_somebody_is_away_and_their_deputy_stands_in(registry, person):
    """A manager says so for their people, everybody for themselves."""
    mine = person("per_m")
    days = {"from": "2026-11-18", "until": "2026-11-20"}
    assert mine.post("/people/per_1/away", **days, deputy="per_m").status_code == 303
    page = mine.text("/people/per_1")
    assert "2026-11-20" in page
    assert "away" in page
    assert person("per_1").post("/people/per_m/away", **days).status_code == 403
    assert person("per_1").post("/people/per_1/off-today").status_code == 303
    for wrong in (
        {"from": "soon", "until": "2026-11-20"},
        {"from": "2026-11-20", "until": "2026-11-18"},
        {**days, "deputy": "per_1"},
        {**days, "deputy": "per_2"},
    ):
        assert mine.post("/people/per_1/away", **wrong).status_code == 422


def test_a_login_link_is_made_by_admins_and_shown_once(house, registry, admin, person):
    """On the answer alone, not at an address."""
    assert person("per_m").post("/people/per_1/login-link").status_code == 403
    shown = admin.post("/people/per_1/login-link")
    link = shown.text.split("http://localhost")[1].split("<")[0]
    assert house.visitor().sign_in_by(link).status_code == 303
    assert "/login/" not in admin.text("/people/per_1")


def test_a_test_offer_goes_to_oneself_or_to_ones_people(house, registry, admin, person):
    """Marked as a test, on nobody's board but among the tests."""
    sent = person("per_1").post("/people/per_1/test-offer")
    assert sent.status_code == 303
    assert "TEST" in admin.text(sent.headers["Location"])
    [offer] = house.market.outbox.said("offer")
    assert offer.to == "per_1"
    assert person("per_m").post("/people/per_1/test-offer").status_code == 303
    assert person("per_j").post("/people/per_1/test-offer").status_code == 404
    assert names(admin, "/leads.json", "id") == []
    assert len(names(admin, "/leads.json?special=test", "id")) == 2
