"""RFC 9421 signatures, two fixed profiles, strictly read.

``kickstand-agent/1`` signs every request of a box, ``kickstand-hub/1`` every meaningful answer of
the hub, bound to its request with ``;req``. The components are fixed, so the signature base is
written out here; the library http-message-signatures signs and verifies the same messages in the
tests (docs/decisions/0007). Anything unexpected is refused: unknown parameters, a second label,
a second digest, another order of nothing - only a full set of the named components is accepted.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from shared.crypto.keys import BadSignature, PublicKey, SigningKey

AGENT_TAG = "kickstand-agent/1"
HUB_TAG = "kickstand-hub/1"
AGENT_LABEL = "agent"
HUB_LABEL = "hub"
VALIDITY_S = 300
"""`expires` is at most this long after `created`."""
SKEW_S = 60
"""How far the two clocks may differ before the answer is ``clock-skew``."""
REQUEST_ID = "hub-request-id"
MAX_HEADER_CHARS = 2048

_BODY_COMPONENTS: Final = (
    "@method",
    "@authority",
    "@path",
    "@query",
    "content-type",
    REQUEST_ID,
    "content-digest",
)
_EMPTY_COMPONENTS: Final = ("@method", "@authority", "@path", "@query", REQUEST_ID)
_ANSWER_COMPONENTS: Final = ("@status", "date", "content-type", "content-digest")

_METHOD = re.compile(r"[A-Z]{1,16}", re.ASCII)
_PATH = re.compile(r"/[a-z0-9/_-]*", re.ASCII)
_QUERY = re.compile(r"[A-Za-z0-9=&_.%-]*", re.ASCII)
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)
_DIGEST = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):", re.ASCII)
_SIGNATURE = re.compile(r"([a-z]+)=:([A-Za-z0-9+/]{86}==):", re.ASCII)
_INPUT = re.compile(r'([a-z]+)=(\(("[a-z@-]+"(?:;req)?(?: "[a-z@-]+"(?:;req)?)*)\)(.*))', re.ASCII)
_PARAMETER = re.compile(
    r';([a-z]+)=(?:"([\x20-\x21\x23-\x5b\x5d-\x7e]*)"|([1-9]\d{0,14}|0))', re.ASCII
)


class SignatureRefused(ValueError):
    """The message is not validly signed. `code` is the problem code of docs/wire.md."""

    def __init__(self, code: str, detail: str) -> None:
        """Keep the stable code beside the sentence."""
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """The parts of a request that are signed. Header names are lower case."""

    method: str
    authority: str
    path: str
    query: str
    """Raw, without the question mark."""
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a verified signature says of itself."""

    keyid: str
    nonce: str
    created_s: int
    expires_s: int | None


def content_digest(body: bytes) -> str:
    """RFC 9530, one member, over the bytes as sent."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode('ascii')}:"


def split_url(url: str) -> tuple[str, str, str]:
    """Authority, path and raw query of an http(s) URL, default ports dropped."""
    parts = urlsplit(url)
    authority = parts.netloc.lower()
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    if default and authority.endswith(default):
        authority = authority[: -len(default)]
    return authority, parts.path or "/", parts.query


def _value(request: Request, component: str) -> str:
    if component == "@method":
        return request.method
    if component == "@authority":
        return request.authority
    if component == "@path":
        return request.path
    if component == "@query":
        return f"?{request.query}"
    value = request.headers.get(component)
    if value is None:
        raise SignatureRefused("components-incomplete", f"header {component} is missing")
    return _plain(component, value)


def _plain(name: str, value: str) -> str:
    if not value.isascii() or not value.isprintable() or len(value) > MAX_HEADER_CHARS:
        raise SignatureRefused("signature-malformed", f"header {name} is not plain ASCII")
    # Servers fold a repeated field into one value; a content type of ours has no comma.
    if name == "content-type" and "," in value:
        raise SignatureRefused("signature-malformed", f"header {name} is repeated")
    return value.strip()


def _base(pairs: Sequence[tuple[str, str]], parameters: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in pairs]
    lines.append(f'"@signature-params": {parameters}')
    return "\n".join(lines).encode("ascii")


def request_components(body: bytes) -> tuple[str, ...]:
    """The components a request with this body has to cover."""
    return _BODY_COMPONENTS if body else _EMPTY_COMPONENTS


def sign_request(
    request: Request, key: SigningKey, *, now_s: int, nonce: str, tag: str = AGENT_TAG
) -> dict[str, str]:
    """The headers to add: Hub-Request-Id, Content-Digest (with a body), Signature(-Input).

    `nonce` is 16 random bytes in base64url, fresh for every attempt.
    """
    headers = {REQUEST_ID: nonce}
    if request.body:
        headers["content-digest"] = content_digest(request.body)
    signed = Request(
        method=request.method,
        authority=request.authority,
        path=request.path,
        query=request.query,
        headers={**request.headers, **headers},
        body=request.body,
    )
    names = request_components(request.body)
    quoted = " ".join(f'"{name}"' for name in names)
    parameters = (
        f'({quoted});created={now_s};keyid="{key.public.keyid}";alg="ed25519"'
        f';expires={now_s + VALIDITY_S};nonce="{nonce}";tag="{tag}"'
    )
    base = _base([(f'"{name}"', _value(signed, name)) for name in names], parameters)
    signature = base64.b64encode(key.sign(base)).decode("ascii")
    return {
        **headers,
        "signature-input": f"{AGENT_LABEL}={parameters}",
        "signature": f"{AGENT_LABEL}=:{signature}:",
    }


@dataclass(frozen=True, slots=True)
class _Input:
    names: tuple[str, ...]
    text: str
    values: Mapping[str, str | int]


def _parse_input(header: str | None, label: str) -> _Input:
    if header is None:
        raise SignatureRefused("signature-missing", "no Signature-Input header")
    match = _INPUT.fullmatch(_plain("signature-input", header))
    if match is None or match[1] != label:
        raise SignatureRefused("signature-malformed", f"not one signature input named {label}")
    names = tuple(match[3].split(" "))
    values: dict[str, str | int] = {}
    rest = match[4]
    while rest:
        parameter = _PARAMETER.match(rest)
        if parameter is None or parameter[1] in values:
            raise SignatureRefused("signature-malformed", "malformed or repeated parameter")
        values[parameter[1]] = parameter[2] if parameter[3] is None else int(parameter[3])
        rest = rest[parameter.end() :]
    return _Input(names, match[2], values)


def _parse_signature(header: str | None, label: str) -> bytes:
    match = _SIGNATURE.fullmatch(_plain("signature", header or ""))
    if match is None or match[1] != label:
        raise SignatureRefused("signature-malformed", f"not one signature named {label}")
    try:
        data = base64.b64decode(match[2], validate=True)
    except (ValueError, binascii.Error):
        raise SignatureRefused("signature-malformed", "signature is not base64") from None
    if base64.b64encode(data).decode("ascii") != match[2]:
        raise SignatureRefused("signature-malformed", "signature is not canonical base64")
    return data


def _text(values: Mapping[str, str | int], name: str) -> str:
    value = values.get(name)
    if not isinstance(value, str):
        raise SignatureRefused("components-incomplete", f"parameter {name} is missing")
    return value


def _seconds(values: Mapping[str, str | int], name: str) -> int:
    value = values.get(name)
    if not isinstance(value, int):
        raise SignatureRefused("components-incomplete", f"parameter {name} is missing")
    return value


def _check_parameters(found: _Input, tag: str, known: frozenset[str]) -> None:
    unknown = set(found.values) - known
    if unknown:
        raise SignatureRefused("signature-malformed", f"unknown parameter {min(unknown)}")
    if _text(found.values, "tag") != tag:
        raise SignatureRefused("signature-malformed", f"tag is not {tag}")
    if _text(found.values, "alg") != "ed25519":
        raise SignatureRefused("signature-malformed", "alg is not ed25519")


def check_digest(header: str | None, body: bytes) -> None:
    """Raises SignatureRefused unless `header` is the one SHA-256 digest of `body`."""
    match = _DIGEST.fullmatch(_plain("content-digest", header or ""))
    if match is None:
        raise SignatureRefused("signature-malformed", "Content-Digest is not one sha-256 digest")
    if content_digest(body) != match[0]:
        raise SignatureRefused("digest-mismatch", "Content-Digest does not fit the body")


def _check_target(request: Request, authority: str) -> None:
    if request.authority != authority:
        raise SignatureRefused("authority-mismatch", f"this is {authority}")
    if _METHOD.fullmatch(request.method) is None:
        raise SignatureRefused("signature-malformed", "not a method")
    if _PATH.fullmatch(request.path) is None or _QUERY.fullmatch(request.query) is None:
        raise SignatureRefused("signature-malformed", "path or query with other characters")


_REQUEST_PARAMETERS = frozenset({"created", "expires", "nonce", "keyid", "alg", "tag"})


def check_window(created_s: int, expires_s: int, now_s: int) -> None:
    """Raises SignatureRefused when the times are contradictory or not now."""
    if not created_s < expires_s <= created_s + VALIDITY_S:
        raise SignatureRefused("signature-malformed", f"expires is not within {VALIDITY_S} s")
    if created_s > now_s + SKEW_S or expires_s + SKEW_S < now_s:
        raise SignatureRefused("clock-skew", f"signed at {created_s}, it is {now_s} here")


def verify_request(
    request: Request,
    *,
    authority: str,
    key_of: Callable[[str], PublicKey],
    now_s: int,
    tag: str = AGENT_TAG,
) -> Signed:
    """Raises SignatureRefused unless the request is signed by the key `key_of(keyid)` returns.

    `key_of` raises SignatureRefused("key-unknown" or "key-revoked") itself. Freshness is
    checked here, a repeated nonce is the caller's business.
    """
    found = _parse_input(request.headers.get("signature-input"), AGENT_LABEL)
    signature = _parse_signature(request.headers.get("signature"), AGENT_LABEL)
    _check_parameters(found, tag, _REQUEST_PARAMETERS)
    wanted = [f'"{name}"' for name in request_components(request.body)]
    if sorted(found.names) != sorted(wanted):
        raise SignatureRefused("components-incomplete", f"must cover {' '.join(wanted)}")
    _check_target(request, authority)
    nonce = _text(found.values, "nonce")
    if _NONCE.fullmatch(nonce) is None or request.headers.get(REQUEST_ID) != nonce:
        raise SignatureRefused("signature-malformed", "Hub-Request-Id is not the nonce")
    if request.body:
        check_digest(request.headers.get("content-digest"), request.body)
    created, expires = _seconds(found.values, "created"), _seconds(found.values, "expires")
    keyid = _text(found.values, "keyid")
    key = key_of(keyid)
    pairs = [(name, _value(request, name.strip('"'))) for name in found.names]
    try:
        key.verify(signature, _base(pairs, found.text))
    except BadSignature:
        raise SignatureRefused("signature-invalid", "the signature does not fit") from None
    # Only after the signature: an answer `clock-skew` then speaks to the key's holder.
    check_window(created, expires, now_s)
    return Signed(keyid=keyid, nonce=nonce, created_s=created, expires_s=expires)


def bound_components(request: Request) -> tuple[str, ...]:
    """The request's components an answer to it has to cover with ``;req``.

    An unsigned request (``/v1/time``, ``/v1/keys``) binds by its Hub-Request-Id all the same.
    """
    return request_components(request.body)


def _answer_pairs(
    names: Sequence[str], status: int, headers: Mapping[str, str], request: Request
) -> list[tuple[str, str]]:
    pairs = []
    for name in names:
        bare = name.strip('"')
        if name.endswith(";req"):
            pairs.append((name, _value(request, name[1:-5])))
        elif bare == "@status":
            pairs.append((name, str(status)))
        else:
            value = headers.get(bare)
            if value is None:
                raise SignatureRefused("components-incomplete", f"header {bare} is missing")
            pairs.append((name, _plain(bare, value)))
    return pairs


def _answer_names(request: Request) -> list[str]:
    return [f'"{name}"' for name in _ANSWER_COMPONENTS] + [
        f'"{name}";req' for name in bound_components(request)
    ]


def sign_response(
    request: Request,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    key: SigningKey,
    now_s: int,
    tag: str = HUB_TAG,
) -> dict[str, str]:
    """The headers to add to an answer; `headers` must hold date and content-type, lower case."""
    digest = content_digest(body)
    names = _answer_names(request)
    parameters = (
        f'({" ".join(names)});created={now_s};keyid="{key.public.keyid}";alg="ed25519";tag="{tag}"'
    )
    pairs = _answer_pairs(names, status, {**headers, "content-digest": digest}, request)
    signature = base64.b64encode(key.sign(_base(pairs, parameters))).decode("ascii")
    return {
        "content-digest": digest,
        "signature-input": f"{HUB_LABEL}={parameters}",
        "signature": f"{HUB_LABEL}=:{signature}:",
    }


_ANSWER_PARAMETERS = frozenset({"created", "keyid", "alg", "tag"})


def verify_response(
    request: Request,
    *,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    keys: Mapping[str, PublicKey],
    tag: str = HUB_TAG,
) -> Signed:
    """Raises SignatureRefused unless one of the hub's `keys` signed this answer to `request`.

    No time is checked: the nonce in the request's own Hub-Request-Id makes the answer fresh, so
    a box whose clock says 1970 can trust it and learn the time from it.
    """
    found = _parse_input(headers.get("signature-input"), HUB_LABEL)
    signature = _parse_signature(headers.get("signature"), HUB_LABEL)
    _check_parameters(found, tag, _ANSWER_PARAMETERS)
    wanted = _answer_names(request)
    if sorted(found.names) != sorted(wanted):
        raise SignatureRefused("components-incomplete", "the answer is not bound to the request")
    check_digest(headers.get("content-digest"), body)
    keyid = _text(found.values, "keyid")
    if keyid not in keys:
        raise SignatureRefused("key-unknown", f"answer signed by the unknown key {keyid}")
    pairs = _answer_pairs(found.names, status, headers, request)
    try:
        keys[keyid].verify(signature, _base(pairs, found.text))
    except BadSignature:
        raise SignatureRefused("signature-invalid", "the answer's signature does not fit") from None
    return Signed(
        keyid=keyid,
        nonce=request.headers.get(REQUEST_ID, ""),
        created_s=_seconds(found.values, "created"),
        expires_s=None,
    )
