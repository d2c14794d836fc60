"""Who wrote: by phone, by business-scoped user id, or by both; either may be missing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from hub.inbox.incoming import Sender
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, Object, identifier, mapping, text

PHONE: Final = re.compile(r"\+?(\d{5,20})", re.ASCII)
BSUID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,136}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """One element of a change's `contacts`."""

    phone: str | None
    bsuid: str | None
    name: str | None


def phone_of(values: Object, name: str) -> str | None:
    """A number as WhatsApp writes it, E.164 without ``+``."""
    found = PHONE.fullmatch(text(values, name, NAME_CHARS_MAX) or "")
    return found[1] if found else None


def bsuid_of(values: Object, name: str) -> str | None:
    """A business-scoped user id (``ID.1349…``)."""
    found = BSUID.fullmatch(identifier(values, name) or "")
    return found[0] if found else None


def digits(values: Object, name: str) -> str | None:
    """A number as people write it, reduced to its digits."""
    written = text(values, name, NAME_CHARS_MAX)
    return "".join(letter for letter in written if letter in "0123456789") if written else None


class Contacts:
    """The contacts of one change, found by key: a body may hold thousands of them."""

    def __init__(self, contacts: Sequence[Object]) -> None:
        """Of two contacts with one key the first counts."""
        self._by_key: dict[str, Contact] = {}
        self._all = [
            Contact(
                phone=phone_of(contact, "wa_id"),
                bsuid=bsuid_of(contact, "user_id"),
                name=text(mapping(contact.get("profile")), "name", NAME_CHARS_MAX),
            )
            for contact in contacts
        ]
        for contact in self._all:
            for key in (contact.phone, contact.bsuid):
                if key is not None:
                    self._by_key.setdefault(key, contact)

    def sender_of(self, message: Object, *, alone: bool) -> Sender | None:
        """Who sent the message, with what the contacts add; None when nobody is named.

        A contact adds to a message when they share a key. A single contact beside a single
        message (`alone`) may also supply what the message lacks, never what it contradicts.
        """
        phone, bsuid = phone_of(message, "from"), bsuid_of(message, "from_user_id")
        shared = [self._by_key[key] for key in (phone, bsuid) if key in self._by_key]
        sole = self._all if alone and len(self._all) == 1 else []
        for contact in (*shared, *sole):
            if not (_differ(phone, contact.phone) or _differ(bsuid, contact.bsuid)):
                phone, bsuid, name = phone or contact.phone, bsuid or contact.bsuid, contact.name
                if phone is not None or bsuid is not None:
                    return Sender(phone=phone, bsuid=bsuid, name=name)
        return None if phone is None and bsuid is None else Sender(phone=phone, bsuid=bsuid)


def _differ(mine: str | None, theirs: str | None) -> bool:
    return mine is not None and theirs is not None and mine != theirs
