"""What every answer carries, and who gets none."""

import gzip
import json
import re

import pytest

from hub.portals.answers import CONTENT_POLICY
from tests.hub.portals.conftest import Build, House, Visitor

PLACES = {
    "index": "3",
    "serial": "KS9F2L7A8NJ010298",
    "device": "dev_x",
    "token": "t",
    "name": "n",
    "lead": "led_x",
    "alert": "alr_x",
    "delivery": "inb_x",
    "code": "SBY99",
    "person": "per_x",
}
OPEN = {"/login", "/login/t", "/assets/n"}
KIB = 1024


def addresses(house: House) -> list[str]:
    """Every address that answers a GET, with something in its places."""
    found = []
    for rule in house.app.url_map.iter_rules():
        if "GET" in (rule.methods or set()) and not rule.rule.startswith(("/static", "/v1")):
            path = re.sub(r"<(?:\w+:)?(\w+)>", lambda m: PLACES[m.group(1)], rule.rule)
            found.append(path)
    return sorted(found)


def test_nothing_is_shown_to_strangers(house: House) -> None:
    """Every page sends a stranger to the door; every data address says 401 and why."""
    stranger = house.visitor()
    for path in addresses(house):
        answer = stranger.get(path)
        if path in OPEN:
            assert answer.status_code in {200, 404, 410}
        elif path.endswith((".json", ".csv")):
            assert answer.status_code == 401, path
            assert answer.content_type == "application/problem+json"
            assert json.loads(answer.data)["code"] == "sign-in-needed"
        else:
            assert answer.status_code == 303, path
            assert answer.headers["Location"].startswith("/login")


def test_a_form_moves_nothing_for_strangers(house: House) -> None:
    """Every form that is not about signing in refuses somebody without a session."""
    stranger = house.visitor()
    for rule in house.app.url_map.iter_rules():
        path = rule.rule
        if "POST" in (rule.methods or set()) and path.startswith(("/account", "/logout")):
            assert stranger.post(path).headers["Location"].startswith("/login"), path


def test_every_answer_is_guarded(house: House, admin: Visitor) -> None:
    """Policy, nosniff, no frame, no referrer, no cache, a request id: errors included."""
    for path in ("/login", "/ledger", "/ledger.json", "/sales.csv", "/nowhere", "/ledger?after=x"):
        headers = admin.get(path).headers
        assert headers["Content-Security-Policy"] == CONTENT_POLICY, path
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert headers["X-Request-Id"].startswith("req_")
    assert "unsafe" not in CONTENT_POLICY


def test_no_page_holds_a_script_or_style_of_its_own(house: House, admin: Visitor) -> None:
    """What the policy forbids is not even tried."""
    for path in ("/ledger", "/ledger/entry/3", "/units", "/sales", "/devices", "/account"):
        text = admin.text(path)
        assert "<script>" not in text
        assert "style=" not in text
        assert not re.search(r"\son\w+=", text)


def test_boxes_pass_untouched(house: House) -> None:
    """The boxes' door has its own answers: no session, no token, no page headers."""
    stranger = house.visitor()
    for answer in (stranger.get("/v1/time"), stranger.client.post("/v1/time")):
        assert answer.status_code == 200
        assert "Content-Security-Policy" not in answer.headers
    unknown = stranger.get("/v1/nothing")
    assert unknown.status_code == 404
    assert "Kickstand" not in unknown.get_data(as_text=True)


@pytest.mark.parametrize(("language", "words"), [("en", "Nothing is here"), ("id", "Tidak ada")])
def test_an_error_is_a_page_with_the_requests_id(house: House, language: str, words: str) -> None:
    """In the reader's language; the id leads to the log line."""
    visitor = house.visitor(language)
    visitor.sign_in_by(house.link)

    answer = visitor.get("/ledger/entry/999999")

    assert answer.status_code == 404
    assert words in answer.get_data(as_text=True)
    assert answer.headers["X-Request-Id"] in answer.get_data(as_text=True)


def test_errors_of_data_addresses_are_problems(admin: Visitor) -> None:
    """A program gets RFC 9457, with the same id."""
    answer = admin.get("/ledger/entry/999999.json")

    assert answer.status_code == 404
    assert answer.content_type == "application/problem+json"
    assert json.loads(answer.data)["request_id"] == answer.headers["X-Request-Id"]


def test_the_first_page_is_small(build: Build) -> None:
    """Page, style and scripts together are at most 40 KB on the wire."""
    house = build(400)
    visitor = house.visitor()
    visitor.sign_in_by(house.link)
    zipped = {"headers": {"Accept-Encoding": "gzip"}}
    page = visitor.get("/ledger", **zipped)
    text = gzip.decompress(page.data).decode()
    total = len(page.data)
    for url in re.findall(r'(?:src|href)="(/assets/[^"]+)"', text):
        asset = visitor.get(url, **zipped)
        assert asset.status_code == 200
        assert "immutable" in asset.headers["Cache-Control"]
        total += len(asset.data)

    assert page.headers["Content-Encoding"] == "gzip"
    assert total <= 40 * KIB


def test_an_asset_of_an_older_release_is_not_served_as_the_new_one(admin: Visitor) -> None:
    """A wrong hash is not found, so that no cache keeps the wrong bytes for a year."""
    assert admin.get("/assets/kickstand.0000000000.css").status_code == 404
