"""What a person does with the pages, with and without scripts, by mouse and by keyboard."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Visit
from tests.fakes.stocked_hub import deliver, report

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_everything_works_without_scripts(site: Site, visit: Visit) -> None:
    """Sign in, filter, page, search, open, change the language, sign out: no script at all."""
    page = visit(site, scripts=False)
    page.goto(site.url + "/ledger")
    page.locator(".facets a", has_text="Sales").click()
    assert "type=pos.sale" in page.url
    page.locator("a[rel=next]").click()
    assert "after=" in page.url
    expect(page.locator("tbody tr").first).to_be_visible()

    page.locator(".search [name=q]").fill("20261122-0004")
    page.locator(".search [name=q]").press("Enter")
    page.locator("tbody tr a").first.click()
    expect(page.locator("h1")).to_have_text("Sale")
    expect(page.locator(".panel .note.ok")).to_contain_text("Proven to be on the ledger")

    page.locator(".side .foot button", has_text="Bahasa Indonesia").click()
    expect(page.locator("h1")).to_have_text("Penjualan")
    page.locator(".side .foot button", has_text="Keluar").click()
    assert page.url.endswith("/login")


def test_the_search_answers_while_one_types(site: Site, visit: Visit) -> None:
    """The list follows the field, and the address follows the list."""
    page = visit(site)
    page.goto(site.url + "/ledger")
    page.locator(".search [name=q]").press_sequentially("Denpasar", delay=20)

    expect(page).to_have_url(re.compile("q=Denpasar"))
    stores = page.locator("td.store")
    expect(stores.first).to_have_text("Denpasar Teuku Umar")
    assert set(stores.all_inner_texts()) == {"Denpasar Teuku Umar"}
    page.go_back()
    expect(page.locator(".search [name=q]")).to_have_value("")


def test_the_keyboard_is_enough(site: Site, visit: Visit) -> None:
    """`/` searches, `j` and `k` walk the rows, Enter opens, `k` goes to the entry before."""
    page = visit(site)
    page.goto(site.url + "/ledger")
    page.keyboard.press("/")
    expect(page.locator(".search [name=q]")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.locator("tbody tr.here")).to_have_count(1)
    number = page.locator("tbody tr.here a").first.inner_text()
    page.keyboard.press("Enter")
    expect(page.locator(".object-head")).to_contain_text(f"entry {number}")


def test_news_appear_above_the_list_by_themselves(site: Site, visit: Visit) -> None:
    """An entry that arrives while the list is open is announced; one click shows it."""
    page = visit(site)
    page.goto(site.url + "/ledger")
    box, now_ms = site.boxes[2], site.hub.clock.wall_ms()
    deliver(site.hub, box, box.batch("vehicle", [("scooter.report", now_ms, report(5))]), now_ms)

    news = page.locator(".fresh a")
    expect(news).to_contain_text("1 new entry")
    news.click()
    first = page.locator("tbody tr a").first
    expect(first).to_have_text(f"{site.hub.ledger.size() - 1:,}")


def test_an_id_is_copied_by_one_press(site: Site, visit: Visit) -> None:
    """The button says so, and the clipboard has it."""
    page = visit(site)
    page.goto(site.url + "/units/KS9F2L7A8NJ000002")
    page.locator("h1 + button.copy").click()

    expect(page.locator("h1 + button.copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "KS9F2L7A8NJ000002"


def test_times_grow_older_while_one_looks(site: Site, visit: Visit) -> None:
    """What was `just now` does not stay it."""
    page = visit(site)
    page.goto(site.url + "/ledger")
    page.evaluate(
        "document.querySelectorAll('time[data-ago]')[0].dateTime ="
        " new Date(Number(document.documentElement.dataset.now) - 7200000).toISOString()"
    )

    expect(page.locator("time[data-ago]").first).to_have_text("2 h ago")


def test_a_phone_reaches_everything(site: Site, visit: Visit) -> None:
    """At 360 px: the menus open, the language changes, one signs out."""
    page = visit(site, width=360)
    page.goto(site.url + "/ledger")
    page.locator(".menu summary", has_text="Any store").click()
    page.locator(".menu a", has_text="Jayapura").click()
    assert "dealer=JAP01" in page.url
    page.locator("main > .foot button", has_text="Bahasa Indonesia").click()
    expect(page.locator("h1")).to_have_text("Buku besar")
    page.locator("main > .foot button", has_text="Keluar").click()
    expect(page.locator("h1")).to_have_text("Masuk")


def test_what_the_page_counts_is_what_the_ledger_holds(site: Site, visit: Visit) -> None:
    """The facet, the list and the ledger itself agree, on the real database."""
    page = visit(site)
    page.goto(site.url + "/ledger?dealer=SBY01")
    shown = page.locator(".facets a", has_text="Sales").locator("b").inner_text()
    answer = page.request.get(site.url + "/ledger.json?dealer=SBY01&type=pos.sale&limit=1000")

    assert len(answer.json()["items"]) == int(shown)


def test_a_void_of_a_whole_receipt_is_part_of_its_scooters_life(site: Site, visit: Visit) -> None:
    """It names no serial; the scooter's page, the sale's and the entry's tell it all the same."""
    page = visit(site)
    page.goto(site.url + "/units/KS9F2L7A8NJ000002")
    expect(page.locator(".life li").first).to_contain_text("Receipt 20261122-0002 cancelled")
    page.locator(".life li", has_text="E8S Pro").locator("a").click()
    expect(page.locator(".life")).to_contain_text("Receipt 20261122-0002 cancelled")


def test_a_downloaded_proof_convinces_the_downloaded_verifier(
    site: Site, visit: Visit, tmp_path: Path
) -> None:
    """Both come from the hub's pages; the key from the checkpoint's own vkey. Seal included."""
    page = visit(site)
    for name, path in (
        ("kickstand_verify.py", "/ledger/kickstand_verify.py"),
        ("sale.tlog-proof", "/ledger/entry/33.tlog-proof"),
    ):
        (tmp_path / name).write_bytes(page.request.get(site.url + path).body())
    key = site.hub.ledger.key.vkey

    checked = subprocess.run(
        [sys.executable, "kickstand_verify.py", "sale.tlog-proof", "--key", key],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert site.boxes[0].device in checked.stdout
