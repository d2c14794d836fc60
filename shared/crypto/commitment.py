"""Salted commitments to a buyer: a sale names its buyer without saying who it is."""

import hashlib
import hmac

SALT_BYTES = 32


def commit_buyer(*, name: str, phone: str, salt: bytes) -> str:
    """Hex HMAC-SHA-256 of name and phone under `salt` (32 bytes).

    Who has name, phone and salt can show that they belong to the sale; deleting the salt makes
    the commitment say nothing for ever.
    """
    message = b"kickstand buyer v1\0" + name.encode() + b"\0" + phone.encode()
    return hmac.new(salt, message, hashlib.sha256).hexdigest()
