"""E-mail goes out once, and what the server says against it means what to do."""

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hub.config import parse_config
from hub.errors import ConfigError
from hub.integrations.mail import MailChannel, MailSettings, settings_from
from hub.outbox.messages import Accepted, Address, Rendered
from shared.clock import SystemClock
from tests.fakes.mail_server import mail_server
from tests.fakes.manual_clock import ManualClock

DEALER = Address(phone=None, bsuid=None, email="toko@sby01.example")
WAITS = Rendered(subject="Lead menunggu: E8, Wonokromo", text="Sebuah lead menunggu 🛵\n.\n")


@pytest.fixture
def post():
    """A mail server that takes everything."""
    with mail_server() as running:
        yield running


def self_signed(folder, name):
    """A certificate for a name, and the server's side of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.fromtimestamp(SystemClock().wall_ms() / 1000, UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "cert.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, secret)
    return certificate, tls


def channel_to(post, **more):
    """A channel to it."""
    held = {"host": "127.0.0.1", "port": post.port, "sender": "hub@brand.example"} | more
    return MailChannel(MailSettings(**held), ManualClock())


def send(channel, address=DEALER):
    """One mail."""
    return channel.send(address, WAITS, window_open=True, out_id="out_1")


def test_a_mail_arrives_with_subject_words_and_an_id_of_ours(post):
    """Signed in, from the hub to the dealer; sent again it is recognised by its id."""
    channel = channel_to(post, username="hub", password="secret")
    assert [Accepted("out_1")] * 2 == [send(channel), send(channel)]

    mail, again = post.mails
    assert (mail["From"], mail["To"]) == ("hub@brand.example", "toko@sby01.example")
    assert (mail["Subject"], mail.get_content().replace("\r\n", "\n")) == (
        WAITS.subject,
        WAITS.text,
    )
    assert mail["Message-ID"] == again["Message-ID"] == "<out_1@brand.example>"
    assert [(b"hub", b"secret")] * 2 == [(who.login, who.password) for who in post.signed_in]


@pytest.mark.parametrize(
    ("refuse", "action"),
    [
        ({"RCPT": "550 nobody here"}, "unreachable"),
        ({"RCPT": "450 greylisted"}, "retry"),
        ({".": "554 that is spam"}, "permanent"),
        ({".": "451 later"}, "retry"),
        ({"MAIL": "421 going down"}, "retry"),
        ({"AUTH": "535 wrong password"}, "stop"),
    ],
)
def test_a_refusal_means_what_to_do(post, refuse, action):
    """4xx passes, 5xx lasts, a password that is refused concerns every mail; no address is told."""
    post.refuse = refuse
    failed = send(channel_to(post, username="hub", password="x"))

    assert action == failed.action
    assert "example" not in failed.reason
    assert [] == post.mails


def test_silence_after_a_mail_is_a_doubt_and_before_it_none(post):
    """Handed over and no answer: nobody knows. No server at all: certainly not sent."""
    post.silent_after_mail = True
    assert "unknown" == send(channel_to(post)).action
    assert "retry" == send(channel_to(post, port=1)).action


@pytest.mark.parametrize("email", [None, "a@b\nBcc: c@d"])
def test_an_address_that_is_none_reaches_nobody(post, email):
    """Missing, or smuggling a header in."""
    address = Address(phone=None, bsuid=None, email=email)
    assert "unreachable" == send(channel_to(post), address).action
    assert [] == post.mails


def test_a_password_is_never_shown_to_a_server_without_encryption(post):
    """Except on this very machine."""
    channel = channel_to(post, host="0.0.0.0", username="hub", password="x")

    assert "stop" == send(channel).action
    assert [] == post.signed_in


def test_a_server_that_encrypts_is_believed_when_its_certificate_is(tmp_path, monkeypatch):
    """STARTTLS before the password and the mail; an unknown certificate gets neither."""
    certificate, tls = self_signed(tmp_path, "localhost")
    with mail_server(tls) as post:
        channel = channel_to(post, host="localhost", username="hub", password="secret")
        assert "retry" == send(channel).action
        assert ([], []) == (post.mails, post.signed_in)

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert Accepted("out_1") == send(channel)
        assert [True] == post.encrypted
        assert 1 == len(post.signed_in)


def test_settings_hold_the_password_from_its_file(tmp_path):
    """Without a host there is no mail; a file that cannot be read is an error with its key."""
    word = tmp_path / "word"
    text = (
        '[server]\npublic_url = "https://hub.example"\n[smtp]\nhost = "mail.example"\n'
        f'from = "hub@brand.example"\npassword_file = "{word}"\n'
    )
    with pytest.raises(ConfigError, match="password_file"):
        settings_from(parse_config(text).smtp)
    word.write_text("secret\n")

    held = settings_from(parse_config(text).smtp)
    assert held is not None
    assert (held.port, held.password, held.sender) == (587, "secret", "hub@brand.example")
    assert settings_from(parse_config(text.partition("[smtp]")[0]).smtp) is None
