"""The menus every list shares: which store, which time."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from hub.portals.languages import say
from hub.portals.lists import TIMES, Facet, Query
from hub.portals.read_models import Count
from hub.portals.services import dealer_of, portal

STORES_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Menu:
    """A menu among the facets. `label` says what is chosen."""

    label: str
    entries: list[Facet]
    on: bool
    path: str
    keep: list[tuple[str, str]]
    since: str | None = None
    until: str | None = None


def store_menu(query: Query, counts: Mapping[str, Count] | None = None) -> Menu:
    """Every store, the chosen one first in words."""
    chosen = query.one("dealer")
    entries = [Facet(label=say("Any store"), url=query.url(dealer=None), on=chosen is None)]
    # One address a store: only its end differs, and there are hundreds.
    others = query.url(dealer=None)
    joint = "&" if "?" in others else "?"
    for dealer in portal().dealers.dealers()[:STORES_SHOWN]:
        count = None if counts is None else counts.get(dealer.code)
        entries.append(
            Facet(
                label=dealer.name,
                url=f"{others}{joint}dealer={quote(dealer.code)}",
                on=dealer.code == chosen,
                count=count,
            )
        )
    known = dealer_of(chosen)
    label = say("Any store") if chosen is None else (known.name if known else chosen)
    return Menu(
        label=label, entries=entries, on=chosen is not None, path=query.path, keep=query.kept()
    )


def time_menu(query: Query) -> Menu:
    """The usual spans of time, and two dates."""
    named, since, until = query.one("time"), query.one("since"), query.one("until")
    cleared: dict[str, None] = {"since": None, "until": None}
    entries = [
        Facet(
            label=say("Any time"),
            url=query.url(time=None, **cleared),
            on=not (named or since or until),
        )
    ]
    entries += [
        Facet(label=say(text), url=query.url(time=name, **cleared), on=named == name)
        for name, text in TIMES.items()
    ]
    label = say("Any time")
    if named in TIMES:
        label = say(TIMES[named])
    elif since or until:
        label = say("%(since)s to %(until)s", since=since or "…", until=until or say("now"))
    return Menu(
        label=label,
        entries=entries,
        on=bool(named or since or until),
        path=query.path,
        keep=query.kept("time", "since", "until"),
        since=since,
        until=until,
    )


def zone_of_choice(query: Query) -> str | None:
    """Days are those of the chosen store, else of head office."""
    dealer = dealer_of(query.one("dealer"))
    return None if dealer is None else dealer.timezone
