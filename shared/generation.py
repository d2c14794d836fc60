"""A new generation of the ledger: what the hub's root key says when the old one cannot go on.

A generation begins with the entries that are left and its own first leaf is this opening. Entry
numbers go on; the origin changes, so that no tree head of one generation passes for one of another.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import orjson

from shared.checkpoint import Checkpoint, MalformedNote, parse_checkpoint
from shared.crypto.dsse import pae
from shared.crypto.keys import BadSignature, PublicKey, SigningKey
from shared.wire import fields
from shared.wire.fields import MalformedField

OPENING_TYPE = "application/vnd.kickstand.generation.v1+json"
MAX_TEXT_BYTES = 8 * 1024
MAX_REASON_CHARS = 200
GENERATIONS_MAX = 1000


class MalformedOpening(ValueError):
    """Not an opening, not signed by the root key, or not the next one."""


def origin_of(name: str, generation: int) -> str:
    """The origin of a generation of the ledger `name`; the first one has the bare name."""
    return name if generation == 1 else f"{name}/{generation}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """The root key's word that `generation` follows the one before it."""

    generation: int
    begins: Checkpoint
    """The new generation's first tree head: the entries that it has in common with the old."""
    ended: Checkpoint
    """The largest tree head of the generation before that anybody has shown."""
    reason: str
    opened_ms: int
    text: str
    """The exact JSON that was signed."""
    signature: bytes

    @classmethod
    def sign(
        cls,
        root: SigningKey,
        *,
        generation: int,
        begins: str,
        ended: str,
        reason: str,
        now_ms: int,
    ) -> "Opening":
        """`begins` and `ended` are signed notes. Raises MalformedOpening."""
        text = orjson.dumps(
            {
                "v": 1,
                "generation": generation,
                "begins": begins,
                "ended": ended,
                "reason": reason,
                "opened_ms": now_ms,
            }
        ).decode()
        return cls.parse(text, root.sign(pae(OPENING_TYPE, text.encode())), root=root.public)

    @classmethod
    def parse(cls, text: str, signature: bytes, *, root: PublicKey) -> "Opening":
        """An opening that `root` signed. Raises MalformedOpening only."""
        if len(text) > MAX_TEXT_BYTES:
            raise MalformedOpening(f"opening of {len(text)} characters")
        try:
            root.verify(signature, pae(OPENING_TYPE, text.encode()))
            values = fields.mapping(orjson.loads(text), "opening")
            fields.integer(values, "v", 1, 1)
            return cls(
                generation=fields.integer(values, "generation", 2, GENERATIONS_MAX),
                begins=parse_checkpoint(str(values.get("begins"))),
                ended=parse_checkpoint(str(values.get("ended"))),
                reason=fields.text(values, "reason", MAX_REASON_CHARS),
                opened_ms=fields.integer(values, "opened_ms"),
                text=text,
                signature=signature,
            )
        except (BadSignature, MalformedField, MalformedNote, ValueError) as error:
            raise MalformedOpening(f"opening of a generation: {error}") from error

    def values(self) -> dict[str, str]:
        """As it stands in the answer of ``GET /v1/keys``, in its leaf and on disk."""
        return {
            "opening": self.text,
            "signature": base64.b64encode(self.signature).decode("ascii"),
        }

    @classmethod
    def read(cls, values: object, *, root: PublicKey) -> "Opening":
        """What `values` gave. Raises MalformedOpening only."""
        if not isinstance(values, Mapping):
            raise MalformedOpening("opening of a generation: expected an object")
        text, encoded = values.get("opening"), values.get("signature")
        if not isinstance(text, str) or not isinstance(encoded, str):
            raise MalformedOpening("opening of a generation: text and signature are texts")
        try:
            signature = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise MalformedOpening("opening of a generation: signature is not base64") from error
        return cls.parse(text, signature, root=root)


def read_chain(items: Sequence[object], *, origin: str, root: PublicKey) -> tuple[Opening, ...]:
    """The openings that led to the ledger of `origin`: from the second generation on, all of them.

    Raises MalformedOpening when one does not follow the one before it.
    """
    found: list[Opening] = []
    name = origin.removesuffix(f"/{len(items) + 1}") if items else origin
    for generation, item in enumerate(items, 2):
        opening = Opening.read(item, root=root)
        origins = opening.generation, opening.begins.origin, opening.ended.origin
        follows = generation, origin_of(name, generation), origin_of(name, generation - 1)
        if origins != follows:
            raise MalformedOpening(f"opening of {origins}, expected {follows}")
        found.append(opening)
    if origin_of(name, len(found) + 1) != origin:
        raise MalformedOpening(f"no opening leads to {origin!r}")
    return tuple(found)


def shared_size(openings: Iterable[Opening], origin: str) -> int | None:
    """How many first entries the newest generation has in common with that of `origin`.

    None when `origin` ended in none of `openings`.
    """
    common: int | None = None
    for opening in openings:
        if common is not None or opening.ended.origin == origin:
            size = opening.begins.size
            common = size if common is None else min(common, size)
    return common
