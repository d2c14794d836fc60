"""A customer's messages, from the first word to the offers and past them."""

from dataclasses import replace
from functools import partial

import pytest
from orjson import loads
from sqlalchemy import func, select

from hub.contacts.service import Contacts
from hub.inbox.incoming import ContactCard, Media, Message, Pin, Referral, Sender, Tap, Text
from hub.leads import store
from hub.leads.conversation import Conversation
from hub.leads.neighbours import ContactBook
from hub.leads.questions import CONSENT_VERSION, ScreeningWords
from hub.leads.renderer import LeadRenderer
from hub.leads.service import Beginning, Leads
from hub.leads.tables import LEAD
from hub.outbox.messages import Withhold
from hub.outbox.service import Change
from tests.fakes.lead_market import SURABAYA, Arrived, Market, a_dealer, a_rep

REP_PHONE = "628110000001"
PIN = Pin(lat=SURABAYA[0], lon=SURABAYA[1])


class Front:
    """Real contacts and leads; one rep's phone is known."""

    def __init__(self, market):
        self.market = market
        self.contacts = Contacts(bytes(32))
        market.desk = replace(market.desk, customers=ContactBook(self.contacts))
        market.leads = Leads(market.database, market.desk, market.units)
        self.conversation = Conversation(market.desk, market.leads, self.contacts, market.town)
        self.count = 0

    def hears(self, content, *, phone="6281234567890", bsuid=None, referral=None):
        """A message comes in."""
        if isinstance(content, str):
            content = Text(content)
        self.count += 1
        message = Message(
            id=f"wamid.c{self.count}",
            channel="meta",
            number="brand",
            sender=Sender(phone=phone, bsuid=bsuid, name="Budi"),
            provider_ms=None,
            content=content,
            referral=referral,
        )
        self.market.clock.advance(1000)
        row = Arrived(self.market.clock.wall_ms())
        self.market.do(lambda c: self._take(c, message, row))

    def _take(self, connection, message, row):
        """As the gateway does it."""
        sender = message.sender
        if sender.phone == REP_PHONE:
            self.market.leads.rep_message(connection, "per_1", message, row)
            return
        contact = self.contacts.meet(
            connection,
            phone=sender.phone,
            bsuid=sender.bsuid,
            name=sender.name,
            now_ms=row.received_ms,
        )
        lead = self.conversation.hear(connection, contact, message, row)
        self.contacts.keep(
            connection,
            contact=contact,
            lead=lead,
            direction="in",
            at_ms=row.received_ms,
            kind="text",
            text=message.content.body if isinstance(message.content, Text) else None,
            message_id=message.id,
        )

    def lead(self):
        """The newest lead of the customer."""
        with self.market.database.read() as connection:
            contact = self.contacts.find(connection, phone="6281234567890", bsuid="ID.1")
            return None if contact is None else store.newest_of(connection, contact)

    def asked(self):
        """What the customer was asked, in order."""
        return [d.data["question"] for d in self.market.outbox.said("question")]


@pytest.fixture
def front(database):
    """One dealer, two reps."""
    market = Market(database)
    market.town.add(a_dealer("SBY01", 1.0), a_rep(1, "SBY01"), a_rep(2, "SBY01"))
    front = Front(market)
    market.renderer = LeadRenderer(
        market.town,
        ContactBook(front.contacts),
        ScreeningWords(),
        claim_s=300,
        contact_s=1800,
    )
    return front


def screened(front):
    """Everything answered."""
    front.hears("Halo, saya mau beli motor")
    front.hears(PIN)
    front.hears(Tap("MODEL_E8", "Model E8"))
    front.hears(Tap("PAY_cash", "Tunai"))
    front.hears(Tap("WHEN_now", "Sekarang"))
    return front.lead()


def test_from_the_first_word_to_the_offers(front):
    """Asked once each, in order; then the nearest reps hear of it and the customer too."""
    lead = screened(front)
    assert front.asked() == ["location", "model", "payment", "buy_when"]
    assert (lead.state, lead.model, lead.payment, lead.buy_when) == (
        "UNCLAIMED",
        "E8",
        "cash",
        "now",
    )
    assert lead.consent_version is not None
    assert len(front.market.outbox.said("offer")) == 2
    [told] = front.market.outbox.said("told_dealers")
    assert "1 dealer" not in front.market.words(told).text
    front.market.tap("per_1", f"CLAIM_{lead.id}")
    [card] = front.market.outbox.said("card")
    text = front.market.words(card).text
    assert "Budi" in text
    assert "Halo, saya mau beli motor" in text
    [told] = front.market.outbox.said("told_customer")
    assert front.market.words(told).text.endswith(" akan menghubungi Anda.\nAlamat: Jalan SBY01 1.")


def test_the_timeline_tells_each_question_once_and_a_remark_as_none(front):
    """When it has gone out, with what was asked."""
    front.hears("Halo")
    front.hears("orang")
    for draft in front.market.outbox.said("question"):
        for state in ("sending", "accepted", "delivered"):
            change = Change(
                id="out_x", to=draft.to, role="customers", kind=draft.kind, ref=draft.ref,
                data=draft.data, state=state, at_ms=1,
            )  # fmt: skip
            front.market.do(partial(front.market.leads.offer_status, change=change))
    asked = [
        (event.kind, loads(event.detail)["question"])
        for event in front.market.events(front.lead().id)
        if event.kind in {"question.asked", "notice.sent"}
    ]
    assert asked == [("question.asked", "location"), ("notice.sent", "human")]


def test_an_advertisement_is_remembered(front):
    """Where the customer came from stands with the lead."""
    front.hears("Halo", referral=Referral(source_id="120226", click_id="abc"))
    lead = front.lead()
    assert (lead.source, lead.campaign) == ("whatsapp_ad", "120226")
    assert "abc" in lead.first_touch


def test_a_silent_customer_is_nudged_once_then_the_lead_goes_out(front):
    """With what is known, and none stays in screening."""
    front.hears("Halo")
    front.hears(PIN)
    front.market.pass_time(600_000)
    assert front.asked() == ["location", "model", "nudge"]
    front.market.pass_time(1_800_000)
    assert front.lead().state == "UNCLAIMED"
    front.market.pass_time(600_000)
    assert front.asked().count("nudge") == 1


def test_a_silent_customer_without_a_place_needs_a_person(front):
    """Nobody can be offered a lead from nowhere."""
    front.hears("Halo")
    front.market.pass_time(86_400_000)
    lead = front.lead()
    assert (lead.state, lead.human) == ("QUALIFIED", True)
    assert front.market.bells.rung[0]["rule"] == "lead_human"
    front.hears(PIN)
    front.market.pass_time(0)
    assert front.lead().state == "UNCLAIMED"


def test_stop_before_a_claim_takes_the_lead_off_the_market(front):
    """Nothing more is said, and no tap wins."""
    lead = screened(front)
    front.hears("berhenti")
    assert front.lead().state == "OPTED_OUT"
    assert front.market.tap("per_1", f"CLAIM_{lead.id}") == "expired"
    [told] = front.market.outbox.said("told_dealers")
    assert isinstance(front.market.words(told), Withhold)
    count = len(front.market.outbox.drafts)
    front.hears("halo?")
    assert len(front.market.outbox.drafts) == count
    front.hears("mulai")
    front.hears("halo lagi")
    assert front.lead().id != lead.id
    assert front.lead().previous == lead.id


def test_stop_after_a_claim_is_told_to_the_rep(front):
    """They may not write any more."""
    lead = screened(front)
    front.market.tap("per_1", f"CLAIM_{lead.id}")
    front.hears("STOP")
    [told] = front.market.outbox.said("stopped")
    assert told.to == "per_1"
    assert "Budi" in front.market.words(told).text


def test_who_asks_for_deletion_is_answered_and_left_alone(front):
    """The erasure is asked for; the lead is closed meanwhile."""
    screened(front)
    front.hears("hapus data saya")
    assert front.lead().state == "OPTED_OUT"
    assert front.asked()[-1] == "erasing"
    with front.market.database.read() as connection:
        due = front.contacts.erasures_due(connection, front.market.clock.wall_ms() + 1)
    assert due == [front.lead().contact]
    said = len(front.market.outbox.drafts)
    front.hears("ok terima kasih")
    assert (front.lead().state, len(front.market.outbox.drafts)) == ("OPTED_OUT", said)


def test_who_asks_for_a_person_gets_one(front):
    """Head office is told, the customer too, once."""
    front.hears("Halo")
    front.hears("orang")
    front.hears("CS")
    assert front.lead().human
    assert len(front.market.bells.rung) == 1
    assert "human" in front.asked()


def test_who_asks_for_a_person_after_the_claim_is_answered_too(front):
    """The customer hears it from us, the owner that they wrote, head office that they asked."""
    lead = screened(front)
    front.market.tap("per_1", f"CLAIM_{lead.id}")
    front.hears("orang")
    assert front.asked()[-1] == "human"
    assert [draft.to for draft in front.market.outbox.said("again")] == ["per_1"]
    assert front.lead().human


def form_without_consent(front, **known):
    """A form's lead that may not be written to."""
    at = {"lat_udeg": round(SURABAYA[0] * 1e6), "lon_udeg": round(SURABAYA[1] * 1e6)}

    def work(connection):
        now_ms = front.market.clock.wall_ms()
        contact = front.contacts.meet(
            connection, phone="6281234567890", bsuid=None, name="Budi", now_ms=now_ms
        )
        start = Beginning(contact=contact, source="form")
        lead = front.market.leads.begin(connection, start, now_ms)
        store.change(connection, lead.id, state="QUALIFIED", **at, **known)

    front.market.do(work)


def test_a_form_without_consent_goes_on_when_its_person_writes(front):
    """To write to us is to agree to what we then show: offered, and asked for the rest."""
    form_without_consent(front)
    front.hears("halo")
    front.market.pass_time(0)
    lead = front.lead()
    assert (lead.state, lead.consent_version) == ("UNCLAIMED", CONSENT_VERSION)
    [asked] = front.market.outbox.said("question")
    assert asked.data["question"] == "model"
    assert asked.data["first"] is True


def test_who_agrees_with_nothing_left_to_ask_reads_what_they_agree_to(front):
    """The words are said although there is no question to say them with."""
    form_without_consent(front, model="E8", payment="cash", buy_when="now")
    front.hears("halo")
    said = [draft.data for draft in front.market.outbox.said("question")]
    assert {"question": "noted", "first": True} in said
    assert front.lead().next_step == "route"


def test_who_goes_on_writing_without_an_answer_is_not_asked_for_a_day(front):
    """Every half hour another voice note: the lead goes out with what is known all the same."""
    front.hears("Halo, E8 ada?")
    began_ms = front.lead().received_ms
    for _ in range(47):
        front.hears(Media("audio"))
        front.market.pass_time(30 * 60_000)
        if front.lead().state != "SCREENING":
            break
    assert front.lead().state == "QUALIFIED"
    assert front.market.clock.wall_ms() - began_ms < 24 * 3_600_000
    asked = front.market.outbox.said("question")
    assert [draft.data.get("question") for draft in asked].count("nudge") <= 1


def test_a_reps_message_never_starts_a_screening(front):
    """Whatever a rep writes, there is no lead of it."""
    for content in (Text("halo"), PIN, Tap("X", "x")):
        front.hears(content, phone=REP_PHONE)
    with front.market.database.read() as connection:
        assert connection.scalar(select(func.count()).select_from(LEAD)) == 0
    assert [draft.data["text"] for draft in front.market.outbox.said("reply")] == ["rep_words"] * 2


def test_a_customer_without_a_number_is_asked_for_it(front):
    """By BSUID alone: the number is the last question, and is not guessed."""
    for content in ("Halo", PIN, Tap("MODEL_E8", ""), Tap("PAY_cash", ""), Tap("WHEN_now", "")):
        front.hears(content, phone=None, bsuid="ID.1")
    assert front.asked()[-1] == "phone"
    assert front.lead().state == "SCREENING"
    front.hears(ContactCard(phones=("0812-3456-7890",), own=True), phone=None, bsuid="ID.1")
    lead = front.lead()
    assert lead.state == "UNCLAIMED"
    with front.market.database.read() as connection:
        assert front.contacts.contact(connection, lead.contact).phone == "6281234567890"


def test_an_owned_lead_is_not_screened_again(front):
    """The owner hears that the customer wrote, once a day; the customer is asked nothing."""
    lead = screened(front)
    front.market.tap("per_1", f"CLAIM_{lead.id}")
    asked = front.asked()
    front.hears(Tap(f"CALLED_YES_{lead.id}", "Sudah"))
    assert front.market.outbox.said("again") == []
    front.hears("masih di sana?")
    front.hears("halo?")
    assert front.asked() == asked
    assert [draft.to for draft in front.market.outbox.said("again")] == ["per_1"]


def test_a_correction_counts_while_nobody_has_the_lead(front):
    """Until somebody claims it, the wishes are what was said last."""
    screened(front)
    front.hears("kredit saja")
    assert (front.lead().payment, front.lead().state) == ("instalments", "UNCLAIMED")


def test_the_customer_may_stop_in_whatsapps_own_settings(front):
    """It ends the lead as STOP does."""
    lead = screened(front)
    front.market.do(
        lambda c: front.market.leads.opted_out(c, lead.contact, front.market.clock.wall_ms())
    )
    assert front.lead().state == "OPTED_OUT"
