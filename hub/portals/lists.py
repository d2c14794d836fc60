"""What every list shares: its state in the URL, its facets, its pages, its JSON and CSV forms.

Promises: a list is wholly described by its URL; `.json` is ``{"items": […], "next": id | null}``
and ``?after=<next>`` continues it; a CSV cell never starts a formula in a spreadsheet.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Generic, Literal, TypeVar, cast
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
from flask import Response, request
from werkzeug.datastructures import MultiDict

from hub.portals.answers import ParameterRefused
from hub.portals.formats import zone_of
from hub.portals.languages import later
from hub.portals.numbers import whole_number
from hub.portals.read_models import Count, Slice

Form = Literal["html", "json", "csv"]
Row = TypeVar("Row")
JsonRow = Mapping[str, object]

ROWS_A_PAGE = 50
JSON_ROWS = 100
JSON_ROWS_MAX = 1000
CSV_ROWS_MAX = 5000
TEXT_MAX = 200
"""A value in the address line longer than this is a mistake, not a filter."""

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
TIMES: Final = {
    "today": later("Today"),
    "yesterday": later("Yesterday"),
    "7d": later("Last 7 days"),
    "30d": later("Last 30 days"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facet:
    """A counter that is a filter: pressing it turns the filter on or off."""

    label: str
    url: str
    on: bool = False
    count: Count | None = None
    removable: bool = False
    mono: bool = False


class Query:
    """The state of a list, as its URL says it."""

    def __init__(self, names: Sequence[str]) -> None:
        """Read the `names` this list knows from the request; other parameters are ignored."""
        self.path = request.path.removesuffix(".json").removesuffix(".csv")
        self._values: dict[str, list[str]] = {
            name: [text for text in request.args.getlist(name) if 0 < len(text) <= TEXT_MAX]
            for name in names
        }

    def one(self, name: str) -> str | None:
        """The value of a parameter, stripped; None when absent or empty."""
        values = self._values[name]
        return (values[0].strip() or None) if values else None

    def many(self, name: str) -> tuple[str, ...]:
        """All values of a parameter that may be repeated or separated by commas."""
        return tuple(part for text in self._values[name] for part in text.split(",") if part)

    @property
    def filtered(self) -> bool:
        """Is any filter on?"""
        return any(self._values.values())

    def url(self, suffix: str = "", /, **changes: object) -> str:
        """This list with some parameters changed (None removes one), from its first page."""
        values: MultiDict[str, str] = MultiDict()
        for name, texts in self._values.items():
            kept = texts if name not in changes else []
            values.setlist(name, kept)
        for name, value in changes.items():
            if value is not None:
                values.setlist(name, [str(value)])
        query = urlencode(list(values.items(multi=True)))
        return f"{self.path}{suffix}" + (f"?{query}" if query else "")

    def kept(self, *without: str) -> list[tuple[str, str]]:
        """Name and value of every parameter that is set, but those: a form's hidden fields."""
        return [
            (name, text)
            for name, texts in self._values.items()
            if name not in without
            for text in texts
        ]

    def toggle(self, name: str, value: str, label: str, count: Count | None = None) -> Facet:
        """The facet that turns one value of one parameter on or off."""
        on = value in self.many(name)
        return Facet(label=label, on=on, count=count, url=self.url(**{name: None if on else value}))

    def chip(self, name: str, label: str, *, mono: bool = False) -> Facet:
        """A filter that was set elsewhere and can only be taken off here."""
        return Facet(label=label, on=True, url=self.url(**{name: None}), removable=True, mono=mono)


def read_slice(form: Form, key: Callable[[str], int | str]) -> Slice:
    """Which page of the list the URL asks for; `key` reads a cursor. Raises ParameterRefused."""
    most, usual = {
        "html": (ROWS_A_PAGE, ROWS_A_PAGE),
        "json": (JSON_ROWS_MAX, JSON_ROWS),
        "csv": (CSV_ROWS_MAX, CSV_ROWS_MAX),
    }[form]

    def cursor(name: str) -> int | str | None:
        text = request.args.get(name)
        try:
            return key(text) if text else None
        except ValueError:
            raise ParameterRefused(name) from None

    order = cast("Literal['newest', 'oldest']", request.args.get("order", "newest"))
    if order not in ("newest", "oldest"):
        raise ParameterRefused("order")
    return Slice(
        after=cursor("after"),
        before=cursor("before"),
        limit=min(_limit(usual), most),
        order=order,
    )


def _limit(usual: int) -> int:
    try:
        limit = whole_number(request.args.get("limit") or str(usual))
    except ValueError:
        limit = 0
    if limit < 1:
        raise ParameterRefused("limit")
    return limit


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """One page of a list. `newer` and `older` are the cursors to its neighbours, if any."""

    rows: Sequence[Row]
    newer: int | str | None
    older: int | str | None


def page_of(
    asked: Slice,
    read: Callable[[Slice], Sequence[Row]],
    key: Callable[[Row], int | str],
) -> Page[Row]:
    """Read one page. One row more is read than shown: it tells whether the list goes on."""
    rows = read(replace(asked, limit=asked.limit + 1))
    more = len(rows) > asked.limit
    if asked.before is not None:
        rows = rows[1:] if more else rows
        newer = key(rows[0]) if rows and more else None
        return Page(rows, newer, key(rows[-1]) if rows else None)
    rows = rows[: asked.limit]
    newer = key(rows[0]) if rows and asked.after is not None else None
    return Page(rows, newer, key(rows[-1]) if rows and more else None)


def time_range(query: Query, now_ms: int, zone: str | None) -> tuple[int | None, int | None]:
    """``since`` (included) and ``until`` (excluded) in ms, from ``time`` or two dates.

    A date means the whole day in `zone`; a full RFC 3339 time means itself. Raises
    ParameterRefused.
    """
    tz = zone_of(zone)
    today = datetime.fromtimestamp(now_ms / 1000, tz).replace(
        hour=0, minute=0, second=0, microsecond=0
    )
    named = query.one("time")
    if named is not None:
        spans = {"today": (0, None), "yesterday": (1, 0), "7d": (6, None), "30d": (29, None)}
        if named not in spans:
            raise ParameterRefused("time")
        start, end = spans[named]
        until = None if end is None else _ms(today - timedelta(days=end))
        return _ms(today - timedelta(days=start)), until
    return _bound(query, "since", tz, days=0), _bound(query, "until", tz, days=1)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)


def _bound(query: Query, name: str, tz: ZoneInfo, *, days: int) -> int | None:
    text = query.one(name)
    if text is None:
        return None
    try:
        if len(text) == 10:
            day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=tz)
            return _ms(day + timedelta(days=days))
        moment = datetime.fromisoformat(text)
        return _ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError):
        raise ParameterRefused(name) from None


def as_json(page: Page[Row], row: Callable[[Row], JsonRow]) -> Response:
    """The page as JSON, as every list of this hub answers."""
    body = orjson.dumps({"items": [row(item) for item in page.rows], "next": page.older})
    return Response(body, content_type="application/json")


def cell(value: object) -> object:
    """A CSV cell that no spreadsheet runs as a formula; numbers stay numbers."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = "|".join(str(part) for part in value)
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def as_csv(page: Page[Row], row: Callable[[Row], JsonRow], columns: Sequence[str]) -> Response:
    """The rows as CSV with a header, UTF-8; ``Link: rel=next`` when the list goes on."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for item in page.rows:
        values = row(item)
        writer.writerow([cell(values.get(name)) for name in columns])
    answer = Response(text.getvalue(), content_type="text/csv; charset=utf-8")
    name = request.path.strip("/").replace("/", "-").removesuffix(".csv")
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    if page.older is not None:
        args = {**request.args.to_dict(), "after": str(page.older)}
        answer.headers["Link"] = f'<{request.path}?{urlencode(args)}>; rel="next"'
    return answer
