"""Pages for people of a dealer: their own account, and nothing that shows every dealer."""

import json
import re

import pyotp
import pytest

from hub.accounts.rules import MINUTE_MS
from hub.portals.login import signed_in
from hub.registry.service import Registry
from tests.hub.portals.conftest import House, Visitor
from tests.hub.portals.test_guard import addresses

OPEN = (
    *("/account", "/login", "/assets", "/leads", "/portal/leads", "/alerts", "/dealers"),
    "/people",
)
OF_ALL = "/leads/nearest"
"""Names every dealer near a place."""


@pytest.fixture
def rep(house: House) -> Visitor:
    """A rep of one dealer who has signed in."""
    registry = Registry(house.database)
    registry.regions.import_file(b"code,name,timezone\nJATIM,Jawa Timur,WIB\n")
    registry.dealers.import_file(
        b"code,name,region,lat,lon,timezone,hours,authorised\n"
        b"SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Fri 09:00-17:00,yes\n"
    )
    registry.people.import_file(b"id,name,role,dealers,language\nper_r,Rudi,rep,SBY01,en\n")
    visitor = house.visitor()
    answer = visitor.sign_in_by(link(house))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/leads")
    return visitor


def link(house: House) -> str:
    """A fresh login link of the rep."""
    return house.accounts.person_link("per_r", now_ms=house.net.clock.now_ms)


def test_pages_of_every_dealer_are_closed_to_people_of_one(house: House, rep: Visitor) -> None:
    """Every address but those that were opened on purpose; data says why."""
    for path in addresses(house):
        answer = rep.get(path)
        if path.startswith(OPEN) and not path.startswith(OF_ALL):
            assert answer.status_code < 400 or answer.status_code in {404, 410}, path
        elif path == "/":
            assert answer.headers["Location"] == "/leads"
        else:
            assert answer.status_code == 403, path
            assert "Units" not in answer.get_data(as_text=True)
    assert json.loads(rep.get("/sales.json").data)["code"] == "head-office-only"


def test_their_own_account_shows_no_counts_of_others(rep: Visitor) -> None:
    """The navigation counts what all dealers have."""
    text = rep.text("/account")

    assert "/sales" not in text
    assert rep.get("/login").headers["Location"] == "/leads"


def test_doors_of_machines_open_to_head_office_only(
    house: House, admin: Visitor, rep: Visitor
) -> None:
    """The ledger's entries are every dealer's, so a rep's session reads none of them."""
    for visitor, may_read in ((admin, True), (rep, False)):
        cookie = visitor.client.get_cookie("kickstand")
        assert cookie is not None
        with house.app.test_request_context(headers={"Cookie": f"kickstand={cookie.value}"}):
            assert signed_in() is may_read


def test_a_link_asks_a_person_for_their_code(house: House, rep: Visitor) -> None:
    """On the page of the link, as often as the phone's clock needs."""
    rep.post("/account/totp")
    with rep.client.session_transaction() as forms:
        totp = pyotp.TOTP(forms["totp_secret"])
    code = totp.at(house.net.clock.now_ms // 1000)
    assert rep.post("/account/totp/confirm", totp=code).status_code == 303
    house.net.clock.now_ms += MINUTE_MS
    path, visitor = link(house), house.visitor()

    asked = visitor.client.post(path)
    assert asked.status_code == 422
    assert re.search(r'<input id="totp"[^>]*autofocus', asked.get_data(as_text=True))
    code = totp.at(house.net.clock.now_ms // 1000)
    assert visitor.client.post(path, data={"totp": code}).status_code == 303
