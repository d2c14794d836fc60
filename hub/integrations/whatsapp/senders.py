"""Who wrote: by phone, by business-scoped user id, or by both; either may be missing."""

import re
from typing import Final

from hub.inbox.incoming import Sender
from hub.integrations.whatsapp.reading import NAME_CHARS_MAX, Object, identifier, mapping, text

PHONE: Final = re.compile(r"\+?(\d{5,20})", re.ASCII)
BSUID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,136}", re.ASCII)


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


def sender_of(message: Object, contacts: list[Object], *, alone: bool) -> Sender | None:
    """Who sent the message, with what the body's contacts add; None when nobody is named.

    A contact adds to a message when they share a key. A single contact beside a single message
    (`alone`) may also supply what the message lacks, never what it contradicts.
    """
    phone, bsuid = phone_of(message, "from"), bsuid_of(message, "from_user_id")
    for contact in contacts:
        their_phone, their_bsuid = phone_of(contact, "wa_id"), bsuid_of(contact, "user_id")
        shared = _same(phone, their_phone) or _same(bsuid, their_bsuid)
        contradicts = _differ(phone, their_phone) or _differ(bsuid, their_bsuid)
        if contradicts or not (shared or alone):
            continue
        phone, bsuid = phone or their_phone, bsuid or their_bsuid
        if phone is not None or bsuid is not None:
            name = text(mapping(contact.get("profile")), "name", NAME_CHARS_MAX)
            return Sender(phone=phone, bsuid=bsuid, name=name)
    return None if phone is None and bsuid is None else Sender(phone=phone, bsuid=bsuid)


def _same(mine: str | None, theirs: str | None) -> bool:
    return mine is not None and mine == theirs


def _differ(mine: str | None, theirs: str | None) -> bool:
    return mine is not None and theirs is not None and mine != theirs
