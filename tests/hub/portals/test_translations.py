"""The Indonesian catalogue: complete, in step with the pages, compiled as it is written."""

import re
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

import hub.portals
from hub.leads import renderer
from hub.portals.languages import LANGUAGES, TRANSLATIONS
from hub.portals.lead_words import MESSAGE_KINDS, REASONS

PORTALS = Path(hub.portals.__file__).parent
ROOT = PORTALS.parent.parent
KEYWORDS = {
    "_": None, "gettext": None, "ngettext": (1, 2),
    "say": None, "say_html": None, "say_many": (1, 2), "later": None,
}  # fmt: skip
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
PLACE = re.compile(r"%\(\w+\)s|\{n\}")


def texts() -> dict[str, str | tuple[str, ...]]:
    """Every text of the pages, by its English singular."""
    found = extract_from_dir(
        PORTALS,
        METHODS,
        {"**/templates/**.html": {"newstyle_gettext": "true", "trim_blocks": "true"}},
        keywords=KEYWORDS,
    )
    return {
        message if isinstance(message, str) else message[0]: message
        for _, _, message, _, _ in found
    }


def catalogue(language: str) -> Catalog:
    """The catalogue as it is written."""
    with (TRANSLATIONS / language / "LC_MESSAGES" / "messages.po").open("rb") as file:
        return read_po(file, locale=language, abort_invalid=True)


def singular(message_id: object) -> str:
    """The English key of a message."""
    return message_id if isinstance(message_id, str) else message_id[0]  # type: ignore[index]


def strings(text: object) -> tuple[str, ...]:
    """All forms of a translation."""
    return (text,) if isinstance(text, str) else tuple(text)  # type: ignore[arg-type]


def test_every_text_has_its_translation_and_none_is_left_over() -> None:
    """`pybabel extract -k say -k say_html -k say_many:1,2 -k later` finds what the file holds."""
    for language in set(LANGUAGES) - {"en"}:
        written = {singular(m.id): m for m in catalogue(language) if m.id}

        assert set(texts()) == set(written)
        for message in written.values():
            assert all(strings(message.string)), message.id
            assert not message.fuzzy, message.id


def test_translations_keep_the_places_of_their_values() -> None:
    """A number or a name is neither lost nor invented in translation."""
    for message in catalogue("id"):
        if not message.id:
            continue
        wanted = set(PLACE.findall(singular(message.id)))
        for text in strings(message.string):
            assert set(PLACE.findall(text)) == wanted, message.id


def test_the_compiled_catalogue_is_the_written_one() -> None:
    """What the hub reads is what a person has reviewed: `pybabel compile -d translations`."""
    compiled = (TRANSLATIONS / "id" / "LC_MESSAGES" / "messages.mo").read_bytes()
    read = read_mo(BytesIO(compiled))
    written = catalogue("id")

    assert {singular(m.id): strings(m.string) for m in read if m.id} == {
        singular(m.id): strings(m.string) for m in written if m.id
    }


def test_every_reason_has_words() -> None:
    """What ends a lead or takes it back is told in words, never as the code's own name."""
    written = {
        reason
        for path in (ROOT / "hub/leads").glob("*.py")
        for line in path.read_text(encoding="utf-8").splitlines()
        if "reason=" in line
        for reason in re.findall(r'"([a-z_]+)"', line.partition("reason=")[2])
    }
    assert {"sold", "sold_elsewhere", "contact", "denied"} <= written
    assert set() == written - REASONS.keys()


def test_every_kind_of_message_has_a_name():
    """The outbox page shows a kind as words, in either language, never as the code's own name."""
    assert set() == set(renderer._MAKERS) - set(MESSAGE_KINDS)
