"""Opening what the vault holds, for those who may."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection

from hub.store import Database
from hub.vault import store
from shared.crypto.commitment import commit_buyer
from shared.crypto.encryption import BUYER_INFO, DecryptionKey, Undecryptable


@dataclass(frozen=True, slots=True, kw_only=True)
class Buyer:
    """A buyer's name and phone as the till had them."""

    name: str
    phone: str
    commitment: str

    @property
    def masked_phone(self) -> str:
        """``62812•••890``: enough to recognise, too little to call."""
        return f"{self.phone[:5]}•••{self.phone[-3:]}" if len(self.phone) > 8 else "•••"


@dataclass(frozen=True, slots=True)
class Item:
    """What a box left with a sale, without its content."""

    sha256: str
    device: str
    received_ms: int


class Vault:
    """Reads with the hub's decryption key."""

    def __init__(self, database: Database, key: DecryptionKey) -> None:
        """`key` is the private half of the key set's encryption key."""
        self._database = database
        self._key = key

    def buyer(self, sha256: str) -> Buyer | None:
        """The buyer in an attachment; None when erased, unknown or unreadable."""
        with self._database.read() as connection:
            return self.buyer_in(connection, sha256)

    def buyer_in(self, connection: Connection, sha256: str) -> Buyer | None:
        """The same on the caller's connection."""
        content = store.fetch(connection, sha256)
        return None if content is None else self._opened(content)

    def _opened(self, content: bytes) -> Buyer | None:
        try:
            values = orjson.loads(self._key.decrypt(content, info=BUYER_INFO))
            name, phone = str(values["name"] or ""), str(values["phone"] or "")
            salt = bytes.fromhex(values["salt"])
        except (Undecryptable, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None
        return Buyer(
            name=name, phone=phone, commitment=commit_buyer(name=name, phone=phone, salt=salt)
        )

    def file(self, hash_of: Callable[[str], str | None], limit: int = 200) -> int:
        """File new items under the keyed hash of their buyer's phone; how many there were.

        0: everything the vault holds is found by `of_phones`.
        """
        with self._database.read() as connection:
            items = store.unfiled(connection, limit)
        if not items:
            return 0
        # Opened before the write: to decrypt takes longer than everything else together.
        buyers = [(digest, self._opened(content)) for digest, content in items]
        hashes = [
            (digest, (buyer and buyer.phone and hash_of(buyer.phone)) or store.NOBODY)
            for digest, buyer in buyers
        ]

        def write(connection: Connection) -> None:
            for digest, phone_hash in hashes:
                store.file_under(connection, digest, phone_hash)

        self._database.write(write)
        return len(items)

    @staticmethod
    def of_phones(connection: Connection, phone_hashes: Sequence[str]) -> list[Item]:
        """What buyers with these phones left, the oldest first."""
        return [Item(*row) for row in store.filed(connection, phone_hashes)]

    @staticmethod
    def erase(connection: Connection, digests: Sequence[str], *, now_ms: int) -> int:
        """Empty items for ever: name, phone and salt go, and a commitment says nothing more.

        How many were held. A box that sends one again does not bring it back.
        """
        return store.erase(connection, digests, now_ms=now_ms)
