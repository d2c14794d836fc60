"""Asking a vendor: through the proxy of the environment, and nowhere that is no address."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from hub.integrations.calls import Caller, Misaddressed, Unreached


@dataclass
class Listener:
    """What was asked for, and with which credentials."""

    port: int
    asked: list[str]
    credentials: list[str | None]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Whoever runs the tests may sit behind one."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def listener():
    """A server that notes what it is asked for: as a host, or as a proxy for others."""
    asked: list[str] = []
    credentials: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            credentials.append(self.headers["Authorization"])
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its base's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Listener(server.server_port, asked, credentials)
    server.shutdown()
    server.server_close()


def test_the_proxy_of_the_environment_is_asked(listener, monkeypatch):
    """A hub behind a company's proxy reaches vendors; what NO_PROXY names it asks itself."""
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{listener.port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    caller = Caller()

    assert caller.call("GET", "http://vendor.example/v1/a").content == b"ok"
    assert caller.call("GET", f"http://127.0.0.1:{listener.port}/v1/b").content == b"ok"
    assert caller.call("GET", "http://vendor.example/v1/c").status == 200
    assert listener.asked == ["http://vendor.example/v1/a", "/v1/b", "http://vendor.example/v1/c"]


def test_a_netrc_is_nobodys_business(listener, monkeypatch, tmp_path):
    """Whoever runs the hub may have one; vendors get the tokens of the settings alone."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\n", encoding="ascii")
    monkeypatch.setenv("NETRC", str(netrc))
    Caller().call("GET", f"http://127.0.0.1:{listener.port}/")

    assert listener.credentials == [None]


@pytest.mark.parametrize(
    "address",
    ["", "vendor.example", "ftp://vendor.example", "http://[::1", "http://a:b:c/", "http://"],
)
def test_what_is_no_address_is_said_to_be_none(address):
    """A slip in `api_url` is not taken for a vendor that does not answer."""
    with pytest.raises(Misaddressed):
        Caller().call("GET", address)


def test_nobody_there_is_told_without_the_address():
    """Nothing was sent, so it may be tried again."""
    with pytest.raises(Unreached) as refused:
        Caller().call("GET", "http://127.0.0.1:1/secret")
    assert (refused.value.sent, "secret" in str(refused.value)) == (False, False)


def test_authorities_of_the_environment_are_asked_for(monkeypatch, tmp_path):
    """A company's proxy that opens TLS has its own; where they are not there, nothing is sent."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "company.pem"))
    with pytest.raises(Unreached) as refused:
        Caller().call("GET", "https://127.0.0.1:1/")
    assert (str(refused.value), refused.value.sent) == (
        "the file of authorities is not there",
        False,
    )
