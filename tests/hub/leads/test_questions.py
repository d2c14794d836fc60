"""A question is worded when it goes out: in today's language, and only while it is open."""

from hashlib import sha256

import pytest
from sqlalchemy import create_engine

from hub.inbox.incoming import Text
from hub.leads.questions import _TEXTS, CONSENT_TEXTS, CONSENT_VERSION, ScreeningWords
from hub.leads.records import Lead
from hub.leads.screening import answer, begin, dump
from hub.outbox.messages import Outgoing, Rendered, Withhold

PUBLISHED = {
    ("2026-11", "id"): "083ea8aebeea6c6007257b607b8c6cefbcba1611b2e0f8c7311b72cbed9e58b5",
    ("2026-11", "en"): "2af43e70434e3a23dac6aed2ae2641b2f26830586856f95091d035b6cf2d70af",
    ("2026-11-counter", "id"): "cdbf59781c0dac76d74fdb0b9f646b2f5a3760e74d8e73ce95154b508f2f6971",
    ("2026-11-counter", "en"): "adeeb0847028153d855132c8874fdc3b229abbed78918b582eb2a233e7093c5a",
}
"""What people have agreed to: added to, never changed."""
MODELS = (("E8", "E8"), ("G5", "G5 with a name longer than a row can show"))


def test_what_people_agreed_to_is_never_reworded():
    """New words are a new version: with a consent stands the version alone."""
    texts = {
        (version, language): sha256(words.encode()).hexdigest()
        for version, by_language in CONSENT_TEXTS.items()
        for language, words in by_language.items()
    }
    assert texts == PUBLISHED
    assert all(_TEXTS[each]["first"] == CONSENT_TEXTS[CONSENT_VERSION][each] for each in _TEXTS)


def said(data, *sent, language="id", state="SCREENING"):
    """What goes out for a row, after the customer has sent these words."""
    screening = begin(has_phone=True)
    for words in sent:
        screening = answer(screening, Text(words), models=MODELS).state
    lead = Lead(
        id="led_a",
        contact="cus_a",
        state=state,
        language=language,
        screening=dump(screening),
        received_ms=1,
    )
    row = Outgoing(
        id="out_a",
        to="cus_a",
        role="customers",
        kind="question",
        ref="led_a",
        data=data,
        created_ms=1,
    )
    with create_engine("sqlite://").connect() as connection:
        return ScreeningWords().render(connection, lead, row)


def test_both_languages_have_the_same_words():
    """No text exists in one language only."""
    assert _TEXTS["id"].keys() == _TEXTS["en"].keys()


def test_the_first_question_asks_for_a_location_and_says_why():
    """A location request with the greeting, what happens with the data, and the ways out."""
    first = said({"question": "location", "first": True}, "Halo")
    assert isinstance(first, Rendered)
    assert "location" == first.asks
    assert all(word in first.text for word in ("BERHENTI", "HAPUS DATA SAYA", "ENGLISH"))


def test_a_question_that_was_answered_meanwhile_is_withheld():
    """Two messages in a row: the answer to the second makes the first question untrue."""
    assert isinstance(said({"question": "location"}, "Halo", "Surabaya"), Withhold)
    assert isinstance(said({"question": "location"}, "Halo"), Rendered)
    assert isinstance(said({"question": "location"}, "Halo", "orang"), Withhold)


def test_a_nudge_asks_the_open_question_again():
    """With its rows, in their language; when nothing is open it is withheld."""
    nudge = said({"question": "nudge"}, "Halo", "Surabaya", language="en")
    assert isinstance(nudge, Rendered)
    assert nudge.text.startswith("Still interested?")
    assert ["MODEL_E8", "MODEL_G5", "MODEL_any"] == [row.id for row in nudge.rows]
    assert all(0 < len(row.title) <= 24 for row in nudge.rows)
    done = ("Halo", "Surabaya", "E8", "cash", "nanti")
    assert isinstance(said({"question": "nudge"}, *done), Withhold)
    assert isinstance(said({"question": "nudge"}, "Halo", state="CLAIMED"), Withhold)


@pytest.mark.parametrize("question", ["", "nothing"])
def test_words_that_nobody_knows_are_withheld(question):
    """A row of another release is not sent as nonsense."""
    found = said({"question": question}, "Halo")
    assert isinstance(found, Withhold)
