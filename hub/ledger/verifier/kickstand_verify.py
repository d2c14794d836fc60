"""Check one exported ledger entry on any machine: one file, Python 3.11 and `cryptography`.

    python kickstand_verify.py sale.tlog-proof --key 'hub.example/ledger+1a2b3c4d+AX…'

The proof is a C2SP tlog-proof v1 file. Its `extra` line, when present, carries what the entry
was made of (the leaf) and the seal of its batch; without that line the event is given with
--event, --batch-id and --received-ms. Nothing in the file is trusted: everything is recomputed,
and only the key given on the command line, from a source you trust, decides.

Exit code 0: proven. 1: not proven, the reason is printed. 2: wrong usage.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER = "c2sp.org/tlog-proof@v1"
STATEMENT_TYPE = b"application/vnd.kickstand.statement.v1+json"
MAX_FILE_BYTES = 256 * 1024
MAX_PATH = 63
ED25519_NOTE = 1
ED25519_COSIGNATURE = 4
DECIMAL = re.compile(r"0|[1-9][0-9]{0,17}")
FIELD_PRIME = 2**255 - 19
SMALL_ORDER_Y = {
    *(0, 1, FIELD_PRIME - 1),
    0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
}


class NotProven(Exception):
    """A check failed, or the input cannot be read. The message says which and why."""


def decode_base64(text: str, what: str, *, length: int | None = None) -> bytes:
    """Standard base64, the one canonical spelling only. Raises NotProven."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise NotProven(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise NotProven(f"{what} is not in base64's one spelling")
    if length is not None and len(data) != length:
        raise NotProven(f"{what} has {len(data)} bytes instead of {length}")
    return data


def decode_decimal(text: str, what: str) -> int:
    """A decimal number without sign or leading zeros. Raises NotProven."""
    if DECIMAL.fullmatch(text) is None:
        raise NotProven(f"{what} is not a plain decimal number")
    return int(text)


def public_key(raw: bytes, what: str) -> Ed25519PublicKey:
    """An Ed25519 key for which a signature means something. Raises NotProven.

    With a key of small order one signature fits any message, so such keys are refused.
    """
    y = int.from_bytes(raw, "little") % 2**255
    if len(raw) != 32 or y >= FIELD_PRIME or y in SMALL_ORDER_Y:
        raise NotProven(f"{what} is not an acceptable Ed25519 key")
    try:
        return Ed25519PublicKey.from_public_bytes(raw)
    except ValueError:
        raise NotProven(f"{what} is not an Ed25519 key") from None


def is_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is the key's over `message`."""
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def leaf_hash(data: bytes) -> bytes:
    """Hash of a leaf: SHA-256 over 0x00 and the data."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: SHA-256 over 0x01, left and right."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_from_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes:
    """The tree's root that this inclusion path leads to (RFC 9162, 2.1.3.2). Raises NotProven."""
    if not 0 <= index < size:
        raise NotProven(f"entry {index} lies outside a tree of {size}")
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise NotProven("the inclusion path is too long")
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            node = node_hash(node, sibling)
        position >>= 1
        last >>= 1
    if last != 0:
        raise NotProven("the inclusion path is too short")
    return node


@dataclass(frozen=True, slots=True)
class NoteKey:
    """A verifier key `<name>+<id>+<base64 of type and key>`."""

    name: str
    key_id: bytes
    kind: int
    key: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> "NoteKey":
        """Read a verifier key; its id must belong to its name and bytes. Raises NotProven."""
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not parts[0] or re.search(r"[\s+]", parts[0]):
            raise NotProven("the key is not of the form name+id+base64")
        name, id_text, key_text = parts
        data = decode_base64(key_text, "the key", length=33)
        expected = hashlib.sha256(name.encode() + b"\n" + data).digest()[:4]
        if data[0] not in (ED25519_NOTE, ED25519_COSIGNATURE):
            raise NotProven(f"the key is of type {data[0]}, which this program does not know")
        if re.fullmatch(r"[0-9a-f]{8}", id_text) is None or bytes.fromhex(id_text) != expected:
            raise NotProven("the key's id does not fit its name and bytes: was it copied whole?")
        return cls(name, expected, data[0], public_key(data[1:], "the key"))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The signed head of a ledger: how long it is and its root."""

    origin: str
    size: int
    root: bytes
    body: bytes
    signatures: tuple[tuple[str, bytes], ...]


def parse_checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint without believing it. Raises NotProven."""
    body, separator, tail = text.partition("\n\n")
    lines = body.split("\n")
    if not separator or len(lines) < 3 or not tail.endswith("\n"):
        raise NotProven("the checkpoint is not a signed note of at least three lines")
    if any(ord(char) < 32 for line in lines for char in line) or not all(lines):
        raise NotProven("the checkpoint's text holds an empty line or a control character")
    signatures = tuple(signature_line(line) for line in tail[:-1].split("\n"))
    return Checkpoint(
        origin=lines[0],
        size=decode_decimal(lines[1], "the checkpoint's size"),
        root=decode_base64(lines[2], "the checkpoint's root", length=32),
        body=body.encode() + b"\n",
        signatures=signatures,
    )


def signature_line(line: str) -> tuple[str, bytes]:
    """Signer and key id with signature of one `— name base64` line. Raises NotProven."""
    matched = re.fullmatch("\u2014 ([^\\s+]+) ([A-Za-z0-9+/=]+)", line)
    if matched is None:
        raise NotProven("a signature line of the checkpoint is malformed")
    data = decode_base64(matched[2], "a signature of the checkpoint")
    if len(data) < 5:
        raise NotProven("a signature of the checkpoint is too short")
    return matched[1], data


def note_signature(checkpoint: Checkpoint, key: NoteKey) -> bytes:
    """The bytes this key signed under the checkpoint. Raises NotProven when there are none."""
    for name, data in checkpoint.signatures:
        if name == key.name and data[:4] == key.key_id:
            return data[4:]
    raise NotProven(f"the checkpoint carries no signature of {key.name} with the given key")


def check_ledger_signature(checkpoint: Checkpoint, key: NoteKey) -> None:
    """The ledger's own key signed this checkpoint of its own log. Raises NotProven."""
    if key.kind != ED25519_NOTE:
        raise NotProven("--key is a witness's key; give the ledger's own")
    if checkpoint.origin != key.name:
        raise NotProven(f"the checkpoint is of {checkpoint.origin!r}, the key of {key.name!r}")
    if not is_signed(key.key, note_signature(checkpoint, key), checkpoint.body):
        raise NotProven("the ledger's signature under the checkpoint is wrong")


def check_witness(checkpoint: Checkpoint, key: NoteKey) -> int:
    """Seconds since 1970 at which the witness says it saw the checkpoint. Raises NotProven."""
    data = note_signature(checkpoint, key)
    if key.kind != ED25519_COSIGNATURE or len(data) != 72:
        raise NotProven(f"{key.name} is not a witness with a timestamped signature")
    at_s = int.from_bytes(data[:8], "big")
    message = b"cosignature/v1\ntime %d\n" % at_s + checkpoint.body
    if not is_signed(key.key, data[8:], message):
        raise NotProven(f"the signature of the witness {key.name} is wrong")
    return at_s


@dataclass(frozen=True, slots=True)
class Seal:
    """The box's own signature over its batch, and the way from the event to it."""

    statement: bytes
    signature: bytes
    key: bytes
    index: int
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Proof:
    """What an exported file says; nothing of it is checked yet."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint
    leaf: bytes | None
    seal: Seal | None


def parse_proof(data: bytes) -> Proof:
    """Read a tlog-proof v1 file. Raises NotProven, and nothing else, for any bytes."""
    if len(data) > MAX_FILE_BYTES:
        raise NotProven(f"the file has {len(data)} bytes; no proof is larger than 256 KiB")
    try:
        head, separator, note = data.decode("utf-8").partition("\n\n")
    except UnicodeDecodeError:
        raise NotProven("the file is not UTF-8 text") from None
    lines = head.split("\n")
    if lines.pop(0) != HEADER or not separator:
        raise NotProven(f"the file does not begin with {HEADER}")
    leaf, seal = None, None
    if lines and lines[0].startswith("extra "):
        leaf, seal = parse_extra(decode_base64(lines.pop(0)[6:], "the extra line"))
    if not lines or not lines[0].startswith("index "):
        raise NotProven("the index line is missing")
    index = decode_decimal(lines.pop(0)[6:], "the index")
    if len(lines) > MAX_PATH:
        raise NotProven("the inclusion path is too long")
    path = tuple(decode_base64(line, "a hash of the path", length=32) for line in lines)
    return Proof(index, path, parse_checkpoint(note), leaf, seal)


def parse_extra(data: bytes) -> tuple[bytes, Seal | None]:
    """Leaf and seal from the extra line's JSON, in its one spelling. Raises NotProven."""
    extra = json_object(data, "the extra line")
    if json.dumps(extra, separators=(",", ":"), ensure_ascii=False).encode() != data:
        raise NotProven("the extra line is not in the one spelling this program accepts")
    if repr(extra.get("v")) != "1" or not {"v", "leaf"} <= set(extra) <= {"v", "leaf", "seal"}:
        raise NotProven("the extra line is of a version this program does not know")
    leaf = decode_base64(text_of(extra, "leaf"), "the leaf")
    if "seal" not in extra:
        return leaf, None
    seal = extra["seal"]
    if not isinstance(seal, dict) or set(seal) != {"statement", "seal", "key", "index", "path"}:
        raise NotProven("the batch's seal is incomplete")
    path = seal["path"]
    if not isinstance(path, list) or len(path) > MAX_PATH or type(seal["index"]) is not int:
        raise NotProven("the event's place in its batch is malformed")
    hashes = tuple(decode_base64(str(item), "a hash in the batch", length=32) for item in path)
    return leaf, Seal(
        statement=decode_base64(text_of(seal, "statement"), "the statement"),
        signature=decode_base64(text_of(seal, "seal"), "the seal", length=64),
        key=decode_base64(text_of(seal, "key"), "the box's key", length=32),
        index=seal["index"],
        path=hashes,
    )


def json_object(data: bytes, what: str) -> dict[str, object]:
    """A JSON object. Raises NotProven."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise NotProven(f"{what} is not readable JSON") from None
    if not isinstance(value, dict):
        raise NotProven(f"{what} is not a JSON object")
    return value


def text_of(mapping: dict[str, object], key: str) -> str:
    """The text under `key`. Raises NotProven."""
    value = mapping.get(key)
    if not isinstance(value, str):
        raise NotProven(f"{key} is missing")
    return value


@dataclass(frozen=True, slots=True)
class Leaf:
    """0x01, u32 length, event, batch id, u64 received_ms: what the tree's leaf hash covers."""

    event: bytes
    batch_id: bytes
    received_ms: int


def parse_leaf(data: bytes) -> Leaf:
    """Take a leaf apart. Raises NotProven."""
    length = int.from_bytes(data[1:5], "big")
    if data[:1] != b"\x01" or len(data) != 5 + length + 40:
        raise NotProven("the leaf is not of the form 0x01, length, event, batch id, time")
    event, rest = data[5 : 5 + length], data[5 + length :]
    return Leaf(event, rest[:32], int.from_bytes(rest[32:], "big"))


@dataclass(slots=True)
class Verdict:
    """What was proven and what was not, as sentences."""

    leaf: Leaf
    proven: list[str] = field(default_factory=list)
    open_points: list[str] = field(default_factory=list)


def verify(
    proof: Proof,
    key: NoteKey,
    *,
    leaf: bytes | None = None,
    witnesses: Sequence[NoteKey] = (),
    device_key: bytes | None = None,
) -> Verdict:
    """Check everything the proof carries against `key`. Raises NotProven at the first failure.

    `leaf` is what the caller holds; when the proof carries a leaf as well, they must be equal.
    """
    data = proof.leaf if leaf is None else leaf
    if data is None:
        raise NotProven("the file carries no entry: give --event, --batch-id and --received-ms")
    if proof.leaf is not None and proof.leaf != data:
        raise NotProven("the event given is not the one the file carries")
    verdict = Verdict(parse_leaf(data))
    check_inclusion(proof, key, data, verdict)
    check_seal(proof.seal, verdict, device_key)
    check_witnesses(proof.checkpoint, witnesses, verdict)
    verdict.open_points.append("that what the event says is true, only that it was recorded so")
    return verdict


def check_inclusion(proof: Proof, key: NoteKey, data: bytes, verdict: Verdict) -> None:
    """The signed checkpoint covers this very leaf at this very place. Raises NotProven."""
    checkpoint = proof.checkpoint
    check_ledger_signature(checkpoint, key)
    if root_from_path(proof.index, checkpoint.size, leaf_hash(data), proof.path) != checkpoint.root:
        raise NotProven("the entry is not in the tree of the checkpoint at this place")
    verdict.proven.append(
        f"The ledger {checkpoint.origin!r} signed a checkpoint of {checkpoint.size} entries "
        f"with the key you gave ({key.key_id.hex()})."
    )
    verdict.proven.append(
        f"Entry {proof.index} of it is exactly this event, with this batch and time of receipt."
    )
    at = rfc3339(verdict.leaf.received_ms)
    verdict.open_points.append(f"that the time of receipt, {at}, is right: it is the hub's word")


def check_seal(seal: Seal | None, verdict: Verdict, device_key: bytes | None) -> None:
    """The box sealed a batch that holds this event. Raises NotProven."""
    if seal is None:
        if device_key is not None:
            raise NotProven("the file carries no seal to check with --device-key")
        verdict.open_points.append("who wrote the event: the file carries no seal of its batch")
        return
    if device_key is not None and device_key != seal.key:
        raise NotProven("the seal in the file is of another key than --device-key")
    if hashlib.sha256(seal.statement).digest() != verdict.leaf.batch_id:
        raise NotProven("the sealed statement is not that of the entry's batch")
    # DSSE v1's pre-authentication encoding: what is signed names its type and its length.
    length, kind = len(seal.statement), STATEMENT_TYPE
    message = b"DSSEv1 %d %b %d %b" % (len(kind), kind, length, seal.statement)
    if not is_signed(public_key(seal.key, "the box's key"), seal.signature, message):
        raise NotProven("the seal under the batch's statement is wrong")
    device = check_statement(seal, verdict.leaf.event)
    digest = base64.b32encode(hashlib.sha256(seal.key).digest()).decode().lower()
    bound = device_key is not None or device == f"dev_{digest[:26]}"
    verdict.proven.append(f"The batch that holds it was sealed with the key {seal.key.hex()}.")
    if bound and device_key is None:
        verdict.proven.append(f"That is the key the device id {device} was made from.")
    elif not bound:
        verdict.open_points.append(
            f"that the sealing key is one of {device}: check with --device-key (it was rotated, or "
            "this is the hub itself)"
        )


def check_statement(seal: Seal, event: bytes) -> str:
    """The device that the statement and the event name, alike. Raises NotProven."""
    statement = json_object(seal.statement, "the statement")
    device, count = text_of(statement, "device"), statement.get("count")
    root_text = text_of(statement, "root")
    if type(count) is not int or re.fullmatch(r"[0-9a-f]{64}", root_text) is None:
        raise NotProven("the statement names no count or no root")
    if root_from_path(seal.index, count, leaf_hash(event), seal.path).hex() != root_text:
        raise NotProven("the event is not in the sealed batch at this place")
    try:
        written_by = json_object(event, "the event").get("device")
    except NotProven:
        return device  # The ledger accepts bytes; an unreadable event still has a sealed place.
    if written_by != device:
        raise NotProven("the event names another device than the batch it lies in")
    return device


def check_witnesses(checkpoint: Checkpoint, witnesses: Sequence[NoteKey], verdict: Verdict) -> None:
    """Every witness given vouches for the checkpoint. Raises NotProven."""
    for witness in witnesses:
        at_s = check_witness(checkpoint, witness)
        verdict.proven.append(
            f"The witness {witness.name} saw the same checkpoint at {rfc3339(at_s * 1000)}."
        )
    if not witnesses:
        verdict.open_points.append("that everybody is shown the same ledger: no --witness given")


def rfc3339(instant_ms: int) -> str:
    """An instant in UTC, or the number itself when it is beyond any calendar."""
    try:
        moment = datetime.fromtimestamp(instant_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{instant_ms} ms"
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{instant_ms % 1000:03d}Z"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """Read the command line; wrong usage exits with 2."""
    parser = argparse.ArgumentParser(prog="kickstand_verify.py", description=__doc__.split("\n")[0])
    parser.add_argument("proof", type=Path, help="exported .tlog-proof file")
    parser.add_argument("--key", required=True, help="the ledger's verifier key, name+id+base64")
    parser.add_argument("--event", type=Path, help="file with the event's exact bytes")
    parser.add_argument("--batch-id", help="batch id, 64 hex digits (with --event)")
    parser.add_argument("--received-ms", help="time of receipt, ms since 1970 (with --event)")
    parser.add_argument("--device-key", help="public key expected of the box, 64 hex digits")
    parser.add_argument("--witness", action="append", default=[], help="a witness's verifier key")
    given = parser.parse_args(argv)
    beside = (given.event, given.batch_id, given.received_ms)
    if any(item is not None for item in beside) and not all(item is not None for item in beside):
        parser.error("--event, --batch-id and --received-ms belong together")
    for option in (given.batch_id, given.device_key):
        if option is not None and re.fullmatch(r"[0-9a-fA-F]{64}", option) is None:
            parser.error("--batch-id and --device-key are 64 hex digits")
    return given


def run(given: argparse.Namespace) -> Verdict:
    """Read the files and verify. Raises NotProven or OSError."""
    leaf = None
    if given.event is not None:
        event, batch_id = given.event.read_bytes(), bytes.fromhex(given.batch_id)
        received = decode_decimal(given.received_ms, "--received-ms").to_bytes(8, "big")
        leaf = b"\x01" + len(event).to_bytes(4, "big") + event + batch_id + received
    return verify(
        parse_proof(given.proof.read_bytes()),
        NoteKey.parse(given.key),
        leaf=leaf,
        witnesses=[NoteKey.parse(text) for text in given.witness],
        device_key=None if given.device_key is None else bytes.fromhex(given.device_key),
    )


def printed(verdict: Verdict) -> str:
    """The verdict for a person; what the event holds cannot play with the terminal."""
    event = verdict.leaf.event.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
    lines = ["PROVEN", *(f"  + {line}" for line in verdict.proven)]
    lines += ["NOT PROVEN BY THIS FILE", *(f"  - {line}" for line in verdict.open_points)]
    return "\n".join([*lines, f"EVENT ({len(verdict.leaf.event)} bytes, as text)", f"  {event}"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; the exit code is the verdict."""
    given = arguments(sys.argv[1:] if argv is None else argv)
    try:
        verdict = run(given)
    except (NotProven, OSError) as reason:
        sys.stdout.write(f"NOT PROVEN: {reason}\n")
        return 1
    sys.stdout.write(printed(verdict) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
