"""Lists: the URL is the whole state, counters are filters, every list is data too."""

import csv
import html
import io
import json
import re
from urllib.parse import urlencode

import pytest

from hub.portals.lists import cell
from tests.fakes.portal_reads import NOW_MS
from tests.hub.portals.conftest import Build, House, Visitor

LISTS = ("/ledger", "/units", "/sales", "/devices")
FACET = re.compile(
    r'<li><a href="([^"]*)"( aria-current="true")?[^>]*>[^<]*(?:<span class="id">[^<]*</span>)?'
    r" <b>([\d,.]+)(\+?)</b>"
)


def rows(visitor: Visitor, path: str, **query: object) -> list[dict[str, object]]:
    """Every row of a list, page after page."""
    found: list[dict[str, object]] = []
    after: object = None
    while True:
        more = {} if after is None else {"after": after}
        page = json.loads(visitor.text(f"{path}.json?{urlencode({**query, **more, 'limit': 30})}"))
        assert set(page) == {"items", "next"}
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


@pytest.mark.parametrize(
    ("path", "key"),
    [("/ledger", "index"), ("/units", "serial"), ("/sales", "index"), ("/devices", "device")],
)
def test_a_list_is_walked_whole_and_once(house: House, admin: Visitor, path: str, key: str) -> None:
    """`next` leads through every row exactly once and then is null."""
    everything = [row[key] for row in rows(admin, path)]

    assert len(everything) == len(set(everything)) > 5


def test_ledger_rows_are_the_contracts(house: House, admin: Visitor) -> None:
    """Names, order of places and times of contract §8."""
    items = rows(admin, "/ledger")

    assert [row["index"] for row in items] == list(range(199, -1, -1))
    for row in items:
        assert list(row) == [
            "index", "type", "dealer", "device", "serials", "at", "received_at", "batch_id",
            "quarantined", "event",
        ]  # fmt: skip
        assert re.fullmatch(r"2026-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(row["at"]))
    sale = next(row for row in items if row["type"] == "pos.sale")
    assert isinstance(sale["event"], dict)
    assert sale["event"]["data"]["till"] == "T1"


def test_the_oldest_first_is_the_same_list_turned(house: House, admin: Visitor) -> None:
    """A program that follows the ledger reads it in the order it was written."""
    newest = [row["index"] for row in rows(admin, "/ledger")]
    oldest = [row["index"] for row in rows(admin, "/ledger", order="oldest")]

    assert newest == oldest[::-1]


@pytest.mark.parametrize("path", LISTS)
def test_every_counter_is_a_filter(house: House, admin: Visitor, path: str) -> None:
    """Pressing a facet shows exactly as many rows as it said."""
    facets = FACET.findall(admin.text(path))
    assert len(facets) >= 4
    for href, _, shown, _ in facets:
        query = html.unescape(href).partition("?")[2]
        pressed = dict(pair.split("=") for pair in query.split("&"))
        assert len(rows(admin, path, **pressed)) == int(shown.replace(",", "")), href


@pytest.mark.parametrize("path", LISTS)
def test_a_pressed_facet_lets_go_when_pressed_again(
    house: House, admin: Visitor, path: str
) -> None:
    """The facet that is on links to the list without it."""
    href = html.unescape(FACET.findall(admin.text(path))[0][0])
    on = [facet for facet in FACET.findall(admin.text(href)) if facet[1]]

    assert on
    assert html.unescape(on[0][0]) == path


def test_filters_narrow_together(house: House, admin: Visitor) -> None:
    """Type, store and time at once: each row fits all of them."""
    since = "2026-11-18T00:00:00Z"
    found = rows(admin, "/ledger", type="scooter.report", dealer="D03", since=since)

    assert found
    for row in found:
        assert (row["type"], row["dealer"]) == ("scooter.report", "D03")
        assert str(row["received_at"]) >= since


def test_the_search_field_understands_serial_receipt_number_box_and_store(
    house: House, admin: Visitor
) -> None:
    """One field; what the text looks like decides what it means."""
    sale = house.net.sales.sale_list[0]
    serial = next(u.serial for s in house.net.sales.sale_list for u in s.units if u.serial)

    assert {row["index"] for row in rows(admin, "/ledger", q=sale.receipt)} == {sale.index}
    assert {row["index"] for row in rows(admin, "/ledger", q="17")} == {17}
    assert {row["dealer"] for row in rows(admin, "/ledger", q="surabaya")} == {"D00"}
    assert {row["device"] for row in rows(admin, "/ledger", q=sale.device)} == {sale.device}
    spelled = f"{serial[:4]} {serial[4:]}".lower()
    for row in rows(admin, "/ledger", q=spelled):
        assert row["serials"] == [serial]
    assert rows(admin, "/ledger", q="no such thing") == []


def test_days_begin_when_they_begin_at_the_store(build: Build) -> None:
    """Today in Jayapura is not today in Jakarta."""
    house = build(400)
    visitor = house.visitor()
    visitor.sign_in_by(house.link)

    jakarta = rows(visitor, "/ledger", time="today", dealer="D00")
    jayapura = rows(visitor, "/ledger", time="today", dealer="D07")

    assert min(str(row["received_at"]) for row in jakarta) >= "2026-11-17T17:00:00.000Z"
    assert min(str(row["received_at"]) for row in jayapura) >= "2026-11-17T15:00:00.000Z"


@pytest.mark.parametrize("path", LISTS)
def test_an_empty_hub_says_what_to_do(build: Build, path: str) -> None:
    """Nothing there yet is not the same as nothing found."""
    house = build(0)
    visitor = house.visitor()
    visitor.sign_in_by(house.link)

    text = visitor.text(path)

    assert 'class="empty"' in text
    assert "Nothing matches" not in text
    assert "<table>" not in text


@pytest.mark.parametrize("path", LISTS)
def test_zero_results_offer_the_way_back(house: House, admin: Visitor, path: str) -> None:
    """The filters stay visible and one link clears them."""
    text = admin.text(f"{path}?q=KS9F2L7A8NJ999999&dealer=D00")

    assert "Nothing matches these filters" in text
    assert f'href="{path}">Clear the filters' in text


@pytest.mark.parametrize(
    "query", ["after=x", "limit=0", "limit=x", "order=sideways", "since=yesterdayish", "time=soon"]
)
def test_a_malformed_address_is_a_400(admin: Visitor, query: str) -> None:
    """Named, not a crash and not silently something else."""
    assert admin.get(f"/ledger?{query}").status_code == 400


@pytest.mark.parametrize("path", LISTS)
def test_csv_has_the_same_rows(house: House, admin: Visitor, path: str) -> None:
    """Header first, one line a row, as many as the JSON."""
    table = list(csv.reader(io.StringIO(admin.text(f"{path}.csv"))))

    assert len(table) - 1 == len(rows(admin, path))
    assert all(len(line) == len(table[0]) for line in table)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_starts_a_formula(start: str) -> None:
    """A receipt number made by an attacker must not run in head office's spreadsheet."""
    assert cell(f"{start}cmd|' /C calc'!A0") == f"'{start}cmd|' /C calc'!A0"
    assert cell(-5) == -5
    assert cell(["a", "b"]) == "a|b"


def test_pages_lead_forth_and_back(build: Build) -> None:
    """Older, then newer, is the first page again."""
    house = build(200)
    visitor = house.visitor()
    visitor.sign_in_by(house.link)

    first = visitor.text("/ledger")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None
    second = visitor.text(html.unescape(older.group(1)))
    newer = re.search(r'rel="prev" href="([^"]+)"', second)
    assert newer is not None
    back = visitor.text(html.unescape(newer.group(1)))

    numbers = re.compile(r'href="/ledger/entry/(\d+)">')
    assert numbers.findall(back) == numbers.findall(first)
    assert not set(numbers.findall(first)) & set(numbers.findall(second))


def test_news_are_announced_not_forced(house: House, admin: Visitor) -> None:
    """What came meanwhile is a line above the list; the list itself stays where it is."""
    assert admin.text("/ledger/fresh?before=199") == ""
    assert "3 new entries" in admin.text("/ledger/fresh?before=196")
    assert admin.text("/ledger/fresh?before=196&dealer=nobody") == ""


def test_times_are_relative_with_the_stores_time_in_reach(house: House, admin: Visitor) -> None:
    """`2 h ago`, and in the tooltip the time on the wall of that store, with its zone."""
    text = admin.text("/ledger?dealer=D07")

    assert re.search(r'<time datetime="2026-[^"]+Z" title="[^"]+ WIT ± 3 ms" data-ago>', text)
    assert str(NOW_MS) in text
