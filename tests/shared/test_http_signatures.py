"""The two HTTP profiles: what is signed verifies, and everything else is refused by its code.

Wrong messages are signed by the independent builder with the right key, so that what refuses
them is the one rule under test and never a signature that does not fit.
"""

import base64
import dataclasses
import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import SystemClock
from shared.crypto.keys import PublicKey, SigningKey
from shared.http_signatures import (
    AGENT_TAG,
    HUB_TAG,
    Request,
    SignatureRefused,
    content_digest,
    sign_request,
    sign_response,
    split_url,
    verify_request,
    verify_response,
)
from tests.checks import http_base, http_library

AGENT_SEED = bytes.fromhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5")
HUB_SEED = bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173")
AGENT, HUB = SigningKey.from_seed(AGENT_SEED), SigningKey.from_seed(HUB_SEED)
NOW_S = 1_795_354_312
NONCE = "AAECAwQFBgcICQoLDA0ODw"
BODY = b'{"hello": "world"}'
JSON = "application/json"
DATE = "Sun, 22 Nov 2026 13:31:53 GMT"
COVERED = ["@method", "@authority", "@path", "@query"]
COVERED += ["content-type", "hub-request-id", "content-digest"]


def request_of(body: bytes = BODY, **changes: object) -> Request:
    """An unsigned POST, or a GET when there is no body."""
    fields = {
        "method": "POST" if body else "GET",
        "authority": "hub.example",
        "path": "/v1/batches",
        "query": "known=7",
        "headers": {"content-type": JSON} if body else {},
        "body": body,
    }
    return Request(**(fields | changes))  # type: ignore[arg-type]


def signed(request: Request | None = None, *, now_s: int = NOW_S, tag: str = AGENT_TAG) -> Request:
    """The request with the headers our signer adds."""
    bare = request or request_of()
    headers = sign_request(bare, AGENT, now_s=now_s, nonce=NONCE, tag=tag)
    return dataclasses.replace(bare, headers={**bare.headers, **headers})


def params_of(covered: list[str] = COVERED, **changes: str | int | None) -> str:
    """The text of a Signature-Input member; None leaves a parameter out, raw text stays raw."""
    values: dict[str, str | int | None] = {
        "created": NOW_S,
        "keyid": AGENT.public.keyid,
        "alg": "ed25519",
        "expires": NOW_S + 300,
        "nonce": NONCE,
        "tag": AGENT_TAG,
    }
    values |= changes
    written = "".join(
        f";{name}={value}" if isinstance(value, int) else f';{name}="{value}"'
        for name, value in values.items()
        if value is not None
    )
    quoted = " ".join(f'"{name}"' for name in covered)
    return f"({quoted}){written}"


def forged(params: str, *, headers: Mapping[str, str] | None = None, **changes: object) -> Request:
    """A request signed by the right key under any parameters, by the independent builder."""
    request = request_of(**changes)  # type: ignore[arg-type]
    fields = {
        **request.headers,
        "hub-request-id": NONCE,
        "content-digest": http_base.content_digest(request.body),
        **(headers or {}),
    }
    message = base_message(dataclasses.replace(request, headers=fields))
    added = http_base.sign(message, "agent", params, AGENT_SEED)
    return dataclasses.replace(
        request, headers=fields | {name.lower(): value for name, value in added.items()}
    )


def base_message(request: Request) -> http_base.Message:
    """The same request for the independent builder."""
    return http_base.Message(
        method=request.method,
        authority=request.authority,
        path=request.path,
        query=request.query,
        headers=list(request.headers.items()),
    )


def with_header(request: Request, name: str, value: str | None) -> Request:
    """The request with one header replaced, or taken away."""
    headers = {key: item for key, item in request.headers.items() if key != name}
    return dataclasses.replace(
        request, headers=headers if value is None else {**headers, name: value}
    )


def key_of(keyid: str) -> PublicKey:
    """The hub's table of keys: one is known, one revoked."""
    if keyid == "revoked":
        raise SignatureRefused("key-revoked", "this key was revoked")
    if keyid != AGENT.public.keyid:
        raise SignatureRefused("key-unknown", "nobody has this key")
    return AGENT.public


def verify(request: Request, *, now_s: int = NOW_S) -> str:
    """The key id of a verified request."""
    found = verify_request(request, authority="hub.example", key_of=key_of, now_s=now_s)
    return found.keyid


def refusal(request: Request, *, now_s: int = NOW_S) -> str:
    """The code with which a request is refused."""
    with pytest.raises(SignatureRefused) as caught:
        verify(request, now_s=now_s)
    return caught.value.code


@pytest.mark.parametrize("body", [BODY, b""])
def test_our_signature_is_the_independent_builders(body):
    """Ours verifies by the independent builder, byte for byte the same as raw Ed25519's."""
    request = signed(request_of(body))
    message = base_message(request)
    params = http_base.signature_params(message, "agent")
    again = http_base.sign(message, "agent", params, AGENT_SEED)

    assert verify(request) == AGENT.public.keyid
    assert http_base.verifies(message, "agent", AGENT.public.raw)
    assert request.headers["signature"] == again["Signature"]


def test_the_printed_base_comes_out_of_our_signer_under_the_printed_tag():
    """trust.md's request vector, ours but for the tag, gives the printed signature."""
    printed = (
        "qcCnyXABldR4pT5m0brbRYLzh9WwwNL1ohXB+HW+3bh5XBaAWNFfPDXq88ij586oFu3IA5SACVA4c15KLSsNCg=="
    )
    request = signed(request_of(query=""), tag="hub-agent/1")

    assert request.headers["signature"] == f"agent=:{printed}:"


def library_request(request: Request) -> http_library.LibraryRequest:
    """The same request for the library."""
    query = f"?{request.query}" if request.query else ""
    return http_library.LibraryRequest(
        request.method, f"https://{request.authority}{request.path}{query}", dict(request.headers)
    )


@pytest.mark.parametrize("body", [BODY, b""])
@pytest.mark.parametrize("query", ["", "known=7"])
def test_the_library_verifies_what_we_sign(body, query):
    """http-message-signatures accepts our request and our answer to it."""
    now_s = SystemClock().wall_ms() // 1000
    request = signed(request_of(body, query=query), now_s=now_s)
    agent = http_library.OneKey(AGENT.public.keyid, public=AGENT.public.raw)
    http_library.verify(library_request(request), agent, tag=AGENT_TAG, max_age_s=300)

    headers = answered(request, now_s=now_s)
    response = http_library.LibraryResponse(200, dict(headers), library_request(request))
    hub = http_library.OneKey(HUB.public.keyid, public=HUB.public.raw)
    http_library.verify(response, hub, tag=HUB_TAG, max_age_s=300)

    response.request.method = "PUT"
    with pytest.raises(http_library.Refused):
        http_library.verify(response, hub, tag=HUB_TAG, max_age_s=300)


def test_we_verify_what_the_library_signs():
    """The library's request and answer are byte for byte ours, and verify."""
    ours = signed()
    bare = with_header(with_header(ours, "signature", None), "signature-input", None)
    agent = http_library.OneKey(AGENT.public.keyid, seed=AGENT_SEED)
    theirs = http_library.sign(
        library_request(bare),
        agent,
        label="agent",
        tag=AGENT_TAG,
        covered=COVERED,
        created_s=NOW_S,
        expires_s=NOW_S + 300,
        nonce=NONCE,
    )

    assert theirs == {name: ours.headers[name] for name in ("signature-input", "signature")}
    verify(dataclasses.replace(bare, headers={**bare.headers, **theirs}))


def test_the_librarys_answer_is_ours():
    """An answer signed by the library is byte for byte the one that we sign."""
    request, ours = signed(), answered(signed())
    bare = {
        name: value for name, value in ours.items() if name not in {"signature", "signature-input"}
    }
    covered = ["@status", "date", "content-type", "content-digest"]
    covered += [f'"{name}";req' for name in COVERED]
    theirs = http_library.sign(
        http_library.LibraryResponse(200, bare, library_request(request)),
        http_library.OneKey(HUB.public.keyid, seed=HUB_SEED),
        label="hub",
        tag=HUB_TAG,
        covered=covered,
        created_s=NOW_S + 1,
    )

    assert theirs == {name: ours[name] for name in ("signature-input", "signature")}
    verify_answer(request, {**bare, **theirs})


@pytest.mark.parametrize(
    "params",
    [
        params_of(list(reversed(COVERED))),
        params_of(tag=None, nonce=None) + f';tag="{AGENT_TAG}";nonce="{NONCE}"',
        params_of(created=NOW_S - 200, expires=NOW_S - 200 + 300),
        params_of(created=NOW_S + 60, expires=NOW_S + 61),
    ],
)
def test_order_and_window_are_the_signers_choice(params):
    """Another order of components or parameters and any short window are rebuilt as signed."""
    assert verify(forged(params)) == AGENT.public.keyid


WRONG_PARAMETERS = {
    "wrong tag": ("signature-malformed", params_of(tag="kickstand-hub/1")),
    "the printed vectors' tag": ("signature-malformed", params_of(tag="hub-agent/1")),
    "missing tag": ("components-incomplete", params_of(tag=None)),
    "another algorithm": ("signature-malformed", params_of(alg="hmac-sha256")),
    "missing algorithm": ("components-incomplete", params_of(alg=None)),
    "window too long": ("signature-malformed", params_of(expires=NOW_S + 301)),
    "expires before created": ("signature-malformed", params_of(expires=NOW_S - 1)),
    "expires at created": ("signature-malformed", params_of(expires=NOW_S)),
    "expired": ("clock-skew", params_of(created=NOW_S - 361, expires=NOW_S - 61)),
    "from the future": ("clock-skew", params_of(created=NOW_S + 61, expires=NOW_S + 300)),
    "missing expires": ("components-incomplete", params_of(expires=None)),
    "missing created": ("components-incomplete", params_of(created=None)),
    "missing nonce": ("components-incomplete", params_of(nonce=None)),
    "missing keyid": ("components-incomplete", params_of(keyid=None)),
    "short nonce": ("signature-malformed", params_of(nonce=NONCE[:-1])),
    "another nonce": ("signature-malformed", params_of(nonce=NONCE[::-1])),
    "unknown key": ("key-unknown", params_of(keyid="hub-http-1")),
    "revoked key": ("key-revoked", params_of(keyid="revoked")),
    "unknown parameter": ("signature-malformed", params_of(context="x")),
    "repeated parameter": ("signature-malformed", params_of() + f";created={NOW_S}"),
    "unquoted parameter": ("signature-malformed", params_of(tag=None) + ";tag=kickstand"),
    "quoted time": ("components-incomplete", params_of(created=str(NOW_S))),
    "negative time": ("signature-malformed", params_of(created=-1)),
    "decimal time": ("signature-malformed", params_of(created=None) + f";created={NOW_S}.0"),
    "escaped text": ("signature-malformed", params_of(tag='kickstand\\"')),
    "boolean parameter": ("signature-malformed", params_of() + ";created"),
}


@pytest.mark.parametrize(("code", "params"), WRONG_PARAMETERS.values(), ids=WRONG_PARAMETERS)
def test_wrong_parameters_are_refused(code, params):
    """Rightly signed, wrongly said: the profile's own rules refuse, each by its code."""
    assert refusal(forged(params)) == code


@pytest.mark.parametrize("missing", COVERED)
def test_every_component_has_to_be_covered(missing):
    """A signature that leaves out any one component is incomplete."""
    covered = [name for name in COVERED if name != missing]

    assert refusal(forged(params_of(covered))) == "components-incomplete"


@pytest.mark.parametrize(
    "covered",
    [
        [],
        [*COVERED, "date"],
        [*COVERED, "@path"],
        [*COVERED[:-1], "@status"],
    ],
)
def test_no_other_set_of_components_is_accepted(covered):
    """None at all, one more, one twice, one of an answer: the set is fixed."""
    request = signed()
    changed = with_header(request, "signature-input", f"agent={params_of(covered)}")

    assert refusal(changed) in {"components-incomplete", "signature-malformed"}


def test_a_body_needs_its_digest():
    """A POST signed as if it had no body is incomplete: the body would be anybody's."""
    covered = ["@method", "@authority", "@path", "@query", "hub-request-id"]

    assert refusal(forged(params_of(covered))) == "components-incomplete"


GOOD = signed()
INPUT, SIGNATURE = GOOD.headers["signature-input"], GOOD.headers["signature"]
RAW = SIGNATURE[len("agent=:") : -1]
WRONG_HEADERS = {
    "no signature at all": ("signature-missing", "signature-input", None),
    "input without signature": ("signature-malformed", "signature", None),
    "another label": ("signature-malformed", "signature-input", INPUT.replace("agent=", "other=")),
    "labels differ": ("signature-malformed", "signature", SIGNATURE.replace("agent=", "hub=")),
    "label twice": ("signature-malformed", "signature-input", f"{INPUT}, {INPUT}"),
    "two labels": ("signature-malformed", "signature-input", f"{INPUT}, x={INPUT[6:]}"),
    "signature twice": ("signature-malformed", "signature", f"{SIGNATURE}, {SIGNATURE}"),
    "folded signature": ("signature-malformed", "signature", f"{SIGNATURE},{SIGNATURE}"),
    "broken input": ("signature-malformed", "signature-input", INPUT.replace("(", "", 1)),
    "empty input": ("signature-malformed", "signature-input", ""),
    "tab in input": ("signature-malformed", "signature-input", INPUT.replace(" ", "\t", 1)),
    "huge input": ("signature-malformed", "signature-input", INPUT + " " * 3000 + "x"),
    "non-ASCII input": ("signature-malformed", "signature-input", INPUT + "é"),
    "upper-case name": ("signature-malformed", "signature-input", INPUT.replace("@path", "@Path")),
    "request flag": (
        "components-incomplete",
        "signature-input",
        INPUT.replace('"@path"', '"@path";req'),
    ),
    "base64url": (
        "signature-malformed",
        "signature",
        f"agent=:{RAW.replace('+', '-').replace('/', '_')[:-4]}-_==:",
    ),
    "no base64": ("signature-malformed", "signature", "agent=:!!!!:"),
    "bytes missing": ("signature-malformed", "signature", f"agent=:{RAW[4:]}:"),
    "another signature": ("signature-invalid", "signature", f"agent=:{RAW[1:-2]}A==:"),
    "no digest": ("signature-malformed", "content-digest", None),
    "digest of another body": ("digest-mismatch", "content-digest", content_digest(b"other")),
    "two digests": (
        "signature-malformed",
        "content-digest",
        f"{content_digest(BODY)}, {content_digest(BODY)}",
    ),
    "digest's name in capitals": (
        "signature-malformed",
        "content-digest",
        content_digest(BODY).upper(),
    ),
    "another digest": (
        "signature-malformed",
        "content-digest",
        http_base.content_digest(BODY, "sha-512"),
    ),
    "base64url digest": (
        "signature-malformed",
        "content-digest",
        content_digest(BODY).replace("/", "_").replace("o", "-"),
    ),
    "no content type": ("components-incomplete", "content-type", None),
    "another content type": ("signature-invalid", "content-type", "text/plain"),
    "two content types": ("signature-malformed", "content-type", f"{JSON}, {JSON}"),
    "folded content types": ("signature-malformed", "content-type", f"{JSON},{JSON}"),
    "content type with a line": ("signature-malformed", "content-type", f'{JSON}\n"@path": /'),
    "non-ASCII content type": ("signature-malformed", "content-type", "application/jsön"),
    "another request id": ("signature-malformed", "hub-request-id", NONCE[::-1]),
    "no request id": ("signature-malformed", "hub-request-id", None),
}


@pytest.mark.parametrize(("code", "name", "value"), WRONG_HEADERS.values(), ids=WRONG_HEADERS)
def test_changed_headers_are_refused(code, name, value):
    """Doubled, folded, stripped, altered: every header is read one way or not at all."""
    assert refusal(with_header(GOOD, name, value)) == code


def test_a_nonce_has_128_bits():
    """A short nonce is refused even where the request id repeats it and both are signed."""
    short = forged(params_of(nonce="short"), headers={"hub-request-id": "short"})

    assert refusal(short) == "signature-malformed"


def test_a_content_type_given_twice_is_refused_even_when_signed_so():
    """A server folds repeated fields: what was two lines must not pass as one value."""
    doubled = forged(params_of(), headers={"content-type": f"{JSON},{JSON}"})

    assert refusal(doubled) == "signature-malformed"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"method": "PUT"}, "signature-invalid"),
        ({"method": "post"}, "signature-malformed"),
        ({"method": "PÖST"}, "signature-malformed"),
        ({"method": "POST\n"}, "signature-malformed"),
        ({"path": "/v1/batches2"}, "signature-invalid"),
        ({"path": "/v1/ev%2fents"}, "signature-malformed"),
        ({"path": "/v1/Batches"}, "signature-malformed"),
        ({"path": "/v1/bätches"}, "signature-malformed"),
        ({"path": "/v1/../v1/batches"}, "signature-malformed"),
        ({"path": "/v1/batches\n"}, "signature-malformed"),
        ({"query": "known=8"}, "signature-invalid"),
        ({"query": ""}, "signature-invalid"),
        ({"query": "known=7&x"}, "signature-invalid"),
        ({"query": "known=7 "}, "signature-malformed"),
        ({"query": "known=ü"}, "signature-malformed"),
        ({"authority": "hub.example:8443"}, "authority-mismatch"),
        ({"authority": "hüb.example"}, "authority-mismatch"),
        ({"body": BODY + b" "}, "digest-mismatch"),
        ({"body": b""}, "components-incomplete"),
    ],
)
def test_a_request_to_elsewhere_is_refused(changes, code):
    """Method, authority, path, query and body are the signed ones, and plain ASCII."""
    assert refusal(dataclasses.replace(GOOD, **changes)) == code


def test_another_key_under_the_right_name_is_refused():
    """The key decides, not the name it goes by."""
    with pytest.raises(SignatureRefused) as caught:
        verify_request(GOOD, authority="hub.example", key_of=lambda _: HUB.public, now_s=NOW_S)
    assert caught.value.code == "signature-invalid"


def test_a_wrong_clock_is_told_only_to_the_keys_holder():
    """An expired request with a wrong signature is invalid, not skewed: no oracle for others."""
    late = NOW_S + 10_000

    assert refusal(GOOD, now_s=late) == "clock-skew"
    other = with_header(GOOD, "signature", f"agent=:{RAW[1:-2]}A==:")
    assert refusal(other, now_s=late) == "signature-invalid"


@given(st.integers(0, len(INPUT) * 8 - 1))
def test_no_bit_of_the_signature_input_may_flip(bit):
    """Any flipped bit of Signature-Input is refused, whatever it makes of the text."""
    flipped = bytearray(INPUT.encode())
    flipped[bit // 8] ^= 1 << bit % 8

    assert refusal(with_header(GOOD, "signature-input", flipped.decode("latin-1")))


@given(
    st.text(max_size=60),
    st.sampled_from(["signature-input", "signature", "content-digest", "content-type"]),
)
def test_any_header_is_refused_and_nothing_else_is_raised(value, name):
    """Hostile header values raise SignatureRefused only."""
    assert refusal(with_header(GOOD, name, value))


def answered(
    request: Request, *, body: bytes = b'{"ok":true}', now_s: int = NOW_S
) -> dict[str, str]:
    """The headers of our hub's 200 to this request."""
    headers = {"date": DATE, "content-type": JSON}
    added = sign_response(
        request, status=200, headers=headers, body=body, key=HUB, now_s=now_s + (now_s == NOW_S)
    )
    return {**headers, **added}


def verify_answer(
    request: Request,
    headers: Mapping[str, str],
    *,
    status: int = 200,
    body: bytes = b'{"ok":true}',
    key: PublicKey = HUB.public,
) -> None:
    """Raises SignatureRefused unless this answers `request`."""
    verify_response(request, status=status, headers=headers, body=body, keys={key.keyid: key})


@pytest.mark.parametrize(
    "request_",
    [
        GOOD,
        signed(request_of(b"")),
        request_of(b"", path="/v1/time", headers={"hub-request-id": NONCE}),
    ],
)
def test_an_answer_belongs_to_its_request(request_):
    """Signed with and without body, and unsigned with a request id: the answer verifies."""
    verify_answer(request_, answered(request_))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"authority": "hub2.example"},
        {"path": "/v1/batches/x"},
        {"query": "known=8"},
        {"body": b""},
        {"headers": {**GOOD.headers, "hub-request-id": NONCE[::-1]}},
        {"headers": {**GOOD.headers, "content-type": "text/plain"}},
        {"headers": {**GOOD.headers, "content-digest": content_digest(b"other")}},
    ],
)
def test_an_answer_to_another_request_is_refused(changes):
    """Other id, digest, path, query, host, method: an answer answers one request only."""
    other = dataclasses.replace(GOOD, **changes)
    with pytest.raises(SignatureRefused):
        verify_answer(other, answered(GOOD))


HUB_INPUT = answered(GOOD)["signature-input"]
WRONG_ANSWERS = {
    "captive portal": ("signature-missing", {"content-type": "text/html"}),
    "altered date": ("signature-invalid", answered(GOOD) | {"date": DATE.replace("22", "23")}),
    "altered type": ("signature-invalid", answered(GOOD) | {"content-type": "text/html"}),
    "two types": ("signature-malformed", answered(GOOD) | {"content-type": f"{JSON},{JSON}"}),
    "no date": (
        "components-incomplete",
        {name: value for name, value in answered(GOOD).items() if name != "date"},
    ),
    "no digest": (
        "signature-malformed",
        {name: value for name, value in answered(GOOD).items() if name != "content-digest"},
    ),
    "the request's own signature": (
        "signature-malformed",
        answered(GOOD) | {name: GOOD.headers[name] for name in ("signature", "signature-input")},
    ),
    "unbound": (
        "components-incomplete",
        answered(GOOD) | {"signature-input": re.sub(r' "@path";req', "", HUB_INPUT)},
    ),
    "the request's parts as the answer's": (
        "components-incomplete",
        answered(GOOD) | {"signature-input": HUB_INPUT.replace('"@path";req', '"@path"')},
    ),
    "wrong tag": (
        "signature-malformed",
        answered(GOOD) | {"signature-input": HUB_INPUT.replace(HUB_TAG, AGENT_TAG)},
    ),
    "unknown parameter": (
        "signature-malformed",
        answered(GOOD) | {"signature-input": f"{HUB_INPUT};expires=9"},
    ),
    "unknown key": (
        "key-unknown",
        answered(GOOD)
        | {"signature-input": HUB_INPUT.replace(HUB.public.keyid, AGENT.public.keyid)},
    ),
}


@pytest.mark.parametrize(("code", "headers"), WRONG_ANSWERS.values(), ids=WRONG_ANSWERS)
def test_wrong_answers_are_refused(code, headers):
    """Unsigned, unbound, altered: for a box all of these are a failure of the network."""
    with pytest.raises(SignatureRefused) as caught:
        verify_answer(GOOD, headers)
    assert caught.value.code == code


def test_an_altered_answer_is_refused():
    """Another body, status or key does not pass under the same headers."""
    headers = answered(GOOD)
    for changes in ({"body": b'{"ok":false}'}, {"status": 202}, {"key": AGENT.public}):
        with pytest.raises(SignatureRefused):
            verify_answer(GOOD, headers, **changes)


def test_no_byte_of_an_answers_signature_may_change():
    """Every byte of the signature, and stray bits behind it, decide."""
    headers = answered(GOOD)
    raw = base64.b64decode(headers["signature"][len("hub=:") : -1])
    for at in range(64):
        changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        text = f"hub=:{base64.b64encode(changed).decode()}:"
        with pytest.raises(SignatureRefused):
            verify_answer(GOOD, headers | {"signature": text})
    stray = headers["signature"][:-4] + chr(ord(headers["signature"][-4]) + 1) + "==:"
    with pytest.raises(SignatureRefused, match="canonical"):
        verify_answer(GOOD, headers | {"signature": stray})


def test_urls_are_split_as_they_are_signed():
    """Default ports go, other ports stay, the query stays raw."""
    assert split_url("https://Hub.Example:443/v1/x?a=%41") == ("hub.example", "/v1/x", "a=%41")
    assert split_url("http://hub.example:80") == ("hub.example", "/", "")
    assert split_url("http://127.0.0.1:8080/v1/time") == ("127.0.0.1:8080", "/v1/time", "")
    assert split_url("https://[::1]:8443/?") == ("[::1]:8443", "/", "")
