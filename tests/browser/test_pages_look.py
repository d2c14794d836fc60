"""Every page, in both languages and schemes, wide and narrow: readable by everybody."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import ConsoleMessage, Page

from tests.browser.conftest import Site, Visit

pytestmark = [pytest.mark.browser, pytest.mark.slow]
VENDOR = Path(__file__).parent / "vendor"
AXE = (VENDOR / "axe.min.js").read_text(encoding="utf-8")
RUN_AXE = "axe.run(document, {resultTypes: ['violations']}).then(r => JSON.stringify(r.violations))"
GRAVE = {"serious", "critical"}
LOOKS = [
    ("light", "en", 1280), ("dark", "id", 360), ("dark", "en", 1280), ("light", "id", 360),
    ("light", "en", 768), ("dark", "id", 1024),
]  # fmt: skip


def every_page(site: Site) -> dict[str, str]:
    """One address of each kind of page, with something to see."""
    size = site.hub.ledger.size()
    return {
        "ledger": "/ledger",
        "ledger-filtered": "/ledger?type=pos.sale&dealer=SBY01",
        "ledger-nothing": "/ledger?serial=KS9F2L7A8NJ999999",
        "entry-sale": "/ledger/entry/34",
        "entry-unreadable": f"/ledger/entry/{size - 1}",
        "verify": "/ledger/verify",
        "units": "/units",
        "unit": "/units/KS9F2L7A8NJ000002",
        "sales": "/sales",
        "sale": "/sales?flagged=1",
        "devices": "/devices",
        "device": f"/devices/{site.boxes[1].device}",
        "leads": "/leads",
        "leads-nothing": "/leads?source=csv",
        "lead-offered": f"/leads/{site.known['offered']}",
        "lead-claimed": f"/leads/{site.known['claimed']}?by=per_agus",
        "nearest": "/leads/nearest?q=-7.29,112.74",
        "alerts": "/alerts",
        "alert": f"/alerts/{site.known['alert']}",
        "stores": "/dealers",
        "store": "/dealers/SBY01",
        "people": "/people",
        "person": "/people/per_rudi",
        "inbox": "/inbox",
        "delivery": f"/inbox/{site.known['delivery']}",
        "outbox": "/outbox",
        "account": "/account",
        "fault": "/ledger/entry/999999",
    }


def judge(page: Page) -> list[str]:
    """What axe finds grave, and whether the page is wider than its window."""
    page.evaluate(AXE)
    found = [
        f"{violation['impact']} {violation['id']}: {violation['nodes'][0]['html'][:160]}"
        for violation in json.loads(page.evaluate(RUN_AXE))
        if violation["impact"] in GRAVE
    ]
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    return found + ([f"wider than its window by {wide} px"] if wide > 0 else [])


@pytest.mark.parametrize(("scheme", "language", "width"), LOOKS)
def test_every_page_reads_well(
    site: Site, visit: Visit, shoot: Callable[[Page, str], None],
    scheme: str, language: str, width: int,
) -> None:  # fmt: skip
    """axe finds nothing serious, nothing scrolls sideways, nothing fails in the console."""
    page = visit(site, scheme=scheme, language=language, width=width)
    complaints: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type == "error" and "404" not in message.text:
            complaints.append(message.text)

    page.on("console", hear)
    look = LOOKS.index((scheme, language, width))
    for place, (name, path) in enumerate(every_page(site).items()):
        if look > 1 and place % 4 != look - 2:
            continue  # seen wide and narrow, light and dark: the others share the pages
        page.goto(site.url + path)
        complaints += [f"{name}: {finding}" for finding in judge(page)]
        shoot(page, f"{name}-{width}-{scheme}-{language}")

    assert complaints == []


@pytest.mark.parametrize(("scheme", "language", "width"), LOOKS[:2])
def test_the_first_day_reads_well_too(
    empty_site: Site, visit: Visit, shoot: Callable[[Page, str], None],
    scheme: str, language: str, width: int,
) -> None:  # fmt: skip
    """Empty lists say what to do next, as carefully as full ones."""
    page = visit(empty_site, scheme=scheme, language=language, width=width)
    for name in (
        "ledger",
        "units",
        "sales",
        "devices",
        "leads",
        "alerts",
        "people",
        "inbox",
        "outbox",
    ):
        page.goto(f"{empty_site.url}/{name}")
        assert page.locator(".empty").is_visible()
        assert judge(page) == []
        shoot(page, f"empty-{name}-{width}-{scheme}-{language}")


@pytest.mark.parametrize(
    ("scheme", "width", "scripts"), [("light", 1280, True), ("dark", 360, False)]
)
def test_a_dealers_people_claim_and_close_with_scripts_and_without(
    site: Site, visit: Visit, shoot: Callable[[Page, str], None],
    scheme: str, width: int, *, scripts: bool,
) -> None:  # fmt: skip
    """Open offers on the board, the claim, its answer, the deeds, closed today and open again."""
    page = visit(site, scheme=scheme, width=width, scripts=scripts, person="per_mira")
    assert page.locator(".offers li").count() >= 1
    # The judge is a script itself.
    assert not scripts or judge(page) == []
    shoot(page, f"board-{width}-{scheme}")
    page.locator(".offers .main").first.click()
    assert page.locator(".note.ok").is_visible()
    shoot(page, f"claimed-{width}-{scheme}")
    page.goto(site.url + "/dealers/SBY01")
    page.locator("#today button").first.click()
    shoot(page, f"paused-{width}-{scheme}")
    page.locator("#today button.main").click()
    assert page.locator("#today button.main").count() == 0


def test_the_door_reads_well(
    site: Site, browser: object, visit: Visit, shoot: Callable[[Page, str], None]
) -> None:
    """Signing in, by link and by password, and a link that is gone."""
    link = site.login_link()
    page = visit(site, width=360)
    page.context.clear_cookies()
    for name, url in (("login", "/login"), ("link", link.removeprefix(site.url))):
        page.goto(site.url + url)
        assert judge(page) == []
        shoot(page, f"{name}-360-light-en")
    page.goto(f"{site.url}/login/gone")
    assert "no longer works" in page.inner_text("main")


def test_axe_is_what_was_taken() -> None:
    """The judge has its licence beside it and the hash it came with."""
    for line in (VENDOR / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == digest
