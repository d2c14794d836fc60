"""People of the people's file sign in by a link, as who they are in the file at that moment."""

from dataclasses import dataclass, replace

import pyotp
import pytest

from hub.accounts.rules import GUESSES_AN_ACCOUNT, LINK_LIFE_MS, MINUTE_MS
from hub.accounts.service import Accounts, NotOurs, SignedIn, create_admin, new_totp_secret
from hub.registry.people import store as people_store
from hub.registry.service import Registry
from hub.store import Database

PASSWORD = "forty scooters in a row"
NOW_MS = 1_795_000_000_000  # a Wednesday in November 2026
HEADER = "id;name;role;dealers;email;language;active_until\n"
MANAGER = "per_m;Maya;dealer_manager;SBY01;maya@dealer.example;en;\n"
REP = "per_r;Rudi;rep;SBY01;rudi@dealer.example;;\n"


@dataclass
class Staff:
    """One dealer's people and their accounts."""

    database: Database
    registry: Registry
    accounts: Accounts

    def file(self, *rows: str) -> None:
        """Import a people file of these rows."""
        assert not self.registry.people.import_file((HEADER + "".join(rows)).encode()).refused

    def link(self, person: str = "per_m", *, forget_totp: bool = False) -> str:
        """The token of a fresh login link."""
        path = self.accounts.person_link(person, now_ms=NOW_MS, forget_totp=forget_totp)
        return path.rpartition("/")[2]

    def sign_in(self, person: str = "per_m") -> SignedIn:
        """A session by a fresh link."""
        outcome = self.accounts.sign_in_by_link(self.link(person), now_ms=NOW_MS)
        assert isinstance(outcome, SignedIn)
        return outcome


@pytest.fixture
def staff(database: Database) -> Staff:
    """A dealer with a manager and a rep."""
    registry = Registry(database)
    registry.regions.import_file(b"code,name,timezone\nJATIM,Jawa Timur,WIB\n")
    registry.dealers.import_file(
        b"code,name,region,lat,lon,timezone,hours,authorised\n"
        b"SBY01,Surabaya,JATIM,-7.2575,112.7521,WIB,Mon-Fri 09:00-17:00,yes\n"
    )
    found = Staff(database, registry, Accounts(database))
    found.file(MANAGER, REP)
    return found


def test_a_person_signs_in_as_who_they_are_in_the_file(staff: Staff) -> None:
    """Role, dealers and language are the file's; they see no dealer but theirs."""
    account = staff.sign_in().account

    assert (account.person, account.role, account.dealers) == (
        "per_m",
        "dealer_manager",
        ("SBY01",),
    )
    assert (account.language, account.email) == ("en", "maya@dealer.example")
    assert not account.head_office
    assert account.may_see_dealer("SBY01")
    assert not account.may_see_dealer("SBY02")


def test_a_link_works_once_and_for_ten_minutes(staff: Staff) -> None:
    """As every login link."""
    used, late = staff.link(), staff.link()

    assert isinstance(staff.accounts.sign_in_by_link(used, now_ms=NOW_MS), SignedIn)
    assert staff.accounts.sign_in_by_link(used, now_ms=NOW_MS) == "link_unknown"
    over_ms = NOW_MS + LINK_LIFE_MS
    assert staff.accounts.sign_in_by_link(late, now_ms=over_ms) == "link_unknown"


def test_a_changed_file_changes_an_open_session(staff: Staff) -> None:
    """Whoever is moved or has left is so with the next page."""
    token = staff.sign_in().token
    staff.file(MANAGER.replace("dealer_manager", "rep"))
    moved = staff.accounts.session(token, now_ms=NOW_MS)
    staff.file(MANAGER.replace(";en;", ";en;2026-11-01"))

    assert moved is not None
    assert moved.role == "rep"
    assert staff.accounts.session(token, now_ms=NOW_MS) is None
    with pytest.raises(NotOurs):
        staff.link()


def test_who_has_left_gets_in_by_no_road(staff: Staff) -> None:
    """Neither by the link of yesterday nor by the password."""
    signed_in, link = staff.sign_in(), staff.link()
    staff.accounts.set_password(signed_in.account, PASSWORD, token=signed_in.token)
    staff.file(MANAGER.replace(";en;", ";en;2026-11-01"))

    assert staff.accounts.sign_in_by_link(link, now_ms=NOW_MS) == "link_unknown"
    by_password = staff.accounts.sign_in(
        "maya@dealer.example", PASSWORD, "", address="::1", now_ms=NOW_MS
    )
    assert by_password == "wrong"


def test_nobody_unknown_gets_a_link(staff: Staff) -> None:
    """An id that is nobody's is refused."""
    with pytest.raises(NotOurs, match="per_x"):
        staff.link("per_x")


def test_an_address_opens_one_account_and_nobody_else_sets_a_password(staff: Staff) -> None:
    """Of two with one address, which a whole dealer may share, the second signs in by links.

    A password would open the other's account for them never, their own neither: it is refused,
    and taken once the address is nobody else's.
    """
    rudi = staff.registry.people.all()[1]
    shared = replace(rudi, email="Maya@dealer.example")
    staff.database.write(lambda c: people_store.change(c, [shared], {rudi.id: rudi}))
    assert staff.sign_in("per_m").account.email == "maya@dealer.example"
    second = staff.sign_in("per_r")
    assert second.account.email is None

    def set_password() -> str | None:
        return staff.accounts.set_password(second.account, PASSWORD, token=second.token)

    assert set_password() == "address_taken"
    staff.file(REP.replace("rudi@dealer.example", ""))
    assert set_password() == "no_address"
    assert not staff.sign_in("per_r").account.has_password
    staff.file(REP)
    assert set_password() is None
    by_password = staff.accounts.sign_in(
        "Rudi@dealer.example", PASSWORD, "", address="::1", now_ms=NOW_MS
    )
    assert isinstance(by_password, SignedIn)


def test_a_password_never_opens_by_the_address_of_the_first_admin(staff: Staff) -> None:
    """Whose account `init` made for an address that a person has too, they set none."""
    staff.database.write(lambda c: create_admin(c, "maya@dealer.example", NOW_MS))
    manager = staff.sign_in()
    fault = staff.accounts.set_password(manager.account, PASSWORD, token=manager.token)
    assert fault == "address_taken"


def test_an_address_in_the_file_opens_no_account_of_the_hub(staff: Staff) -> None:
    """Nor does `init` for a person's address make that person an admin."""
    staff.database.write(lambda c: create_admin(c, "maya@dealer.example", NOW_MS))
    manager = staff.sign_in().account
    assert (manager.role, manager.email) == ("dealer_manager", None)

    assert staff.sign_in("per_r").account.email == "rudi@dealer.example"
    link = staff.database.write(lambda c: create_admin(c, "rudi@dealer.example", NOW_MS))
    admin = staff.accounts.sign_in_by_link(link.rpartition("/")[2], now_ms=NOW_MS)
    assert isinstance(admin, SignedIn)
    assert (admin.account.role, admin.account.person) == ("admin", None)


def set_totp(staff: Staff) -> pyotp.TOTP:
    """Give the manager a second factor."""
    secret = new_totp_secret()
    code = pyotp.TOTP(secret).at(NOW_MS // 1000)
    assert staff.accounts.set_totp(staff.sign_in().account.id, secret, code, now_ms=NOW_MS)
    return pyotp.TOTP(secret)


def test_a_link_asks_for_the_code_once_there_is_one(staff: Staff) -> None:
    """It is not used up by asking, nor by a wrong code; a code works once."""
    totp = set_totp(staff)
    link, now_ms = staff.link(), NOW_MS + MINUTE_MS
    code = totp.at(now_ms // 1000)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"

    assert staff.accounts.sign_in_by_link(link, now_ms=now_ms) == "totp_needed"
    assert staff.accounts.sign_in_by_link(link, wrong, now_ms=now_ms) == "wrong"
    assert isinstance(staff.accounts.sign_in_by_link(link, code, now_ms=now_ms), SignedIn)
    assert staff.accounts.sign_in_by_link(staff.link(), code, now_ms=now_ms) == "wrong"


def test_codes_of_a_link_are_not_guessed(staff: Staff) -> None:
    """Ten wrong ones in a quarter of an hour, over all links of the account."""
    totp = set_totp(staff)
    now_ms = NOW_MS + MINUTE_MS
    code = totp.at(now_ms // 1000)
    wrong = f"{(int(code) + 1) % 1_000_000:06d}"
    for _ in range(GUESSES_AN_ACCOUNT):
        assert staff.accounts.sign_in_by_link(staff.link(), wrong, now_ms=now_ms) == "wrong"

    assert staff.accounts.sign_in_by_link(staff.link(), code, now_ms=now_ms) == "too_many"


def test_a_lost_authenticator_is_forgotten_with_its_sessions(staff: Staff) -> None:
    """Whoever found the phone is out; the next link needs no code."""
    token = staff.sign_in().token
    set_totp(staff)
    link = staff.link(forget_totp=True)

    assert staff.accounts.session(token, now_ms=NOW_MS) is None
    outcome = staff.accounts.sign_in_by_link(link, now_ms=NOW_MS)
    assert isinstance(outcome, SignedIn)
    assert not outcome.account.has_totp
