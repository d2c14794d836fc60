"""Keys and key sets: published identities, refused keys, and files that stay secret."""

import base64
import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from shared.checkpoint import to_base64
from shared.crypto.dsse import pae
from shared.crypto.keys import (
    KEYSET_TYPE,
    BadKey,
    BadSignature,
    KeySet,
    MalformedKeySet,
    PublicKey,
    SigningKey,
    b64url,
    from_b64url,
    root_fingerprint,
)
from shared.identifiers import DEVICE_ID, device_id, new_id
from tests.checks.wire_samples import VALUES, golden, replaced

P = 2**255 - 19
KEYS = json.loads(golden("keys.json"))
ROOT = PublicKey(bytes.fromhex(KEYS["root"]["public"]))
SMALL_ORDER = [
    "00" * 32,
    "01" + "00" * 31,
    (P - 1).to_bytes(32, "little").hex(),
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]
SMALL_ORDER += [f"{key[:62]}{int(key[62:], 16) | 0x80:02x}" for key in SMALL_ORDER]
NON_CANONICAL = [(P + extra).to_bytes(32, "little").hex() for extra in range(19)]
NON_CANONICAL += ["ff" * 32, "ff" * 31 + "7f"]


@pytest.mark.parametrize(
    ("public", "thumbprint"),
    [
        (
            "JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs",
            "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U",
        ),
        (
            "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        ),
    ],
)
def test_key_ids_are_the_published_thumbprints(public, thumbprint):
    """RFC 7638 over RFC 8037: the test key of RFC 9421 and the example of RFC 8037 A.3."""
    assert PublicKey(from_b64url(public)).keyid == thumbprint


@pytest.mark.parametrize("raw", [*SMALL_ORDER, *NON_CANONICAL, "", "00", "11" * 31, "11" * 33])
def test_keys_that_prove_nothing_are_refused(raw):
    """Small order, with either sign; a coordinate beyond the field; another length."""
    with pytest.raises(BadKey):
        PublicKey(bytes.fromhex(raw))


def test_why_small_order_keys_are_refused():
    """For the identity key one fixed signature fits any message: who has it can deny anything."""
    identity = Ed25519PublicKey.from_public_bytes(bytes.fromhex(SMALL_ORDER[1]))
    for message in (b"sold", b"not sold"):
        identity.verify(bytes.fromhex("01" + "00" * 63), message)


@given(st.binary(max_size=40))
def test_any_bytes_are_a_key_or_bad(raw):
    """Hostile key bytes raise BadKey and nothing else."""
    try:
        assert PublicKey(raw).raw == raw
    except BadKey:
        return


@given(st.binary(max_size=64), st.integers(0, 511))
def test_a_signature_fits_one_message(message, bit):
    """Signing verifies; one other bit in the signature, or a byte more, does not."""
    key = SigningKey.from_seed(bytes(31) + b"\x03")
    signature = key.sign(message)
    key.public.verify(signature, message)

    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    wrong = [(bytes(changed), message), (signature, message + b"\0"), (signature[:-1], message)]
    for other, text in [*wrong, (b"", message), (signature + b"\0", message)]:
        with pytest.raises(BadSignature):
            key.public.verify(other, text)


@given(st.binary(max_size=48))
def test_base64url_has_one_spelling(data):
    """What is written reads back; padding, other alphabets and stray bits are refused."""
    text = b64url(data)
    assert from_b64url(text) == data
    for wrong in (text + "=", text + "A" * (4 - len(text) % 4) + "+", text + "\n", " " + text):
        with pytest.raises(BadKey):
            from_b64url(wrong)


def test_stray_bits_of_base64url_are_refused():
    """`AB` and `AA` name the same byte; only one of them is a spelling."""
    assert from_b64url("AA") == b"\0"
    with pytest.raises(BadKey):
        from_b64url("AB")


def test_a_key_file_is_written_once_and_for_its_owner_only(tmp_path):
    """Mode 0600, read back the same, never overwritten; anything else is a BadKey."""
    path = tmp_path / "key.pem"
    key = SigningKey.generate()
    key.save(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).public == key.public
    with pytest.raises(FileExistsError):
        SigningKey.generate().save(path)
    assert [path] == list(tmp_path.iterdir())
    path.write_text("no key")
    with pytest.raises(BadKey):
        SigningKey.load(path)


def test_ids_are_derived_from_the_first_key():
    """`dev_` and 26 lower-case base32 characters; fresh ids are of the same alphabet."""
    assert device_id(bytes.fromhex(KEYS["agent"]["public"])) == KEYS["device"]
    assert DEVICE_ID.fullmatch(KEYS["device"])
    assert len({new_id("clm") for _ in range(100)}) == 100
    assert DEVICE_ID.fullmatch(new_id("dev"))


def test_a_key_set_reads_back():
    """The golden answer of /v1/keys holds the keys it was made of."""
    keyset = KeySet.parse(golden("keyset.json"), fingerprint=root_fingerprint(ROOT))

    assert keyset.encode() == golden("keyset.json")
    assert (keyset.name, keyset.version, keyset.root) == ("hub.example", 1, ROOT)
    assert list(keyset.http) == [KEYS["hub"]["keyid"]]
    assert keyset.ledger_vkey == KEYS["hub"]["ledger_vkey"]
    assert keyset.encryption.hex() == KEYS["encryption"]["public"]
    assert KEYS["root"]["fingerprint"] == root_fingerprint(ROOT)


def test_a_key_set_of_another_root_is_refused():
    """The invitation's fingerprint decides, however well the set is signed."""
    with pytest.raises(MalformedKeySet, match="another root"):
        KeySet.parse(golden("keyset.json"), fingerprint="a" * 26)


def parsed(raw: bytes) -> bool:
    """Whether these bytes pass as the hub's key set."""
    try:
        KeySet.parse(raw, fingerprint=root_fingerprint(ROOT))
    except MalformedKeySet:
        return False
    return True


def test_every_bit_of_a_key_set_counts():
    """Text and signature: no bit may flip, no byte be missing."""
    raw = golden("keyset.json")
    changed = {}
    for bit in range(len(raw) * 8):
        flipped = bytearray(raw)
        flipped[bit // 8] ^= 1 << bit % 8
        changed[f"bit {bit}"] = bytes(flipped)
    changed |= {f"cut at {at}": raw[:at] for at in range(len(raw))}

    assert parsed(raw)
    assert [] == [why for why, it in changed.items() if parsed(it)]


@given(st.binary() | st.text().map(str.encode) | VALUES.map(json.dumps).map(str.encode))
def test_any_bytes_are_a_key_set_or_malformed(raw):
    """Hostile bytes raise MalformedKeySet and nothing else."""
    assert not parsed(raw)


@given(st.sampled_from(["keyset", "signature"]), VALUES)
def test_any_value_in_a_key_set_is_refused(name, value):
    """Any JSON value in the place of the text or of its signature."""
    assert not parsed(replaced(golden("keyset.json"), (name,), value))


@given(st.sampled_from(["v", "name", "version", "root", "http", "ledger", "encryption"]), VALUES)
def test_any_field_signed_by_the_root_is_read_or_malformed(name, value):
    """Even what the root itself signed is read strictly: MalformedKeySet or a key set."""
    root = SigningKey.from_seed(bytes.fromhex(KEYS["root"]["seed"]))
    text = json.dumps(json.loads(json.loads(golden("keyset.json"))["keyset"]) | {name: value})
    signature = to_base64(root.sign(pae(KEYSET_TYPE, text.encode())))
    if not parsed(json.dumps({"keyset": text, "signature": signature}).encode()):
        return
    assert name not in {"root", "http", "encryption"}
    assert base64.b64decode(signature)
