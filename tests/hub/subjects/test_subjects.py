"""What the law gives a customer, on both engines: to see everything, and to be gone everywhere."""

import logging

import orjson
import pytest
from click.testing import CliRunner
from sqlalchemy import select, text

from hub.__main__ import cli
from hub.commands import forget_again
from hub.contacts import store as contacts
from hub.contacts.service import Reach, Unreachable
from hub.inbox.service import DAY_MS, InboxRow, Outcome
from hub.leads import store as leads
from hub.leads.service import Beginning
from hub.leads.timeline import store as timeline
from hub.ledger.tables import PENDING
from hub.outbox.messages import Draft
from hub.subjects.job import GRACE_MS
from hub.subjects.people import Person
from hub.vault.store import VAULT_ITEM, keep
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO, encrypt
from tests.fakes.hub_boxes import Box, deliver, running
from tests.fakes.manual_clock import ManualClock

PHONE, BSUID, EMAIL = "6281234567890", "ID.13491208655302741918", "siti@example.com"
NAME, PLACE, WORDS = "Siti Rahmawati", "Jalan Mawar 7", "saya di Jalan Mawar 7"
WAMID = "wamid.HBgNNjI4MTIzNDU2Nzg5MBUC"
SECRETS = (PHONE, BSUID, EMAIL, NAME, PLACE, WAMID)


@pytest.fixture
def hub(tmp_path, database_url):
    """A hub, once on each engine."""
    with running(tmp_path, database_url, clock=ManualClock()) as opened:
        yield opened


class Life:
    """A customer who wrote to us, became a lead, and bought."""

    def __init__(self, hub):
        self.hub = hub
        self.board = hub.leads
        self.now_ms = hub.clock.wall_ms()
        self.contact = self.do(
            lambda c: self.board.contacts.meet(
                c, phone=PHONE, bsuid=BSUID, email=EMAIL, name=NAME, now_ms=self.now_ms
            )
        )
        self.lead = self.do(self.begun)
        self.came(f'{{"from":"{PHONE}","id":"{WAMID}"}}', self.contact)

    def do(self, work):
        """A write transaction."""
        return self.hub.database.write(work)

    def begun(self, connection):
        """A lead of which all is known."""
        start = Beginning(
            contact=self.contact,
            source="whatsapp_ad",
            touch=orjson.dumps({"source": "whatsapp_ad", "click_id": "CLICK"}).decode(),
            consent_version="2026-11",
            consent_ms=self.now_ms,
        )
        lead = self.board.leads.begin(connection, start, self.now_ms)
        leads.change(connection, lead.id, place=PLACE, area="Surabaya", lat_udeg=-7_257_500)
        leads.change(connection, lead.id, lon_udeg=112_752_100, screening="{}", nearest="{}")
        self.board.contacts.keep(
            connection,
            contact=self.contact,
            lead=lead.id,
            direction="in",
            at_ms=self.now_ms,
            kind="text",
            text=WORDS,
            message_id=WAMID,
        )
        out = self.board.outbox.enqueue(
            connection,
            Draft(
                key=f"question/{lead.id}/{WAMID}/0",
                to=self.contact,
                role="customers",
                kind="question",
                ref=lead.id,
                data={"question": "model", "place": PLACE},
                not_before_ms=self.now_ms,
                not_after_ms=self.now_ms + DAY_MS,
            ),
        )
        connection.execute(
            text("UPDATE outbox SET provider_id = :wamid WHERE id = :id"),
            {"wamid": WAMID, "id": out},
        )
        return lead.id

    def came(self, body, *subjects):
        """A delivery that was acted on."""

        def handle(_connection, _row: InboxRow) -> Outcome:
            return Outcome("done", None, subjects)

        inbox_id = self.board.inbox.keep("whatsapp", body.encode(), {})
        while self.board.inbox.step(handle):
            pass
        return inbox_id

    def bought(self, written=PHONE):
        """The till of a box sells to a buyer with this number."""
        box = Box(1).enrolled(self.hub, "SBY01")
        salt = b"\x05" * 16
        inside = {"name": NAME, "phone": written, "salt": salt.hex()}
        sealed = (encrypt(orjson.dumps(inside), self.hub.keys.keyset.encryption, info=BUYER_INFO),)
        commitment = commit_buyer(name=NAME, phone=written, salt=salt)
        data = {"till": "T1", "receipt": "r1", "units": [], "payment": "cash"}
        event = box.event(
            {**data, "buyer": {"commitment": commitment}},
            lane="sale",
            type="pos.sale",
            attachments=sealed,
        )
        self.do(lambda c: keep(c, sealed, device=box.device, received_ms=self.now_ms))
        deliver(self.hub, box.batch([event], lane="sale", attachments=sealed))
        return sealed

    def row(self):
        """The lead now."""
        with self.hub.database.read() as connection:
            return leads.get(connection, self.lead)

    def facts(self):
        """What the ledger will say of erasures."""
        with self.hub.database.read() as connection:
            rows = connection.execute(select(PENDING.c.data).where(PENDING.c.type.like("subject%")))
            return [orjson.loads(row.data) for row in rows]

    def everything(self):
        """Every table as text."""
        with self.hub.database.read() as connection:
            tables = [t for t in contacts.CONTACT.metadata.sorted_tables if t.name != "batch"]
            return "\n".join(
                repr(tuple(row)) for t in tables for row in connection.execute(t.select())
            )


@pytest.fixture
def life(hub):
    """A customer."""
    return Life(hub)


def steps(hub):
    """All that the worker finds due now."""
    done = 0
    while now := hub.leads.forget():
        done += now
    return done


@pytest.mark.parametrize(
    "person",
    [Person(phone="0812-3456-7890"), Person(bsuid=BSUID), Person(email=EMAIL.upper())],
    ids=["phone", "bsuid", "email"],
)
def test_an_export_is_everything_in_one_document(hub, life, person):
    """Contact, consents, leads, what was said and sent, bodies and purchases; the reading too."""
    life.bought("+62 812-3456-7890")
    life.came(f'{{"from":"{PHONE}","and":"another"}}', life.contact, "cus_other")
    agreed = {"version": "2026-11", "at_ms": 1, "channel": "meta"}
    hub.database.write(lambda c: hub.subjects.contacts.consent(c, life.contact, **agreed))

    found = hub.subjects.export(person, by="command", reason="asked by letter")

    known = orjson.loads(orjson.dumps(found))
    assert (life.contact, NAME) == (known["subject"], known["contact"]["name"])
    assert {PHONE, BSUID, EMAIL} == {key["value"] for key in known["keys"]}
    assert [WORDS] == [line["text"] for line in known["transcript"]]
    assert ["2026-11"] == [each["version"] for each in known["consents"]]
    assert "Anda menyetujuinya" in known["consent_texts"]["2026-11"]["id"]
    [lead] = known["leads"]
    assert (PLACE, "2026-11") == (lead["place"], lead["consent_version"])
    assert ["lead.received"] == [event["kind"] for event in lead["timeline"]]
    assert lead["timeline"][0]["at"].endswith("Z")
    assert lead["received_at"].endswith("Z")
    assert ["model"] == [message["said"]["question"] for message in known["messages"]]
    assert [True, False] == [body["body"] is not None for body in known["inbox"]]
    assert [NAME] == [purchase["name"] for purchase in known["purchases"]]
    assert [("command", "asked by letter")] == [(r["by"], r["why"]) for r in known["readings"]]


def test_nothing_of_an_erased_person_is_left(hub, life, caplog, tmp_path):
    """Every table is searched for every secret; the lead is over, the facts hold ids only."""
    caplog.set_level(logging.DEBUG)
    sealed = life.bought("0812 3456 7890")
    life.came(f'{{"statuses":[{{"recipient_id":"{PHONE}"}}]}}')
    life.came('{"from":"6285700001111"}')

    outcome = hub.subjects.erase(Person(phone=PHONE), reason="asked by letter")

    assert (life.contact, 1, 2, 1) == (
        outcome.subject,
        outcome.leads,
        outcome.bodies,
        outcome.purchases,
    )
    left = life.everything() + caplog.text + (tmp_path / "keys" / "erasures").read_text()
    assert [] == [secret for secret in (*SECRETS, "CLICK") if secret in left]
    assert "6285700001111" in left
    assert repr(sealed[0]) not in left
    row = life.row()
    assert ("OPTED_OUT", None, None) == (row.state, row.lat_udeg, row.area)
    assert [{"subject": life.contact, "scope": "all"}] == life.facts()
    with hub.database.read() as connection:
        assert "subject.erased" in [event.kind for event in timeline.events_of(connection, row.id)]
    assert hub.subjects.export(Person(phone=PHONE), by="command", reason="again") is None
    assert hub.subjects.erase(Person(phone=PHONE), reason="again") is None


def test_a_buyer_who_never_wrote_is_found_and_erased(hub, life):
    """By the till's number alone; they get an id, and the vault keeps an empty place."""
    sealed = life.bought("0857-0000-1111")
    buyer = Person(phone="+6285700001111")

    assert [NAME] == [
        each["name"] for each in hub.subjects.export(buyer, by="c", reason="r")["purchases"]
    ]
    outcome = hub.subjects.erase(buyer, reason="asked")

    assert (1, 0) == (outcome.purchases, outcome.leads)
    assert outcome.subject != life.contact
    life.do(lambda c: keep(c, sealed, device="d", received_ms=1))
    assert hub.subjects.export(buyer, by="c", reason="r") is None
    assert PLACE == life.row().place


def test_who_opted_out_stays_opted_out(hub, life):
    """The keyed hash outlives the erasure; one who had not is welcome again."""
    other = life.do(lambda c: hub.leads.contacts.meet(c, phone="6285700001111", now_ms=1))
    life.do(lambda c: hub.leads.contacts.opt_out(c, life.contact, channel="meta", now_ms=1))

    for contact in (life.contact, other):
        hub.subjects.erase_contact(contact, reason="asked")

    def again(connection, phone):
        met = hub.leads.contacts.meet(connection, phone=phone, now_ms=2)
        return hub.leads.contacts.address(connection, met)

    assert isinstance(life.do(lambda c: again(c, PHONE)), Unreachable)
    assert isinstance(life.do(lambda c: again(c, "6285700001111")), Reach)


def test_hapus_data_saya_is_done_once_it_was_answered(hub, life):
    """Not within the grace, not while the answer waits to be sent, and at the latest in a day."""
    steps(hub)
    life.do(lambda c: hub.leads.contacts.ask_erasure(c, life.contact, hub.clock.wall_ms()))
    hub.clock.advance(GRACE_MS - 1000)
    assert (0, NAME) == (steps(hub), life.do(lambda c: contacts.get(c, life.contact))["name"])
    hub.clock.advance(2000)
    assert 0 == steps(hub)
    life.do(lambda c: c.execute(text("UPDATE outbox SET state = 'accepted'")))
    hub.clock.advance(2000)
    assert 1 == steps(hub)
    assert life.do(lambda c: contacts.get(c, life.contact))["name"] is None


def test_an_answer_that_never_goes_out_holds_nothing_up_for_long(hub, life):
    """A number that sends nothing: the erasure is done after a day, well within the law's three."""
    steps(hub)
    life.do(lambda c: hub.leads.contacts.ask_erasure(c, life.contact, hub.clock.wall_ms()))
    hub.clock.advance(DAY_MS + 1)
    steps(hub)
    assert life.do(lambda c: contacts.get(c, life.contact))["name"] is None


def test_a_restored_backup_brings_nobody_back(tmp_path, sqlite_url):
    """The database of before the erasure: `serve` and `work` begin with the person's going."""
    with running(tmp_path, sqlite_url, clock=ManualClock()) as hub:
        life = Life(hub)
        sealed = life.bought()
        life.came(f'{{"again":"{PHONE}"}}')
    backup = (tmp_path / "hub.db").read_bytes()
    with running(tmp_path, sqlite_url, clock=ManualClock()) as hub:
        assert hub.subjects.erase(Person(phone=PHONE), reason="asked").purchases == 1
    for name in ("hub.db-wal", "hub.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    (tmp_path / "hub.db").write_bytes(backup)
    with running(tmp_path, sqlite_url, clock=ManualClock()) as hub:
        life.hub = hub
        assert NAME in life.everything()
        forget_again(hub)
        left = life.everything()
        assert [] == [secret for secret in SECRETS if secret in left]
        assert repr(sealed[0]) not in left


def test_an_erased_buyer_is_not_brought_back_by_a_box(hub, life):
    """The backup is older than the sale: an empty place stays empty."""
    sealed = life.bought()
    hub.subjects.erase(Person(phone=PHONE), reason="asked")
    for table in (VAULT_ITEM, contacts.ERASURE):
        life.do(lambda c, table=table: c.execute(table.delete()))

    hub.subjects.reapply()
    life.do(lambda c: keep(c, sealed, device="d", received_ms=1))

    with hub.database.read() as connection:
        assert [None] == list(connection.scalars(select(VAULT_ITEM.c.content)))


def test_what_is_too_old_is_forgotten(hub, life):
    """A closed lead after its days, a quiet person too; the buyer stays with the sale."""
    life.bought()
    closed_ms = hub.clock.wall_ms()
    life.do(lambda c: hub.leads.leads.close(c, life.lead, reason="no_interest", now_ms=closed_ms))
    other = life.do(life.begun)
    life.do(
        lambda c: leads.change(c, other, state="LOST_UNRESPONSIVE", closed_ms=closed_ms + DAY_MS)
    )
    steps(hub)
    assert PLACE == life.row().place

    hub.clock.advance(730 * DAY_MS + 1)
    steps(hub)
    assert (None, "LOST_UNRESPONSIVE") == (life.row().place, life.row().state)
    assert [{"subject": life.contact, "scope": life.lead}] == life.facts()
    with hub.database.read() as connection:
        second, known = (
            leads.get(connection, other),
            contacts.get(connection, life.contact),
        )
    assert second is not None
    assert known is not None
    assert (PLACE, NAME) == (second.place, known["name"])

    hub.clock.advance(DAY_MS)
    steps(hub)
    assert {"subject": life.contact, "scope": "contact"} in life.facts()
    left = life.everything()
    assert [] == [secret for secret in SECRETS if secret in left]
    with hub.database.read() as connection:
        assert None not in list(connection.scalars(select(VAULT_ITEM.c.content)))
    hub.clock.advance(4_000_000)
    assert 0 == steps(hub)


def test_raw_bodies_go_after_their_days(hub, life):
    """They are for replaying what could not be read, not for keeping."""
    steps(hub)
    hub.clock.advance(31 * DAY_MS)
    steps(hub)
    assert PHONE + '","id"' not in life.everything()
    assert NAME in life.everything()


def test_the_commands_export_erase_and_then_find_nobody(tmp_path, sqlite_url, monkeypatch):
    """Exit 0 with one JSON object, 1 for nobody, 2 for what names nobody."""
    with running(tmp_path, sqlite_url) as hub:
        contact = Life(hub).contact
    config = tmp_path / "hub.toml"
    config.write_text(
        f'[server]\npublic_url = "https://hub.example"\nkeys_dir = "{tmp_path}/keys"\n'
        f'database = "{sqlite_url}"\n'
    )

    def run(*words):
        result = CliRunner().invoke(cli, ["--config", str(config), "subject", *words])
        return result.exit_code, result.stdout

    asked = ("--phone", "0812-3456-7890", "--reason", "asked by letter", "--json")
    code, printed = run("export", *asked)
    assert (0, contact) == (code, orjson.loads(printed)["subject"])
    code, printed = run("erase", *asked)
    answer = orjson.loads(printed)
    assert (0, contact, 1, 1) == (code, answer["subject"], answer["leads"], answer["bodies"])
    assert [1, 1] == [run(verb, *asked)[0] for verb in ("export", "erase")]
    for wrong in (
        ("--reason", "r"),
        ("--phone", PHONE, "--email", EMAIL, "--reason", "r"),
        ("--phone", "siapa", "--reason", "r"),
        ("--phone", PHONE),
    ):
        assert 2 == run("erase", *wrong)[0]
