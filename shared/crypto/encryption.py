"""Personal data on its way to the hub: HPKE base mode (RFC 9180).

DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20Poly1305; the output is ``enc ‖ ciphertext``.
"""

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from shared.crypto.keys import BadKey, write_secret

BUYER_INFO = b"kickstand buyer v1"
"""The HPKE info under which a sale's buyer is encrypted."""

_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class Undecryptable(ValueError):
    """The bytes were not encrypted to this key under this info, or were altered."""


class DecryptionKey:
    """An X25519 private key."""

    def __init__(self, key: X25519PrivateKey) -> None:
        """Wrap a key of the cryptography library."""
        self._key = key
        self.public: bytes = key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )

    @classmethod
    def generate(cls) -> "DecryptionKey":
        """A fresh key."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> "DecryptionKey":
        """Read PKCS#8 PEM. Raises BadKey or OSError."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError as error:
            raise BadKey(f"{path}: not a private key in PEM") from error
        if not isinstance(key, X25519PrivateKey):
            raise BadKey(f"{path}: not an X25519 key")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write PKCS#8 PEM, mode 0600, durable on return. Raises FileExistsError."""
        write_secret(
            path,
            self._key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def decrypt(self, ciphertext: bytes, *, info: bytes) -> bytes:
        """The plaintext. Raises Undecryptable."""
        try:
            return _SUITE.decrypt(ciphertext, self._key, info)
        except (InvalidTag, ValueError) as error:
            raise Undecryptable("not encrypted to this key") from error


def encrypt(plaintext: bytes, public: bytes, *, info: bytes) -> bytes:
    """`plaintext` for the holder of the X25519 key `public` (32 raw bytes) alone."""
    return _SUITE.encrypt(plaintext, X25519PublicKey.from_public_bytes(public), info)
