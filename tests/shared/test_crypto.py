"""DSSE, encryption to the hub and commitments."""

import hashlib
import hmac
import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.commitment import commit_buyer
from shared.crypto.dsse import pae
from shared.crypto.encryption import BUYER_INFO, DecryptionKey, Undecryptable, encrypt
from shared.crypto.keys import BadKey, SigningKey
from tests.checks.wire_samples import golden

KEY = DecryptionKey(X25519PrivateKey.from_private_bytes(bytes(31) + b"\x05"))
BUYER = json.loads(golden("buyer.json"))


def test_dsse_is_the_published_example():
    """PAE of secure-systems-lab/dsse."""
    assert (
        pae("http://example.com/HelloWorld", b"hello world")
        == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.text(max_size=9), st.binary(max_size=9), st.text(max_size=9), st.binary(max_size=9))
def test_two_messages_never_have_one_encoding(kind, payload, other_kind, other_payload):
    """Type and payload cannot be shifted into each other."""
    same = (kind, payload) == (other_kind, other_payload)

    assert (pae(kind, payload) == pae(other_kind, other_payload)) is same


@given(st.binary(max_size=300))
def test_only_the_hub_reads_what_is_encrypted_to_it(plaintext):
    """It decrypts under its key and info, and nowhere else."""
    ciphertext = encrypt(plaintext, KEY.public, info=BUYER_INFO)
    other = DecryptionKey.generate()

    assert KEY.decrypt(ciphertext, info=BUYER_INFO) == plaintext
    assert ciphertext != encrypt(plaintext, KEY.public, info=BUYER_INFO)
    wrong = [(other, ciphertext, BUYER_INFO), (KEY, ciphertext, b"other")]
    wrong += [(KEY, ciphertext[:-1], BUYER_INFO), (KEY, b"", BUYER_INFO)]
    wrong += [(KEY, bytes(32) + ciphertext[32:], BUYER_INFO)]
    for key, data, info in wrong:
        with pytest.raises(Undecryptable):
            key.decrypt(data, info=info)


def test_any_changed_byte_of_a_ciphertext_is_refused():
    """Authenticated encryption: every byte of key share and ciphertext decides."""
    ciphertext = encrypt(b"Contoh", KEY.public, info=BUYER_INFO)
    for at in range(len(ciphertext)):
        changed = ciphertext[:at] + bytes([ciphertext[at] ^ 1]) + ciphertext[at + 1 :]
        with pytest.raises(Undecryptable):
            KEY.decrypt(changed, info=BUYER_INFO)


@given(st.binary(max_size=200))
def test_any_bytes_are_undecryptable(data):
    """Hostile ciphertexts raise Undecryptable and nothing else."""
    with pytest.raises(Undecryptable):
        KEY.decrypt(data, info=BUYER_INFO)


def test_a_decryption_key_is_kept_like_a_signing_key(tmp_path):
    """Mode 0600, reads back, and a signing key in its place is a BadKey."""
    path = tmp_path / "encryption.pem"
    KEY.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert DecryptionKey.load(path).public == KEY.public

    SigningKey.generate().save(tmp_path / "signing.pem")
    for wrong in (tmp_path / "signing.pem", tmp_path / "none.pem"):
        with pytest.raises((BadKey, FileNotFoundError)):
            DecryptionKey.load(wrong)


def test_a_commitment_is_hmac_under_its_salt():
    """The written construction, and the golden sale's value."""
    salt = bytes.fromhex(BUYER["salt"])
    message = b"kickstand buyer v1\0" + BUYER["name"].encode() + b"\0" + BUYER["phone"].encode()
    expected = hmac.new(salt, message, hashlib.sha256).hexdigest()
    sale = json.loads(golden("event.pos.sale.json"))

    assert commit_buyer(name=BUYER["name"], phone=BUYER["phone"], salt=salt) == expected
    assert sale["data"]["buyer"]["commitment"] == expected


def test_a_commitment_binds_name_phone_and_salt():
    """Another name, phone or salt, also a character moved between them, commits otherwise."""
    salt = bytes(32)
    first = commit_buyer(name="ab", phone="c", salt=salt)

    assert first != commit_buyer(name="a", phone="bc", salt=salt)
    assert first != commit_buyer(name="ab", phone="d", salt=salt)
    assert first != commit_buyer(name="ab", phone="c", salt=b"\1" + salt[1:])
