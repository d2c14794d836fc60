"""The languages of the pages: which one a person reads, and how to say it.

Promises: the choice is the account's, else the cookie's, else the browser's, else Indonesian.
"""

from gettext import NullTranslations
from pathlib import Path
from typing import Final, cast

import flask_babel
from flask import Flask, g, request
from markupsafe import Markup, escape

LANGUAGES: Final = {"id": "Bahasa Indonesia", "en": "English"}
DEFAULT_LANGUAGE = "id"
LANGUAGE_COOKIE = "kickstand_language"
TRANSLATIONS = Path(__file__).parent / "translations"


def chosen_language() -> str:
    """The language of this request."""
    account = getattr(g, "account", None)
    for choice in (getattr(account, "language", None), request.cookies.get(LANGUAGE_COOKIE)):
        if choice in LANGUAGES:
            return cast("str", choice)
    return request.accept_languages.best_match(list(LANGUAGES)) or DEFAULT_LANGUAGE


def current_language() -> str:
    """The language that is being written right now; asked of Babel once a request."""
    language = g.get("language")
    if language is None:
        locale = flask_babel.get_locale()
        language = g.language = DEFAULT_LANGUAGE if locale is None else str(locale.language)
    return cast("str", language)


def _catalogue() -> NullTranslations:
    """The texts of this request's language; a page says hundreds of them."""
    found = g.get("catalogue")
    if found is None:
        found = g.catalogue = flask_babel.get_translations()
    return cast("NullTranslations", found)


def say(text: str, /, **values: object) -> str:
    """`text` in the reader's language. The English text is the key of the catalogue."""
    said = _catalogue().gettext(text)
    return said % values if values else said


def say_html(text: str, /, **values: object) -> Markup:
    """`text` in the reader's language, with values that may be Markup; plain ones are escaped."""
    escaped = {name: escape(value) for name, value in values.items()}
    return Markup(str(escape(_catalogue().gettext(text))) % escaped)  # noqa: S704 - both escaped


def say_many(one: str, many: str, amount: int, /, **values: object) -> str:
    """The form for `amount` of a phrase; values are passed already formatted."""
    said = _catalogue().ngettext(one, many, amount)
    return said % values if values else said


def later(text: str) -> str:
    """Mark a text for the catalogue that is said later, by `say`."""
    return text


def install_languages(app: Flask) -> None:
    """Give the app its catalogues and its choice of language."""
    flask_babel.Babel(
        app,
        default_locale=DEFAULT_LANGUAGE,
        default_translation_directories=str(TRANSLATIONS),
        locale_selector=chosen_language,
    )
    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]
        lambda text: _catalogue().gettext(text),
        lambda one, many, n: _catalogue().ngettext(one, many, n),
        newstyle=True,
    )
