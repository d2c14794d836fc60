"""The blueprint of the pages, and how one view answers as page, JSON and CSV."""

from collections.abc import Callable
from typing import Any, Final, cast

from flask import Blueprint, Response, redirect

from hub.portals.lists import Form

pages = Blueprint("pages", __name__, template_folder="templates")
everyones = Blueprint("everyones", __name__, template_folder="templates")
"""Pages for people of dealers too: they show each of them no dealer but theirs."""
FORMS: Final[tuple[tuple[str, Form], ...]] = (("", "html"), (".json", "json"), (".csv", "csv"))
View = Callable[..., Any]


def every_form(path: str, *forms: Form, on: Blueprint = pages) -> Callable[[View], View]:
    """Serve a view at `path` and, under the same name, as ``.json`` and ``.csv``."""

    def register(view: View) -> View:
        for suffix, form in FORMS:
            if not forms or form in forms:
                on.add_url_rule(
                    path + suffix,
                    endpoint=f"{view.__name__}_{form}",
                    view_func=view,
                    defaults={"form": form},
                )
        return view

    return register


@pages.get("/")
def home() -> Response:
    """The ledger is where everybody starts."""
    return cast("Response", redirect("/ledger", 302))
