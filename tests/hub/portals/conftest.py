"""A hub's pages over a made-up network of stores, and a browser-like client."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hub.accounts.service import Accounts, create_admin
from hub.alerts.service import Alerts
from hub.contacts.service import Contacts
from hub.inbox.service import Inbox
from hub.leads.board import Board
from hub.leads.intake import Intake
from hub.leads.places import shipped
from hub.portals.installing import install
from hub.portals.lead_desk import LeadDesk
from hub.portals.mail_desk import MailDesk
from hub.portals.network_desk import NetworkDesk
from hub.portals.services import Portal
from hub.registry.service import Registry
from hub.store import Database
from tests.fakes.lead_market import Market, a_dealer, a_rep
from tests.fakes.portal_reads import NOW_MS, Network, network

EMAIL = "admin@kickstand.example"
PASSWORD = "forty scooters in a row"
PEOPLE = b"""id,name,role,dealers,language
per_m,Mira,dealer_manager,SBY01,en
per_f,Fajar,dealer_manager,FAR01,en
per_1,Rudi,rep,SBY01,en
per_2,Susi,rep,SBY02,en
per_e,Eka,executive,,en
"""
TOKEN = re.compile(r'<meta name="csrf-token" content="([^"]+)">')


@dataclass
class Visitor:
    """A person with a browser: keeps cookies, sends the page's CSRF token."""

    client: FlaskClient

    def get(self, path: str, **kwargs: object) -> TestResponse:
        """Open a page."""
        return self.client.get(path, **kwargs)

    def text(self, path: str) -> str:
        """The text of a page that must open."""
        answer = self.get(path)
        assert answer.status_code == 200, f"{path}: {answer.status}"
        return answer.get_data(as_text=True)

    def token(self, path: str = "/login") -> str:
        """The CSRF token of a page."""
        found = TOKEN.search(self.get(path, follow_redirects=True).get_data(as_text=True))
        assert found is not None
        return found.group(1)

    def post(self, path: str, **form: str) -> TestResponse:
        """Send a form with its token."""
        return self.client.post(path, data={"csrf_token": self.token(), **form})

    def sign_in_by(self, link: str) -> TestResponse:
        """Press the button of a login link."""
        return self.client.post(link)


@dataclass
class House:
    """One hub's pages under test."""

    app: Flask
    accounts: Accounts
    database: Database
    net: Network
    link: str
    market: Market

    def visitor(self, language: str = "en") -> Visitor:
        """Somebody new."""
        client = self.app.test_client()
        client.environ_base["HTTP_ACCEPT_LANGUAGE"] = language
        return Visitor(client)


Build = Callable[..., House]


@pytest.fixture
def build(sqlite_url: str) -> Iterator[Build]:
    """Builds the pages over a network of a given size."""
    database = Database(sqlite_url)

    def make(entries: int = 0, public_url: str = "http://localhost") -> House:
        net = network(entries)
        if not entries:
            net.devices.rows = []
        accounts = Accounts(database)
        link = database.write(lambda connection: create_admin(connection, EMAIL, NOW_MS))
        market = Market(database)
        board = Board(database, market.desk, Contacts(b"k" * 32))
        app = Flask("pages")
        install(
            app,
            Portal(
                accounts=accounts,
                ledger=net.ledger,
                sales=net.sales,
                devices=net.devices,
                dealers=net.dealers,
                clock=net.clock,
                public_url=public_url,
                leads=LeadDesk(
                    database,
                    board,
                    market.leads,
                    Intake(market.desk, market.leads, Contacts(b"k" * 32), locate=shipped().locate),
                    clock=market.clock,
                    press=lambda person, button, _by: market.tap(person, button) is not None,
                ),
                alerts=Alerts(database, market.clock),
                network=NetworkDesk(database, Registry(database), market.clock),
                mail=MailDesk(
                    database,
                    Inbox(database, market.clock),
                    Contacts(b"k" * 32),
                    clock=market.clock,
                    days=30,
                ),
            ),
        )
        app.add_url_rule("/v1/time", "time", lambda: {"now_ms": 1}, methods=["GET", "POST"])
        return House(app, accounts, database, net, link, market)

    yield make
    database.close()


@pytest.fixture
def house(build: Build) -> House:
    """Pages over 200 entries."""
    return build(200)


@pytest.fixture
def admin(house: House) -> Visitor:
    """Somebody who has signed in, reading English."""
    visitor = house.visitor()
    assert visitor.sign_in_by(house.link).status_code == 303
    return visitor


@pytest.fixture
def market(house):
    """Two dealers near by and one far away, one rep each."""
    market = house.market
    for number, (code, km) in enumerate([("SBY01", 1), ("SBY02", 2), ("FAR01", 200)], start=1):
        market.town.add(a_dealer(code, km), a_rep(number, code))
    return market


@pytest.fixture
def person(house):
    """Signs somebody of the people's file in."""
    registry = Registry(house.database)
    registry.regions.import_file(b"code,name,timezone\nJATIM,Jawa Timur,WIB\n")
    rows = b"".join(
        b"%s,%s,JATIM,-7.2575,112.7521,WIB,Mon-Sun 00:00-23:59,yes\n" % (code, code)
        for code in (b"SBY01", b"SBY02", b"FAR01")
    )
    registry.dealers.import_file(b"code,name,region,lat,lon,timezone,hours,authorised\n" + rows)
    assert not registry.people.import_file(PEOPLE).refused

    def sign_in(who):
        visitor = house.visitor()
        visitor.sign_in_by(house.accounts.person_link(who, now_ms=house.net.clock.now_ms))
        return visitor

    return sign_in
