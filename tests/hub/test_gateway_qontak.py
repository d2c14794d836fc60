"""What comes through Qontak by two roads: one shows the title of a button, the other its id.

`message_interaction` says what stands on the button, Mekari's room webhook has Meta's own words;
both may be set up, either may come first, and with one alone the hub does as well as it can.
"""

import itertools

import pytest
from sqlalchemy import text

from tests.fakes.manual_clock import ManualClock
from tests.fakes.one_dealer import open_network
from tests.fakes.qontak_bodies import INTEGRATION, body, interaction, raw, room

SETTINGS = """
[server]
public_url = "https://hub.example"
keys_dir = "{folder}/keys"
database = "{database}"
[qontak]
client_id = "c"
client_secret_file = "{folder}/word"
webhook_secret_file = "{folder}/word"
[[numbers]]
name = "brand"
channel = "qontak"
serves = "both"
phone = "628110000000"
channel_integration_id = "{integration}"
"""
PEOPLE = b"per_budi,Budi Santoso,rep,SBY01,081234567801,2026-01-01\n"
CUSTOMER, OTHER, BUDI = "6281299990001", "6281299990002", "6281234567801"
MINUTE_MS = 60_000
ROADS = {"title": ["title"], "title, id": ["title", "id"], "id, title": ["id", "title"]}


class Line:
    """Writes to the hub as Qontak delivers it."""

    def __init__(self, hub, clock):
        self.hub, self.clock = hub, clock
        self._numbers = itertools.count(1)

    def send(self, sender, shown, told, roads):
        """One message: `shown` is its text, `told` Meta's own words of it."""
        number = next(self._numbers)
        ids = {"id": f"own-{number}", "external_id": f"wamid.{number}", "text": shown}
        where = room(id=f"room-{sender}", account_uniq_id=sender)
        meta = {"id": f"wamid.{number}", "from": sender, "timestamp": "1", **told}
        for road in roads:
            message = interaction(**ids, room=where, room_id=where["id"])
            if road == "id":
                held = {name: message[name] for name in message if name != "room"}
                held["raw_message"] = raw(meta, wa_id=sender)
                message = where | {"last_message": held}
            self.hub.leads.inbox.keep("qontak", body(message), {})
            while self.hub.leads.step():
                pass

    def text(self, sender, words, roads=("title", "id"), **more):
        """Written words."""
        told = {"type": "text", "text": {"body": words}, **more}
        self.send(sender, words, told, roads)

    def tap(self, sender, button, title, roads):
        """A reply button."""
        reply = {"type": "button_reply", "button_reply": {"id": button, "title": title}}
        self.send(sender, title, {"type": "interactive", "interactive": reply}, roads)

    def pin(self, sender, roads=("id",)):
        """The middle of Surabaya, which one road alone tells."""
        place = {"latitude": -7.2575, "longitude": 112.7521}
        self.send(sender, "", {"type": "location", "location": place}, roads)

    def pass_time(self, ms):
        """Later, with what has fallen due done."""
        self.clock.advance(ms)
        while self.hub.leads.step():
            pass

    def rows(self, sql):
        """What a table holds."""
        with self.hub.database.read() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def state(self, lead):
        """Of a lead."""
        [(state,)] = self.rows(f"SELECT state FROM lead WHERE id = '{lead}'")  # noqa: S608 - a test
        return state

    def kinds(self, lead):
        """Of its timeline."""
        found = self.rows(f"SELECT kind FROM lead_event WHERE lead = '{lead}' ORDER BY seq")  # noqa: S608 - a test
        return [kind for (kind,) in found]

    def said(self, kind):
        """Data of the messages of a kind."""
        return [row[0] for row in self.rows(f"SELECT data FROM outbox WHERE kind = '{kind}'")]  # noqa: S608 - a test

    def offered(self, customer=CUSTOMER):
        """A lead that Budi has been offered; its id."""
        self.clock.advance(1)
        self.text(customer, "Halo, E8 Pro ada? bayar tunai, sekarang")
        self.pin(customer)
        self.pass_time(0)
        found = self.rows("SELECT id, state FROM lead ORDER BY received_ms DESC, id")
        [lead] = [lead for lead, state in found if state == "UNCLAIMED"][:1]
        return lead

    def two_offered(self):
        """Two leads that Budi was offered while his number was still at Meta; their ids."""
        desk = self.hub.leads.leads.routing._desk
        object.__setattr__(desk, "one_offer_each", False)
        leads = self.offered(CUSTOMER), self.offered(OTHER)
        object.__setattr__(desk, "one_offer_each", True)
        return leads

    def claimed(self, customer=CUSTOMER):
        """A lead that Budi has; its id."""
        lead = self.offered(customer)
        self.tap(BUDI, f"CLAIM_{lead}", "Claim", ["id"])
        assert self.state(lead) == "CLAIMED"
        return lead


@pytest.fixture
def line(tmp_path, sqlite_url):
    """A hub whose one number is on Qontak, everything in this thread."""
    (tmp_path / "word").write_text("a-word-nobody-guesses")
    settings = SETTINGS.format(folder=tmp_path, database=sqlite_url, integration=INTEGRATION)
    clock = ManualClock()
    hub = open_network(settings, PEOPLE, clock)
    yield Line(hub, clock)
    hub.close()


@pytest.mark.parametrize("roads", ROADS.values(), ids=ROADS)
def test_a_claim_wins_by_any_road(line, roads):
    """Once, whichever comes first; without an id it is the one offer that it can mean."""
    lead = line.offered()
    line.tap(BUDI, f"CLAIM_{lead}", "Claim", roads)
    assert line.state(lead) == "CLAIMED"
    assert line.kinds(lead).count("tap.received") == 1
    assert len(line.said("card")) == 1
    assert line.said("reply") == []


def test_which_of_two_offers_a_title_means_is_told_by_the_other_road(line):
    """Never guessed: the rep is asked, and the id that comes a moment later decides."""
    first, second = line.two_offered()
    line.tap(BUDI, f"CLAIM_{first}", "Claim", ["title"])
    assert {line.state(first), line.state(second)} == {"UNCLAIMED"}
    assert len(line.said("reply")) == 1

    line.tap(BUDI, f"CLAIM_{second}", "Claim", ["title", "id"])
    assert (line.state(first), line.state(second)) == ("UNCLAIMED", "CLAIMED")


def test_the_row_that_was_asked_for_may_be_a_title_too(line):
    """With one road alone the answer to "which one?" names the lead by what stood on its row."""
    first, second = line.two_offered()
    line.hub.database.write(
        lambda connection: connection.execute(
            text("UPDATE lead SET area = 'Wonokromo' WHERE id = :id"), {"id": second}
        )
    )
    line.tap(BUDI, f"CLAIM_{first}", "Claim", ["title"])
    line.text(BUDI, "E8 Wonokromo", ["title"])
    assert (line.state(first), line.state(second)) == ("UNCLAIMED", "CLAIMED")


@pytest.mark.parametrize("roads", ROADS.values(), ids=ROADS)
@pytest.mark.parametrize(
    ("button", "title", "state", "kind"),
    [
        ("CONTACTED", "Sudah dihubungi", "CONTACTED", "lead.contacted"),
        ("DEMO", "Test ride", "DEMO_SCHEDULED", "lead.demo"),
        ("LOST", "Tidak jadi", "LOST_UNRESPONSIVE", "lead.lost"),
    ],
)
def test_what_an_owner_reports_counts_by_any_road(line, roads, button, title, state, kind):
    """Without an id it is about the one lead that they have."""
    lead = line.claimed()
    line.tap(BUDI, f"{button}_{lead}", title, roads)
    assert line.state(lead) == state
    assert line.kinds(lead).count(kind) == 1
    assert len(line.said(f"noted_{button.lower()}")) == 1


def test_about_which_of_two_leads_an_owner_reports_is_asked(line):
    """Neither changes by a title alone."""
    first, second = line.claimed(CUSTOMER), line.claimed(OTHER)
    line.tap(BUDI, f"LOST_{first}", "Tidak jadi", ["title"])
    assert {line.state(first), line.state(second)} == {"CLAIMED"}
    assert len(line.said("reply")) == 1


@pytest.mark.parametrize("roads", ROADS.values(), ids=ROADS)
def test_a_customer_who_was_not_called_reopens_the_lead_by_any_road(line, roads):
    """*No* means it, also where the vendor shows it as a word; nothing else is asked of them."""
    lead = line.claimed()
    line.pass_time(31 * MINUTE_MS)
    asked = len(line.said("question"))
    line.tap(CUSTOMER, f"CALLED_NO_{lead}", "Belum", roads)
    assert line.kinds(lead).count("contact.denied") == 1
    assert line.state(lead) == "UNCLAIMED"
    assert len(line.said("question")) == asked


@pytest.mark.parametrize("roads", [["title", "id"], ["id", "title"]], ids=["later", "first"])
def test_a_pin_that_one_road_shows_empty_is_known_by_the_other(line, roads):
    """Whichever comes first: the place is where it was sent from."""
    line.text(CUSTOMER, "Halo, E8 Pro ada? bayar tunai, sekarang")
    line.pin(CUSTOMER, roads)
    [(lat, lon)] = line.rows("SELECT lat_udeg, lon_udeg FROM lead")
    assert (lat, lon) == (-7257500, 112752100)


@pytest.mark.parametrize("roads", [["title", "id"], ["id", "title"]], ids=["later", "first"])
def test_the_advertisement_is_known_whichever_road_tells_it(line, roads):
    """Only Meta's own words name the campaign and the click."""
    advertisement = {"source_id": "120226", "source_type": "ad", "ctwa_clid": "Aff-1"}
    line.text(CUSTOMER, "Halo", roads, referral=advertisement)
    [(source, campaign, touch)] = line.rows("SELECT source, campaign, first_touch FROM lead")
    assert (source, campaign) == ("whatsapp_ad", "120226")
    assert '"click_id":"Aff-1"' in touch
    assert len(line.said("question")) == 1
