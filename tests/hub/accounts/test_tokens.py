"""Tokens of programs: shown once, of the scopes they were made with, gone when revoked."""

import pytest
from sqlalchemy import select

from hub.accounts.token_store import API_TOKEN
from hub.accounts.tokens import Tokens
from hub.errors import Refused


def test_a_token_is_stored_as_a_hash_and_known_by_its_secret(database):
    """Who reads the database learns no secret."""
    tokens = Tokens(database)
    made = tokens.create(["leads:read", "customers:read"], dealer="SBY01", now_ms=1)

    assert tokens.of_secret(made.secret) == made.token
    assert made.token.scopes == {"leads:read", "customers:read"}
    with database.read() as connection:
        stored = connection.execute(select(API_TOKEN)).one()
    assert made.secret not in str(stored)
    assert made.secret.encode() not in stored.secret_hash
    assert tokens.of_secret(made.secret[:-1]) is None
    assert tokens.of_secret("") is None


def test_a_revoked_token_opens_nothing(database):
    """At once and for ever; the others stay."""
    tokens = Tokens(database)
    lost, kept = (tokens.create(["alerts:read"], dealer=None, now_ms=n) for n in (1, 2))

    assert tokens.revoke(lost.token.id, now_ms=3)
    assert not tokens.revoke(lost.token.id, now_ms=4)

    assert tokens.of_secret(lost.secret) is None
    assert tokens.of_secret(kept.secret) == kept.token
    assert [token.revoked_ms for token in tokens.all()] == [3, None]


@pytest.mark.parametrize(
    ("scopes", "dealer"), [([], None), (["leads:write"], None), (["inbox:read"], "SBY01")]
)
def test_a_scope_that_does_not_exist_or_fit_is_refused(database, scopes, dealer):
    """What comes in is nobody's in particular: no dealer's token reads it."""
    with pytest.raises(Refused):
        Tokens(database).create(scopes, dealer=dealer, now_ms=1)
