"""Use cases of signing in. Every method is one transaction; instants are ms since 1970."""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyotp
from sqlalchemy import Connection, Row

from hub.accounts import rules, store
from hub.accounts.passwords import hash_password, needs_new_hash, verify_password
from hub.accounts.rules import Account, SessionTimes
from hub.registry.people import store as people_store
from hub.registry.people.rules import Person
from hub.registry.people.service import works_today
from hub.store import Database

TOKEN_BYTES = 32
TOTP_STEP_S = 30
TOTP_DRIFT_STEPS = 1
ISSUER = "Kickstand"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session. `token` exists here and in the cookie, nowhere else."""

    token: str
    account: Account


Refusal = Literal["wrong", "too_many", "totp_needed", "link_unknown"]


class NotOurs(Exception):
    """Nobody of that id works for the network today, so there is nothing to sign in to."""


def _account(connection: Connection, row: Row[Any], now_ms: int) -> Account | None:
    """The account as it is now; None for one that is disabled, or of who has left."""
    if row.disabled_ms is not None:
        return None
    person = None if row.person is None else _at_work(connection, row.person, now_ms)
    if row.person is not None and person is None:
        return None
    return Account(
        id=int(row.id),
        email=row.email,
        role=row.role if person is None else person.role,
        language=row.language or (None if person is None else person.language),
        has_password=row.password_hash is not None,
        has_totp=row.totp_secret is not None,
        disabled=False,
        person=row.person,
        dealers=() if person is None else person.dealers,
        regions=() if person is None else person.regions,
    )


def _at_work(connection: Connection, person_id: str, now_ms: int) -> Person | None:
    person = people_store.by_id(connection, person_id)
    return person if person is not None and works_today(connection, person, now_ms) else None


def _hashed(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def new_link(connection: Connection, account_id: int, *, now_ms: int, life_ms: int) -> str:
    """A login link in the caller's transaction; the path to append to the hub's address."""
    token = _url_token()
    store.create_link(
        connection, token_hash=_hashed(token), account_id=account_id, expires_ms=now_ms + life_ms
    )
    return f"/login/{token}"


def _url_token() -> str:
    # Paths are [a-z0-9/_-] only, so hexadecimal: 256 bits.
    return secrets.token_hex(TOKEN_BYTES)


def create_admin(connection: Connection, email: str, now_ms: int) -> str:
    """Make an admin account if there is none of this address, and a login link for it.

    Returns the link's path; it works once, for a day. Raises ValueError for what is no address.
    """
    normal = rules.normal_email(email)
    if normal is None:
        raise ValueError(f"not an e-mail address: {email!r}")
    row = store.account_by_email(connection, normal)
    if row is not None and row.person is not None:
        # Somebody of the people's file signs in with it: their role is not the hub's to give.
        store.change_account(connection, int(row.id), email=None)
        row = None
    account_id = (
        int(row.id)
        if row is not None
        else store.create_account(connection, email=normal, role="admin", now_ms=now_ms)
    )
    return new_link(connection, account_id, now_ms=now_ms, life_ms=rules.FIRST_LINK_LIFE_MS)


class Accounts:
    """Accounts, sessions and login links in one database."""

    def __init__(self, database: Database) -> None:
        """Work on `database`; nothing is read yet."""
        self._database: Final = database

    def portal_key(self) -> bytes:
        """The key that signs form tokens: made once, the same in every process."""
        with self._database.read() as connection:
            found = store.secret(connection, "forms")
        if found is not None:
            return found

        def make(connection: Connection) -> bytes:
            again = store.secret(connection, "forms")
            if again is not None:
                return again
            value = secrets.token_bytes(TOKEN_BYTES)
            store.create_secret(connection, "forms", value)
            return value

        return self._database.write(make)

    def login_link(self, account_id: int, *, now_ms: int) -> str:
        """A link that signs this account in once, within ten minutes; its path."""
        return self._database.write(
            lambda connection: new_link(
                connection, account_id, now_ms=now_ms, life_ms=rules.LINK_LIFE_MS
            )
        )

    def person_link(self, person_id: str, *, now_ms: int, forget_totp: bool = False) -> str:
        """A link that signs somebody of the people's file in once, within ten minutes; its path.

        `forget_totp` is for who has lost their authenticator: it ends their sessions as well.
        Raises NotOurs.
        """

        def work(connection: Connection) -> str:
            person = _at_work(connection, person_id, now_ms)
            if person is None:
                raise NotOurs(f"nobody called {person_id} works here today; see `person list`")
            account_id = _account_of(connection, person, now_ms)
            if forget_totp:
                store.change_account(connection, account_id, totp_last_step=None, totp_secret=None)
                store.end_sessions(connection, account_id, keep=None)
            return new_link(connection, account_id, now_ms=now_ms, life_ms=rules.LINK_LIFE_MS)

        return self._database.write(work)

    def link_is_open(self, token: str, *, now_ms: int) -> bool:
        """Could this link be used now? Changes nothing: a chat's preview may ask too."""
        with self._database.read() as connection:
            return store.link_account(connection, _hashed(token), now_ms=now_ms) is not None

    def sign_in_by_link(self, token: str, totp: str = "", *, now_ms: int) -> SignedIn | Refusal:
        """Use a link up and open a session.

        Of a person who has set TOTP it asks for a code, and stays until that is right: chats keep
        links for longer than phones are in one hand. Whoever can run `init` owns the hub anyway,
        so a link of the hub's own accounts is also the way back in without a code.
        """

        def work(connection: Connection) -> SignedIn | Refusal:
            account_id = store.link_account(connection, _hashed(token), now_ms=now_ms)
            row = None if account_id is None else store.account_by_id(connection, account_id)
            if row is None or _account(connection, row, now_ms) is None:
                return "link_unknown"
            refused = _check_link_totp(connection, row, totp, now_ms)
            if refused is not None:
                return refused
            if store.take_link(connection, _hashed(token), now_ms=now_ms) is None:
                return "link_unknown"
            return self._open(connection, row, now_ms) or "link_unknown"

        return self._database.write(work)

    def sign_in(
        self, email: str, password: str, totp: str, *, address: str, now_ms: int
    ) -> SignedIn | Refusal:
        """Check password and, once the person has set one, TOTP; open a session.

        Tries are counted per account and per address before the password is looked at, so a
        thousand tries at once are still counted. Raises TooBusy.
        """
        normal = rules.normal_email(email) or ""
        subjects = [_hashed(f"account {normal}"), _hashed(f"address {address}")]
        if not self._database.write(lambda c: _count_try(c, subjects, now_ms)):
            return "too_many"
        with self._database.read() as connection:
            row = store.account_by_email(connection, normal)
        # Outside any transaction: a hash takes tens of milliseconds.
        fits = verify_password(None if row is None else row.password_hash, password)
        if row is None or not fits:
            return "wrong"
        fresh = hash_password(password) if needs_new_hash(row.password_hash) else None

        def work(connection: Connection) -> SignedIn | Refusal:
            refused = _check_totp(connection, row, totp, now_ms)
            if refused is not None:
                return refused
            if fresh is not None:
                store.change_account(connection, int(row.id), password_hash=fresh)
            store.forget_guesses(connection, subjects[0])
            return self._open(connection, row, now_ms) or "wrong"

        return self._database.write(work)

    def _open(self, connection: Connection, row: Row[Any], now_ms: int) -> SignedIn | None:
        account = _account(connection, row, now_ms)
        if account is None:
            return None
        token = secrets.token_urlsafe(TOKEN_BYTES)
        store.create_session(
            connection, token_hash=_hashed(token), account_id=int(row.id), now_ms=now_ms
        )
        store.prune(
            connection,
            guesses_before_ms=now_ms - rules.GUESS_WINDOW_MS,
            links_before_ms=now_ms,
            seen_before_ms=now_ms - rules.SESSION_IDLE_MS,
        )
        return SignedIn(token, account)

    def session(self, token: str, *, now_ms: int, used: bool = True) -> Account | None:
        """Whose live session this is; remembers its use at most once a minute.

        `used` is False for what a page asks by itself: an open tab must not keep a session alive.
        """
        token_hash = _hashed(token)
        with self._database.read() as connection:
            row = store.session_with_account(connection, token_hash)
            account = None if row is None else _account(connection, row, now_ms)
        if row is None or account is None:
            return None
        times = SessionTimes(created_ms=row.began_ms, seen_ms=row.seen_ms)
        if not rules.session_is_live(times, now_ms=now_ms):
            return None
        if used and now_ms - row.seen_ms >= rules.SESSION_TOUCH_MS:
            self._database.write(lambda c: store.touch_session(c, token_hash, now_ms=now_ms))
        return account

    def sign_out(self, token: str) -> None:
        """End this session."""
        self._database.write(lambda c: store.end_session(c, _hashed(token)))

    def sign_out_elsewhere(self, account_id: int, token: str) -> int:
        """End every other session of the account; how many."""
        return self._database.write(
            lambda c: store.end_sessions(c, account_id, keep=_hashed(token))
        )

    def session_count(self, account_id: int) -> int:
        """How many sessions the account has."""
        with self._database.read() as connection:
            return store.count_sessions(connection, account_id)

    def choose_language(self, account_id: int, language: str) -> None:
        """Remember the language of an account."""
        self._database.write(lambda c: store.change_account(c, account_id, language=language))

    def set_password(
        self, account: Account, password: str, *, token: str
    ) -> rules.PasswordFault | None:
        """Set it and end every other session; or say why it is refused. Raises TooBusy.

        Of somebody whose address opens another account, or who has none, it is refused: nobody
        could ever sign in with it.
        """
        fault = rules.password_fault(password, account.email)
        if fault is not None:
            return fault
        hashed = hash_password(password)

        def work(connection: Connection) -> rules.PasswordFault | None:
            unusable = _take_address(connection, account)
            if unusable is None:
                store.change_account(connection, account.id, password_hash=hashed)
                store.end_sessions(connection, account.id, keep=_hashed(token))
            return unusable

        return self._database.write(work)

    def password_fits(self, account_id: int, password: str) -> bool:
        """Is this the account's password? Raises TooBusy."""
        with self._database.read() as connection:
            row = store.account_by_id(connection, account_id)
        return verify_password(None if row is None else row.password_hash, password)

    def set_totp(self, account_id: int, secret: str, code: str, *, now_ms: int) -> bool:
        """Turn TOTP on, if `code` proves that the person's app holds `secret`."""
        step = matching_step(secret, code, now_ms=now_ms)
        if step is None:
            return False
        self._database.write(
            lambda c: store.change_account(c, account_id, totp_secret=secret, totp_last_step=step)
        )
        return True

    def remove_totp(self, account_id: int) -> None:
        """Turn TOTP off."""
        self._database.write(
            lambda c: store.change_account(c, account_id, totp_secret=None, totp_last_step=None)
        )


def _account_of(connection: Connection, person: Person, now_ms: int) -> int:
    """A person's account, made at the first link; their address opens it unless it is taken."""
    row = store.account_by_person(connection, person.id)
    account_id = (
        int(row.id)
        if row is not None
        else store.create_account(connection, person=person.id, now_ms=now_ms)
    )
    email = _free_address(connection, person, account_id)
    store.change_account(connection, account_id, email=email)
    return account_id


def _free_address(connection: Connection, person: Person, account_id: int) -> str | None:
    """The person's address, unless it opens another account than theirs."""
    email = rules.normal_email(person.email or "")
    holder = None if email is None else store.account_by_email(connection, email)
    return email if holder is None or int(holder.id) == account_id else None


def _take_address(connection: Connection, account: Account) -> rules.PasswordFault | None:
    """Let the account have the address that it is opened by; why it has none, if it gets none."""
    row = store.account_by_id(connection, account.id)
    if account.person is None or row is None or row.email is not None:
        return None
    person = people_store.by_id(connection, account.person)
    if person is None or rules.normal_email(person.email or "") is None:
        return "no_address"
    email = _free_address(connection, person, account.id)
    if email is None:
        return "address_taken"
    store.change_account(connection, account.id, email=email)
    return None


def _check_link_totp(
    connection: Connection, row: Row[Any], code: str, now_ms: int
) -> Refusal | None:
    if row.person is None or row.totp_secret is None:
        return None
    subject = _hashed(f"link of {row.id}")
    if code.strip() and not _count_try(connection, [subject], now_ms):
        return "too_many"
    refused = _check_totp(connection, row, code, now_ms)
    if refused is None:
        store.forget_guesses(connection, subject)
    return refused


def _count_try(connection: Connection, subjects: list[bytes], now_ms: int) -> bool:
    """Count a try; False when the account or the address has had too many."""
    since_ms = now_ms - rules.GUESS_WINDOW_MS
    limits = (rules.GUESSES_AN_ACCOUNT, rules.GUESSES_AN_ADDRESS)
    for subject, limit in zip(subjects, limits, strict=False):
        if store.count_guesses(connection, subject, since_ms=since_ms) >= limit:
            return False
    store.add_guesses(connection, subjects, now_ms=now_ms)
    return True


def _check_totp(
    connection: Connection, row: Row[Any], code: str, now_ms: int
) -> Literal["wrong", "totp_needed"] | None:
    if row.totp_secret is None:
        return None
    if not code.strip():
        return "totp_needed"
    step = matching_step(row.totp_secret, code, now_ms=now_ms)
    if step is None or not store.use_totp_step(connection, int(row.id), step=step):
        return "wrong"
    return None


def matching_step(secret: str, code: str, *, now_ms: int) -> int | None:
    """The time step this code belongs to, one step of drift allowed; None when it fits none."""
    digits = code.replace(" ", "")
    generator = pyotp.TOTP(secret, interval=TOTP_STEP_S)
    now_step = now_ms // 1000 // TOTP_STEP_S
    for step in range(now_step - TOTP_DRIFT_STEPS, now_step + TOTP_DRIFT_STEPS + 1):
        if secrets.compare_digest(generator.at(step * TOTP_STEP_S).encode(), digits.encode()):
            return step
    return None


def new_totp_secret() -> str:
    """A fresh secret for an authenticator app."""
    return pyotp.random_base32()


def totp_uri(secret: str, label: str) -> str:
    """What the QR code says to an authenticator app."""
    return pyotp.TOTP(secret).provisioning_uri(name=label, issuer_name=ISSUER)
