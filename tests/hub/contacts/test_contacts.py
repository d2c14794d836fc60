"""Who a customer is, on both engines: found again, never merged, never forgotten that they left."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from hub.contacts import store
from hub.contacts.erasures import Erasure, ErasureJournal
from hub.contacts.rules import clean_name, masked, whatsapp_phone
from hub.contacts.service import Contacts, Reach, Unreachable
from hub.ledger.tables import PENDING
from hub.store import Database

SECRET = bytes(range(32))
PHONE, OTHER_PHONE, BSUID = "6281234567890", "6285700001111", "ID.13491208655302741918"


@pytest.fixture
def contacts(tmp_path):
    """Contacts with a journal of erasures."""
    return Contacts(SECRET, ErasureJournal(tmp_path / "erasures.jsonl"))


class Desk:
    """Calls on one database, each in a transaction of its own."""

    def __init__(self, database, contacts):
        self.database = database
        self.contacts = contacts
        self.now_ms = 1000

    def __getattr__(self, name):
        method = getattr(self.contacts, name)
        return lambda *args, **values: self.database.write(
            lambda connection: method(connection, *args, **values)
        )

    def meets(self, **values):
        """Meet somebody a moment later."""
        self.now_ms += 1
        return self.database.write(
            lambda connection: self.contacts.meet(connection, now_ms=self.now_ms, **values)
        )

    def says(self, contact, text, message_id=None, inbox=None):
        """A line of the transcript."""
        self.keep(
            contact=contact,
            lead="led_a",
            direction="in",
            at_ms=self.now_ms,
            kind="text",
            text=text,
            message_id=message_id,
            inbox=inbox,
        )

    def conflicts(self):
        """Pairs that a person has to look at."""
        with self.database.read() as connection:
            rows = connection.execute(select(store.CONTACT_CONFLICT)).all()
        return [(row.contact, row.other, row.kind) for row in rows]


@pytest.fixture
def desk(database, contacts):
    """Both together."""
    return Desk(database, contacts)


def test_one_person_by_either_key(desk):
    """A number and a BSUID seen in one message lead to one contact, whichever comes alone later."""
    known = desk.meets(phone=PHONE, name="Budi 🛵")
    assert known == desk.meets(phone=PHONE, bsuid=BSUID)
    assert known == desk.meets(bsuid=BSUID)
    assert known == desk.find(bsuid=BSUID)
    assert known == desk.find(phone=PHONE)
    assert desk.find(phone=OTHER_PHONE) is None
    assert "Budi 🛵" == desk.contact(known).name


def test_two_known_people_are_not_merged(desk):
    """A message whose number and BSUID belong to two contacts goes to the number's; it is noted."""
    by_phone, by_bsuid = desk.meets(phone=PHONE), desk.meets(bsuid=BSUID)

    assert by_phone == desk.meets(phone=PHONE, bsuid=BSUID)
    assert by_phone == desk.meets(phone=PHONE, bsuid=BSUID)

    assert [(by_phone, by_bsuid, "bsuid")] == desk.conflicts()
    assert desk.contact(by_phone).bsuid is None
    assert by_bsuid == desk.meets(bsuid=BSUID)


def meeting(database, contacts, phone):
    """Somebody met on a database, while others meet the same."""
    return database.submit(lambda connection: contacts.meet(connection, phone=phone, now_ms=1))


def test_two_processes_that_meet_the_same_person_make_one_contact(database, contacts):
    """Both writers are told the same id for each number; no empty contact is left behind."""
    phones = [f"628123456{n:04}" for n in range(40)]
    other = Database(database.url.render_as_string(hide_password=False))
    try:
        both = [
            [meeting(where, contacts, phone) for phone in phones] for where in (database, other)
        ]
        first, second = ([future.result() for future in futures] for futures in both)
    finally:
        other.close()

    assert first == second
    with database.read() as connection:
        assert sorted(first) == sorted(connection.scalars(select(store.CONTACT.c.id)))


def test_a_changed_number_is_the_one_to_answer_to(desk):
    """The same BSUID with a new number is the same person; both numbers find them."""
    known = desk.meets(phone=PHONE, bsuid=BSUID)

    assert known == desk.meets(phone=OTHER_PHONE, bsuid=BSUID)

    assert Reach(phone=OTHER_PHONE, bsuid=BSUID) == desk.address(known)
    assert known == desk.find(phone=PHONE)


def test_a_recycled_number_gives_nobody_s_bsuid_away(desk):
    """A known number with another BSUID may be another person: the BSUID is not learned."""
    known = desk.meets(phone=PHONE, bsuid=BSUID)

    assert known == desk.meets(phone=PHONE, bsuid="ID.999")

    assert BSUID == desk.contact(known).bsuid
    assert desk.find(bsuid="ID.999") is None


def test_an_address_in_a_form_does_not_outweigh_a_number(desk):
    """The same e-mail with another number is another person; with no number it is the same."""
    known = desk.meets(phone=PHONE, email="Budi@Example.com")

    assert known == desk.meets(email="budi@example.COM ")
    other = desk.meets(phone=OTHER_PHONE, email="budi@example.com")

    assert known != other
    assert [(other, known, "email")] == desk.conflicts()


def test_a_number_that_was_asked_for(desk):
    """A customer without a number tells it; a number of somebody else's is not taken."""
    asked = desk.meets(bsuid=BSUID)
    assert desk.renumbered(asked, phone=PHONE, now_ms=5)
    assert PHONE == desk.contact(asked).phone

    other = desk.meets(bsuid="ID.2")
    assert not desk.renumbered(other, phone=PHONE, now_ms=6)
    assert [(other, asked, "phone")] == desk.conflicts()
    assert desk.contact(other).phone is None


def test_somebody_without_any_key_is_refused(desk):
    """There is no contact that could never be found again."""
    with pytest.raises(ValueError, match="needs a phone"):
        desk.meets(phone="abc", bsuid="", email="nobody")


def test_who_opted_out_is_not_written_to(desk):
    """STOP withholds everything until START; each is proven with its time."""
    known = desk.meets(phone=PHONE)
    desk.consent(known, version="2026-11", at_ms=3, channel="whatsapp")
    desk.consent(known, version="2026-11", at_ms=9, channel="whatsapp")

    assert desk.opt_out(known, channel="whatsapp", now_ms=10)
    assert not desk.opt_out(known, channel="whatsapp", now_ms=11)
    assert isinstance(desk.address(known), Unreachable)
    assert desk.opt_in(known, channel="whatsapp", now_ms=12)
    assert Reach(phone=PHONE, bsuid=None) == desk.address(known)

    consents = desk.export(known)["consents"]
    assert [("consent", 3), ("opt_out", 10), ("opt_in", 12)] == [
        (row["what"], row["at_ms"]) for row in consents
    ]
    assert ("2026-11", 3) == (
        desk.contact(known).consent_version,
        desk.contact(known).consent_ms,
    )


def test_an_erased_number_that_opted_out_stays_opted_out(desk):
    """After the erasure nothing says who it was, and the same number is still left in peace."""
    known = desk.meets(phone=PHONE, bsuid=BSUID, name="Budi")
    desk.opt_out(known, channel="whatsapp", now_ms=10)
    desk.says(known, "nama saya Budi", "wamid.A", "inb_1")

    erased = desk.erase(known, reason="asked", now_ms=20)

    assert (("inb_1",), (PHONE,)) == (erased.bodies, erased.phones)
    left = orjson.dumps(desk.export(known)).decode()
    assert not [word for word in ("Budi", PHONE, BSUID, "wamid") if word in left]
    assert Unreachable("erased") == desk.address(known)
    again = desk.meets(phone=PHONE)
    assert again != known
    assert isinstance(desk.address(again), Unreachable)
    assert desk.opt_in(again, channel="whatsapp", now_ms=30)
    assert isinstance(desk.address(again), Reach)
    assert desk.erase(known, reason="asked", now_ms=40) is None


def test_an_opted_out_person_s_new_number_is_opted_out(desk):
    """Leaving holds for the person: a number learned later is remembered as well."""
    known = desk.meets(bsuid=BSUID)
    desk.opt_out(known, channel="whatsapp", now_ms=10)
    desk.renumbered(known, phone=PHONE, now_ms=11)

    desk.erase(known, reason="asked", now_ms=20)

    assert isinstance(desk.address(desk.meets(phone=PHONE)), Unreachable)


def test_an_erasure_is_a_fact_without_a_person(desk, database):
    """The ledger is told the id and the scope, nothing else."""
    known = desk.meets(phone=PHONE)
    desk.erase(known, reason="asked", now_ms=20)

    with database.read() as connection:
        [fact] = connection.execute(select(PENDING.c.type, PENDING.c.data)).all()

    assert ("subject.erased", {"subject": known, "scope": "contact"}) == (
        fact.type,
        orjson.loads(fact.data),
    )


def test_a_restored_backup_does_not_bring_anybody_back(desk, database, contacts):
    """
    The database of before the erasure is put back: the next start erases again, once, and opts
    out again; somebody who has opted in since is not opted out by the start after that.
    """
    known = desk.meets(phone=PHONE, name="Budi")
    desk.opt_out(known, channel="whatsapp", now_ms=10)
    desk.says(known, "halo", "wamid.A", "inb_1")
    contacts._journal.add(
        Erasure(
            contact=known,
            at_ms=20,
            reason="asked",
            opted_out=tuple(database.write(lambda c: contacts._hashes(c, known))),
        )
    )

    assert [("inb_1",)] == [erased.bodies for erased in desk.reapply(now_ms=30)]

    assert desk.contact(known).erased
    assert [] == desk.reapply(now_ms=31)
    again = desk.meets(phone=PHONE)
    assert isinstance(desk.address(again), Unreachable)
    desk.opt_in(again, channel="whatsapp", now_ms=40)
    desk.reapply(now_ms=50)
    assert isinstance(desk.address(again), Reach)


def test_an_erasure_that_cannot_be_written_down_is_not_done(database, tmp_path):
    """The journal's folder is gone: nothing is erased by halves, and the caller hears of it."""
    desk = Desk(database, Contacts(SECRET, ErasureJournal(tmp_path / "gone" / "erasures")))
    known = desk.meets(phone=PHONE, name="Budi")

    with pytest.raises(OSError, match="gone"):
        desk.erase(known, reason="asked", now_ms=20)

    assert ("Budi", PHONE) == (desk.contact(known).name, desk.contact(known).phone)


def test_a_torn_line_of_the_journal_costs_no_other(tmp_path):
    """The power went while a line was written: those before and after it are read."""
    path = tmp_path / "erasures.jsonl"
    journal = ErasureJournal(path)
    first, second = (Erasure(contact=f"cus_{n}", at_ms=n, reason="asked") for n in (1, 2))
    journal.add(first)
    with path.open("ab") as file:
        file.write(b'\n{"contact":"cus_x","at_')
    journal.add(second)

    assert [first, second] == list(journal)
    assert 0o600 == path.stat().st_mode & 0o777


def test_the_transcript_is_read_in_its_order_and_keeps_a_message_once(desk):
    """A repeated message adds nothing; the newest lines are given, the oldest of them first."""
    known = desk.meets(phone=PHONE)
    for number, text in enumerate(["satu", "dua", "dua", "tiga\0"]):
        desk.says(known, text, f"wamid.{min(number, 3 if number > 2 else 1)}")

    assert ["dua", "tiga"] == [line.text for line in desk.transcript(lead="led_a", limit=2)]
    assert 3 == len(desk.transcript(contact=known))


def test_every_reading_is_logged(desk):
    """Who was shown who a customer is stands in the export, and outlives the erasure."""
    known = desk.meets(phone=PHONE)
    desk.read_identity(known, by="per_a", why="card led_a", now_ms=7)
    desk.erase(known, reason="retention", now_ms=20)

    [reading] = desk.export(known)["readings"]
    assert ("per_a", "card led_a", 7) == (reading["by"], reading["why"], reading["at_ms"])


def test_who_asked_to_be_erased_waits_for_the_answer(desk):
    """An answer can still go out; then the job finds them, the longest waiting first."""
    first, second = desk.meets(phone=PHONE), desk.meets(phone=OTHER_PHONE)
    desk.ask_erasure(second, 100)
    desk.ask_erasure(first, 200)
    desk.ask_erasure(second, 300)

    assert [] == desk.erasures_due(99)
    assert [second, first] == desk.erasures_due(200)
    desk.erase(second, reason="asked", now_ms=201)
    assert [first] == desk.erasures_due(200)


def test_who_has_been_quiet_for_long_is_found_page_by_page(desk):
    """The retention sees each of them once, and nobody who was heard of since or is erased."""
    made = [desk.meets(phone=f"62812345678{n:02}") for n in range(5)]
    before = desk.now_ms + 1
    desk.now_ms += 10
    desk.meets(phone="6281234567801")
    desk.erase(made[2], reason="asked", now_ms=desk.now_ms)

    seen, after = [], (-1, "")
    while page := desk.quiet_since(before, after=after, limit=2):
        seen += [contact for _, contact in page]
        after = page[-1]

    assert [made[0], made[3], made[4]] == seen


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0812-3456-7890", PHONE),
        ("+62 812 3456 7890", PHONE),
        ("0062812 3456 7890", PHONE),
        ("62 0812 3456 7890", PHONE),
        ("81234567890", PHONE),
        ("81234567890.0", PHONE),
        ("+6281234567890.00", PHONE),
        ("+65 8123 4567", "6581234567"),
        ("021 5299 3000", None),
        ("1500777", None),
        ("8.12E+10", None),
        ("telepon saya saja", None),
    ],
)
def test_a_number_as_people_write_it(written, number):
    """Mobiles in every spelling are one; landlines and what a spreadsheet broke are none."""
    assert number == whatsapp_phone(written)


@given(st.text())
def test_any_words_are_a_number_or_none(written):
    """Nothing that somebody types or is called raises."""
    number = whatsapp_phone(written)
    assert number is None or number.isdigit()
    name = clean_name(written)
    assert name is None or name == clean_name(name)


def test_a_name_cannot_turn_the_line_around():
    """Controls of direction, newlines and length are taken out; emoji stay."""
    assert "Budi 👩‍🔧 gnirts" == clean_name(" Budi\n\u202e 👩‍🔧\tgnirts\0 ")
    assert 100 == len(clean_name("x" * 500) or "")
    assert "62812•••890" == masked(PHONE)
