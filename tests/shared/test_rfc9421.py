"""RFC 9421 appendix B and section 2.4, RFC 9530, and the printed vectors of our own profile.

All of them go through `tests/checks/http_base.py`, the independent builder, so that it may be
trusted as the judge of `shared.http_signatures` in the tests beside this one.
"""

import base64
import hashlib
import hmac
import itertools

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

from tests.checks import http_base
from tests.checks.http_base import Message

ED25519_SEED = bytes.fromhex("9f8362f87a484a954e6e740c5b4c0e84229139a20aa8ab56ff66586f6a7d29c5")
ED25519_PUBLIC = bytes.fromhex("26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb")
HUB_SEED = bytes.fromhex("810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173")
HMAC_SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)
ECC_PUBLIC = base64.b64decode(
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEqIVYZVLCrPZHGHjP17CTW0/+D9Lfw0EkjqF7xB4FivAx"
    "zic30tMM4GF+hR6Dxh71Z50VGGdldkkDXZCnTNnoXQ=="
)
REQUEST_DIGEST = (
    "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHW"
    "XvJwew==:"
)
BUSY_DIGEST = (
    "sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFp"
    "HsMuAg==:"
)
TEST_REQUEST = Message(
    method="POST",
    authority="example.com",
    path="/foo",
    query="param=Value&Pet=dog",
    headers=[
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", REQUEST_DIGEST),
        ("Content-Length", "18"),
    ],
)


def signed(message: Message, params: str, signature: str) -> Message:
    """The same message with one signature under the label `sig`."""
    extra = [("Signature-Input", f"sig={params}"), ("Signature", f"sig=:{signature}:")]
    return Message(
        method=message.method,
        authority=message.authority,
        path=message.path,
        query=message.query,
        status=message.status,
        request=message.request,
        headers=[*message.headers, *extra],
    )


def test_b26_base_and_signature_are_reproduced_byte_for_byte():
    """B.2.6: the base has the printed bytes and raw Ed25519 gives the printed signature."""
    params = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    base = http_base.build(TEST_REQUEST, params)
    made = Ed25519PrivateKey.from_private_bytes(ED25519_SEED).sign(base)

    assert len(base) == 284
    assert (
        hashlib.sha256(base).hexdigest()
        == "e6402577f54303accfda63dfbde1a7b8c5e5e6f3f7898637b7d78dc07ee1896a"
    )
    assert base64.b64encode(made).decode() == (
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    )


def test_b25_hmac_is_reproduced():
    """B.2.5: the base for HMAC has the printed MAC."""
    params = '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
    mac = hmac.new(HMAC_SECRET, http_base.build(TEST_REQUEST, params), hashlib.sha256).digest()

    assert base64.b64encode(mac).decode() == "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8="


def transformed(
    accept=("application/json", "*/*"), *, drop_date=False, extra=(), **changes
) -> Message:
    """The request of B.4 after a proxy had its way with it."""
    params = '("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"'
    signature = (
        "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
    )
    date = [] if drop_date else [("Date", "Fri, 15 Jul 2022 14:24:55 GMT")]
    fields = {
        "method": "GET",
        "authority": "example.org",
        "path": "/demo",
        "query": "name1=Value1&Name2=value2",
    } | changes
    headers = [*date, *(("Accept", value) for value in accept), *extra]
    return signed(Message(headers=headers, **fields), params, signature)


@pytest.mark.parametrize(
    "message",
    [
        transformed(),
        transformed(
            query="name1=Value1&Name2=value2&param=added", extra=[("Accept-Language", "en-US")]
        ),
        transformed(drop_date=True, extra=[("Referer", "https://developer.example.org/demo")]),
        transformed(accept=("application/json, */*",)),
        transformed(accept=("  application/json ", "\t*/*  ")),
    ],
)
def test_b4_a_signature_survives_what_it_does_not_cover(message):
    """B.4: added fields, query, removed Date and collapsed Accept lines change nothing."""
    assert http_base.verifies(message, "sig", ED25519_PUBLIC)


@pytest.mark.parametrize(
    "message",
    [
        transformed(method="POST", authority="example.com"),
        transformed(authority="example.com"),
        transformed(accept=("*/*", "application/json")),
        transformed(path="/demo2"),
    ],
)
def test_b4_a_signature_fails_when_a_covered_part_changes(message):
    """B.4: another method, host or path, or swapped Accept lines are refused."""
    assert not http_base.verifies(message, "sig", ED25519_PUBLIC)


REQRES = [
    (
        '"@authority";req "@method";req "@path";req "content-digest";req',
        "dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag==",
    ),
    (
        (
            '"@authority";req "@method";req "@path";req "@query";req "content-digest";req '
            '"content-type";req "content-length";req'
        ),
        "C73J41GVKc+TYXbSobvZf0CmNcptRiWN+NY1Or0A36ISg6ymdRN6ZgR2QfrtopFNzqAyv+CeWrMsNbcV2Ojsgg==",
    ),
]


def response_24(request: Message) -> Message:
    """The 503 of section 2.4, answering `request`."""
    body = b'{"busy": true, "message": "Your call is very important to us"}'
    assert http_base.content_digest(body, "sha-512") == BUSY_DIGEST
    return Message(
        status=503,
        request=request,
        headers=[
            ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
            ("Content-Type", "application/json"),
            ("Content-Length", "62"),
            ("Content-Digest", BUSY_DIGEST),
        ],
    )


def ecdsa_verifies(message: Message, components: str, signature: str) -> bool:
    """Whether the ECDSA P-256 signature (raw r and s) fits the response's base."""
    raw = base64.b64decode(signature)
    halves = (int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    params = f'({components});created=1618884479;keyid="test-key-ecc-p256"'
    key = load_der_public_key(ECC_PUBLIC)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    try:
        key.verify(
            utils.encode_dss_signature(*halves),
            http_base.build(message, params),
            ec.ECDSA(hashes.SHA256()),
        )
    except InvalidSignature:
        return False
    return True


@pytest.mark.parametrize(("request_part", "signature"), REQRES)
def test_24_a_response_is_bound_to_its_request(request_part, signature):
    """Section 2.4: both published `;req` signatures verify, and not for another request."""
    covered = f'"@status" "content-digest" "content-type" {request_part}'
    other = Message(
        method="PUT",
        authority="example.com",
        path="/foo",
        query="param=Value&Pet=dog",
        headers=TEST_REQUEST.headers,
    )

    assert ecdsa_verifies(response_24(TEST_REQUEST), covered, signature)
    assert not ecdsa_verifies(response_24(other), covered, signature)


def test_b24_verifies_only_with_the_true_digest():
    """The trap: the draft printed a digest that is not the message's; B.2.4 needs the true one."""
    printed_start = "sha-512=:JlEy2bfUz7Wr"
    body = b'{"message": "good dog"}'
    digest = http_base.content_digest(body, "sha-512")
    message = Message(
        status=200,
        headers=[
            ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
            ("Content-Type", "application/json"),
            ("Content-Digest", digest),
            ("Content-Length", "23"),
        ],
    )
    params = (
        '("@status" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-ecc-p256"'
    )

    assert not digest.startswith(printed_start)
    assert digest == (
        "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5"
        "aGgfLQ==:"
    )
    assert http_base.build(message, params).decode().split("\n")[2].endswith(digest)


@pytest.mark.parametrize(
    ("body", "digest"),
    [
        (b'{"hello": "world"}\n', "RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg="),
        (b"", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="),
        (b'{"hello": "world"}', "X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
    ],
)
def test_rfc9530_digests_are_reproduced(body, digest):
    """RFC 9530: with and without the line feed, and of nothing."""
    assert f"sha-256=:{digest}:" == http_base.content_digest(body)


PROFILE_REQUEST = Message(
    method="POST",
    authority="hub.example",
    path="/v1/batches",
    headers=[
        ("Content-Type", "application/json"),
        ("Hub-Request-Id", "AAECAwQFBgcICQoLDA0ODw"),
        ("Content-Digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
    ],
)
PROFILE_RESPONSE = Message(
    status=200,
    request=PROFILE_REQUEST,
    headers=[
        ("Date", "Sun, 22 Nov 2026 13:31:53 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", "sha-256=:QGLtr3UPuAdOfoPgyQKMlOMkaKi28WFHdDKO8EUVD5M=:"),
    ],
)
PROFILE = [
    (
        PROFILE_REQUEST,
        ED25519_SEED,
        (
            '("@method" "@authority" "@path" "@query" "content-type" "hub-request-id" '
            '"content-digest");created=1795354312;'
            'keyid="poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U";alg="ed25519";expires=1795354612;'
            'nonce="AAECAwQFBgcICQoLDA0ODw";tag="hub-agent/1"'
        ),
        "7cdf924956f99cf3a6930b3d4da8c9159fa6e81f95ca8e5ddf2d59de859ca884",
        "qcCnyXABldR4pT5m0brbRYLzh9WwwNL1ohXB+HW+3bh5XBaAWNFfPDXq88ij586oFu3IA5SACVA4c15KLSsNCg==",
    ),
    (
        PROFILE_RESPONSE,
        HUB_SEED,
        (
            '("@status" "date" "content-type" "content-digest" "@method";req "@authority";req '
            '"@path";req "@query";req "content-type";req "hub-request-id";req "content-digest";req)'
            ';created=1795354313;keyid="hub-http-1";alg="ed25519";tag="hub-receipt/1"'
        ),
        "9f40e2438a581e24a5fc9c06654efe01af9e443e98f26e237e2867dedaf6bdb9",
        "g70jHlTCXmPj5dChcmsMVKHfQKMf4KJaJrlzM4FOCAj98D2QQh2Rryl1cGMtsur0DRx7T8rRU7d2XFkplM4lCg==",
    ),
]


@pytest.mark.parametrize("vector", PROFILE, ids=["hub-agent/1", "hub-receipt/1"])
def test_the_printed_profile_vectors_are_reproduced(vector):
    """The two printed vectors with the tags hub-agent/1 and hub-receipt/1, as they stand."""
    message, seed, params, base_sha256, expected = vector
    base = http_base.build(message, params)
    headers = http_base.sign(message, "x", params, seed)

    assert base_sha256 == hashlib.sha256(base).hexdigest()
    assert f"x=:{expected}:" == headers["Signature"]


def test_the_foreign_profile_case_is_reproduced():
    """adcontextprotocol's exact case: its target-uri is a component we do not build ourselves."""
    public = base64.urlsafe_b64decode("gWUqzATUcUco5Q8fZZXn8aWwb7DQbYGBiqUzLiSDDJo=")
    raw = base64.b64decode(
        "RiD5mPhxpBWhmaqUL5+vceyPX5jpjzYZhSnteuYCIYhIqdIl0Yxdh5qstCPXwkKL4AZOsPBL7+8ctbPkHunSAw=="
    )
    digest = http_base.content_digest(b'{"plan_id":"plan_001"}')
    base = "\n".join(
        [
            '"@method": POST',
            '"@target-uri": https://seller.example.com/adcp/create_media_buy',
            '"@authority": seller.example.com',
            '"content-type": application/json',
            f'"content-digest": {digest}',
            (
                '"@signature-params": ("@method" "@target-uri" "@authority" "content-type" '
                '"content-digest");created=1776520800;expires=1776521100;'
                'nonce="KXYnfEfJ0PBRZXQyVXfVQA";keyid="test-ed25519-2026";alg="ed25519";'
                'tag="adcp/request-signing/v1"'
            ),
        ]
    )

    assert digest == "sha-256=:SNIVma8dgUBx/U1CBaYFQnsJep9S0/tXaNXlQQOdoxQ=:"
    Ed25519PublicKey.from_public_bytes(public).verify(raw, base.encode())


@pytest.mark.parametrize(
    "covered", list(itertools.permutations(['"@path"', '"@method"', '"date"'], 2))
)
def test_the_builder_keeps_the_order_of_the_components(covered):
    """The verifier must rebuild the signer's order byte for byte."""
    lines = http_base.build(TEST_REQUEST, f"({' '.join(covered)});created=1").decode().split("\n")

    assert list(covered) == [line.split(": ")[0] for line in lines[:-1]]


@pytest.mark.parametrize(
    ("message", "params"),
    [
        (TEST_REQUEST, '("@status")'),
        (TEST_REQUEST, '("@method";req)'),
        (TEST_REQUEST, '("@path" "@path")'),
        (TEST_REQUEST, '("x-none")'),
        (PROFILE_RESPONSE, '("@method")'),
        (PROFILE_RESPONSE, '("@status";req)'),
        (TEST_REQUEST, '("@query-params")'),
    ],
)
def test_the_builder_refuses_what_has_no_one_reading(message, params):
    """A component that is missing, doubled or of the wrong message has no base."""
    with pytest.raises(http_base.CannotBuild):
        http_base.build(message, params)
