"""Ed25519 keys of boxes and hub, their ids, and the hub's root-signed key set.

A key id is the RFC 7638 thumbprint of the key's JWK (RFC 8037). Keys of small order and
non-canonical encodings are refused: with such a key one signature fits any message, so its
owner could later deny everything.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from shared.crypto.dsse import pae
from shared.identifiers import base32_lower

KEYSET_TYPE = "application/vnd.kickstand.keyset.v1+json"
KEY_USES = ("root", "http", "ledger", "encryption")
FINGERPRINT_CHARS = 26
FIELD_PRIME = 2**255 - 19

# The y coordinates of the eight points of small order on edwards25519, sign bit cleared.
_SMALL_ORDER_Y = frozenset(
    {0, 1, FIELD_PRIME - 1}
    | {
        int.from_bytes(bytes.fromhex(text), "little")
        for text in (
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        )
    }
)


class BadKey(ValueError):
    """The bytes are not an acceptable key. The message says why."""


class BadSignature(ValueError):
    """The signature does not fit these bytes and this key."""


def b64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_b64url(text: str) -> bytes:
    """The bytes of an unpadded base64url text; raises BadKey unless it is the one spelling."""
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise BadKey("not base64url") from None
    if b64url(data) != text:
        raise BadKey("not canonical base64url")
    return data


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key that is canonical and not of small order."""

    raw: bytes
    _key: Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Raises BadKey."""
        if len(self.raw) != 32:
            raise BadKey(f"an Ed25519 key has 32 bytes, this has {len(self.raw)}")
        y = int.from_bytes(self.raw, "little") & (2**255 - 1)
        if y >= FIELD_PRIME:
            raise BadKey("not a canonical Ed25519 key")
        if y in _SMALL_ORDER_Y:
            raise BadKey("an Ed25519 key of small order")
        try:
            key = Ed25519PublicKey.from_public_bytes(self.raw)
        except ValueError as error:
            raise BadKey(str(error)) from error
        object.__setattr__(self, "_key", key)

    @property
    def keyid(self) -> str:
        """RFC 7638 thumbprint, 43 characters of base64url."""
        jwk = f'{{"crv":"Ed25519","kty":"OKP","x":"{b64url(self.raw)}"}}'
        return b64url(hashlib.sha256(jwk.encode()).digest())

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises BadSignature unless `signature` is this key's over `message`."""
        try:
            self._key.verify(signature, message)
        except InvalidSignature:
            raise BadSignature("the signature does not fit") from None


class SigningKey:
    """An Ed25519 private key. It is written once, mode 0600, and never leaves its machine."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        """Wrap a key of the cryptography library."""
        self._key = key
        self.public = PublicKey(
            key.public_key().public_bytes(
                serialization.Encoding.Raw, serialization.PublicFormat.Raw
            )
        )

    @classmethod
    def generate(cls) -> "SigningKey":
        """A fresh key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, seed: bytes) -> "SigningKey":
        """The key of a 32-byte seed (RFC 8032)."""
        return cls(Ed25519PrivateKey.from_private_bytes(seed))

    @classmethod
    def load(cls, path: Path) -> "SigningKey":
        """Read PKCS#8 PEM. Raises BadKey, or OSError when there is no such file."""
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except ValueError as error:
            raise BadKey(f"{path}: not a private key in PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise BadKey(f"{path}: not an Ed25519 key")
        return cls(key)

    def save(self, path: Path) -> None:
        """Write PKCS#8 PEM, mode 0600, durable on return. Raises FileExistsError."""
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        write_secret(path, pem)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature over `message`."""
        return self._key.sign(message)


def write_secret(path: Path, content: bytes) -> None:
    """Create `path` with mode 0600, durable on return. Raises FileExistsError.

    Written beside and linked into place: a power cut leaves the whole file or none.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def root_fingerprint(root: PublicKey) -> str:
    """The 26 characters (130 bits) by which an invitation names the hub's root key."""
    return base32_lower(hashlib.sha256(root.raw).digest(), FINGERPRINT_CHARS)


class MalformedKeySet(ValueError):
    """Not a key set, not signed by its root, or not the root that was promised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySet:
    """The hub's public keys. `text` is the exact JSON the root key signed."""

    name: str
    version: int
    root: PublicKey
    http: Mapping[str, PublicKey]
    ledger_vkey: str
    encryption: bytes
    text: str
    signature: bytes
    generations: tuple[object, ...] = ()
    """Openings of later generations of the ledger, as they came; `shared.generation` reads them.

    They stand beside the signed text: each has a signature of its own."""

    @classmethod
    def sign(
        cls,
        *,
        name: str,
        version: int,
        root: SigningKey,
        http: PublicKey,
        ledger_vkey: str,
        encryption: bytes,
        generations: Sequence[Mapping[str, object]] = (),
    ) -> "KeySet":
        """A key set signed by `root`. `encryption` is an X25519 public key, 32 bytes."""
        text = orjson.dumps(
            {
                "v": 1,
                "name": name,
                "version": version,
                "root": b64url(root.public.raw),
                "http": [b64url(http.raw)],
                "ledger": ledger_vkey,
                "encryption": b64url(encryption),
            }
        ).decode()
        signature = root.sign(pae(KEYSET_TYPE, text.encode()))
        return cls._build(text, signature, generations)

    @classmethod
    def parse(cls, body: bytes, *, fingerprint: str) -> "KeySet":
        """The key set in an answer of ``GET /v1/keys``. Raises MalformedKeySet only.

        `fingerprint` is that of the invitation: a key set of any other root is refused.
        """
        try:
            document = orjson.loads(body)
            text, signature = document["keyset"], base64.b64decode(document["signature"])
            if base64.b64encode(signature).decode("ascii") != document["signature"]:
                raise MalformedKeySet("key set: signature is not canonical base64")
            generations = document.get("generations", ())
            if not isinstance(generations, list | tuple):
                raise MalformedKeySet("key set: generations are a list")
            keyset = cls._build(text, signature, generations)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise MalformedKeySet(f"key set: {error}") from error
        if root_fingerprint(keyset.root) != fingerprint:
            raise MalformedKeySet("key set of another root key than the invitation names")
        return keyset

    @classmethod
    def _build(cls, text: str, signature: bytes, generations: Sequence[object]) -> "KeySet":
        values = orjson.loads(text)
        if values["v"] != 1:
            raise MalformedKeySet(f"key set version {values['v']}; this reads version 1")
        root = PublicKey(from_b64url(values["root"]))
        root.verify(signature, pae(KEYSET_TYPE, text.encode()))
        http = [PublicKey(from_b64url(text)) for text in values["http"]]
        encryption = from_b64url(values["encryption"])
        if not (isinstance(values["name"], str) and isinstance(values["ledger"], str)):
            raise MalformedKeySet("key set: name and ledger are texts")
        if not isinstance(values["version"], int) or len(encryption) != 32 or not http:
            raise MalformedKeySet("key set: version, http or encryption key missing")
        return cls(
            name=values["name"],
            version=values["version"],
            root=root,
            http={key.keyid: key for key in http},
            ledger_vkey=values["ledger"],
            encryption=encryption,
            text=text,
            signature=signature,
            generations=tuple(generations),
        )

    def encode(self) -> bytes:
        """The body of ``GET /v1/keys``."""
        signature = base64.b64encode(self.signature).decode("ascii")
        document: dict[str, object] = {"keyset": self.text, "signature": signature}
        if self.generations:
            document["generations"] = self.generations
        return orjson.dumps(document)
