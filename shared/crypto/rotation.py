"""A box's next key: one text that the old key and the new key have both signed.

The old key says who may speak for the box from now on, the new key that somebody holds it. Both
signatures stand on the ledger beside the text, so that nobody has to take the hub's word for it.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from shared.crypto.dsse import pae
from shared.crypto.keys import BadKey, BadSignature, PublicKey, SigningKey, b64url, from_b64url

ROTATION_TYPE = "application/vnd.kickstand.rotation.v1+json"
MAX_TEXT_BYTES = 1024


class MalformedRotation(ValueError):
    """Not a rotation, or not signed by the new key it names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """A rotation whose new key has signed it; `verify` asks the old one."""

    device: str
    old: str
    """Key id of the key that is followed."""
    new: PublicKey
    text: str
    old_signature: bytes
    new_signature: bytes

    @classmethod
    def sign(cls, device: str, *, old: SigningKey, new: SigningKey) -> "Rotation":
        """The same device and keys give the same bytes, so that a retry sends them again."""
        values = {
            "v": 1,
            "device": device,
            "old": old.public.keyid,
            "public_key": b64url(new.public.raw),
        }
        text = orjson.dumps(values).decode()
        signed = pae(ROTATION_TYPE, text.encode())
        return cls(
            device=device,
            old=old.public.keyid,
            new=new.public,
            text=text,
            old_signature=old.sign(signed),
            new_signature=new.sign(signed),
        )

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> "Rotation":
        """A rotation from outside. Raises MalformedRotation only."""
        text = values.get("rotation")
        if not isinstance(text, str) or len(text) > MAX_TEXT_BYTES:
            raise MalformedRotation("rotation: expected a text")
        try:
            stated = orjson.loads(text)
            if stated["v"] != 1:
                raise MalformedRotation(f"rotation version {stated['v']}; this reads version 1")
            device, old = stated["device"], stated["old"]
            if not (isinstance(device, str) and isinstance(old, str)):
                raise MalformedRotation("rotation: device and old are texts")
            new = PublicKey(from_b64url(stated["public_key"]))
        except (ValueError, KeyError, TypeError, BadKey) as error:
            raise MalformedRotation(f"rotation: {error}") from error
        found = cls(
            device=device,
            old=old,
            new=new,
            text=text,
            old_signature=_signature(values, "old_signature"),
            new_signature=_signature(values, "new_signature"),
        )
        try:
            new.verify(found.new_signature, pae(ROTATION_TYPE, text.encode()))
        except BadSignature:
            raise MalformedRotation("rotation: not signed by the key it names") from None
        return found

    def verify(self, old: PublicKey) -> None:
        """Raises BadSignature unless `old` is the key that is followed and has signed."""
        if old.keyid != self.old:
            raise BadSignature("the rotation follows another key")
        old.verify(self.old_signature, pae(ROTATION_TYPE, self.text.encode()))

    def values(self) -> dict[str, object]:
        """The fields of the request's body, and of the fact on the ledger."""
        return {
            "rotation": self.text,
            "old_signature": base64.b64encode(self.old_signature).decode("ascii"),
            "new_signature": base64.b64encode(self.new_signature).decode("ascii"),
        }


def _signature(values: Mapping[str, object], name: str) -> bytes:
    text = values.get(name)
    if not isinstance(text, str) or len(text) > 100:
        raise MalformedRotation(f"{name}: expected base64")
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedRotation(f"{name}: not base64") from None
    if len(data) != 64 or base64.b64encode(data).decode("ascii") != text:
        raise MalformedRotation(f"{name}: not the one spelling of 64 bytes")
    return data
