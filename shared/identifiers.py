"""Ids: what they look like and where they come from."""

import base64
import hashlib
import re
import secrets

DEVICE_ID = re.compile(r"dev_[a-z2-7]{26}")
HUB_DEVICE = "hub"
"""The device id under which the hub's own facts stand on the ledger."""
_TO_BASE32 = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""A random byte's low five bits as a character; all 32 are equally likely."""


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
    return f"{prefix}_{secrets.token_bytes(26).translate(_TO_BASE32).decode('ascii')}"
