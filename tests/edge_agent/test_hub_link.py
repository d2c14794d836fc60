"""Enrolment and single exchanges over real HTTP."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent import identity as identities
from edge_agent.errors import (
    AnswerUnproven,
    EnrolmentRefused,
    HubRefused,
    HubUnreachable,
    NotEnrolled,
)
from edge_agent.hub_link import HubLink, enroll
from edge_agent.identity import Identity
from edge_agent.timekeeping import Timekeeper
from edge_agent.transports import PoolTransport, SessionTransport
from shared.crypto.keys import SigningKey
from tests.fakes.manual_clock import ManualClock
from tests.fakes.small_hub import SmallHub


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    """A hub that has invited one box."""
    with SmallHub(clock=ManualClock()) as made:
        yield made


def join(hub: SmallHub, folder: Path, code: str | None = None) -> Identity:
    """Enrol a box that wakes up in 1970."""
    clock = ManualClock(wall_ms=0)
    return enroll(
        folder,
        hub.url,
        code or hub.code,
        version="1",
        clock=clock,
        timekeeper=Timekeeper(clock, kernel_error=lambda: None, hardware_clock=lambda: False),
        transport=SessionTransport(5000),
    )


def test_a_box_joins_and_remembers(hub: SmallHub, tmp_path: Path) -> None:
    """The key is made here, mode 0600; the identity survives a restart; joining again is fine."""
    identity = join(hub, tmp_path)
    assert identity.device == hub.device
    assert (tmp_path / "key.pem").stat().st_mode & 0o777 == 0o600
    loaded = identities.load(tmp_path)
    assert (loaded.device, loaded.dealer) == (identity.device, "SBY01")
    assert loaded.keyset == identity.keyset
    assert loaded.log_key == hub.log.key
    assert join(hub, tmp_path).device == identity.device


def test_another_hub_is_not_believed(hub: SmallHub, tmp_path: Path) -> None:
    """The code carries the root key's fingerprint: any other hub is refused before it hears it."""
    code = "invitation-1." + "a" * 26
    with pytest.raises(EnrolmentRefused, match="not the hub that invited"):
        join(hub, tmp_path, code)
    assert not any("enroll" in request for request in hub.requests)
    with pytest.raises(NotEnrolled, match="kickstand-agent enroll"):
        identities.load(tmp_path)


@pytest.mark.parametrize("code", ["", "invitation-1", "invitation-1.short", ".".join("ab")])
def test_half_a_code_is_refused(hub: SmallHub, tmp_path: Path, code: str) -> None:
    """A code copied in part says so without asking anybody."""
    with pytest.raises(EnrolmentRefused, match="copied whole"):
        join(hub, tmp_path, code or " ")
    assert hub.requests == []


def test_a_used_or_unknown_code_says_what_to_do(hub: SmallHub, tmp_path: Path) -> None:
    """The hub's refusals become sentences for a technician."""
    fingerprint = hub.code.rpartition(".")[2]
    with pytest.raises(EnrolmentRefused, match="copy it again"):
        join(hub, tmp_path, f"other.{fingerprint}")
    join(hub, tmp_path)
    with pytest.raises(EnrolmentRefused, match="ask for a new one"):
        join(hub, tmp_path / "second-box")


def test_a_damaged_identity_is_said_to_be_so(hub: SmallHub, tmp_path: Path) -> None:
    """Half a file, another root, no JSON: NotEnrolled with the path, never a traceback."""
    join(hub, tmp_path)
    path = tmp_path / "identity.json"
    whole = path.read_text()
    for broken in ("", "{}", whole[:-40], whole.replace('"fingerprint": "', '"fingerprint": "x')):
        path.write_text(broken)
        with pytest.raises(NotEnrolled):
            identities.load(tmp_path)


def line(hub: SmallHub) -> HubLink:
    """A box's line to the hub."""
    clock = ManualClock()
    time = Timekeeper(clock, kernel_error=lambda: 1, hardware_clock=lambda: False)
    key = SigningKey.generate()
    hub.enrol(key.public)
    return HubLink(
        hub.url,
        key=key,
        http_keys=hub.keyset.http,
        timekeeper=time,
        clock=clock,
        transport=PoolTransport(1000, time),
    )


@pytest.mark.parametrize("fault", ["portal", "redirect", "tamper"])
def test_an_unproven_answer_is_a_network_failure(hub: SmallHub, fault: str) -> None:
    """A login page, a redirect, an altered body: nobody provable has answered."""
    link = line(hub)
    hub.faults = [fault]
    with pytest.raises(AnswerUnproven, match="login page or a proxy"):
        link.head()
    assert link.head()["device"] == hub.device
    assert len(hub.requests) == 2


def test_a_closed_connection_is_not_retried_by_itself(hub: SmallHub) -> None:
    """One attempt is one request: a retry is signed anew by whoever decides to make it."""
    link = line(hub)
    link.head()
    hub.faults = ["drop_before"]
    with pytest.raises(HubUnreachable):
        link.head()
    assert len(hub.requests) == 2


def test_a_signed_refusal_carries_code_and_patience(hub: SmallHub) -> None:
    """503 with Retry-After: the code and the wait are the hub's own words."""
    link = line(hub)
    hub.faults = ["503"]
    with pytest.raises(HubRefused) as caught:
        link.head()
    assert (caught.value.code, caught.value.retry_after_ms) == ("busy", 7000)
    assert caught.value.retryable


def trusting(hub: SmallHub, folder: Path) -> tuple[HubLink, ManualClock, list[str]]:
    """An enrolled box's line that keeps the hub's key set, its clock, and what it says."""
    identity = join(hub, folder)
    said: list[str] = []
    trust = identities.HubTrust(
        folder, identity, on_event=lambda event, _fields: said.append(event)
    )
    clock = ManualClock()
    time = Timekeeper(clock, kernel_error=lambda: 1, hardware_clock=lambda: False)
    link = HubLink(
        hub.url,
        key=identity.key,
        http_keys=identity.keyset.http,
        timekeeper=time,
        clock=clock,
        transport=PoolTransport(1000, time),
        renew=trust.renew,
    )
    return link, clock, said


def test_a_hub_may_change_its_key(hub: SmallHub, tmp_path: Path) -> None:
    """An answer under an unknown key: the newer set of the same root is fetched and kept."""
    link, _, said = trusting(hub, tmp_path)
    hub.new_http_key(version=2)
    assert link.head()["device"] == hub.device
    assert said == ["keyset_renewed"]
    assert identities.load(tmp_path).keyset.text == hub.keyset.text
    assert link.head()["device"] == hub.device
    assert hub.requests.count("GET /v1/keys") == 2


@pytest.mark.parametrize("wrong", ["older", "same version", "another root", "another hub"])
def test_a_key_set_that_is_not_the_hubs_next_is_not_believed(
    hub: SmallHub, tmp_path: Path, wrong: str
) -> None:
    """Going back, two sets of one version, a stranger's: nothing changes, on disk neither."""
    link, clock, said = trusting(hub, tmp_path)
    hub.new_http_key(version=2)
    link.head()
    kept = (tmp_path / "identity.json").read_bytes()
    hub.new_http_key(
        version={"older": 1, "same version": 2}.get(wrong, 3),
        root=SigningKey.generate() if wrong == "another root" else None,
        name="hub.elsewhere" if wrong == "another hub" else "hub.example",
    )
    clock.advance(60_000)
    with pytest.raises(AnswerUnproven):
        link.head()
    assert said == ["keyset_renewed", "keyset_refused"]
    assert (tmp_path / "identity.json").read_bytes() == kept


def test_a_stranger_who_signs_makes_the_box_ask_once_a_minute(
    hub: SmallHub, tmp_path: Path
) -> None:
    """A portal with a key of its own: every answer is a network failure, and no storm of them."""
    link, clock, _ = trusting(hub, tmp_path)
    hub.http = SigningKey.generate()
    for _ in range(3):
        with pytest.raises(AnswerUnproven):
            link.head()
    assert hub.requests.count("GET /v1/keys") == 2
    clock.advance(60_000)
    with pytest.raises(AnswerUnproven):
        link.head()
    assert hub.requests.count("GET /v1/keys") == 3


def test_nobody_there(tmp_path: Path) -> None:
    """A hub that does not listen is unreachable, not a crash."""
    with SmallHub() as hub:
        link = line(hub)
    with pytest.raises(HubUnreachable):
        link.head()
    assert not tmp_path.joinpath("key.pem").exists()
