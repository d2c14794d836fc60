"""Templates: files in both languages, pushed to Meta, and used as long as Meta lets us."""

import re
from pathlib import Path

import pytest

from firmware_sim.providers.graph import Graph as MetaStandIn
from firmware_sim.providers.whatsapp import WhatsApp
from hub.inbox.incoming import TemplateNews
from hub.integrations.whatsapp.graph import Graph, GraphSettings
from hub.integrations.whatsapp.template_book import TemplateBook, TemplateState
from hub.integrations.whatsapp.template_files import LANGUAGES, template_files
from hub.integrations.whatsapp.template_shelf import ShelfUnreadable, TemplateShelf
from tests.fakes.manual_clock import ManualClock

VARIABLE = re.compile(r"\{\{(\d+)\}\}")
NAMES = sorted({name for name, _ in template_files()})
PURPOSES = {"offer": ["lead_offer_v1", "lead_offer_v2"], "reminder": ["lead_reminder_v1"]}


@pytest.fixture
def meta_account():
    """An account with one number and no templates."""
    clock = ManualClock()
    stand_in = MetaStandIn(WhatsApp(clock), clock=clock)
    stand_in.start()
    yield stand_in
    stand_in.stop()


def shelf_of(stand_in, book, *, claim_s=300, token=None):
    graph = Graph(GraphSettings(api_url=stand_in.url, access_token=token or stand_in.access_token))
    return TemplateShelf(graph, stand_in.waba_id, book, {"offer": claim_s})


@pytest.mark.parametrize("name", NAMES)
def test_a_template_says_the_same_in_both_languages(name):
    """Both files have the same purpose, parameters and taps, a button each, and an example each."""
    files = [template_files()[name, language] for language in LANGUAGES]

    assert 1 == len({(file.purpose, file.parameters, file.taps) for file in files})
    for file in files:
        numbers = [int(number) for number in VARIABLE.findall(file.body)]
        assert list(range(1, len(file.parameters) + 1)) == numbers
        assert len(file.parameters) == len(file.example)
        assert len(file.taps) == len(file.buttons)
        assert "UTILITY" == file.category


def test_every_file_is_found_by_its_name():
    """Each of the eight templates has both languages."""
    assert 8 == len(NAMES)
    assert {(name, language) for name in NAMES for language in LANGUAGES} == set(template_files())


@pytest.mark.parametrize("name", NAMES)
def test_the_page_says_what_the_file_says(name):
    """docs/whatsapp.md has each template in the row of its purpose, parameters and taps."""
    file = template_files()[name, "id"]
    page = Path(__file__).parents[4] / "docs" / "whatsapp.md"
    (row,) = [
        line for line in page.read_text().splitlines() if line.startswith("|") and name in line
    ]
    cells = [cell.strip() for cell in row.strip("|").split("|")]

    assert f"`{file.purpose}`" == cells[0]
    assert ", ".join(file.parameters) == cells[2]
    assert ", ".join(f"`{tap}`" for tap in file.taps) == cells[3]


def test_every_file_passes_meta_s_rules(meta_account):
    """All of them can be submitted as they are, and are approved with their lifetime."""
    book = TemplateBook({"any": NAMES})

    pushed = shelf_of(meta_account, book).push()

    assert {"created"} == {one.done for one in pushed}
    assert len(template_files()) == len(meta_account.templates.all())


def test_pushing_twice_changes_nothing(meta_account):
    """What is there is left alone; a new claim time edits the offers, and them only."""
    book = TemplateBook(PURPOSES)
    shelf_of(meta_account, book).push()

    again = shelf_of(meta_account, book).push()
    slower = shelf_of(meta_account, book, claim_s=600).push()

    assert {"unchanged"} == {one.done for one in again}
    assert {"lead_offer_v1", "lead_offer_v2"} == {
        one.name for one in slower if one.done == "changed"
    }
    assert {600, None} == {kept.ttl_s for kept in meta_account.templates.all()}


@pytest.mark.parametrize(("claim_s", "lifetime_s"), [(1, 30), (300, 300), (90_000, 43_200)])
def test_a_lifetime_is_what_meta_takes(meta_account, claim_s, lifetime_s):
    """The claim time, within Meta's bounds."""
    book = TemplateBook({"offer": ["lead_offer_v1"]})
    shelf = shelf_of(meta_account, book, claim_s=claim_s)

    shelf.push()

    assert {lifetime_s} == {kept.ttl_s for kept in meta_account.templates.all()}
    assert {"unchanged"} == {one.done for one in shelf.push()}


def test_status_shows_what_is_missing_and_why(meta_account):
    """Missing, approved, rejected with a reason; a name without a file is the admin's own."""
    book = TemplateBook({"offer": ["lead_offer_v1"], "won": ["our_own"]})
    shelf = shelf_of(meta_account, book)
    before = {(one.name, one.language): one for one in shelf.standing()}
    pushed = {(one.name, one.language): one.done for one in shelf.push()}
    rejected = meta_account.templates.find("lead_offer_v1", "en")
    meta_account.templates.become(rejected, "REJECTED", "INCORRECT_CATEGORY")
    after = {(one.name, one.language): one for one in shelf.standing()}

    assert ("MISSING", False) == (
        before["lead_offer_v1", "id"].state,
        before["lead_offer_v1", "id"].pushed,
    )
    assert ("created", "no_file") == (pushed["lead_offer_v1", "id"], pushed["our_own", "id"])
    assert ("APPROVED", "UTILITY", True) == (
        after["lead_offer_v1", "id"].state,
        after["lead_offer_v1", "id"].category,
        after["lead_offer_v1", "id"].pushed,
    )
    assert ("REJECTED", "INCORRECT_CATEGORY") == (
        after["lead_offer_v1", "en"].state,
        after["lead_offer_v1", "en"].reason,
    )


def test_a_long_list_is_read_to_its_end(meta_account):
    """Templates on later pages are found."""
    for number in range(130):
        meta_account.templates.approved(f"other_{number:03}", "id", "Halo")
    meta_account.templates.approved("lead_offer_v1", "id", "Halo")
    book = TemplateBook({"offer": ["lead_offer_v1"]})

    shelf_of(meta_account, book).refresh()

    assert [("lead_offer_v1", "id")] == book.candidates("offer", "id")


def test_a_list_that_cannot_be_read(meta_account):
    """It is an error with Meta's words, and the book keeps what it knew."""
    book = TemplateBook(PURPOSES)

    with pytest.raises(ShelfUnreadable, match="190"):
        shelf_of(meta_account, book, token="another").refresh()
    assert book.candidates("offer", "id")


def test_nothing_known_is_tried():
    """Before Meta was asked every template of the list is a candidate, the language's own first."""
    book = TemplateBook({"offer": ["a", "b"]})

    assert [("a", "en"), ("b", "en"), ("a", "id"), ("b", "id")] == book.candidates("offer", "en")
    assert [("a", "id"), ("b", "id")] == book.candidates("offer", "id")
    assert [] == book.candidates("won", "id")


def test_only_what_meta_lists_as_approved_is_used():
    """In the order of the settings: the first approved one is the first candidate."""
    book = TemplateBook({"offer": ["a", "b", "c"]})
    book.listed(
        {
            ("a", "id"): TemplateState(state="PAUSED"),
            ("c", "id"): TemplateState(state="APPROVED"),
        }
    )

    assert [("c", "id")] == book.candidates("offer", "en")
    assert TemplateState(state="MISSING") == book.state("b", "id")


def news(event, reason=None, name="a"):
    return TemplateNews(name=name, language="id", event=event, reason=reason)


@pytest.mark.parametrize("event", ["PAUSED", "REJECTED", "DISABLED", "PENDING_DELETION"])
def test_bad_news_takes_a_template_out(event):
    """From the webhook on it is no candidate and somebody is told; good news puts it back."""
    book = TemplateBook({"offer": ["a"]})

    assert book.heard(news(event))
    assert [] == book.candidates("offer", "id")
    assert not book.heard(news("APPROVED"))
    assert [("a", "id")] == book.candidates("offer", "id")


def test_a_template_that_became_marketing():
    """It can still be sent, and somebody is told: it costs more and is held back by Meta."""
    book = TemplateBook({"offer": ["a"]})

    assert book.heard(news("CATEGORY:MARKETING", "announced"))
    assert [("a", "id")] == book.candidates("offer", "id")
    assert not book.heard(news("CATEGORY:MARKETING", name="somebody_else_s"))


def test_meta_s_list_heals_what_was_refused():
    """A template that was refused once is used again when Meta lists it as approved."""
    book = TemplateBook({"offer": ["a"]})
    book.refused("a", "id", 132015)
    refused = book.candidates("offer", "id")
    book.listed({("a", "id"): TemplateState(state="APPROVED")})

    assert [] == refused
    assert [("a", "id")] == book.candidates("offer", "id")
