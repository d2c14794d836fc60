"""Use cases of contacts. Each works on the caller's connection, inside the caller's transaction."""

import hashlib
import hmac
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy import Connection

from hub.contacts import store
from hub.contacts.erasures import Erased, Erasure, ErasureJournal
from hub.contacts.recognition import STRENGTH, cleaned, decide, owners
from hub.contacts.rules import (
    Kind,
    canonical_phone,
    clean_name,
    key_hash,
    masked,
)
from hub.ledger.service import Ledger
from shared.identifiers import new_id

Language: TypeAlias = Literal["id", "en"]
TEXT_CHARS_MAX: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A customer as known now. Whoever shows name or phone to a person logs it first."""

    id: str
    name: str | None
    phone: str | None
    bsuid: str | None
    email: str | None
    language: Language
    consent_version: str | None
    consent_ms: int | None
    opted_out: bool
    erased: bool
    erasure_asked: bool
    seen_ms: int

    @property
    def masked(self) -> str:
        """What may be shown to anybody who sees the lead."""
        return masked(self.phone) if self.phone is not None else "•••"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Where a customer is written to; at least one of the two."""

    phone: str | None
    bsuid: str | None


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Why nothing may or can be sent."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One message of a transcript; `text` is None for what has no words or was erased."""

    direction: Literal["in", "out"]
    at_ms: int
    kind: str
    text: str | None
    number: str | None
    lead: str | None


class Contacts:
    """Customers as persons."""

    def __init__(self, hash_key: bytes, journal: ErasureJournal | None = None) -> None:
        """`hash_key` (32 secret bytes) is kept outside the database; without it hashes are void."""
        self._hash_key = hash_key
        self._journal = journal

    # --- who it is ---

    @staticmethod
    def find(
        connection: Connection,
        *,
        phone: str | None = None,
        bsuid: str | None = None,
        email: str | None = None,
    ) -> str | None:
        """The contact with one of these keys; the phone decides before BSUID and e-mail.

        Takes three look-ups at most, however many contacts there are.
        """
        found = owners(connection, cleaned(phone, bsuid, email))
        return next((found[kind] for kind in STRENGTH if kind in found), None)

    @staticmethod
    def whose(
        connection: Connection, *, phone: str | None = None, email: str | None = None
    ) -> str | None:
        """The contact that `meet` would find for these keys; None: it would make a new one."""
        return decide(connection, cleaned(phone, None, email))

    def meet(
        self,
        connection: Connection,
        *,
        phone: str | None = None,
        bsuid: str | None = None,
        email: str | None = None,
        name: str | None = None,
        language: Language = "id",
        now_ms: int,
    ) -> str:
        """The contact with these keys, made when there is none; what is new of it is learned.

        Keys of two contacts never make them one: the phone decides before BSUID and e-mail, and
        the conflict is noted. Who was opted out before an erasure is opted out again.
        Raises ValueError when no key is given that can be one.
        """
        given = cleaned(phone, bsuid, email)
        if not given:
            raise ValueError("a contact needs a phone, a BSUID or an e-mail address")
        found = decide(connection, given)
        contact = found or self._create(connection, given, language, now_ms)
        self._learn(connection, contact, given, now_ms)
        values: dict[str, object] = {"seen_ms": now_ms}
        if (shown := clean_name(name)) is not None:
            values["name"] = shown
        store.change(connection, contact, **values)
        return contact

    @staticmethod
    def _create(
        connection: Connection, given: Mapping[Kind, str], language: Language, now_ms: int
    ) -> str:
        """A new contact, or the one that another process made for the same key meanwhile."""
        contact = new_id("cus")
        store.create(connection, contact, language, now_ms)
        kind = next(kind for kind in STRENGTH if kind in given)
        if store.claim_key(connection, kind, given[kind], contact=contact, now_ms=now_ms):
            return contact
        other = store.owner(connection, kind, given[kind])
        if other is None:
            return contact
        store.discard(connection, contact)
        return other

    def _learn(
        self, connection: Connection, contact: str, given: Mapping[Kind, str], now_ms: int
    ) -> None:
        """Add keys nobody has, note those of others, and remember an opt-out of any of them."""
        held = store.keys(connection, contact)
        vouched = any(
            kind in {"phone", "bsuid"} and (kind, value) in held for kind, value in given.items()
        )
        for kind, value in given.items():
            if (kind, value) in held:
                store.saw_key(connection, kind, value, now_ms)
                continue
            owner = store.owner(connection, kind, value)
            if owner is not None and owner != contact:
                store.note_conflict(connection, contact, owner, kind=kind, now_ms=now_ms)
            elif not any(kind == had for had, _ in held) or (kind == "phone" and vouched):
                # A known BSUID with a new number is a person who changed the number. A known
                # number with a new BSUID may be another person: that one is not learned.
                store.claim_key(connection, kind, value, contact=contact, now_ms=now_ms)
        self._still_opted_out(connection, contact, now_ms)

    def _still_opted_out(self, connection: Connection, contact: str, now_ms: int) -> None:
        row = store.get(connection, contact)
        hashes = self._hashes(connection, contact)
        since = store.opted_out_ms(connection, hashes)
        if row is not None and (since is not None or row["opted_out_ms"] is not None):
            store.opt_out(connection, hashes, now_ms)
            if row["opted_out_ms"] is None:
                store.change(connection, contact, opted_out_ms=since)

    def renumbered(
        self,
        connection: Connection,
        contact: str,
        *,
        phone: str | None = None,
        bsuid: str | None = None,
        now_ms: int,
    ) -> bool:
        """A person has another number or BSUID now, or has told the first; it is the one to use.

        Another contact's key is never taken: the conflict is noted and the answer False.
        """
        given = cleaned(phone, bsuid, None)
        for kind, value in given.items():
            if store.claim_key(connection, kind, value, contact=contact, now_ms=now_ms):
                continue
            owner = store.owner(connection, kind, value)
            if owner == contact:
                store.saw_key(connection, kind, value, now_ms)
            elif owner is not None:
                store.note_conflict(connection, contact, owner, kind=kind, now_ms=now_ms)
        self._still_opted_out(connection, contact, now_ms)
        held = store.keys(connection, contact)
        return bool(given) and all(key in held for key in given.items())

    @staticmethod
    def contact(connection: Connection, contact: str) -> Contact | None:
        """Who it is; None for an id that nobody has."""
        row = store.get(connection, contact)
        if row is None:
            return None
        newest: dict[Kind, str] = {}
        for kind, value in store.keys(connection, contact):
            newest.setdefault(kind, value)
        return Contact(
            id=contact,
            name=row["name"],
            phone=newest.get("phone"),
            bsuid=newest.get("bsuid"),
            email=newest.get("email"),
            language="en" if row["language"] == "en" else "id",
            consent_version=row["consent_version"],
            consent_ms=row["consent_ms"],
            opted_out=row["opted_out_ms"] is not None,
            erased=row["erased_ms"] is not None,
            erasure_asked=row["erasure_asked_ms"] is not None,
            seen_ms=row["seen_ms"],
        )

    @staticmethod
    def phones(connection: Connection, contacts: Collection[str]) -> Mapping[str, str]:
        """The phones of several contacts at once, by id, for lists that mask them."""
        return store.phones(connection, contacts)

    def address(self, connection: Connection, contact: str) -> Reach | Unreachable:
        """Where to write to, now; those who opted out or are erased are not written to."""
        found = self.contact(connection, contact)
        if found is None or found.erased:
            return Unreachable("erased" if found else "there is no such contact")
        if found.opted_out:
            return Unreachable("the customer wants no more messages")
        if found.phone is None and found.bsuid is None:
            return Unreachable("the customer has no WhatsApp address")
        return Reach(phone=found.phone, bsuid=found.bsuid)

    @staticmethod
    def speaks(connection: Connection, contact: str, language: Language) -> None:
        """The language to write in from now on."""
        store.change(connection, contact, language=language)

    @staticmethod
    def read_identity(
        connection: Connection, contact: str, *, by: str, why: str, now_ms: int
    ) -> None:
        """Log that `by` (per_…, a user's or a key's id) is shown who this is, and why."""
        store.read_by(connection, contact, by=by, why=why, at_ms=now_ms)

    # --- what they agreed to ---

    @staticmethod
    def consent(
        connection: Connection, contact: str, *, version: str, at_ms: int, channel: str
    ) -> None:
        """They agreed to this text at this time by this channel. The first time of a text stays."""
        row = store.get(connection, contact)
        if row is None or row["consent_version"] == version:
            return
        store.note_consent(
            connection, contact, "consent", version=version, channel=channel, at_ms=at_ms
        )
        store.change(connection, contact, consent_version=version, consent_ms=at_ms)

    def opt_out(self, connection: Connection, contact: str, *, channel: str, now_ms: int) -> bool:
        """No more messages to any of their keys; False when that was so already."""
        row = store.get(connection, contact)
        store.opt_out(connection, self._hashes(connection, contact), now_ms)
        if row is None or row["opted_out_ms"] is not None:
            return False
        store.note_consent(
            connection, contact, "opt_out", version=None, channel=channel, at_ms=now_ms
        )
        store.change(connection, contact, opted_out_ms=now_ms)
        return True

    def opt_in(self, connection: Connection, contact: str, *, channel: str, now_ms: int) -> bool:
        """Messages are welcome again; False when they were."""
        row = store.get(connection, contact)
        store.opt_in(connection, self._hashes(connection, contact))
        if row is None or row["opted_out_ms"] is None:
            return False
        store.note_consent(
            connection, contact, "opt_in", version=None, channel=channel, at_ms=now_ms
        )
        store.change(connection, contact, opted_out_ms=None)
        return True

    def _hashes(self, connection: Connection, contact: str) -> list[str]:
        return [
            key_hash(self._hash_key, kind, value) for kind, value in store.keys(connection, contact)
        ]

    # --- what was said ---

    @staticmethod
    def keep(
        connection: Connection,
        *,
        contact: str,
        lead: str | None,
        direction: Literal["in", "out"],
        at_ms: int,
        kind: str,
        text: str | None,
        number: str | None = None,
        message_id: str | None = None,
        inbox: str | None = None,
    ) -> None:
        """Add to the transcript; the same `message_id` again adds nothing.

        `inbox` (inb_…) names the body it came in, so that an erasure reaches that too.
        """
        store.keep(
            connection,
            {
                "contact": contact,
                "lead": lead,
                "direction": direction,
                "at_ms": at_ms,
                "kind": kind,
                # PostgreSQL stores no NUL, and a vendor's text may hold one.
                "text": None if text is None else text.replace("\0", "")[:TEXT_CHARS_MAX],
                "number": number,
                "message_id": message_id,
                "inbox": inbox,
            },
        )

    @staticmethod
    def transcript(
        connection: Connection,
        *,
        lead: str | None = None,
        contact: str | None = None,
        limit: int = 50,
    ) -> list[Line]:
        """The newest lines of a lead or of a contact, the oldest of them first."""
        if lead is None and contact is None:
            raise ValueError("whose transcript?")
        return [
            Line(
                direction=row["direction"],
                at_ms=row["at_ms"],
                kind=row["kind"],
                text=row["text"],
                number=row["number"],
                lead=row["lead"],
            )
            for row in store.lines(connection, lead=lead, contact=contact, limit=limit)
        ]

    # --- their rights ---

    @staticmethod
    def export(connection: Connection, contact: str) -> dict[str, Any] | None:
        """All that is stored about a person here, as JSON holds it. The caller logs the reading."""
        row = store.get(connection, contact)
        if row is None:
            return None
        return {"contact": dict(row), **store.everything(connection, contact)}

    @staticmethod
    def ask_erasure(connection: Connection, contact: str, now_ms: int) -> None:
        """They want to be erased: `erasures_due` names them later, so that an answer can go out."""
        row = store.get(connection, contact)
        if row is not None and row["erased_ms"] is None and row["erasure_asked_ms"] is None:
            store.change(connection, contact, erasure_asked_ms=now_ms)

    @staticmethod
    def erasures_due(connection: Connection, before_ms: int, limit: int = 100) -> list[str]:
        """Who asked before then; the longest waiting first."""
        return store.erasures_asked(connection, before_ms, limit)

    @staticmethod
    def quiet_since(
        connection: Connection,
        before_ms: int,
        *,
        after: tuple[int, str] = (-1, ""),
        limit: int = 100,
    ) -> list[tuple[int, str]]:
        """Who has not been heard of since, as (last seen, id), page by page, for the retention."""
        return store.quiet_since(connection, before_ms, after, limit)

    def fingerprint(self, phone: str) -> str | None:
        """By what others find whose number this is without holding it; None: it is no number."""
        canonical = canonical_phone(phone)
        return None if canonical is None else key_hash(self._hash_key, "buyer", canonical)

    def digest(self, told: bytes) -> str:
        """By what the same words are known again; nobody finds the words from it by trying."""
        return hmac.new(self._hash_key, b"kickstand told v1\0" + told, hashlib.sha256).hexdigest()

    def erase(
        self,
        connection: Connection,
        contact: str,
        *,
        reason: str,
        now_ms: int,
        scope: str = "contact",
        items: tuple[str, ...] = (),
    ) -> Erased | None:
        """Take away keys, name and words; None when there is nobody to erase.

        `scope` stands on the ledger; `items` are those of the vault that the caller empties in
        the same transaction, written down so that no restored backup brings them back.

        What stays: the id, times, proofs of consent, who read it, and for those who opted out a
        keyed hash, so that they stay opted out. Raises OSError when it cannot be written down.
        """
        row = store.get(connection, contact)
        if row is None or row["erased_ms"] is not None:
            return None
        held = store.keys(connection, contact)
        erased = Erased(
            contact=contact,
            bodies=tuple(store.bodies_of(connection, contact)),
            phones=tuple(value for kind, value in held if kind == "phone"),
            bsuids=tuple(value for kind, value in held if kind == "bsuid"),
            items=items,
        )
        hashes: tuple[str, ...] = ()
        if row["opted_out_ms"] is not None:
            hashes = tuple(self._hashes(connection, contact))
            store.opt_out(connection, hashes, now_ms)
        if not store.blank(connection, contact, now_ms):
            return None  # another process did so a moment ago
        store.note_erasure(connection, contact, reason=reason, at_ms=now_ms)
        Ledger.append(
            connection,
            "subject.erased",
            {"subject": contact, "scope": scope},
            now_ms=now_ms,
        )
        if self._journal is not None:
            # Power lost here: it is written down and not done, and `reapply` does it at the next
            # start. The other way round a restored backup would bring the person back for good.
            self._journal.add(
                Erasure(
                    contact=contact,
                    at_ms=now_ms,
                    reason=reason,
                    opted_out=hashes,
                    items=items,
                )
            )
        return erased

    def reapply(self, connection: Connection, *, now_ms: int) -> list[Erased]:
        """Erase again whom a restored backup brought back, and opt out again who had opted out.

        Whom this database has never known is named as well when items of the vault were theirs.
        """
        again = []
        for erasure in self._journal or ():
            # What this database knows of is left alone: since then they may have opted in again.
            if not store.note_erasure(
                connection, erasure.contact, reason=erasure.reason, at_ms=erasure.at_ms
            ):
                continue
            store.opt_out(connection, erasure.opted_out, erasure.at_ms)
            found = Contacts(self._hash_key).erase(
                connection,
                erasure.contact,
                reason=erasure.reason,
                now_ms=now_ms,
                scope="all" if erasure.items else "contact",
                items=erasure.items,
            )
            if found is None and erasure.items:
                found = Erased(contact=erasure.contact, bodies=(), phones=(), items=erasure.items)
            if found is not None:
                again.append(found)
        return again
