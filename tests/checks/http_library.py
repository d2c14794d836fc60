"""Our two profiles through the library http-message-signatures, which shares no code with ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import http_message_signatures
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier
from http_message_signatures.algorithms import ED25519

Refused = http_message_signatures.HTTPMessageSignaturesException


@dataclass
class LibraryRequest:
    """A request as the library reads it."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass
class LibraryResponse:
    """An answer as the library reads it."""

    status_code: int
    headers: dict[str, str]
    request: LibraryRequest
    url: str = field(default="")


class OneKey(http_message_signatures.HTTPSignatureKeyResolver):
    """Resolves one key id to one Ed25519 key."""

    def __init__(self, keyid: str, *, seed: bytes = b"", public: bytes = b"") -> None:
        """Either half of the key is enough for its own direction."""
        self.keyid, self.seed, self.public = keyid, seed, public

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        """The key to sign with."""
        assert key_id == self.keyid
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        """The key to verify with."""
        if key_id != self.keyid:
            raise Refused(f"unknown key {key_id}")
        return Ed25519PublicKey.from_public_bytes(self.public)


def covered(params: str) -> list[str]:
    """The components of a Signature-Input member, in the library's spelling."""
    items = params[1 : params.index(")")].split(" ")
    return [item if ";" in item else item.strip('"') for item in items]


def sign(
    message: LibraryRequest | LibraryResponse,
    key: OneKey,
    *,
    label: str,
    tag: str,
    covered: list[str],
    created_s: int,
    expires_s: int | None = None,
    nonce: str | None = None,
) -> Mapping[str, str]:
    """The library's Signature-Input and Signature for this message."""
    signer = HTTPMessageSigner(signature_algorithm=ED25519, key_resolver=key)
    signer.sign(
        message,
        key_id=key.keyid,
        created=datetime.fromtimestamp(created_s, UTC),
        expires=None if expires_s is None else datetime.fromtimestamp(expires_s, UTC),
        nonce=nonce,
        label=label,
        tag=tag,
        covered_component_ids=covered,
        use_existing_digest="content-digest" in covered,
    )
    names = {name.lower(): value for name, value in message.headers.items()}
    return {"signature-input": names["signature-input"], "signature": names["signature"]}


def verify(
    message: LibraryRequest | LibraryResponse, key: OneKey, *, tag: str, max_age_s: int
) -> None:
    """Raises the library's own exception unless the message is signed by `key`."""
    verifier = HTTPMessageVerifier(signature_algorithm=ED25519, key_resolver=key)
    verifier.verify(message, max_age=timedelta(seconds=max_age_s), expect_tag=tag)
