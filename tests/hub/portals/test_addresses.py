"""Whatever stands in an address: the whole hub answers it, never with an error of its own."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from hub.accounts.service import create_admin
from hub.alerts.service import Alerts
from hub.app import create_app
from hub.wiring import Hub
from tests.fakes.manual_clock import ManualClock
from tests.fakes.stocked_hub import enrol_boxes, open_empty_hub, stock
from tests.hub.portals.conftest import Visitor

NOW_MS = 1_795_000_000_000
HOSTILE = (
    "9007199254740992",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551616",
    "9" * 400,
    "9" * 5000,
)
BELOW = ("-9007199254740992", "-9223372036854775808", "-9223372036854775809")
NUMBERED = (
    "/ledger/entry/{}",
    "/ledger/entry/{}.json",
    "/ledger/entry/{}.tlog-proof",
    "/sales/{}",
    "/sales/{}.json",
    "/ledger/proof/inclusion/{}",
    "/ledger/tile/{}/000",
    "/ledger/{}/checkpoint",
    "/ledger/{}/tile/0/000",
    "/ledger/{}/tile/entries/000",
    "/ledger/1/proof/inclusion/{}",
    "/ledger/tile/0/x999/x999/x999/x999/x999/x999/x{}/000",
    "/ledger/proof/consistency?from=1&to={}",
    "/ledger/proof/consistency?from={}&to=9",
)
BY_NUMBER = (
    *(f"/{page}{form}?{{}}" for page in ("ledger", "sales") for form in ("", ".json", ".csv")),
    "/ledger/fresh?{}",
    "/units/KS9F2L7A8NJ000001?{}",
    "/units/KS9F2L7A8NJ000001.json?{}",
)
LISTS = ("ledger", "units", "sales", "leads", "alerts", "devices", "dealers", "people", "inbox")
PROBLEM = "application/problem+json"
CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    """A whole hub with a day of trade."""
    folder: Path = tmp_path_factory.mktemp("hub")
    hub = open_empty_hub(folder, public_url="http://localhost", clock=ManualClock(wall_ms=NOW_MS))
    stock(hub, enrol_boxes(hub), NOW_MS, sales=4)
    yield hub
    hub.close()


@pytest.fixture(scope="module")
def app(hub: Hub) -> Flask:
    """All of its doors and pages."""
    return create_app(hub)


@pytest.fixture(scope="module")
def admin(hub: Hub, app: Flask) -> Visitor:
    """The first admin, in their browser."""
    visitor = Visitor(app.test_client())
    visitor.client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "en"
    link = hub.database.write(lambda c: create_admin(c, "admin@kickstand.example", NOW_MS))
    visitor.sign_in_by(link)
    return visitor


def answers(visitor: Visitor, paths: list[str]) -> dict[str, int]:
    """What is answered to each, of those that are neither 400 nor 404."""
    found = {path: visitor.get(path).status_code for path in paths}
    return {path[:80]: status for path, status in found.items() if status not in {400, 404}}


def test_a_number_that_no_row_can_have_is_not_found(admin: Visitor) -> None:
    """In every place of an address where a number stands, however large."""
    assert {} == answers(admin, [path.format(n) for path in NUMBERED for n in HOSTILE])


def test_a_cursor_that_no_row_can_have_is_a_400(hub: Hub, admin: Visitor) -> None:
    """Forwards, backwards, below and above, on every list that is ordered by a number."""
    alert = hub.database.write(
        lambda c: Alerts(hub.database, hub.clock).raise_(
            c, "P1", "x", "x", what="a", consequence="b", action="c", region=None
        )
    )
    lists = (*BY_NUMBER, f"/alerts/{alert}.json?part=occurrences&{{}}")
    paths = [
        path.format(f"{name}={n}")
        for path in lists
        for name in ("after", "before")
        for n in (*HOSTILE, *BELOW)
        if (path, name) != ("/ledger/fresh?{}", "after")
    ]
    assert {} == answers(admin, paths)


@pytest.mark.parametrize("name", LISTS)
def test_every_list_survives_every_number(admin: Visitor, name: str) -> None:
    """As cursor, as limit, as what is searched for, as a moment."""
    for number in (*HOSTILE, *BELOW):
        for parameter in ("after", "before", "limit", "q", "since", "until", "serial"):
            answer = admin.get(f"/{name}.json?{parameter}={number}")
            assert answer.status_code in {200, 400, 404}, (name, parameter, number[:30])


@pytest.mark.parametrize("minutes", ["000000001" + "9" * 30, "9" * 5000, "0", "-1", "1e3"])
def test_a_snooze_of_any_length_is_refused_or_short(hub: Hub, admin: Visitor, minutes: str) -> None:
    """A form's number is read whole or not at all."""
    alert = hub.database.write(
        lambda c: Alerts(hub.database, hub.clock).raise_(
            c, "P1", "x", f"y/{minutes[:40]}", what="a", consequence="b", action="c", region=None
        )
    )
    assert admin.post(f"/alerts/{alert}/snooze", minutes=minutes).status_code == 422


# --- Errors ---


def problem_of(answer: TestResponse, status: int) -> dict[str, object]:
    """The problem document of an error, with all that RFC 9457 names."""
    assert (answer.status_code, answer.content_type) == (status, PROBLEM)
    told: dict[str, object] = json.loads(answer.data)
    assert told["status"] == status
    assert all(isinstance(told[name], str) and told[name] for name in ("type", "title", "detail"))
    assert "</" not in answer.get_data(as_text=True)
    return told


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1", 404),
        ("GET", "/v1/nope", 404),
        ("PUT", "/v1/batches", 405),
        ("POST", "/v1/time", 405),
        ("GET", "/api/v1", 404),
        ("GET", "/api/v1/nope", 404),
        ("POST", "/api/v1/leads", 405),
        ("GET", "/api/v1/lead", 405),
        ("GET", "/webhooks/nope", 404),
        ("PUT", "/webhooks/whatsapp", 405),
        ("GET", "/ledger/tile/7/000", 404),
        ("GET", "/ledger/tile/0/nope", 404),
        ("GET", "/ledger/tile", 404),
        ("GET", "/ledger/tile/entries/000", 403),
        ("POST", "/ledger/checkpoint", 405),
        ("GET", "/ledger/proof/consistency", 400),
    ],
)
@pytest.mark.parametrize("accept", [CHROMIUM, "*/*", None])
def test_a_door_of_machines_answers_errors_as_problems(
    app: Flask, method: str, path: str, status: int, accept: str | None
) -> None:
    """Unknown paths, wrong methods and what is refused; whatever the program accepts."""
    headers = {} if accept is None else {"Accept": accept}
    answer = app.test_client().open(path, method=method, headers=headers)
    problem_of(answer, status)
    assert answer.headers["Cache-Control"] == "no-store"
    assert ("Allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    ("path", "accept", "kind"),
    [
        ("/nope.json", CHROMIUM, "problem"),
        ("/nope", "application/json", "problem"),
        ("/nope", "application/problem+json", "problem"),
        ("/nope", "application/json, text/html;q=0.5", "problem"),
        ("/nope", "application/json, text/plain, */*", "problem"),
        ("/nope", "text/html, application/json;q=0.9", "page"),
        ("/nope", CHROMIUM, "page"),
        ("/nope", "*/*", "page"),
        ("/ledger/entry/99999", "application/json", "problem"),
        ("/ledger/entry/99999", CHROMIUM, "page"),
    ],
)
def test_an_error_is_a_problem_for_programs_and_a_page_for_people(
    admin: Visitor, path: str, accept: str, kind: str
) -> None:
    """By the address, or by what the client would rather have."""
    answer = admin.get(path, headers={"Accept": accept})
    if kind == "problem":
        assert problem_of(answer, 404)["request_id"] == answer.headers["X-Request-Id"]
    else:
        assert (answer.status_code, answer.mimetype) == (404, "text/html")


def test_what_only_readers_get_is_kept_by_no_cache(admin: Visitor) -> None:
    """Entries are shown to who has signed in: a proxy must not show them to the next."""
    entries = admin.get("/ledger/tile/entries/000.p/3")
    hashes = admin.get("/ledger/tile/0/000.p/3")
    assert (entries.status_code, hashes.status_code) == (200, 200)
    assert entries.headers["Cache-Control"] == "private, no-store"
    assert hashes.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("time=bogus", "time"),
        ("after=abc", "after"),
        ("before=abc", "before"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("order=sideways", "order"),
        ("since=yesterdayish", "since"),
        ("until=2026-13-01", "until"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(
    admin: Visitor, query: str, parameter: str
) -> None:
    """On the page in words, in the problem as a member too."""
    told = problem_of(admin.get(f"/ledger.json?{query}"), 400)
    assert told["parameter"] == parameter
    assert parameter in str(told["detail"])
    page = admin.get(f"/ledger?{query}")
    assert (page.status_code, page.mimetype) == (400, "text/html")
    assert f"{parameter}=" in page.get_data(as_text=True)


@pytest.mark.parametrize(
    "address",
    ["/leads/led_%00", "/units/%00.json", "/leads?q=a%00b", "/units.json?after=%00", "/alerts/%00"],
)
def test_a_nul_is_nobodys_address(admin: Visitor, address: str) -> None:
    """PostgreSQL would refuse it with an error of its own: it never gets that far."""
    assert admin.get(address).status_code == 400


def test_a_nul_in_a_form_is_refused(app: Flask) -> None:
    """Also from a stranger who signs in."""
    answer = app.test_client().post("/login", data={"email": "a\0@b.id", "password": "x"})
    assert answer.status_code == 400
