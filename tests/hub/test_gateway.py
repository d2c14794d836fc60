"""From a webhook's body to what it changes: conversations, taps, repetitions, strangers."""

import itertools
import json

import pytest
from sqlalchemy import text

from hub.addresses import AddressBook
from hub.outbox.messages import Address, Failed, Withhold
from tests.fakes.manual_clock import ManualClock
from tests.fakes.one_dealer import PEOPLE_HEAD, open_network

SETTINGS = """
[server]
public_url = "https://hub.example"
keys_dir = "{folder}/keys"
database = "{database}"
[[numbers]]
name = "brand"
channel = "meta"
serves = "both"
phone = "628110000000"
phone_number_id = "1"
"""
PEOPLE = (
    b"per_budi,Budi Santoso,rep,SBY01,081234567801,2026-01-01\n"
    b"per_ani,Ani,rep,SBY01,081234567802,2026-01-01\n"
)
CUSTOMER, OTHER = "6281299990001", "6281299990002"
BUDI, ANI = "6281234567801", "6281234567802"
NAMES = {CUSTOMER: "Siti", BUDI: "Budi", ANI: "Ani"}


class Phone:
    """Writes to the hub as Meta delivers it, and shows what the hub wants to say."""

    def __init__(self, hub) -> None:
        self.hub = hub
        self._numbers = itertools.count(1)

    def write(self, sender, content, *, wamid=None, act=True) -> str:
        """One message, delivered and acted on (unless that comes later); its wamid."""
        wamid = wamid or f"wamid.{next(self._numbers)}"
        message = {"from": sender, "id": wamid, "timestamp": "1", **content}
        contact = {"profile": {"name": NAMES.get(sender, "?")}, "wa_id": sender}
        self.deliver({"contacts": [contact], "messages": [message]}, act=act)
        return wamid

    def deliver(self, content, *, act=True) -> None:
        """A webhook with this content, acted on."""
        value = {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "628110000000", "phone_number_id": "1"},
            **content,
        }
        change = {"field": "messages", "value": value}
        body = {"object": "whatsapp_business_account", "entry": [{"id": "w", "changes": [change]}]}
        self.hub.leads.inbox.keep("whatsapp", json.dumps(body).encode(), {})
        while act and self.hub.leads.step():
            pass

    def text(self, sender, words, **more) -> str:
        """Written words."""
        return self.write(sender, {"type": "text", "text": {"body": words}}, **more)

    def tap(self, sender, button, **more) -> str:
        """A reply button."""
        reply = {"type": "button_reply", "button_reply": {"id": button, "title": button[:20]}}
        return self.write(sender, {"type": "interactive", "interactive": reply}, **more)

    def pin(self, sender) -> str:
        """The middle of Surabaya."""
        place = {"latitude": -7.2575, "longitude": 112.7521}
        return self.write(sender, {"type": "location", "location": place})

    def rows(self, sql):
        """What a table holds."""
        with self.hub.database.read() as connection:
            return list(connection.execute(text(sql)))

    def leads(self):
        """(id, state) of every lead."""
        return [tuple(row) for row in self.rows("SELECT id, state FROM lead ORDER BY received_ms")]

    def said(self, kind) -> list[str]:
        """To whom a kind of message waits to go."""
        return [
            row[0]
            for row in self.rows(
                f"SELECT recipient FROM outbox WHERE kind = '{kind}' ORDER BY recipient"  # noqa: S608 - a test
            )
        ]


@pytest.fixture
def phone(tmp_path, sqlite_url):
    """A hub with one dealer and two reps, everything in this thread."""
    settings = SETTINGS.format(folder=tmp_path, database=sqlite_url)
    hub = open_network(settings, PEOPLE, ManualClock())
    yield Phone(hub)
    hub.close()


def qualified(phone) -> str:
    """A lead that both reps have been offered; its id."""
    phone.text(CUSTOMER, "Halo, E8 Pro ada? bayar tunai, sekarang")
    phone.pin(CUSTOMER)
    [(lead, state)] = phone.leads()
    assert state == "UNCLAIMED"
    return lead


def test_a_conversation_becomes_offers_and_one_winner(phone):
    """Nothing is asked that was said; the faster rep gets the card, the other hears by how much."""
    lead = qualified(phone)
    assert phone.said("offer") == ["per_ani", "per_budi"]

    phone.tap(BUDI, f"CLAIM_{lead}")
    phone.tap(ANI, f"CLAIM_{lead}")

    assert phone.leads() == [(lead, "CLAIMED")]
    assert (phone.said("card"), phone.said("too_slow")) == (["per_budi"], ["per_ani"])


def test_while_the_vendor_stops_our_number_mailboxes_are_told_with_the_offers(phone):
    """What the sender learned of the number decides it; when it speaks again, nobody is mailed."""
    stopped = Failed("stop", 131042, "unpaid")
    numbers = phone.hub.leads.outbox.numbers
    phone.hub.database.write(lambda c: numbers.refused(c, "brand", stopped))
    qualified(phone)
    assert phone.said("lead_waits") == ["dlr_SBY01"]

    phone.hub.database.write(lambda c: numbers.taken(c, "brand", first=False))
    phone.text(OTHER, "Halo, E8 Pro ada? bayar tunai, sekarang")
    phone.pin(OTHER)
    assert len(phone.said("offer")) == 4
    assert phone.said("lead_waits") == ["dlr_SBY01"]


def test_a_tap_on_a_page_takes_its_turn_behind_what_came_before(phone):
    """It is a delivery as well, and decided when it is answered; it opens no WhatsApp window."""
    lead = qualified(phone)
    phone.tap(BUDI, f"CLAIM_{lead}", act=False)

    assert phone.hub.leads.tap_on_page("per_ani", f"CLAIM_{lead}", "per_ani")

    assert phone.rows("SELECT rep FROM lead") == [("per_budi",)]
    assert phone.said("too_slow") == ["per_ani"]
    assert phone.rows("SELECT source, state FROM inbox ORDER BY seq DESC LIMIT 1") == [
        ("page", "done")
    ]
    assert phone.rows("SELECT count(*) FROM outbox_pair WHERE party = 'per_ani'") == [(0,)]


def test_a_delivery_repeated_for_days_changes_nothing(phone):
    """Neither a second lead, nor a second answer, nor a second decision."""
    first = phone.text(CUSTOMER, "Halo")
    asked = phone.said("question")
    phone.text(CUSTOMER, "Halo", wamid=first)

    assert len(phone.leads()) == 1
    assert phone.said("question") == asked


def test_an_answer_corrected_later_stands(phone):
    """Also after the offers went out."""
    lead = qualified(phone)
    phone.text(CUSTOMER, "Maaf, X1 Lite saja, kredit")

    assert phone.rows("SELECT model, payment FROM lead") == [("X1", "instalments")]
    assert phone.leads() == [(lead, "UNCLAIMED")]


def test_stop_ends_it_and_start_begins_again(phone):
    """Who asked for silence gets it, whatever they write, until they say START."""
    lead = qualified(phone)
    phone.tap(BUDI, f"CLAIM_{lead}")
    phone.text(CUSTOMER, "BERHENTI")
    assert phone.leads() == [(lead, "OPTED_OUT")]
    assert phone.said("stopped") == ["per_budi"]

    before = phone.said("question")
    phone.text(CUSTOMER, "halo?")
    assert (len(phone.leads()), phone.said("question")) == (1, before)
    phone.text(CUSTOMER, "MULAI")
    assert len(phone.leads()) == 2


def test_who_wants_their_data_gone_is_told_and_asked_nothing_more(phone):
    """The lead ends at once; the erasure itself follows."""
    lead = qualified(phone)
    phone.text(CUSTOMER, "hapus data saya")

    assert phone.leads() == [(lead, "OPTED_OUT")]
    assert phone.rows("SELECT count(*) FROM contact WHERE erasure_asked_ms IS NOT NULL") == [(1,)]


def test_a_rep_who_writes_starts_no_screening(phone):
    """Reps are people of the network on whatever number they write to."""
    phone.text(BUDI, "Halo")
    phone.text(BUDI, "SIAP")

    assert phone.leads() == []
    assert phone.rows("SELECT count(*) FROM contact") == [(0,)]


def test_a_forwarded_button_is_worth_nothing(phone):
    """The id is no authority; a stranger with it becomes neither winner nor customer."""
    lead = qualified(phone)
    phone.tap("6281355550000", f"CLAIM_{lead}")

    assert phone.leads() == [(lead, "UNCLAIMED")]
    assert phone.rows("SELECT count(*) FROM contact") == [(1,)]


def test_what_cannot_be_read_is_kept_with_its_reason(phone):
    """And blocks nobody behind it."""
    phone.hub.leads.inbox.keep("whatsapp", b"no json", {})
    phone.text(CUSTOMER, "Halo")

    [kept, done] = phone.hub.leads.inbox.page(None, 10)["items"]
    assert (kept["state"], done["state"]) == ("kept", "done")
    assert kept["reason"]


def test_nobody_who_has_left_or_not_agreed_is_written_to(phone):
    """Whatever was enqueued for them before."""
    leads = phone.hub.leads
    book = AddressBook(phone.hub.registry, leads.contacts, phone.hub.clock)
    left = (PEOPLE_HEAD + PEOPLE).replace(b"wa_opt_in_at", b"wa_opt_in_at,active_until")
    left = left.replace(b"2026-01-01\nper_ani", b"2026-01-01,2026-02-01\nper_ani")
    left = left.replace(b"02,2026-01-01\n", b"02,,\n")
    with phone.hub.database.read() as connection:
        before = [book.address(connection, person) for person in ("per_budi", "per_ani")]
    assert not phone.hub.registry.people.import_file(left).refused

    with phone.hub.database.read() as connection:
        after = [book.address(connection, person) for person in ("per_budi", "per_ani", "per_x")]
    assert [type(found) for found in before] == [Address, Address]
    assert [type(found) for found in after] == [Withhold, Withhold, Withhold]


def test_a_changed_number_is_the_one_to_use_and_is_no_message(phone):
    """The customer stays who they were; nothing is asked or begun because of it."""
    lead = qualified(phone)
    asked = phone.said("question")
    new = "6281299990002"
    phone.hub.clock.advance(1)
    changed = {"type": "user_changed_number", "body": "changed", "wa_id": new}
    phone.write(CUSTOMER, {"type": "system", "system": changed})

    assert (phone.leads(), phone.said("question")) == ([(lead, "UNCLAIMED")], asked)
    [(contact,)] = phone.rows("SELECT id FROM contact")
    with phone.hub.database.read() as connection:
        known = phone.hub.leads.contacts.contact(connection, contact)
    assert known is not None
    assert known.phone == new


def test_what_a_form_tells_meanwhile_is_not_forgotten_by_the_conversation(phone):
    """Nor asked again: the next message only adds to it."""
    phone.text(CUSTOMER, "Halo")
    phone.hub.database.write(
        lambda connection: connection.execute(
            text("UPDATE lead SET model = 'E8', payment = 'cash'")
        )
    )
    phone.text(CUSTOMER, "sekarang")
    phone.pin(CUSTOMER)

    assert phone.rows("SELECT model, payment, buy_when, state FROM lead") == [
        ("E8", "cash", "now", "UNCLAIMED")
    ]


def test_who_has_stopped_messages_at_meta_is_written_to_no_more(phone):
    """A late 131050 is a customer's opt-out: recorded, their lead ended. A mistake of ours, told
    for a rep's message, is an alert."""
    phone.text(BUDI, "siap")
    phone.text(CUSTOMER, "halo")
    [(lead, _)] = phone.leads()
    for recipient, code in (("cus_%", 131050), ("per_%", 132001)):
        [out_id] = phone.rows(f"SELECT max(id) FROM outbox WHERE recipient LIKE '{recipient}'")[0]  # noqa: S608 - a test
        phone.hub.database.write(
            lambda c, of=out_id: c.execute(
                text("UPDATE outbox SET state = 'accepted' WHERE id = :of"), {"of": of}
            )
        )
        failed = {
            "id": f"wamid.{code}", "status": "failed", "timestamp": "1",
            "biz_opaque_callback_data": out_id, "errors": [{"code": code, "title": "told late"}],
        }  # fmt: skip
        phone.deliver({"statuses": [failed]})

    assert [(lead, "OPTED_OUT")] == phone.leads()
    assert [("opt_out", "whatsapp")] == [
        tuple(row) for row in phone.rows("SELECT what, channel FROM contact_consent")
        if row[0] == "opt_out"
    ]  # fmt: skip
    assert [("message_refused",)] == [tuple(row) for row in phone.rows("SELECT rule FROM alert")]
