"""The CRM's copy of leads, against a CRM that doubles whatever is asked twice."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import pytest

from firmware_sim.providers.http_server import Answer as Said
from firmware_sim.providers.http_server import HangUp, Request
from firmware_sim.providers.qontak import Qontak
from firmware_sim.providers.whatsapp import WhatsApp
from hub.integrations.qontak.api import QontakApi
from hub.integrations.qontak.credentials import QontakSettings
from hub.integrations.qontak.crm import mirror as mirrors
from hub.integrations.qontak.crm import store
from hub.integrations.qontak.crm.client import CrmClient
from hub.integrations.qontak.crm.mirror import CrmMirror
from hub.leads import store as leads
from hub.leads.needs import Customer
from hub.leads.records import Lead
from hub.leads.timeline import store as timeline
from hub.store import Database
from tests.fakes.manual_clock import ManualClock

NOW_MS = 1_800_000_000_000
PHONE = "6281200000001"
BUDI = Customer(id="cus_1", name="Budi 🛵", phone=PHONE)


@dataclass
class Desk:
    """A hub's leads, the mirror, and Qontak's CRM."""

    clock: ManualClock
    database: Database
    qontak: Qontak
    mirror: CrmMirror = field(init=False)
    answer: Callable[[Request, str], Said] = field(init=False)
    """What the CRM itself says."""
    customers: dict[str, Customer] = field(default_factory=lambda: {"cus_1": BUDI})
    said: list[str] = field(default_factory=lambda: ["Pelanggan: Halo"])
    cut_off: list[str] = field(default_factory=list)
    """Requests (``POST deals``) whose answers are lost after they took effect."""
    refused: list[tuple[str, int]] = field(default_factory=list)
    """Requests whose body or path holds a text, and with which status they are refused."""
    asked: list[str] = field(default_factory=list)

    def customer(self, _connection, contact):
        """As the contacts tell it."""
        return self.customers.get(contact)

    def phones(self, _connection, _contacts):
        return {}

    def transcript(self, _connection, _lead, _limit):
        """What was said."""
        return self.said

    def crm(self, request, path):
        """The CRM behind what goes wrong on the way."""
        name = f"{request.method} {path.partition('/')[0]}"
        self.asked.append(name)
        for held, status in self.refused:
            if held in path or held.encode() in request.body:
                return Said(status, {"meta": {"status": status, "error_message": "no"}})
        answer = self.answer(request, path)
        if name in self.cut_off:
            self.cut_off.remove(name)
            return HangUp()
        return answer

    def begins(self, lead="led_1", *, contact="cus_1", consent_ms=NOW_MS, **more):
        """A lead with its first entries."""
        new = Lead(
            id=lead,
            contact=contact,
            state="UNCLAIMED",
            received_ms=NOW_MS,
            consent_ms=consent_ms,
            consent_version="2026-11",
        )
        self.database.write(lambda connection: leads.create(connection, replace(new, **more)))
        self.happens("lead.received", lead=lead)
        self.happens("offer.queued", lead=lead)

    def happens(self, kind, *, lead="led_1", **values):
        """An entry of its timeline, and what it changes."""

        def write(connection):
            timeline.note(connection, lead, kind, self.clock.wall_ms(), dealer=None)
            if values:
                leads.change(connection, lead, **values)

        self.clock.advance(1_000)
        self.database.write(write)

    def settles(self, rounds=60):
        """Step until nothing is left, through every wait."""
        for _ in range(rounds):
            self.clock.advance(mirrors.SHUT_MS)
            while self.mirror.step():
                pass

    def again(self):
        """The hub was killed: only the database is left."""
        self.mirror.stop()
        self.mirror = self.mirrored()

    def mirrored(self):
        """A mirror that knows nothing yet."""
        settings = QontakSettings(
            client_id=self.qontak.client_id,
            client_secret=self.qontak.client_secret,
            api_url=self.qontak.url,
            crm_sso_id="7",
            answer_timeout_ms=2_000,
        )
        client = CrmClient(QontakApi(settings, self.clock), "1")
        return CrmMirror(self.database, self.clock, client, self, transcripts=True)

    def kept(self, kind):
        """What the CRM has."""
        return list(self.qontak.crm.kept[kind].values())

    def notes(self):
        """First lines of the notes, without their times."""
        return [note["note"].split(" · ")[0] for note in self.kept("notes")]


@pytest.fixture
def desk(sqlite_url) -> Iterator[Desk]:
    """All of it, running."""
    clock = ManualClock()
    qontak = Qontak(WhatsApp(clock), clock=clock)
    database = Database(sqlite_url)
    made = Desk(clock, database, qontak)
    made.answer = qontak.crm.answer
    qontak.crm.answer = made.crm  # type: ignore[method-assign]
    made.mirror = made.mirrored()
    qontak.start()
    try:
        yield made
    finally:
        made.mirror.stop()
        qontak.stop()
        database.close()


def test_a_lead_becomes_contact_deal_and_notes(desk):
    """Each once; the deal names nobody, and the notes tell what people want to know."""
    desk.begins()
    desk.happens("lead.handoff", state="CLAIMED", dealer="SBY01", rep="per_1")
    desk.settles(1)

    (contact,) = desk.kept("contacts")
    (deal,) = desk.kept("deals")
    assert ("Budi 🛵", f"+{PHONE}") == (contact["first_name"], contact["telephone"])
    assert ("Kickstand led_1", 1, 1, [contact["id"]]) == (
        deal["name"],
        deal["crm_pipeline_id"],
        deal["crm_stage_id"],
        deal["crm_lead_ids"],
    )
    assert ["Prospek diterima", "Prospek diambil oleh dealer"] == desk.notes()
    handoff = desk.kept("notes")[1]["note"]
    assert "Pelanggan: Halo" in handoff
    assert "[led_1 #3]" == handoff.splitlines()[-1]


def test_the_deal_moves_with_the_lead(desk):
    """Every stage of the retail ledger, back as well; nothing is made a second time."""
    desk.begins()
    stages = []
    for state, back in [
        ("CLAIMED", None),
        ("DEMO_SCHEDULED", None),
        ("WON_REPORTED", "DEMO_SCHEDULED"),
        ("CLOSED_WON", "DEMO_SCHEDULED"),
        ("DEMO_SCHEDULED", None),
        ("LOST_UNRESPONSIVE", None),
    ]:
        desk.happens("lead.demo", state=state, back=back)
        desk.settles(1)
        stages.append(desk.kept("deals")[0]["crm_stage_id"])

    assert [1, 2, 2, 3, 2, 4] == stages
    assert (1, 1, 7) == tuple(len(desk.kept(kind)) for kind in ("contacts", "deals", "notes"))


def test_nothing_new_asks_nothing(desk):
    """An idle hub leaves the CRM alone."""
    desk.begins()
    desk.settles(2)
    asked = len(desk.asked)
    desk.settles(3)
    desk.again()
    desk.settles(3)

    assert asked == len(desk.asked)
    assert desk.mirror.idle()


@pytest.mark.parametrize(
    "request_", ["POST contacts", "POST deals", "POST notes", "PUT deals", "GET contacts"]
)
@pytest.mark.parametrize("killed", [False, True], ids=["silence", "kill"])
def test_an_answer_that_never_came_doubles_nothing(desk, request_, killed):
    """It took effect, we did not hear: the next step finds what is there, also after a kill."""
    desk.begins()
    desk.cut_off.append(request_)
    desk.settles(1)
    desk.happens("lead.demo", state="DEMO_SCHEDULED")
    desk.settles(1)
    if killed:
        desk.again()
    desk.settles(4)

    assert [] == desk.cut_off
    assert (1, 1, 2) == tuple(len(desk.kept(kind)) for kind in ("contacts", "deals", "notes"))
    assert 2 == desk.kept("deals")[0]["crm_stage_id"]


def test_a_contact_that_is_there_already_is_used(desk):
    """Sales people typed them in before: no second one."""
    desk.qontak.crm.kept["contacts"][1] = {"id": 1, "telephone": f"+{PHONE}", "first_name": "Pak B"}
    desk.begins()
    desk.settles(1)

    assert ["Pak B"] == [contact["first_name"] for contact in desk.kept("contacts")]
    assert [1] == desk.kept("deals")[0]["crm_lead_ids"]


def test_two_leads_of_one_customer(desk):
    """One contact, two deals."""
    desk.begins("led_1")
    desk.begins("led_2")
    desk.settles(1)

    assert (1, 2, 2) == tuple(len(desk.kept(kind)) for kind in ("contacts", "deals", "notes"))


@pytest.mark.parametrize("status", [400, 404, 422, 500, 503])
def test_one_that_fails_blocks_no_other(desk, status):
    """It is tried again, ever more rarely; the others are shown at once."""
    desk.refused.append(("Kickstand led_1", status))
    desk.begins("led_1")
    desk.begins("led_2")
    desk.settles(4)

    assert ["Kickstand led_2"] == [deal["name"] for deal in desk.kept("deals")]
    assert desk.asked.count("POST deals") < 10

    desk.refused.clear()
    desk.settles(10)
    assert 2 == len(desk.kept("deals"))


@pytest.mark.parametrize("status", [401, 403, 429, 500])
def test_a_crm_that_lets_nobody_in(desk, status):
    """Asked once in a while, and everything comes when it opens."""
    desk.refused.append(("", status))
    desk.begins("led_1")
    desk.begins("led_2")
    desk.settles(4)
    assert len(desk.asked) <= 4

    desk.refused.clear()
    desk.settles(10)
    assert 2 == len(desk.kept("deals"))


@pytest.mark.parametrize(
    "change",
    [{"consent_ms": None}, {"test": True}, {"state": "SCREENING"}, {"contact": "cus_unknown"}],
    ids=["no consent", "test", "screening", "nobody"],
)
def test_what_stays_in_the_hub(desk, change):
    """Without consent, or before it is a lead, nothing of a person goes to the CRM."""
    desk.begins(**change)
    desk.settles(2)

    assert [[], [], []] == [desk.kept(kind) for kind in ("contacts", "deals", "notes")]


def test_consent_that_comes_later(desk):
    """With it the lead is shown, from its beginning."""
    desk.begins(consent_ms=None)
    desk.settles(1)
    desk.happens("lead.qualified", consent_ms=NOW_MS)
    desk.settles(1)

    assert ["Prospek diterima", "Prospek lengkap"] == desk.notes()


def test_an_erased_person_is_erased_there(desk):
    """Notes are deleted, also one we were not told of; the contact is nobody's, the deal stays."""
    desk.begins()
    desk.settles(1)
    desk.cut_off.append("POST notes")
    desk.happens("lead.demo", state="DEMO_SCHEDULED")
    desk.settles(1)
    desk.customers["cus_1"] = Customer(id="cus_1", name=None, phone=None, erased=True)
    desk.database.write(lambda connection: CrmMirror.erased(connection, "cus_1"))
    desk.settles(4)

    assert [] == desk.kept("notes")
    (contact,) = desk.kept("contacts")
    assert ("Dihapus", "") == (contact["first_name"], contact["telephone"])
    assert 1 == len(desk.kept("deals"))
    assert PHONE not in repr(desk.qontak.crm.kept)


def test_a_deal_that_somebody_deleted_there(desk):
    """It is made anew with the next thing that happens."""
    desk.begins()
    desk.settles(1)
    desk.qontak.crm.kept["deals"].clear()
    desk.happens("lead.demo", state="DEMO_SCHEDULED")
    desk.settles(4)

    assert [2] == [deal["crm_stage_id"] for deal in desk.kept("deals")]


def test_a_pipeline_without_the_stage(desk):
    """The lead waits and says why; the stage is looked for again."""
    desk.begins(state="DUPLICATE")
    desk.happens("lead.lost", state="EXPIRED")
    stages = desk.mirror._client.stages
    desk.mirror._client.stages = lambda: {"pending contact": "1"}
    desk.settles(2)
    assert [] == desk.kept("deals")

    desk.mirror._client.stages = stages
    desk.settles(4)
    assert [4] == [deal["crm_stage_id"] for deal in desk.kept("deals")]


def test_what_was_there_before_the_crm_was_connected(desk):
    """A first start shows every lead, in pages."""
    for number in range(3):
        desk.begins(f"led_{number}")
    desk.clock.advance(30 * 86_400_000)
    desk.settles(1)

    assert 3 == len(desk.kept("deals"))


def test_a_thread_of_its_own(desk):
    """Started and stopped, it lets another process mirror."""
    desk.begins()
    desk.mirror.start()
    desk.again()
    desk.settles(2)

    assert 1 == len(desk.kept("deals"))


def test_what_is_behind_on_each_engine(database):
    """A lead is behind until all of its timeline is wanted; what is wanted waits its turn."""
    new = Lead(id="led_1", contact="cus_1", state="QUALIFIED", received_ms=NOW_MS)

    def begin(connection):
        leads.create(connection, new)
        timeline.note(connection, "led_1", "lead.received", NOW_MS)

    database.write(begin)
    with database.read() as connection:
        assert ([("led_1", 1)], NOW_MS) == store.changed(connection, NOW_MS, 10)
        assert ([], 0) == store.changed(connection, NOW_MS + 1, 10)
        assert [("led_1", 1)] == store.behind(connection, "", 10)
        assert [] == store.behind(connection, "led_1", 10)

    database.write(lambda connection: store.want(connection, [("led_1", 1)]))
    with database.read() as connection:
        assert ([], 0) == store.changed(connection, NOW_MS, 10)
        waits = store.due(connection, 0)
    assert waits is not None
    assert "led_1" == waits.lead

    database.write(lambda connection: store.later(connection, "led_1", 5, "no"))
    with database.read() as connection:
        assert store.due(connection, 4) is None
        waits = store.due(connection, 5)
    assert waits is not None
    assert 1 == waits.attempts

    database.write(lambda connection: store.done(connection, "led_1", 1, had=0))
    with database.read() as connection:
        assert not store.any_due(connection, 10)

    database.write(lambda connection: store.again(connection, "cus_1"))
    database.write(lambda connection: store.done(connection, "led_1", 1, had=1))
    with database.read() as connection:
        assert store.any_due(connection, 10), "an erasure is not overtaken by what was under way"
