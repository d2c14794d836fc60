"""Opening what the vault holds, for those who may."""

from dataclasses import dataclass

import orjson

from hub.store import Database
from hub.vault.store import fetch
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


class Vault:
    """Reads with the hub's decryption key."""

    def __init__(self, database: Database, key: DecryptionKey) -> None:
        """`key` is the private half of the key set's encryption key."""
        self._database = database
        self._key = key

    def buyer(self, sha256: str) -> Buyer | None:
        """The buyer in an attachment; None when erased, unknown or unreadable."""
        with self._database.read() as connection:
            content = fetch(connection, sha256)
        if content is None:
            return None
        try:
            values = orjson.loads(self._key.decrypt(content, info=BUYER_INFO))
            name, phone = str(values["name"] or ""), str(values["phone"] or "")
            salt = bytes.fromhex(values["salt"])
        except (Undecryptable, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return None
        return Buyer(
            name=name, phone=phone, commitment=commit_buyer(name=name, phone=phone, salt=salt)
        )
