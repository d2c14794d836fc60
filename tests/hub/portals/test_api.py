"""The API for programs: by bearer token, what its scopes name, and no more."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from hub.accounts.tokens import Tokens
from hub.alerts.service import Alerts
from hub.contacts.service import Contacts
from hub.contacts.store import IDENTITY_READING
from hub.inbox.service import Inbox
from hub.leads.board import Board
from hub.outbox.service import Outbox
from hub.portals.api import Sources, api_blueprint
from hub.store import Database
from tests.fakes.lead_market import START_MS, Market, a_dealer, a_rep

DOORS = {
    "/leads": "leads:read",
    "/leads/led_x": "leads:read",
    "/alerts": "alerts:read",
    "/inbox": "inbox:read",
    "/outbox": "inbox:read",
}


class Api:
    """The API over a market with one claimed lead."""

    def __init__(self, database):
        self.market = Market(database)
        self.market.town.add(a_dealer("SBY01", 1), a_rep(1, "SBY01"))
        self.market.town.add(a_dealer("FAR01", 200), a_rep(2, "FAR01"))
        contacts = Contacts(b"k" * 32)
        self.database = database
        self.tokens = Tokens(database)
        self.alerts = Alerts(database, self.market.clock)
        self.inbox = Inbox(database, self.market.clock)
        customer = self.market.do(
            lambda c: contacts.meet(c, phone="6281234567890", now_ms=START_MS)
        )
        self.lead = self.market.lead(contact=customer)
        self.market.tap("per_1", f"CLAIM_{self.lead}")
        app = Flask("api")
        app.register_blueprint(
            api_blueprint(
                Sources(
                    tokens=self.tokens,
                    leads=Board(database, self.market.desk, contacts),
                    alerts=self.alerts,
                    inbox=self.inbox,
                    outbox=Outbox(database, self.market.clock),
                )
            )
        )
        self.client = app.test_client()

    def get(self, path, *scopes, dealer=None, secret=None):
        """Ask with a fresh token of these scopes, or with this secret."""
        if scopes:
            secret = self.tokens.create(scopes, dealer=dealer, now_ms=1).secret
        headers = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        return self.client.get(f"/api/v1{path}", headers=headers)

    def readings(self):
        """How often somebody was shown who a customer is."""
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(IDENTITY_READING)).scalar()


@pytest.fixture
def api(sqlite_url):
    """The API on one engine: what it reads is tested on both elsewhere."""
    database = Database(sqlite_url)
    yield Api(database)
    database.close()


@pytest.mark.parametrize(("path", "scope"), DOORS.items())
def test_a_door_opens_to_its_scope_alone(api, path, scope):
    """No token, a wrong one, one of all other scopes: refused as a problem, nothing logged."""
    others = [*sorted(set(DOORS.values()) - {scope}), "customers:read"]
    assert api.get(path).status_code == 401
    assert api.get(path, secret="kickstand_wrong").status_code == 401
    refused = api.get(path, *others)
    assert (refused.status_code, refused.json["code"]) == (403, "scope-needed")
    assert refused.content_type == "application/problem+json"
    assert api.get(path, scope).status_code in {200, 404}
    assert api.client.post(f"/api/v1{path}").status_code == 405
    assert api.readings() == 0


def test_a_list_is_items_and_next_and_continues_behind_it(api):
    """The contract's shape of every list."""
    second = api.market.lead(contact="cus_2")
    first = api.get("/leads?limit=1", "leads:read").json
    assert first["next"] == first["items"][0]["id"]
    rest = api.get(f"/leads?after={first['next']}", "leads:read").json
    assert rest["next"] is None
    assert {first["items"][0]["id"], rest["items"][0]["id"]} == {api.lead, second}
    assert api.get("/leads?limit=none", "leads:read").status_code == 400
    assert api.get("/leads?limit=0", "leads:read").status_code == 400


def test_names_and_numbers_need_customers_read_and_each_reading_is_logged(api):
    """Masked without it; with it once in the log for each lead shown."""
    masked = api.get(f"/leads/{api.lead}", "leads:read").json
    assert (masked["customer"]["phone"], masked["customer"]["name"]) == (None, None)
    assert api.readings() == 0
    shown = api.get(f"/leads/{api.lead}", "leads:read", "customers:read").json
    assert shown["customer"]["phone"] == "6281234567890"
    assert api.readings() == 1
    api.get("/leads", "leads:read", "customers:read")
    assert api.readings() == 2


def test_a_token_of_a_dealer_reads_that_dealers_leads_and_alerts(api):
    """Another dealer's do not exist for it."""
    api.database.write(
        lambda c: [
            api.alerts.raise_(
                c, "P1", "x", f"x/{dealer}", what="a", consequence="b", action="c", dealer=dealer
            )
            for dealer in ("SBY01", "FAR01")
        ]
    )
    assert api.get(f"/leads/{api.lead}", "leads:read", dealer="FAR01").status_code == 404
    assert api.get("/leads", "leads:read", dealer="FAR01").json["items"] == []
    mine = api.get("/leads", "leads:read", dealer="SBY01").json["items"]
    assert [lead["id"] for lead in mine] == [api.lead]
    [alert] = api.get("/alerts", "alerts:read", dealer="SBY01").json["items"]
    assert alert["dealer"] == "SBY01"
    assert len(api.get("/alerts", "alerts:read").json["items"]) == 2


def test_what_came_in_is_listed_without_its_words(api):
    """States and reasons for whoever looks after the hub."""
    api.inbox.keep("whatsapp", b'{"secret":"words"}', {})
    listed = api.get("/inbox", "inbox:read")
    assert listed.json["items"][0]["state"] == "new"
    assert b"words" not in listed.data
    assert api.get("/outbox", "inbox:read").json == {"items": [], "next": None}
