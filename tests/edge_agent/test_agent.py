"""The whole box: started, watched, stopped; and its commands as a technician types them."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from click.testing import CliRunner

from edge_agent import config
from edge_agent import identity as identities
from edge_agent.__main__ import main
from edge_agent.agent import Agent, AlreadyRunning
from edge_agent.errors import NotEnrolled
from shared.systemd_notify import Notifier
from tests.checks.boxes import report, sale
from tests.fakes.small_hub import SmallHub

ROOT = Path(__file__).parents[2]


class Ears:
    """Hears the agent's events and lets a test wait for one."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self._changed = threading.Condition()

    def __call__(self, event: str, fields: Any) -> None:
        with self._changed:
            self.heard.append((event, dict(fields)))
            self._changed.notify_all()

    def wait(self, event: str, **wanted: object) -> dict[str, Any]:
        """The fields of the first such event."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._find(event, wanted) is not None, 20)
        found = self._find(event, wanted)
        assert found is not None
        return found

    def _find(self, event: str, wanted: dict[str, object]) -> dict[str, Any] | None:
        for name, fields in self.heard:
            if name == event and wanted.items() <= fields.items():
                return fields
        return None


@pytest.fixture
def hub() -> Iterator[SmallHub]:
    """A hub on this machine's clock."""
    with SmallHub() as made:
        yield made
        made.check()


@pytest.fixture
def settings(tmp_path: Path, hub: SmallHub) -> Path:
    """Settings of a box that has joined the hub."""
    path = tmp_path / "agent.toml"
    path.write_text(
        f'state_dir = "{tmp_path / "state"}"\nhub_url = "{hub.url}"\n'
        f"[health]\nheartbeat_ms = 1000\n"
        f'[[tills]]\nname = "till-1"\nport = "{tmp_path / "no-such-port"}"\n'
    )
    joined = CliRunner().invoke(
        main, ["enroll", "--config", str(path), "--hub", hub.url, "--code", hub.code]
    )
    assert joined.exit_code == 0, joined.output
    assert hub.device in joined.output
    return path


def test_a_sale_goes_from_disk_to_ledger(settings: Path, hub: SmallHub) -> None:
    """The agent runs, a sale is put, its receipt is verified, all within the log's own words."""
    ears = Ears()
    agent = Agent(config.load(settings), on_event=ears)
    agent.start()
    try:
        assert agent.buffer is not None
        agent.buffer.put([sale("r1", "S1")])
        stored = ears.wait("captured", type="pos.sale")
        done = ears.wait("batch_receipted", lane="sale")
        assert done["gen_n"] == [[stored["gen"], stored["n"], stored["n"]]]
        assert done["mono_ms"] >= stored["mono_ms"]
        hub.wait_for(lambda: any(lane == "system" for _, lane, _ in hub.ids()))
    finally:
        agent.stop()
    assert (1, "sale", 1) in hub.ids()
    assert not any(thread.name.startswith("lane-") for thread in threading.enumerate())


def test_one_agent_per_box(settings: Path) -> None:
    """A second agent on the same state folder refuses to start, and harms nothing."""
    first = Agent(config.load(settings))
    first.start()
    try:
        with pytest.raises(AlreadyRunning):
            Agent(config.load(settings)).start()
    finally:
        first.stop()


def test_without_an_identity_no_source_is_opened(tmp_path: Path) -> None:
    """An agent that was not enrolled says what to do."""
    bare = config.parse({"state_dir": str(tmp_path), "hub_url": "https://hub.example"})
    with pytest.raises(NotEnrolled, match="kickstand-agent enroll"):
        Agent(bare).start()


def test_the_watchdog_hears_progress(settings: Path, tmp_path: Path) -> None:
    """READY once, then signs of life while the buffer answers and the lanes are in time."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(20)
    agent = Agent(
        config.load(settings), notifier=Notifier(str(tmp_path / "notify"), watchdog_ms=300)
    )
    agent.start()
    try:
        heard = [listener.recv(1000).decode() for _ in range(4)]
    finally:
        agent.stop()
        listener.close()
    assert any("READY=1" in message for message in heard)
    assert sum("WATCHDOG=1" in message for message in heard) >= 2


def test_status_is_read_beside_the_running_agent(settings: Path, hub: SmallHub) -> None:
    """JSON with backlog, ledger, sources; the config option stands before or after the command."""
    ears = Ears()
    agent = Agent(config.load(settings), on_event=ears)
    agent.start()
    try:
        assert agent.buffer is not None
        agent.buffer.put([sale("r1")])
        agent.buffer.reject("till-1", b"garbage", "crc")
        ears.wait("batch_receipted", lane="sale")
        after = CliRunner().invoke(main, ["status", "--json", "--config", str(settings)])
        before = CliRunner().invoke(main, ["--config", str(settings), "status"])
    finally:
        agent.stop()
    found = json.loads(after.output)
    assert found["enrolled"]
    assert found["device"] == hub.device
    assert found["ledger_size"] >= 1
    assert found["rejected"] == {"till-1": 1}
    assert found["last_receipt"]["sale"]["received_ms"] > 0
    assert found["backlog"]["sale"] == 0
    assert before.exit_code == 0
    assert hub.device in before.output


def test_the_hub_may_change_its_key_under_a_running_box(settings: Path, hub: SmallHub) -> None:
    """The new key set is fetched, kept on disk, and the sale arrives."""
    agent = Agent(config.load(settings))
    agent.start()
    try:
        hub.new_http_key(version=2)
        assert agent.buffer is not None
        agent.buffer.put([sale("after")])
        hub.wait_for(lambda: any(lane == "sale" for _, lane, _ in hub.ids()))
    finally:
        agent.stop()
    assert identities.load(settings.parent / "state").keyset.version == 2


def test_a_technician_can_have_the_key_followed(settings: Path, hub: SmallHub) -> None:
    """`enroll --rotate` leaves a next key beside the agent, which sends it; `status` shows both."""
    options = ["--config", str(settings)]
    first = hub.device_key
    assert CliRunner().invoke(main, ["enroll", *options]).exit_code == 2
    done = CliRunner().invoke(main, ["enroll", "--rotate", *options])
    assert (done.exit_code, hub.device in done.output) == (0, True)
    before = json.loads(CliRunner().invoke(main, ["status", "--json", *options]).output)["key"]
    agent = Agent(config.load(settings))
    agent.start()
    try:
        hub.wait_for(lambda: hub.device_key != first)
    finally:
        agent.stop()
    after = json.loads(CliRunner().invoke(main, ["status", "--json", *options]).output)["key"]
    assert first is not None
    assert before["keyid"] == first.keyid
    assert after == {"keyid": before["next"], "next": None}


def test_rejected_input_can_be_looked_at(settings: Path) -> None:
    """List, inspect as hex, and a clear sentence for a number that is none."""
    agent = Agent(config.load(settings))
    agent.start()
    assert agent.buffer is not None
    agent.buffer.reject("till-1", b"\x01\x02", "crc")
    agent.buffer.put([report(1)])
    agent.stop()
    options = ["--config", str(settings)]
    listed = CliRunner().invoke(main, ["buffer", "list", "--json", *options])
    (row,) = json.loads(listed.output)["rejected"]
    assert (row["source"], row["reason"], row["bytes"]) == ("till-1", "crc", 2)
    shown = CliRunner().invoke(main, ["buffer", "inspect", str(row["id"]), *options])
    assert shown.output == "0102\n"
    missing = CliRunner().invoke(main, ["buffer", "inspect", "99", *options])
    assert missing.exit_code == 1
    assert "buffer list" in missing.output
    out = settings.parent / "events.jsonl"
    source = str(settings.parent / "state" / "buffer.db")
    exported = CliRunner().invoke(main, ["buffer", "export", source, str(out), *options])
    assert exported.exit_code == 0
    assert any(json.loads(row)["type"] == "scooter.report" for row in out.read_text().splitlines())


def test_an_export_says_why_it_cannot_and_writes_nothing_to_its_source(
    settings: Path, tmp_path: Path
) -> None:
    """A target that is there, one in no folder, a file that is no buffer: each has a sentence."""
    options = ["--config", str(settings)]
    source, there = tmp_path / "some.db", tmp_path / "there"
    garbage = b"SQLite format 3\0" + bytes(range(256)) * 50
    source.write_bytes(garbage)
    there.write_text("mine")
    for target, words in (
        (there, "there already"),
        (tmp_path / "none" / "out", "No such file"),
        (tmp_path / "out", "not one event"),
    ):
        done = CliRunner().invoke(main, ["buffer", "export", str(source), str(target), *options])
        assert (done.exit_code, done.exception.__class__) == (1, SystemExit)
        assert words in done.output
    assert source.read_bytes() == garbage
    assert there.read_text() == "mine"
    assert not (tmp_path / "out").exists()


def test_the_doctor_finds_what_is_wrong(settings: Path, tmp_path: Path) -> None:
    """Each finding has a fix; a missing till port is one, and the exit code says so."""
    done = CliRunner().invoke(main, ["doctor", "--json", "--config", str(settings)])
    findings = {item["check"]: item for item in json.loads(done.output)}
    assert done.exit_code == 1
    assert findings["enrolment"]["verdict"] == "good"
    assert findings["hub port"]["verdict"] == "good"
    assert findings["port till-1"]["verdict"] == "wrong"
    assert all(item["fix"] for item in findings.values() if item["verdict"] == "wrong")
    lost = CliRunner().invoke(main, ["doctor", "--config", str(tmp_path / "none.toml")])
    assert lost.exit_code == 1
    assert "cannot be read" in lost.output


def test_wrong_usage_is_exit_code_two(settings: Path) -> None:
    """An unknown command is usage, a bad file is a failure."""
    assert CliRunner().invoke(main, ["fly"]).exit_code == 2
    settings.write_text("nonsense = 1")
    done = CliRunner().invoke(main, ["status", "--config", str(settings)])
    assert done.exit_code == 1
    assert "unknown key nonsense" in done.output


def running(settings: Path) -> tuple[subprocess.Popen[str], IO[str]]:
    """The program, and what it says."""
    process = subprocess.Popen(
        [sys.executable, "-m", "edge_agent", "run", "--config", str(settings)],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    assert process.stderr is not None
    return process, process.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_program_logs_json_and_ends_on_a_signal(
    settings: Path, hub: SmallHub, number: signal.Signals
) -> None:
    """One JSON object a line on stderr; SIGTERM and SIGINT end it with exit code 0."""
    process, stderr = running(settings)
    seen: list[str] = []
    for text in stderr:
        seen.append(json.loads(text)["event"])
        if "batch_receipted" in seen:
            break
    process.send_signal(number)
    rest = stderr.read().splitlines()
    assert process.wait(20) == 0
    stderr.close()
    assert "agent_ready" in seen
    assert json.loads(rest[-1])["event"] == "agent_stopped"
    assert hub.log.size >= 1


def test_however_often_it_is_told_to_stop_it_stops(settings: Path) -> None:
    """Signals by the hundred, some of them while it acts on one before: none keeps it from its end.

    The kernel tells it once for each thread of a parent that is killed.
    """
    process, stderr = running(settings)
    for text in stderr:
        if json.loads(text)["event"] == "agent_ready":
            break
    said = threading.Thread(target=stderr.read)
    said.start()
    until_s = time.monotonic() + 20
    try:
        while process.poll() is None and time.monotonic() < until_s:
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
        assert process.poll() == 0
    finally:
        process.kill()
        process.wait()
        said.join()
        stderr.close()
