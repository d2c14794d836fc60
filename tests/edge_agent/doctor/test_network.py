"""The doctor on real sockets: TLS servers with certificates of their own, a hub, a login page."""

import datetime as dt
import ipaddress
import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from edge_agent.__main__ import main
from edge_agent.doctor import broker, hub, state
from shared.clock import SystemClock
from tests.edge_agent.doctor.boxes import Box
from tests.fakes.small_hub import SmallHub

NOW = dt.datetime.fromtimestamp(SystemClock().wall_ms() // 1000, dt.UTC)


class Page(BaseHTTPRequestHandler):
    """What a captive portal says to everybody."""

    def do_GET(self):
        """A login page."""
        self.send_response(200)
        self.send_header("content-length", "5")
        self.end_headers()
        self.wfile.write(b"login")

    def log_message(self, *_):
        """Silence."""


class Server(HTTPServer):
    """Takes it calmly when a client hangs up: that is what is tested."""

    def handle_error(self, *_):
        """Silence."""


@pytest.fixture
def box(tmp_path):
    """A box that is well, on the machine's own time."""
    box = Box(tmp_path)
    box.clock.set_wall(SystemClock().wall_ms())
    return box


@pytest.fixture
def served():
    """Starts a server, with TLS when given a certificate; answers its port."""
    servers = []

    def serve(context=None):
        server = Server(("127.0.0.1", 0), Page)
        if context is not None:
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        servers.append((server, thread))
        return server.server_address[1]

    yield serve
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def issued(tmp_path, monkeypatch):
    """Makes a server's TLS context with a certificate the box trusts, unless told otherwise."""

    def issue(from_days, until_days, *, address="127.0.0.1", trusted=True):
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub")])
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW + dt.timedelta(days=from_days))
            .not_valid_after(NOW + dt.timedelta(days=until_days))
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        path = tmp_path / "hub.pem"
        path.write_bytes(
            made.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        if trusted:
            monkeypatch.setenv("SSL_CERT_FILE", str(path))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    return issue


def certificate(box, port):
    """What the check says of the hub at this port."""
    box.settings["hub_url"] = f'"https://127.0.0.1:{port}"'
    return box.findings(hub.certificate)["hub certificate"]


def test_a_certificate_in_order_is_good(box, served, issued):
    """It says until when."""
    found = certificate(box, served(issued(-1, 90)))
    until = (NOW + dt.timedelta(days=90)).date()
    assert ("good", f"valid until {until}") == (found.verdict, found.detail)


def test_a_certificate_that_expires_soon_is_told(box, served, issued):
    """Somebody's renewal has stopped, and there is still time."""
    found = certificate(box, served(issued(-80, 5)))
    assert ("note", True) == (found.verdict, "expires on" in found.detail)


def test_an_expired_certificate_is_the_hubs_fault_on_a_clock_that_is_kept(box, served, issued):
    """The administrator is to renew it."""
    found = certificate(box, served(issued(-90, -1)))
    assert ("wrong", True) == (found.verdict, "must be renewed" in found.fix)


def test_with_a_clock_that_nobody_keeps_the_clock_is_suspected_first(box, served, issued):
    """The same certificate: the fix is another one."""
    box.change(kernel_error=lambda: None)
    found = certificate(box, served(issued(-90, -1)))
    assert ("wrong", True) == (found.verdict, "set the clock first" in found.fix)


def test_a_box_in_1970_is_told_that_its_clock_is_wrong_not_the_certificate(box, served, issued):
    """The dates do not fit, but this clock cannot judge them; the agent gets through."""
    box.clock.set_wall(3_600_000)
    found = certificate(box, served(issued(10, 90)))
    assert ("note", True) == (
        found.verdict,
        found.detail.startswith("the clock is wrong, not the certificate")
        and "1970" in found.detail,
    )


@pytest.mark.parametrize("how", [{"trusted": False}, {"address": "127.0.0.9"}])
def test_a_strange_certificate_is_never_believed(box, served, issued, how):
    """Nobody known vouches for it, or it is another server's."""
    found = certificate(box, served(issued(-1, 90, **how)))
    assert ("wrong", True) == (found.verdict, "not believed" in found.detail)


def test_plain_http_where_tls_is_expected_is_told(box, served):
    """A proxy or a login page answers."""
    found = certificate(box, served())
    assert ("wrong", True) == (found.verdict, "no TLS" in found.detail)


def test_http_is_noted(box):
    """No certificate, no secrecy."""
    assert "note" == box.findings(hub.certificate)["hub certificate"].verdict


def test_name_and_port_of_the_hub(box, served):
    """A port that answers, one that does not, a name that nobody knows."""
    box.settings["hub_url"] = f'"http://127.0.0.1:{served()}"'
    assert {"good"} == {item.verdict for item in box.findings(hub.reach).values()}
    box.settings["hub_url"] = '"http://127.0.0.1:1"'
    assert "wrong" == box.findings(hub.reach)["hub port"].verdict
    box.settings["hub_url"] = '"http://nowhere.invalid"'
    found = box.findings(hub.reach)
    assert (["hub name"], "wrong") == (list(found), found["hub name"].verdict)


def test_the_broker_that_answers_and_the_one_that_does_not(box, served):
    """And a password that everybody may read."""
    box.broker(port=served())
    found = box.findings(broker.reach)
    assert ("good", "good") == (found["broker"].verdict, found["broker password"].verdict)
    box.broker(port=1)
    assert "wrong" == box.findings(broker.reach)["broker"].verdict
    (box.state / "mqtt-password").chmod(0o644)
    assert "wrong" == box.findings(broker.reach)["broker password"].verdict
    (box.state / "mqtt-password").unlink()
    assert "cannot be read" in box.findings(broker.reach)["broker password"].detail


@pytest.fixture
def joined(box):
    """The box has joined a hub."""
    with SmallHub() as made:
        box.settings["hub_url"] = f'"{made.url}"'
        box.config()
        path = str(box.root.parent / "agent.toml")
        done = CliRunner().invoke(
            main, ["enroll", "--config", path, "--hub", made.url, "--code", made.code]
        )
        assert 0 == done.exit_code, done.output
        yield made


def test_a_hub_that_signs_is_the_hub(box, joined):
    """Enrolment, address, answer and time are good; ten minutes of skew are noted."""
    found = box.findings(hub.answer) | box.findings(state.enrolment)
    assert {
        "hub answer": "good",
        "hub time": "good",
        "enrolment": "good",
        "hub address": "good",
    } == {name: item.verdict for name, item in found.items()}
    box.clock.set_wall(SystemClock().wall_ms() + 600_000)
    late = box.findings(hub.answer)["hub time"]
    assert ("note", True) == (late.verdict, "ahead" in late.detail)


def test_a_login_page_is_not_the_hub(box, joined, served):
    """It answers 200 and signs nothing; and the settings name another hub than was joined."""
    box.settings["hub_url"] = f'"http://127.0.0.1:{served()}"'
    found = box.findings(hub.answer)["hub answer"]
    assert ("wrong", True) == (found.verdict, "login page" in found.detail)
    assert "note" == box.findings(state.enrolment)["hub address"].verdict


def test_a_hub_that_is_away_is_told(box, joined):
    """Nobody answers at all."""
    box.settings["hub_url"] = '"http://127.0.0.1:1"'
    assert "wrong" == box.findings(hub.answer)["hub answer"].verdict
