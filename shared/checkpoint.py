"""C2SP signed notes, tree-head checkpoints and cosignatures.

Formats: c2sp.org/signed-note@v1.0.0, tlog-checkpoint@v1.0.0, tlog-cosignature@v1.0.1.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from shared.crypto.keys import BadKey, BadSignature, PublicKey, SigningKey

ED25519 = 0x01
COSIGNATURE = 0x04
MAX_NOTE_BYTES = 16 * 1024
MAX_SIGNATURES = 100
_NAME = re.compile(r"[^\s+]+")
_SIZE = re.compile(r"0|[1-9]\d{0,18}", re.ASCII)


class MalformedNote(ValueError):
    """The text is not a signed note, or not a checkpoint."""


class NoteUnsigned(ValueError):
    """No valid signature of the key that had to sign."""


def from_base64(text: str) -> bytes:
    """Standard base64, padded, and only its one canonical spelling. Raises MalformedNote."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedNote("not base64") from None
    if base64.b64encode(data).decode("ascii") != text:
        raise MalformedNote("not canonical base64")
    return data


def to_base64(data: bytes) -> str:
    """Standard base64 with padding."""
    return base64.b64encode(data).decode("ascii")


def key_hash(name: str, kind: int, public: bytes) -> bytes:
    """The four bytes that name a key in a signature line."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public).digest()[:4]


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key: a name, a signature type and an Ed25519 key."""

    name: str
    public: PublicKey
    kind: int = ED25519

    @property
    def key_hash(self) -> bytes:
        """Four bytes."""
        return key_hash(self.name, self.kind, self.public.raw)

    @property
    def vkey(self) -> str:
        """``<name>+<hash>+<base64>`` as others exchange it."""
        encoded = to_base64(bytes([self.kind]) + self.public.raw)
        return f"{self.name}+{self.key_hash.hex()}+{encoded}"

    @classmethod
    def parse(cls, vkey: str) -> "NoteKey":
        """Read a vkey. Raises MalformedNote."""
        parts = vkey.split("+", 2)
        if len(parts) != 3:
            raise MalformedNote("a vkey has three parts joined by +")
        name, digest, encoded = parts
        data = from_base64(encoded)
        if not data or data[0] not in {ED25519, COSIGNATURE}:
            raise MalformedNote("vkey of an unknown type")
        if _NAME.fullmatch(name) is None:
            raise MalformedNote("vkey with a malformed name")
        try:
            key = cls(name, PublicKey(data[1:]), data[0])
        except BadKey as error:
            raise MalformedNote(f"vkey: {error}") from error
        if key.key_hash.hex() != digest:
            raise MalformedNote("vkey whose hash does not fit its key")
        return key


class NoteSigner:
    """A signing key under the name it signs with."""

    def __init__(self, name: str, key: SigningKey) -> None:
        """Raises MalformedNote for a name with blanks or ``+``."""
        if _NAME.fullmatch(name) is None:
            raise MalformedNote(f"malformed name of a signer: {name!r}")
        self._key = key
        self.verifier = NoteKey(name, key.public)

    def sign(self, body: str) -> str:
        """The signature line, newline included, over `body` (which ends in a newline)."""
        signature = self._key.sign(body.encode())
        return signature_line(self.verifier.name, self.verifier.key_hash + signature)


def signature_line(name: str, blob: bytes) -> str:
    """``— <name> <base64>`` and a newline."""
    return f"\N{EM DASH} {name} {to_base64(blob)}\n"


def split_note(text: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Body and ``(name, hash ‖ signature)`` pairs of a note. Raises MalformedNote."""
    if len(text) > MAX_NOTE_BYTES or not text.endswith("\n"):
        raise MalformedNote("a note ends in a newline and is at most 16 KiB")
    if any(ord(c) < 32 and c != "\n" for c in text):
        raise MalformedNote("a note has no control characters")
    cut = text.rfind("\n\n")
    if cut < 0:
        raise MalformedNote("a note has an empty line before its signatures")
    body, tail = text[: cut + 1], text[cut + 2 :]
    lines = tail.split("\n")[:-1]
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise MalformedNote("a note has between 1 and 100 signatures")
    signatures = []
    for line in lines:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        if dash != "\N{EM DASH}" or _NAME.fullmatch(name) is None:
            raise MalformedNote("malformed signature line")
        blob = from_base64(encoded)
        if len(blob) < 5:
            raise MalformedNote("signature too short")
        signatures.append((name, blob))
    return body, signatures


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head: the tree named `origin` had `size` leaves and this root."""

    origin: str
    size: int
    root: bytes
    text: str
    """The whole signed note."""


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    """The three lines that are signed."""
    return f"{origin}\n{size}\n{to_base64(root)}\n"


def sign_checkpoint(signer: NoteSigner, *, size: int, root: bytes) -> str:
    """A checkpoint whose origin is the signer's name."""
    body = checkpoint_body(signer.verifier.name, size, root)
    return f"{body}\n{signer.sign(body)}"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint without trusting it. Raises MalformedNote."""
    body, _ = split_note(text)
    lines = body.split("\n")
    if len(lines) < 4 or not lines[0]:
        raise MalformedNote("a checkpoint has origin, size and root")
    if _SIZE.fullmatch(lines[1]) is None:
        raise MalformedNote("a checkpoint's size is a plain decimal")
    root = from_base64(lines[2])
    if len(root) != 32:
        raise MalformedNote("a checkpoint's root has 32 bytes")
    return Checkpoint(origin=lines[0], size=int(lines[1]), root=root, text=text)


def verify_note(text: str, key: NoteKey) -> str:
    """The body of a note that `key` signed. Raises MalformedNote or NoteUnsigned."""
    body, signatures = split_note(text)
    for name, blob in signatures:
        if name != key.name or blob[:4] != key.key_hash:
            continue
        try:
            key.public.verify(blob[4:], body.encode())
        except BadSignature:
            raise NoteUnsigned(f"the signature of {name} does not fit") from None
        return body
    raise NoteUnsigned(f"no signature of {key.name}")


def open_checkpoint(text: str, key: NoteKey) -> Checkpoint:
    """A checkpoint signed by `key` for its own origin. Raises MalformedNote or NoteUnsigned."""
    verify_note(text, key)
    checkpoint = parse_checkpoint(text)
    if checkpoint.origin != key.name:
        raise NoteUnsigned(f"checkpoint of {checkpoint.origin}, expected {key.name}")
    return checkpoint


def cosignature_message(body: str, time_s: int) -> bytes:
    """What a witness signs: c2sp.org/tlog-cosignature v1, time in POSIX seconds."""
    return f"cosignature/v1\ntime {time_s}\n{body}".encode()


def cosign(checkpoint: Checkpoint, *, name: str, key: SigningKey, time_s: int) -> str:
    """A witness's signature line for `checkpoint`."""
    body, _ = split_note(checkpoint.text)
    signature = key.sign(cosignature_message(body, time_s))
    digest = key_hash(name, COSIGNATURE, key.public.raw)
    return signature_line(name, digest + time_s.to_bytes(8, "big") + signature)


def verify_cosignature(body: str, line: str, *, name: str, public: PublicKey) -> int:
    """The POSIX time at which witness `name` cosigned `body`.

    Raises MalformedNote or NoteUnsigned.
    """
    _, signatures = split_note(f"{body}\n{line}")
    found, blob = signatures[0]
    if len(signatures) != 1 or found != name or len(blob) != 76:
        raise MalformedNote("not one cosignature of this witness")
    if blob[:4] != key_hash(name, COSIGNATURE, public.raw):
        raise NoteUnsigned("cosignature of another key")
    time_s = int.from_bytes(blob[4:12], "big")
    try:
        public.verify(blob[12:], cosignature_message(body, time_s))
    except BadSignature:
        raise NoteUnsigned("the cosignature does not fit") from None
    return time_s


def tlog_proof(index: int, proof: Sequence[bytes], checkpoint: str) -> str:
    """An inclusion proof as c2sp.org/tlog-proof@v1 text."""
    hashes = "".join(f"{to_base64(step)}\n" for step in proof)
    return f"c2sp.org/tlog-proof@v1\nindex {index}\n{hashes}\n{checkpoint}"


def parse_tlog_proof(text: str) -> tuple[int, list[bytes], str]:
    """Index, hashes and checkpoint text of a tlog-proof. Raises MalformedNote.

    An ``extra`` line is allowed and proves nothing: it is left out.
    """
    head, gap, checkpoint = text.partition("\n\n")
    lines = head.split("\n")
    if len(lines) > 1 and lines[1].startswith("extra "):
        del lines[1]
    if not gap or lines[0] != "c2sp.org/tlog-proof@v1" or len(lines) < 2:
        raise MalformedNote("not a tlog-proof of version 1")
    word, _, number = lines[1].partition(" ")
    if word != "index" or _SIZE.fullmatch(number) is None:
        raise MalformedNote("a tlog-proof names its index")
    hashes = [from_base64(line) for line in lines[2:]]
    if any(len(step) != 32 for step in hashes) or len(hashes) > 64:
        raise MalformedNote("a tlog-proof has hashes of 32 bytes, at most 64")
    return int(number), hashes, checkpoint
