"""Mekari's own examples of a signature, and what the secret's file holds."""

import pytest

from hub.integrations.qontak.credentials import QontakSettings, digest, secrets_of, signature


def test_mekari_s_example_of_a_signature():
    """Over its date and its request line."""
    assert "6+Ah/UTmbqd+DDqlh6zYZ0HuCwVhtElYDOoucRPCaFg=" == signature(
        "YOUR_MEKARI_API_CLIENT_SECRET",
        date="Wed, 10 Nov 2021 07:24:29 GMT",
        method="POST",
        target="/v2/klikpajak/v1/efaktur/out?auto_approval=false",
    )


def test_mekari_s_example_of_a_digest():
    """Over the bytes of the body."""
    assert "SHA-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=" == digest(b'{"hello": "world"}')


@pytest.mark.parametrize(
    ("held", "secrets"),
    [
        ("s\n", ("s", "", "")),
        ("s\r\nuser\r\np w\r\n", ("s", "user", "p w")),
        ("", ("", "", "")),
        ("s\n\nu\np\nmore", ("s", "u", "p")),
    ],
)
def test_what_the_secret_s_file_holds(held, secrets):
    """The secret, and where a token is asked for also the user and the password."""
    assert secrets == secrets_of(held)


def test_secrets_are_shown_nowhere():
    """Settings that end up in a log do not hold them."""
    shown = repr(QontakSettings(client_id="c", client_secret="t0p-secret", password="pa55"))

    assert "t0p-secret" not in shown
    assert "pa55" not in shown
