"""Signing in, staying in, getting out."""

import pyotp
import pytest

from hub.accounts.rules import GUESSES_AN_ACCOUNT, HOUR_MS, MINUTE_MS
from hub.accounts.service import new_totp_secret
from hub.registry.service import Registry
from tests.hub.portals.conftest import EMAIL, PASSWORD, Build, House, Visitor

ENTRY = "/ledger"


def set_password(visitor: Visitor) -> None:
    """Give the account its password."""
    assert visitor.post("/account/password", new=PASSWORD).status_code == 303


def test_opening_a_login_link_uses_nothing_up(house: House) -> None:
    """A chat's preview opens the link first; the person's button works all the same."""
    preview, person = house.visitor(), house.visitor()
    for _ in range(3):
        assert preview.get(house.link).status_code == 200
    assert preview.get(ENTRY).status_code == 303

    answer = person.sign_in_by(house.link)

    assert answer.status_code == 303
    assert person.get(ENTRY).status_code == 200


def test_a_login_link_works_once(house: House) -> None:
    """The second press of the button, by whomever, is told that the link is gone."""
    assert house.visitor().sign_in_by(house.link).status_code == 303

    other = house.visitor()

    assert other.sign_in_by(house.link).status_code == 410
    assert other.get(house.link).status_code == 410
    assert other.get(ENTRY).status_code == 303


def test_a_login_link_ends(house: House) -> None:
    """Ten minutes after it was made a link opens nothing."""
    link = house.accounts.login_link(1, now_ms=house.net.clock.now_ms)
    house.net.clock.now_ms += 10 * MINUTE_MS

    assert house.visitor().sign_in_by(link).status_code == 410


def test_a_form_without_its_token_is_refused(house: House) -> None:
    """Another site can send the form, but cannot know the token."""
    answer = house.visitor().client.post("/login", data={"email": EMAIL, "password": PASSWORD})

    assert answer.status_code == 403


def test_a_form_from_another_site_is_refused(admin: Visitor) -> None:
    """Even with a token: the browser itself says where the form came from."""
    answer = admin.client.post(
        "/logout",
        data={"csrf_token": admin.token("/account")},
        headers={"Sec-Fetch-Site": "cross-site"},
    )

    assert answer.status_code == 403
    assert admin.get(ENTRY).status_code == 200


def test_the_token_may_come_in_a_header(admin: Visitor) -> None:
    """Scripts send X-CSRFToken, as the contract says."""
    headers = {"X-CSRFToken": admin.token("/account")}

    assert admin.client.post("/logout", headers=headers).status_code == 303


def test_a_password_signs_in(house: House, admin: Visitor) -> None:
    """What was set once opens the ledger later."""
    set_password(admin)
    person = house.visitor()

    answer = person.post("/login", email=EMAIL.upper(), password=PASSWORD, totp="")

    assert (answer.status_code, answer.headers["Location"]) == (303, ENTRY)
    assert person.get(ENTRY).status_code == 200


def test_wrong_passwords_and_unknown_people_look_the_same(house: House, admin: Visitor) -> None:
    """Nobody can find out who has an account."""
    set_password(admin)
    known = house.visitor().post("/login", email=EMAIL, password="something else", totp="")
    unknown = house.visitor().post("/login", email="x@y.example", password="something", totp="")

    assert known.status_code == unknown.status_code == 422
    for answer in (known, unknown):
        assert "do not fit" in answer.get_data(as_text=True)


def test_guessing_is_stopped(house: House, admin: Visitor) -> None:
    """After ten tries even the right password has to wait a quarter of an hour."""
    set_password(admin)
    guesser = house.visitor()
    for _ in range(GUESSES_AN_ACCOUNT):
        assert guesser.post("/login", email=EMAIL, password="wrong", totp="").status_code == 422

    stopped = guesser.post("/login", email=EMAIL, password=PASSWORD, totp="")

    assert stopped.status_code == 429
    assert stopped.headers["Retry-After"] == "900"
    house.net.clock.now_ms += 15 * MINUTE_MS
    assert guesser.post("/login", email=EMAIL, password=PASSWORD, totp="").status_code == 303


def test_a_totp_code_is_asked_for_once_set_and_works_once(house: House, admin: Visitor) -> None:
    """No second factor until the person has one; then no sign-in without, and no code twice."""
    set_password(admin)
    admin.post("/account/totp")
    with admin.client.session_transaction() as forms:
        secret = forms["totp_secret"]
    code = pyotp.TOTP(secret).at(house.net.clock.now_ms // 1000)
    assert admin.post("/account/totp/confirm", totp=code).status_code == 303

    without = house.visitor().post("/login", email=EMAIL, password=PASSWORD, totp="")
    again = house.visitor().post("/login", email=EMAIL, password=PASSWORD, totp=code)
    house.net.clock.now_ms += MINUTE_MS
    fresh = pyotp.TOTP(secret).at(house.net.clock.now_ms // 1000)
    first = house.visitor().post("/login", email=EMAIL, password=PASSWORD, totp=fresh)
    replay = house.visitor().post("/login", email=EMAIL, password=PASSWORD, totp=fresh)

    statuses = [answer.status_code for answer in (without, again, first, replay)]
    assert statuses == [422, 422, 303, 422]


def test_a_totp_secret_is_taken_only_with_a_code_of_it(house: House, admin: Visitor) -> None:
    """A QR code that was never scanned must not lock anybody out."""
    admin.post("/account/totp")
    wrong = pyotp.TOTP(new_totp_secret()).at(house.net.clock.now_ms // 1000)

    assert admin.post("/account/totp/confirm", totp=wrong).status_code == 422
    assert "Off." not in admin.text("/account")
    set_password(admin)
    person = house.visitor()
    assert person.post("/login", email=EMAIL, password=PASSWORD, totp="").status_code == 303


def test_a_session_is_new_at_every_sign_in(house: House, admin: Visitor) -> None:
    """A token planted before signing in is worth nothing afterwards."""
    set_password(admin)
    person = house.visitor()
    person.post("/login", email=EMAIL, password=PASSWORD, totp="")
    before = person.client.get_cookie("kickstand")
    link = house.accounts.login_link(1, now_ms=house.net.clock.now_ms)
    person.sign_in_by(link)
    after = person.client.get_cookie("kickstand")

    assert before is not None
    assert after is not None
    assert before.value != after.value
    assert house.accounts.session(before.value, now_ms=house.net.clock.now_ms) is None


def test_signing_out_ends_the_session_on_the_hub(house: House, admin: Visitor) -> None:
    """A stolen copy of the cookie dies with it."""
    cookie = admin.client.get_cookie("kickstand")
    assert cookie is not None
    assert admin.post("/logout").status_code == 303

    assert admin.get(ENTRY).status_code == 303
    assert house.accounts.session(cookie.value, now_ms=house.net.clock.now_ms) is None


def test_an_idle_session_ends(house: House, admin: Visitor) -> None:
    """Two hours without a request, and the door is shut."""
    house.net.clock.now_ms += 2 * HOUR_MS - MINUTE_MS
    assert admin.get(ENTRY).status_code == 200
    house.net.clock.now_ms += 2 * HOUR_MS

    assert admin.get(ENTRY).status_code == 303


def test_a_used_session_ends_after_twelve_hours(house: House, admin: Visitor) -> None:
    """However busy, one signs in again once a day."""
    for _ in range(11):
        house.net.clock.now_ms += HOUR_MS
        assert admin.get(ENTRY).status_code == 200
    house.net.clock.now_ms += HOUR_MS

    assert admin.get(ENTRY).status_code == 303


def test_an_open_tab_does_not_keep_a_session_alive(house: House, admin: Visitor) -> None:
    """The list asks for news by itself; that is no sign of a person."""
    for _ in range(4):
        house.net.clock.now_ms += 29 * MINUTE_MS
        assert admin.get("/ledger/fresh?before=1").status_code == 200
    house.net.clock.now_ms += 5 * MINUTE_MS

    assert admin.get(ENTRY).status_code == 303


def test_a_new_password_ends_every_other_session(house: House, admin: Visitor) -> None:
    """Whoever knew the old one is out; whoever set the new one stays."""
    set_password(admin)
    other = house.visitor()
    other.post("/login", email=EMAIL, password=PASSWORD, totp="")

    changed = admin.post("/account/password", current=PASSWORD, new="another fine long sentence")

    assert changed.status_code == 303
    assert admin.get(ENTRY).status_code == 200
    assert other.get(ENTRY).status_code == 303


def test_a_password_is_changed_only_by_who_knows_it(admin: Visitor) -> None:
    """An open screen is not enough."""
    set_password(admin)

    answer = admin.post("/account/password", current="guess", new="another fine long sentence")

    assert answer.status_code == 422
    assert "not your password" in answer.get_data(as_text=True)


@pytest.mark.parametrize(
    ("password", "because"),
    [
        ("short", "At least 12"),
        ("aaaaaaaaaaaaaa", "first anybody would try"),
        ("password123456", "first anybody would try"),
        (EMAIL, "own e-mail"),
        ("x" * 300, "longer than"),
    ],
)
def test_weak_passwords_are_refused_with_the_reason(
    admin: Visitor, password: str, because: str
) -> None:
    """Length counts, kinds of characters do not, and what everybody tries first is out."""
    answer = admin.post("/account/password", new=password)

    assert answer.status_code == 422
    assert because in answer.get_data(as_text=True)


def test_a_password_that_would_open_nothing_is_refused_with_the_reason(house: House) -> None:
    """Their address in the people's file is the first admin's: the page says so, and what to do."""
    people = Registry(house.database).people
    rows = (f"per_x,Xaver,auditor,{EMAIL.upper()},en", "per_y,Yuni,auditor,,en")
    file = "\n".join(("id,name,role,email,language", *rows))
    assert not people.import_file(file.encode()).refused
    said = {}
    for person in ("per_x", "per_y"):
        visitor = house.visitor()
        visitor.sign_in_by(house.accounts.person_link(person, now_ms=house.net.clock.now_ms))
        answer = visitor.post("/account/password", new=PASSWORD)
        assert answer.status_code == 422
        said[person] = answer.get_data(as_text=True)

    assert "opens somebody else" in said["per_x"]
    assert "no e-mail address" in said["per_y"]
    assert "None" not in said["per_y"]


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("/sales?state=final", "/sales?state=final"),
        ("//evil.example/", ENTRY),
        ("https://evil.example/", ENTRY),
        ("/\\evil.example", ENTRY),
        ("javascript:alert(1)", ENTRY),
    ],
)
def test_signing_in_leads_back_but_never_away(
    house: House, admin: Visitor, target: str, lands: str
) -> None:
    """`next` is a path of this hub or it is ignored."""
    set_password(admin)

    answer = house.visitor().post("/login", email=EMAIL, password=PASSWORD, totp="", next=target)

    assert answer.headers["Location"] == lands


def test_over_tls_cookies_are_bound_to_the_host(build: Build) -> None:
    """`__Host-`, Secure, HttpOnly, SameSite: no sibling site and no script reads them."""
    house = build(0, "https://hub.example")
    client = house.app.test_client()
    client.get("/login", base_url="https://hub.example")
    answer = client.post(house.link, base_url="https://hub.example")

    cookies = answer.headers.getlist("Set-Cookie")
    session = next(cookie for cookie in cookies if cookie.startswith("__Host-kickstand="))
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in session
    assert "Domain" not in session
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
