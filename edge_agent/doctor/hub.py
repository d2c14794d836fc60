"""The way to the hub, step by step: cable, name, port, certificate, a signed answer."""

import socket
import ssl
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from edge_agent import identity as identities
from edge_agent.config import AgentConfig
from edge_agent.doctor.finding import Finding, good, note, wrong
from edge_agent.doctor.machine import Machine, read_text
from edge_agent.errors import AgentError, AnswerUnproven
from edge_agent.hub_link import HubLink
from edge_agent.timekeeping import BUILD_FLOOR_MS, Timekeeper
from edge_agent.transports import NO_CHECK_TIME, PoolTransport

CONNECT_S = 5
EXPIRES_SOON_MS = 14 * 24 * 60 * 60 * 1000
SKEW_MS = 120_000
_DATED_WRONG = {9, 10}  # OpenSSL: not yet valid, has expired


def network(_config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Whether any network device has a link."""
    states = {
        folder.name: read_text(folder / "operstate")
        for folder in machine.matching("/sys/class/net", "*")
        if folder.name != "lo"
    }
    if not states:
        return
    up = [name for name, state in states.items() if state in {"up", "unknown"}]
    if up:
        yield good("network", f"{', '.join(up)} up")
    else:
        fix = "plug the network cable in, or join the Wi-Fi; is the router on?"
        yield wrong("network", f"no link at {', '.join(states)}", fix)


def reach(config: AgentConfig, _machine: Machine) -> Iterator[Finding]:
    """Whether the hub's name is known and its port open."""
    host, port = _place(config)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        fix = "check the network cable, the router and the DNS server"
        yield wrong("hub name", str(error), fix)
        return
    yield good("hub name", f"{len(found)} addresses")
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        fix = "check the firewall, and whether the hub runs; captures go on meanwhile"
        yield wrong("hub port", str(error), fix)
    else:
        yield good("hub port", f"{host}:{port} answers")


def _place(config: AgentConfig) -> tuple[str, int]:
    parts = urlsplit(config.hub_url)
    return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def certificate(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """The hub's TLS certificate: who vouches for it, and until when."""
    check = "hub certificate"
    if not config.hub_url.startswith("https:"):
        fix = "https:// in hub_url, unless the hub is on this very machine"
        yield note(check, "none: what the hub answers is signed, but not hidden", fix)
        return
    try:
        found = _certificate(config, dated=True)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _DATED_WRONG:
            yield _dates(config, machine)
        else:
            fix = "is hub_url right? Is a proxy in between? Are ca-certificates installed?"
            yield wrong(check, f"not believed: {error.verify_message}", fix)
    except OSError as error:
        if not isinstance(error, ssl.SSLError):
            return  # `reach` tells it
        fix = "something else answers at this port: a proxy, a login page, plain HTTP"
        yield wrong(check, f"no TLS: {error.reason}", fix)
    else:
        until_ms = _ms(found["notAfter"])
        left_ms = until_ms - machine.clock.wall_ms()
        if left_ms < EXPIRES_SOON_MS:
            fix = "tell the hub's administrator: its renewal has stopped"
            yield note(check, f"expires on {_day(until_ms)}", fix)
        else:
            yield good(check, f"valid until {_day(until_ms)}")


def _dates(config: AgentConfig, machine: Machine) -> Finding:
    """A certificate that is wrong only by its dates: is it the certificate, or the clock?"""
    check, now_ms = "hub certificate", machine.clock.wall_ms()
    try:
        found = _certificate(config, dated=False)
    except OSError as error:
        return wrong(check, f"not believed: {error}", "run doctor again; then as for hub port")
    from_ms, until_ms = _ms(found["notBefore"]), _ms(found["notAfter"])
    span = f"valid {_day(from_ms)} to {_day(until_ms)}, this box's clock says {_day(now_ms)}"
    if now_ms < BUILD_FLOOR_MS:
        fix = "nothing to do for the certificate: the agent gets through and learns the hub's time"
        return note(check, f"the clock is wrong, not the certificate: {span}", fix)
    if machine.kernel_error() is None:
        fix = "set the clock first (see time service); only then suspect the certificate"
        return wrong(check, f"nothing keeps the clock, which may be what is wrong: {span}", fix)
    fix = "tell the hub's administrator: the certificate must be renewed"
    return wrong(check, span, fix)


def _certificate(config: AgentConfig, *, dated: bool) -> Mapping[str, Any]:
    context = ssl.create_default_context()
    if not dated:
        context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    host, port = _place(config)
    with (
        socket.create_connection((host, port), timeout=CONNECT_S) as plain,
        context.wrap_socket(plain, server_hostname=host) as secured,
    ):
        return secured.getpeercert() or {}


def _ms(date: str) -> int:
    return int(ssl.cert_time_to_seconds(date)) * 1000


def _day(at_ms: int) -> str:
    return str(datetime.fromtimestamp(at_ms / 1000, UTC).date())


def answer(config: AgentConfig, machine: Machine) -> Iterator[Finding]:
    """Whether who answers is the hub, and how far this machine's clock is from its time."""
    if not (config.state_dir / identities.IDENTITY_FILE).exists():
        return  # `enrolment` tells it
    try:
        identity = identities.load(config.state_dir)
    except AgentError:
        return
    timekeeper = Timekeeper(machine.clock)
    link = HubLink(
        config.hub_url,
        key=identity.key,
        http_keys=identity.keyset.http,
        timekeeper=timekeeper,
        clock=machine.clock,
        transport=PoolTransport(CONNECT_S * 1000, timekeeper),
    )
    try:
        is_believed = link.learn_time()
    except AnswerUnproven as error:
        fix = "log in at the network's page, or let the hub's name pass the proxy"
        yield wrong("hub answer", str(error), fix)
        return
    except AgentError as error:
        yield wrong("hub answer", str(error), "see hub name, hub port and hub certificate")
        return
    yield good("hub answer", "signed by the hub that this box has joined")
    now_ms = timekeeper.now().wall_ms
    if not is_believed or now_ms is None:
        fix = "tell the hub's administrator: the hub's own clock is behind"
        yield wrong("hub time", "before this program was written", fix)
        return
    skew_ms = machine.clock.wall_ms() - now_ms
    detail = f"this box's clock is {abs(skew_ms) // 1000} s {'ahead' if skew_ms > 0 else 'behind'}"
    if abs(skew_ms) >= SKEW_MS:
        fix = "events carry the hub's time all the same; for the logs see time service"
        yield note("hub time", detail, fix)
    else:
        yield good("hub time", detail)
