"""A real hub behind a real web server, and Debian's Chromium in front of it."""

import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from hub.accounts.service import Accounts, create_admin
from hub.accounts.store import link_account
from hub.app import create_app
from hub.jobs import Worker
from hub.wiring import Hub
from tests.fakes.served_app import served_as_in_life
from tests.fakes.stocked_hub import Box, enrol_boxes, open_empty_hub, stock
from tests.fakes.stocked_leads import stock_leads

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
SCREENSHOTS = os.environ.get("KICKSTAND_SCREENSHOTS")
"""A folder that keeps the screenshots; without it none are taken."""

DEADLINE_MS = 20_000
# News are asked for every few seconds, and the machine may be busy with other tests.
expect.set_options(timeout=DEADLINE_MS)


@dataclass
class Site:
    """A hub that answers on `url`."""

    hub: Hub
    boxes: list[Box]
    url: str
    known: Mapping[str, str]
    """Ids of some leads, an alert and a delivery."""

    def person_link(self, person: str) -> str:
        """A fresh link of somebody of the people's file."""
        now_ms = self.hub.clock.wall_ms()
        return self.url + Accounts(self.hub.database).person_link(person, now_ms=now_ms)

    def login_link(self) -> str:
        """A fresh link of the admin."""
        now_ms = self.hub.clock.wall_ms()
        path = self.hub.database.write(
            lambda connection: create_admin(connection, "admin@kickstand.example", now_ms)
        )
        return self.url + path

    def account_of(self, link: str) -> int:
        """Whose account an unused link opens: which came first depends on the tests that ran."""
        token_hash = hashlib.sha256(link.rpartition("/")[2].encode()).digest()
        with self.hub.database.read() as connection:
            account_id = link_account(connection, token_hash, now_ms=self.hub.clock.wall_ms())
        assert account_id is not None
        return account_id


Visit = Callable[..., Page]


def serve(folder: Path, *, stocked: bool) -> Iterator[Site]:
    """Answer on any free port until the test is over."""
    folder.mkdir()
    hub = open_empty_hub(folder, public_url="http://127.0.0.1")
    boxes = enrol_boxes(hub) if stocked else []
    if stocked:
        stock(hub, boxes, hub.clock.wall_ms())
    known = stock_leads(hub, hub.clock.wall_ms()) if stocked else {}
    worker = Worker(hub.database, hub.ledger, sequences=True)
    worker.start()
    with served_as_in_life(create_app(hub), threads=4) as url:
        yield Site(hub, boxes, url, known)
    worker.stop()
    hub.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub with a day of trade on its ledger."""
    yield from serve(tmp_path_factory.mktemp("site") / "hub", stocked=True)


@pytest.fixture(scope="session")
def empty_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A hub on its first day."""
    yield from serve(tmp_path_factory.mktemp("empty") / "hub", stocked=False)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests."""
    assert CHROMIUM is not None, "install chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Signs a new person in at a site: ``visit(site, width=360, language="id", …)``."""
    opened: list[BrowserContext] = []

    def sign_in(
        site: Site,
        *,
        width: int = 1280,
        scheme: str = "light",
        language: str = "en",
        scripts: bool = True,
        person: str | None = None,
    ) -> Page:
        link = site.login_link() if person is None else site.person_link(person)
        # An account remembers its language: every visitor begins with the one asked for.
        Accounts(site.hub.database).choose_language(site.account_of(link), language)
        context = browser.new_context(
            viewport={"width": width, "height": 820},
            color_scheme=scheme,  # type: ignore[arg-type]
            locale={"en": "en-GB", "id": "id-ID"}[language],
            java_script_enabled=scripts,
            permissions=["clipboard-read", "clipboard-write"],
        )
        context.set_default_timeout(DEADLINE_MS)
        opened.append(context)
        page = context.new_page()
        page.goto(link)
        page.locator("form.panel button").click()
        page.wait_for_url("**/account" if person is None else "**/leads")
        return page

    yield sign_in
    for context in opened:
        context.close()


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """Takes a screenshot under a name, if anybody wants to look at it."""

    def take(page: Page, name: str) -> None:
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png")

    return take
