"""The conversation with a customer, as scripts: what they send and what they are asked."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.inbox.incoming import ContactCard, Media, Other, Pin, Tap, Text
from hub.leads.answers import command, language_of, model_in, payment_in, when_in
from hub.leads.questions import worded
from hub.leads.screening import Say, Screening, answer, ask, begin, dump, load
from hub.outbox.messages import Rendered

MODELS = (("E8", "E8"), ("E8P", "E8 Pro"), ("G5", "G5"))
SURABAYA = Pin(lat=-7.2575, lon=112.7521)
CITY = Text("Surabaya")


class Talk:
    """A customer and the screening of one lead."""

    def __init__(self, **known):
        self.state = begin(**({"has_phone": True} | known))
        self.phone = None

    def sends(self, content):
        """What is said to that."""
        content = Text(content) if isinstance(content, str) else content
        # Stored and read again each time, as between two messages.
        came = answer(load(dump(self.state)) or self.state, content, models=MODELS)
        self.state = came.state
        self.phone = came.phone or self.phone
        for say in came.says:
            for language in ("id", "en"):
                said = worded(say.question, say.data, language)
                assert isinstance(said, Rendered), say
                assert len(said.buttons) <= 3
                assert len(said.rows) <= 10
                assert all(len(button.title) <= 20 for button in said.buttons)
                assert all(0 < len(row.title) <= 24 for row in said.rows)
                assert len({row.id for row in said.rows}) == len(said.rows)
        return [say.question for say in came.says]


def test_the_usual_conversation():
    """Pin, model, payment, when: four questions, then nothing more is asked."""
    talk = Talk()
    assert ["location"] == talk.sends("Halo")
    assert ["model"] == talk.sends(SURABAYA)
    assert ["payment"] == talk.sends(Tap("MODEL_E8", "E8"))
    assert ["buy_when"] == talk.sends(Tap("PAY_cash", "Tunai"))
    assert [] == talk.sends(Tap("WHEN_now", "Sekarang"))

    assert talk.state.done
    state = talk.state
    assert (-7.2575, "E8", "cash", "now") == (
        state.lat,
        state.model,
        state.payment,
        state.buy_when,
    )
    assert "Surabaya" in (state.area or "")


def test_who_answers_twice_is_asked_once():
    """A tap that came twice, or a question that did: asked again it would be answered again, and
    there would be twice as many questions with every step."""
    talk = Talk()
    talk.sends("Halo")
    for content, said in (
        (SURABAYA, ["model"]),
        (Tap("MODEL_E8", "E8"), ["payment"]),
        (Text("cash"), ["buy_when"]),
        (Tap("WHEN_now", "Sekarang"), []),
        (Tap("MODEL_G5", "G5"), ["noted"]),
    ):
        assert said == talk.sends(content)
        assert [] == talk.sends(content)


def test_the_first_question_says_what_happens_with_the_answers():
    """Greeting and consent stand before the first question and before no other."""
    came = answer(begin(has_phone=True), Text("Halo"), models=MODELS)
    assert came.says == (Say("location", {"first": True}),)
    assert "first" not in answer(came.state, CITY, models=MODELS).says[0].more


def test_what_is_told_at_once_is_not_asked():
    """One sentence may answer three questions."""
    talk = Talk()
    assert ["buy_when"] == talk.sends("Halo, saya mau beli E8 Pro cash di Wonokromo, Surabaya")
    assert ("E8P", "cash", "Wonokromo, Surabaya") == (
        talk.state.model,
        talk.state.payment,
        talk.state.area,
    )


def test_what_the_advertisement_told_is_not_asked():
    """A model and a place that are known beforehand are left out."""
    talk = Talk(model="E8", at=(-7.25, 112.75, "Surabaya"))
    assert ["payment"] == talk.sends("Halo")


def test_an_answer_can_be_corrected_at_any_time():
    """A later word for the same thing wins, before and after the end."""
    talk = Talk()
    for content in (CITY, "E8", "cash"):
        talk.sends(content)
    assert ["buy_when"] == talk.sends("eh salah, kredit saja")
    assert "instalments" == talk.state.payment
    assert ["buy_when"] == talk.sends(Pin(lat=-6.2, lon=106.8))
    assert -6.2 == talk.state.lat
    talk.sends("bulan ini")
    assert talk.state.done
    assert ["noted"] == talk.sends("bukan E8, G5")
    assert "G5" == talk.state.model


def test_english_is_answered_in_english_and_can_be_changed():
    """Their first words decide; ENGLISH and INDONESIA ask the open question again."""
    talk = Talk()
    talk.sends("Hello, I would like to buy a scooter")
    spoken = [talk.state.language]
    assert ["location"] == talk.sends("indonesia")
    assert ["en", "id"] == [*spoken, talk.state.language]


def test_two_unknown_places_lead_to_a_list_and_then_to_a_person():
    """Nobody types in vain for ever."""
    talk = Talk()
    talk.sends("Halo")
    assert ["place_unknown", "location"] == talk.sends("xyzzy")
    assert ["cities"] == talk.sends("plugh")
    assert ["human"] == talk.sends("qwrtp")
    assert talk.state.human
    assert talk.state.done
    assert [] == talk.sends("halo?")


def test_a_city_of_the_list_is_taken():
    """By its id, or by its title where a channel gives only that; "another" lets them type."""
    for tap in (None, "id"):
        talk = Talk()
        for words in ("Halo", "xyzzy", "plugh"):
            talk.sends(words)
        key, title = talk.state.options[1]
        assert ["model"] == talk.sends(Tap(key if tap else None, title))
        assert "Surabaya, Jawa Timur" == talk.state.area

    talk = Talk()
    for words in ("Halo", "xyzzy", "plugh"):
        talk.sends(words)
    assert ["location"] == talk.sends(Tap("PLACE_other", "Tempat lain"))
    assert ["model"] == talk.sends("Sidoarjo")


def test_a_name_of_several_places_is_asked_about():
    """Taman is in Sidoarjo and in Pemalang; a whole province has no nearest dealer."""
    talk = Talk()
    talk.sends("Halo")
    assert ["which"] == talk.sends("Taman")
    assert ["model"] == talk.sends(Tap(talk.state.options[1][0], "Taman"))
    assert "Taman, Kabupaten Sidoarjo" == talk.state.area

    talk = Talk()
    talk.sends("Halo")
    assert ["which"] == talk.sends("Jawa Timur")
    assert ["model"] == talk.sends("Malang")


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        (Pin(lat=0.0, lon=0.0), ["pin_zero", "location"]),
        (Pin(lat=37.46, lon=-122.21), ["pin_abroad", "location"]),
        (Pin(lat=112.7521, lon=-7.2575), ["model"]),
        ("https://maps.app.goo.gl/abc", ["link", "location"]),
        ("https://maps.google.com/?q=-7.2575,112.7521", ["model"]),
        (Media("voice"), ["media", "location"]),
        (Media("image", "saya di Surabaya"), ["model"]),
        (Other("reaction"), []),
    ],
)
def test_what_may_come_instead_of_a_place(pin, says):
    """Impossible pins, links and voice notes get an answer; a reaction gets none."""
    talk = Talk()
    talk.sends("Halo")
    assert says == talk.sends(pin)


def test_an_answer_is_asked_for_twice_at_most():
    """After that the lead has a gap: better than a customer who is asked a third time."""
    talk = Talk(model="E8", at=(-7.25, 112.75, "Surabaya"))
    assert ["payment"] == talk.sends("Halo")
    assert ["not_understood", "payment"] == talk.sends("hmm")
    assert ["buy_when"] == talk.sends("hmm")
    assert [] == talk.sends("belum tahu")
    assert ("unknown", "unknown") == (talk.state.payment, talk.state.buy_when)
    assert talk.state.done


def test_who_has_no_number_is_asked_for_it_last():
    """A shared card or a typed number; a landline is none, and the state never holds it."""
    talk = Talk(has_phone=False)
    for content in ("Halo", CITY, "G5", "cash"):
        talk.sends(content)
    assert ["phone"] == talk.sends("sekarang")
    assert ["phone_wrong", "phone"] == talk.sends(ContactCard(("021 5299 3000",), own=True))
    assert [] == talk.sends(ContactCard(("+62 812-3456-7890",), own=True))
    assert "6281234567890" == talk.phone
    assert talk.state.done
    assert "812" not in dump(talk.state)


def test_somebody_else_s_card_is_not_their_number():
    """A shared contact is their number only when it was asked for."""
    talk = Talk(has_phone=False)
    talk.sends("Halo")
    assert [] == talk.sends(ContactCard(("+62 812-3456-7890",), own=False))
    assert talk.phone is None


def test_a_person_can_be_asked_for_at_any_time():
    """ORANG, HUMAN and CS end the questions."""
    for word in ("ORANG", "human", "Cs"):
        talk = Talk()
        talk.sends("Halo")
        assert ["human"] == talk.sends(word)
        assert talk.state.human


def test_without_models_none_is_asked_for():
    """A hub whose registry has no models yet asks for what it can."""
    state, say = ask(begin(has_phone=True, has_models=False, at=(-7.25, 112.75, "Surabaya")))
    assert say is not None
    assert "payment" == say.question
    assert state.asked == "payment"


def test_a_state_of_another_release_is_none():
    """What cannot be read is begun anew, not guessed."""
    assert load(None) is None
    assert load('{"language":7}') is None
    assert load("nonsense") is None


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("Berhenti!", "stop"),
        ("STOP", "stop"),
        ("hapus data saya", "erase"),
        ("Delete my data.", "erase"),
        ("mulai", "start"),
        ("jangan berhenti", None),
        ("orang Surabaya", None),
    ],
)
def test_an_order_stands_alone(text, meant):
    """A word inside a sentence stops nothing."""
    assert meant == command(text)


def test_words_for_payment_time_and_model():
    """The last one named counts; a longer name is not the shorter one in it."""
    assert "instalments" == payment_in("cash? tidak, cicilan")
    assert payment_in("berapa?") is None
    assert when_in("saya sekarang di Sidoarjo") is None
    assert "month" == when_in("mungkin bulan ini")
    assert "later" == when_in("bulan depan aja")
    assert when_in("kapan ya") is None
    assert "E8P" == model_in("yang e8 pro dong", MODELS)
    assert "E8" == model_in("E8", MODELS)
    assert model_in("motor", MODELS) is None
    assert language_of("ok") is None


CONTENT = st.one_of(
    st.text(max_size=40).map(Text),
    st.sampled_from(
        ["Surabaya", "Taman", "Jawa Timur", "E8", "cash", "nanti", "orang", "english", "xyzzy"]
    ).map(Text),
    st.builds(Pin, lat=st.floats(), lon=st.floats()),
    st.sampled_from(
        [
            "MODEL_E8",
            "MODEL_any",
            "PAY_cash",
            "WHEN_now",
            "PLACE_other",
            "PLACE_x",
            "CLAIM_led",
            None,
        ]
    ).map(lambda key: Tap(key, "Surabaya")),
    st.lists(st.text(max_size=20), max_size=2).map(lambda p: ContactCard(tuple(p), own=True)),
    st.sampled_from([Media("voice"), Other("reaction")]),
)


@settings(max_examples=60)
@given(st.booleans(), st.lists(CONTENT, max_size=25))
def test_every_conversation_ends_or_goes_on(has_phone, contents):
    """
    Whatever is sent in whatever order: what was settled stays settled, at most two messages
    answer one, each can be worded, and while something is missing it is known what was asked.
    """
    talk = Talk(has_phone=has_phone)
    for content in contents:
        before: Screening = talk.state
        assert len(talk.sends(content)) <= 2
        assert set(before.settled) <= set(talk.state.settled)
        if talk.state.begun and not talk.state.done:
            assert talk.state.asked is not None
            # Only a place may be asked about again: the correction of it was not clear.
            assert talk.state.asked == "location" or talk.state.asked not in talk.state.settled
        assert (talk.state.lat is None) == (talk.state.lon is None)
        assert before.human <= talk.state.human


@settings(max_examples=60)
@given(st.booleans(), st.lists(CONTENT, max_size=25))
def test_what_is_said_again_is_not_answered_again(has_phone, contents):
    """Wherever a conversation stands: the same fact once more teaches nothing and asks nothing."""
    state = begin(has_phone=has_phone)
    for content in contents:
        came = answer(state, content, models=MODELS)
        again = answer(came.state, content, models=MODELS)
        if came.learned and not again.learned:
            assert () == again.says
        state = came.state


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["xyzzy", "plugh", "hmm", "qwrtp"]), min_size=12, max_size=12))
def test_nobody_is_asked_for_ever(words):
    """Somebody who answers nothing intelligible is with a person, or done, after a few messages."""
    talk = Talk()
    for word in words:
        talk.sends(word)
    assert talk.state.done
