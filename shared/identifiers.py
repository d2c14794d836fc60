"""Ids: what they look like and where they come from."""

import base64
import hashlib
import re
import secrets

DEVICE_ID = re.compile(r"dev_[a-z2-7]{26}")
HUB_DEVICE = "hub"
"""The device id under which the hub's own facts stand on the ledger."""


def base32_lower(data: bytes, length: int) -> str:
    """First `length` lower-case base32 characters of `data`, without padding."""
    return base64.b32encode(data).decode("ascii").lower().rstrip("=")[:length]


def device_id(public_key: bytes) -> str:
    """Id of the device whose first Ed25519 public key (32 raw bytes) this is.

    A rotation of the key never changes it.
    """
    return "dev_" + base32_lower(hashlib.sha256(public_key).digest(), 26)


def new_id(prefix: str) -> str:
    """A fresh id such as ``clm_…`` with 130 random bits."""
    return f"{prefix}_{base32_lower(secrets.token_bytes(17), 26)}"
