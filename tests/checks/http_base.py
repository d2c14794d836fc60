"""An independent RFC 9421 signature base: the cross-check of `shared.http_signatures`.

Written from the RFC and sharing no line with the product or with the library, so that an error
in the one is not repeated by the other. It builds bases; what is allowed in one is not its
business.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

MEMBER = re.compile(r"([a-z*][a-z0-9_.*-]*)=(\((.*?)\)(?:;.*)?)", re.DOTALL)
ITEM = re.compile(r'"([^"]+)"((?:;[a-z*][a-z0-9_.*-]*(?:="[^"]*")?)*)')


class CannotBuild(Exception):
    """A component is not there, or there is more than one way to read it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A request, or a response together with the request that it answers."""

    headers: Sequence[tuple[str, str]] = ()
    method: str = ""
    authority: str = ""
    path: str = "/"
    query: str | None = None
    status: int | None = None
    request: "Message | None" = field(default=None)

    def header(self, name: str) -> str:
        """All lines of this field, trimmed, folded, joined as RFC 9421 section 2.1 says."""
        lines = [value for key, value in self.headers if key.lower() == name]
        if not lines:
            raise CannotBuild(f"no field {name!r}")
        return ", ".join(re.sub(r"\s*\r\n\s+", " ", line).strip() for line in lines)


def component(message: Message, identifier: str) -> str:
    """The base's line for one covered component, written as in Signature-Input."""
    matched = ITEM.fullmatch(identifier)
    if matched is None:
        raise CannotBuild(f"not a component: {identifier!r}")
    name, parameters = matched[1], [part for part in matched[2].split(";") if part]
    source: Message | None = message
    if "req" in parameters:
        parameters.remove("req")
        source = message.request
    if source is None or parameters:
        raise CannotBuild(f"cannot resolve {identifier!r}")
    return f"{identifier}: {value_of(source, name)}"


def value_of(message: Message, name: str) -> str:
    """The value of a derived component (section 2.2) or of a field (section 2.1)."""
    if not name.startswith("@"):
        return message.header(name)
    if name == "@status":
        if message.status is None:
            raise CannotBuild("@status of a request")
        return str(message.status)
    if message.status is not None:
        raise CannotBuild(f"{name} of a response")
    derived = {
        "@method": message.method,
        "@authority": message.authority.lower(),
        "@path": message.path,
        "@query": "?" + (message.query or ""),
    }
    if name not in derived:
        raise CannotBuild(f"unknown component {name!r}")
    return derived[name]


def signature_params(message: Message, label: str) -> str:
    """The exact text after `label=` in Signature-Input: it is signed byte for byte."""
    matched = MEMBER.fullmatch(message.header("signature-input"))
    if matched is None or matched[1] != label:
        raise CannotBuild(f"no signature {label!r}")
    return matched[2]


def build(message: Message, params: str) -> bytes:
    """The signature base for the text of one Signature-Input member (section 2.5)."""
    covered = params[1 : params.index(")")].split()
    if len(set(covered)) != len(covered):
        raise CannotBuild("a component is covered twice")
    lines = [component(message, identifier) for identifier in covered]
    return "\n".join([*lines, f'"@signature-params": {params}']).encode("ascii")


def signature(message: Message, label: str) -> bytes:
    """The bytes of the signature with this label."""
    matched = re.fullmatch(rf"{re.escape(label)}=:([A-Za-z0-9+/=]+):", message.header("signature"))
    if matched is None:
        raise CannotBuild(f"no signature {label!r}")
    return base64.b64decode(matched[1], validate=True)


def verifies(message: Message, label: str, public_key: bytes) -> bool:
    """Whether the Ed25519 signature with this label fits the message."""
    key = Ed25519PublicKey.from_public_bytes(public_key)
    try:
        key.verify(signature(message, label), build(message, signature_params(message, label)))
    except (InvalidSignature, CannotBuild):
        return False
    return True


def sign(message: Message, label: str, params: str, seed: bytes) -> Mapping[str, str]:
    """Signature-Input and Signature by raw Ed25519, without any library in between."""
    raw = Ed25519PrivateKey.from_private_bytes(seed).sign(build(message, params))
    return {
        "Signature-Input": f"{label}={params}",
        "Signature": f"{label}=:{base64.b64encode(raw).decode()}:",
    }


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """Content-Digest of a body with one member (RFC 9530)."""
    digest = hashlib.new(algorithm.replace("-", ""), body).digest()
    return f"{algorithm}=:{base64.b64encode(digest).decode()}:"
