"""Tables of the accounts, and all SQL on them. Tokens come in as SHA-256, never as themselves."""

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Row,
    Table,
    delete,
    func,
    insert,
    select,
    update,
)

from hub.accounts.rules import ROLES
from hub.store import BYTES, INT64, METADATA, TEXT

ROLE_LIST = ", ".join(f"'{role}'" for role in ROLES)
account = Table(
    "account",
    METADATA,
    Column("id", INT64, primary_key=True, autoincrement=True),
    Column("email", TEXT, unique=True),
    Column("role", TEXT),
    Column("person", TEXT, ForeignKey("person.id"), unique=True),
    Column("language", TEXT),
    Column("password_hash", TEXT),
    Column("totp_secret", TEXT),
    Column("totp_last_step", INT64),
    Column("created_ms", INT64, nullable=False),
    Column("disabled_ms", INT64),
    CheckConstraint(f"role IN ({ROLE_LIST})", name="account_role"),
    # A person's role stands in the people's file, and has an address only if they gave one.
    CheckConstraint(
        "(person IS NULL) = (role IS NOT NULL) AND (person IS NOT NULL OR email IS NOT NULL)",
        name="account_whose",
    ),
    CheckConstraint("totp_last_step IS NULL OR totp_secret IS NOT NULL", name="account_totp"),
    sqlite_strict=True,
)
session = Table(
    "account_session",
    METADATA,
    Column("token_hash", BYTES, primary_key=True),
    Column("account_id", INT64, ForeignKey("account.id"), nullable=False),
    Column("created_ms", INT64, nullable=False),
    Column("seen_ms", INT64, nullable=False),
    Index("account_session_account", "account_id"),
    sqlite_strict=True,
)
login_link = Table(
    "login_link",
    METADATA,
    Column("token_hash", BYTES, primary_key=True),
    Column("account_id", INT64, ForeignKey("account.id"), nullable=False),
    Column("expires_ms", INT64, nullable=False),
    sqlite_strict=True,
)
guess = Table(
    "login_guess",
    METADATA,
    Column("subject", BYTES, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Index("login_guess_subject", "subject", "at_ms"),
    sqlite_strict=True,
)
portal_secret = Table(
    "portal_secret",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("value", BYTES, nullable=False),
    sqlite_strict=True,
)


def account_by_email(connection: Connection, email: str) -> Row[Any] | None:
    """The account with this normal address."""
    return connection.execute(select(account).where(account.c.email == email)).one_or_none()


def account_by_id(connection: Connection, account_id: int) -> Row[Any] | None:
    """The account with this id."""
    return connection.execute(select(account).where(account.c.id == account_id)).one_or_none()


def account_by_person(connection: Connection, person_id: str) -> Row[Any] | None:
    """The account of somebody of the people's file."""
    return connection.execute(select(account).where(account.c.person == person_id)).one_or_none()


def create_account(
    connection: Connection,
    *,
    now_ms: int,
    email: str | None = None,
    role: str | None = None,
    person: str | None = None,
) -> int:
    """Add an account without any credential, with a role or of a person; its id."""
    values = {"email": email, "role": role, "person": person, "created_ms": now_ms}
    row = connection.execute(insert(account).values(values).returning(account.c.id)).one()
    return int(row.id)


def change_account(connection: Connection, account_id: int, **values: object) -> None:
    """Set some columns of one account."""
    connection.execute(update(account).where(account.c.id == account_id).values(**values))


def use_totp_step(connection: Connection, account_id: int, *, step: int) -> bool:
    """Take this step, unless it or a later one was taken before. The WHERE decides the race."""
    taken = connection.execute(
        update(account)
        .where(account.c.id == account_id)
        .where(func.coalesce(account.c.totp_last_step, -1) < step)
        .values(totp_last_step=step)
    )
    return taken.rowcount == 1


def create_session(
    connection: Connection, *, token_hash: bytes, account_id: int, now_ms: int
) -> None:
    """Open a session."""
    connection.execute(
        insert(session).values(
            token_hash=token_hash, account_id=account_id, created_ms=now_ms, seen_ms=now_ms
        )
    )


def session_with_account(connection: Connection, token_hash: bytes) -> Row[Any] | None:
    """The session and the account it belongs to."""
    return connection.execute(
        select(account, session.c.created_ms.label("began_ms"), session.c.seen_ms)
        .join_from(session, account)
        .where(session.c.token_hash == token_hash)
    ).one_or_none()


def touch_session(connection: Connection, token_hash: bytes, *, now_ms: int) -> None:
    """Remember that the session was used."""
    connection.execute(
        update(session).where(session.c.token_hash == token_hash).values(seen_ms=now_ms)
    )


def end_session(connection: Connection, token_hash: bytes) -> None:
    """Close one session."""
    connection.execute(delete(session).where(session.c.token_hash == token_hash))


def end_sessions(connection: Connection, account_id: int, *, keep: bytes | None) -> int:
    """Close every session of an account but one; how many."""
    ended = connection.execute(
        delete(session)
        .where(session.c.account_id == account_id)
        .where(session.c.token_hash != (keep or b""))
    )
    return ended.rowcount


def count_sessions(connection: Connection, account_id: int) -> int:
    """How many sessions an account has."""
    query = select(func.count()).select_from(session).where(session.c.account_id == account_id)
    return int(connection.execute(query).scalar_one())


def create_link(
    connection: Connection, *, token_hash: bytes, account_id: int, expires_ms: int
) -> None:
    """Remember a login link."""
    connection.execute(
        insert(login_link).values(
            token_hash=token_hash, account_id=account_id, expires_ms=expires_ms
        )
    )


def link_account(connection: Connection, token_hash: bytes, *, now_ms: int) -> int | None:
    """The account that this link could sign in now."""
    query = select(login_link.c.account_id).where(
        login_link.c.token_hash == token_hash, login_link.c.expires_ms > now_ms
    )
    return connection.execute(query).scalar_one_or_none()


def take_link(connection: Connection, token_hash: bytes, *, now_ms: int) -> int | None:
    """Use the link up; the account it signs in. Two tries at once: one gets it."""
    row = connection.execute(
        delete(login_link)
        .where(login_link.c.token_hash == token_hash, login_link.c.expires_ms > now_ms)
        .returning(login_link.c.account_id)
    ).one_or_none()
    return None if row is None else int(row.account_id)


def count_guesses(connection: Connection, subject: bytes, *, since_ms: int) -> int:
    """Failed tries of one subject (a hashed account or address) since then."""
    query = (
        select(func.count())
        .select_from(guess)
        .where(guess.c.subject == subject, guess.c.at_ms > since_ms)
    )
    return int(connection.execute(query).scalar_one())


def add_guesses(connection: Connection, subjects: list[bytes], *, now_ms: int) -> None:
    """Count a try against each subject."""
    connection.execute(
        insert(guess), [{"subject": subject, "at_ms": now_ms} for subject in subjects]
    )


def forget_guesses(connection: Connection, subject: bytes) -> None:
    """A correct sign-in clears the account's own count."""
    connection.execute(delete(guess).where(guess.c.subject == subject))


def prune(
    connection: Connection, *, guesses_before_ms: int, links_before_ms: int, seen_before_ms: int
) -> None:
    """Drop what can no longer matter: old tries, expired links, idle sessions."""
    connection.execute(delete(guess).where(guess.c.at_ms < guesses_before_ms))
    connection.execute(delete(login_link).where(login_link.c.expires_ms < links_before_ms))
    connection.execute(delete(session).where(session.c.seen_ms < seen_before_ms))


def secret(connection: Connection, name: str) -> bytes | None:
    """A stored secret by name."""
    query = select(portal_secret.c.value).where(portal_secret.c.name == name)
    return connection.execute(query).scalar_one_or_none()


def create_secret(connection: Connection, name: str, value: bytes) -> None:
    """Store a secret under a new name."""
    connection.execute(insert(portal_secret).values(name=name, value=value))
