"""Accounts in the database, on both engines."""

import threading
from functools import partial

import pytest

from hub.accounts import store
from hub.accounts.rules import normal_email, password_fault
from hub.accounts.service import Accounts, SignedIn, create_admin
from hub.store import Database

NOW_MS = 1_795_000_000_000


def test_init_twice_makes_one_admin_and_two_links(database: Database) -> None:
    """`init` may be run again; the person is the same, each link works."""
    accounts = Accounts(database)
    links = [
        database.write(lambda c: create_admin(c, " Admin@Kickstand.example ", NOW_MS))
        for _ in range(2)
    ]
    signed_in = [accounts.sign_in_by_link(link.rpartition("/")[2], now_ms=NOW_MS) for link in links]

    assert links[0] != links[1]
    ids = {outcome.account.id for outcome in signed_in if isinstance(outcome, SignedIn)}
    assert len(ids) == 1
    assert signed_in[0] != signed_in[1]


def test_what_is_no_address_makes_no_admin(database: Database) -> None:
    """A typo is an error, not an account nobody can use."""
    for text in ("admin", "@x", "a b@c", "a@", "x" * 300 + "@y"):
        with pytest.raises(ValueError, match="not an e-mail address"):
            database.write(partial(create_admin, email=text, now_ms=NOW_MS))


def test_one_link_pressed_at_once_signs_in_once(database: Database) -> None:
    """Two presses at the same moment: the database decides, one wins."""
    accounts = Accounts(database)
    link = database.write(lambda c: create_admin(c, "a@b.example", NOW_MS))
    outcomes: list[object] = []

    def press() -> None:
        outcomes.append(accounts.sign_in_by_link(link.rpartition("/")[2], now_ms=NOW_MS))

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(isinstance(outcome, SignedIn) for outcome in outcomes) == 1


def test_no_token_is_stored_as_itself(database: Database) -> None:
    """Whoever reads the database cannot use what they find."""
    accounts = Accounts(database)
    link = database.write(lambda c: create_admin(c, "a@b.example", NOW_MS))
    token = link.rpartition("/")[2]
    outcome = accounts.sign_in_by_link(token, now_ms=NOW_MS)
    assert isinstance(outcome, SignedIn)
    with database.read() as connection:
        stored = [
            repr(tuple(row))
            for table in (store.session, store.login_link, store.account)
            for row in connection.execute(table.select())
        ]

    assert stored
    assert not any(token in row or outcome.token in row for row in stored)


def test_the_key_of_the_forms_is_made_once(database: Database) -> None:
    """Every process of a hub signs its forms with the same key."""
    assert Accounts(database).portal_key() == Accounts(database).portal_key()


def test_a_disabled_account_is_out_at_once(database: Database) -> None:
    """Its sessions end with it."""
    accounts = Accounts(database)
    link = database.write(lambda c: create_admin(c, "a@b.example", NOW_MS))
    outcome = accounts.sign_in_by_link(link.rpartition("/")[2], now_ms=NOW_MS)
    assert isinstance(outcome, SignedIn)
    database.write(lambda c: store.change_account(c, outcome.account.id, disabled_ms=NOW_MS))

    assert accounts.session(outcome.token, now_ms=NOW_MS) is None


@pytest.mark.parametrize(
    ("text", "normal"),
    [(" A@B.example ", "a@b.example"), ("a@b@c.example", "a@b@c.example"), ("a\nb@c", None)],
)
def test_an_address_has_one_form(text: str, normal: str | None) -> None:
    """Compared in lower case, without spaces around."""
    assert normal_email(text) == normal


@pytest.mark.parametrize(
    ("password", "fault"),
    [
        ("correct horse battery", None),
        ("pässwörter sind länger", None),
        ("eleven char", "too_short"),
        ("abcabcabcabcabc", "too_plain"),
        ("abcdefghijklmnop", "too_plain"),
        ("kickstand2026!", "too_plain"),
    ],
)
def test_length_makes_a_password(password: str, fault: str | None) -> None:
    """No rule about kinds of characters; only what everybody tries first is refused."""
    assert password_fault(password, "a@b.example") == fault
