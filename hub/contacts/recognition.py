"""Whose keys these are: at most three look-ups, however many contacts there are."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection

from hub.contacts import store
from hub.contacts.rules import Kind, clean_bsuid, clean_email, clean_phone

STRENGTH: Final[tuple[Kind, ...]] = ("phone", "bsuid", "email")
"""Which key decides before which."""


def cleaned(phone: str | None, bsuid: str | None, email: str | None) -> dict[Kind, str]:
    """The keys that can be keys, the one that decides first."""
    found: dict[Kind, str | None] = {
        "phone": clean_phone(phone),
        "bsuid": clean_bsuid(bsuid),
        "email": clean_email(email),
    }
    return {kind: value for kind, value in found.items() if value is not None}


def owners(connection: Connection, given: Mapping[Kind, str]) -> dict[Kind, str]:
    """The contact that has each key, of those that somebody has."""
    found = {kind: store.owner(connection, kind, value) for kind, value in given.items()}
    return {kind: owner for kind, owner in found.items() if owner is not None}


def decide(connection: Connection, given: Mapping[Kind, str]) -> str | None:
    """The contact that comes with these keys; None: it is a new one."""
    held_by = owners(connection, given)
    found = held_by.get("phone") or held_by.get("bsuid")
    if found is not None or "email" not in held_by:
        return found
    # An address in a form can be anybody's: it does not outweigh a number that differs.
    held = {kind for kind, _ in store.keys(connection, held_by["email"])}
    return None if held & {"phone", "bsuid"} & given.keys() else held_by["email"]
