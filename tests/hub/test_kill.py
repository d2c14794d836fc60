"""Sixty power cuts of a serving hub: what it proved to a box is there, once."""

import http.client
import os
import random
import secrets
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from hub.config import load_config
from hub.wiring import open_hub
from shared import http_signatures as signatures
from shared.clock import SystemClock
from shared.crypto.keys import b64url
from shared.wire import batch as wire
from shared.wire.receipts import parse_receipt, verify_receipt
from tests.checks.whole_ledger import batch_ids, check_ledger, heads
from tests.fakes.hub_boxes import Batch, Box

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("KICKSTAND_KILLS", "60"))
"""`python -m bench.hub_kills` asks for a thousand."""
SEED = 20_261_122
LIFE_S = (0.0, 0.25)
"""How long a process lives after it said that it listens."""


class Zygote:
    """Starts and kills serving hubs on one set of settings."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.hub_zygote"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def start(self) -> int:
        """The pid of a hub that listens."""
        self.stdin.write(f"--config {self.config} serve\n")
        self.stdin.flush()
        # The parent tells the pid and the child that it listens, in either order.
        said = sorted([self.stdout.readline(), self.stdout.readline()])
        assert said[0].startswith("listening on "), said
        return int(said[1].removeprefix("pid "))

    def close(self) -> None:
        """End the zygote."""
        self.stdin.close()
        self.stdout.close()
        self.process.wait(30)


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone: its locks go with it."""
    handle = os.pidfd_open(pid)
    try:
        os.kill(pid, signal.SIGKILL)
        gone, _, _ = select.select([handle], [], [], 30)
        assert gone
    finally:
        os.close(handle)


class Deliverer(threading.Thread):
    """A box that retries the same bytes until it holds a receipt that it verified."""

    def __init__(self, authority: str, box: Box, log_key, stop: threading.Event) -> None:
        super().__init__(name=box.device)
        self.authority, self.box, self.log_key, self.stop = authority, box, log_key, stop
        self.proven: list[Batch] = []
        self.attempts = 0
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Until stopped, and then until what is in flight is proven."""
        try:
            known, dice = None, random.Random(self.box.seed)
            while not self.stop.is_set():
                batch = self.box.batch(dice.choice([1, 3, 20, 100]))
                query = f"known={known.size}" if known else ""
                while (answer := self.send(batch.body, query)) is None:
                    self.stop.wait(0.005)
                known = verify_receipt(
                    parse_receipt(answer),
                    batch_id=batch.id,
                    events=batch.events,
                    log_key=self.log_key,
                    known=known,
                )
                self.proven.append(batch)
        except BaseException as error:  # noqa: BLE001 - the test tells it
            self.failure = error

    def send(self, body: bytes, query: str) -> bytes | None:
        """The body of a 200, or None when anything went wrong on the way."""
        self.attempts += 1
        headers = {"content-type": wire.CONTENT_TYPE}
        request = signatures.Request(
            method="POST", authority=self.authority, path="/v1/batches", query=query,
            headers=headers, body=body,
        )  # fmt: skip
        now_s = SystemClock().wall_ms() // 1000
        nonce = b64url(secrets.token_bytes(16))
        signed = signatures.sign_request(request, self.box.key, now_s=now_s, nonce=nonce)
        more = {"content-encoding": "zstd", "prefer": "wait=5"}
        connection = http.client.HTTPConnection(self.authority, timeout=10)
        try:
            connection.request("POST", f"/v1/batches?{query}", body, {**headers, **signed, **more})
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        if answer.status in {202, 503}:
            return None
        assert answer.status == 200, content
        return content


@pytest.mark.slow
def test_sixty_kills_lose_and_double_nothing(tmp_path):
    """
    A serving hub is killed sixty times at random moments while two boxes deliver and verify
    receipts. In the end every proven batch stands once, nothing else does, `ledger verify` is
    unbroken, and the projections are the fold of the ledger.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        authority = f"127.0.0.1:{probe.getsockname()[1]}"
    config = tmp_path / "hub.toml"
    config.write_text(
        f'[server]\nlisten = "{authority}"\npublic_url = "http://{authority}"\n'
        f'keys_dir = "{tmp_path}/keys"\ndatabase = "sqlite:///{tmp_path}/hub.db"\n'
    )
    subprocess.run(
        [sys.executable, "-m", "hub", "--config", str(config), "init", "--admin", "a@example.com"],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    settings = load_config(config)
    hub = open_hub(settings)
    boxes = [Box(seed).enrolled(hub) for seed in (1, 2)]
    stop = threading.Event()
    deliverers = [Deliverer(authority, box, hub.ledger.key, stop) for box in boxes]
    hub.close()
    kill_often(config, deliverers, stop)

    hub = open_hub(settings)
    try:
        proven = [batch for deliverer in deliverers for batch in deliverer.proven]
        assert [None, None] == [deliverer.failure for deliverer in deliverers]
        assert len(proven) > KILLS
        assert Counter(batch.id for batch in proven) == batch_ids(hub)
        check_ledger(hub, proven)
        assert max(heads(hub)) == hub.ledger.size()
    finally:
        hub.close()


def kill_often(config: Path, deliverers: list[Deliverer], stop: threading.Event) -> None:
    """Start and kill, again and again; at the end a hub lives until everything is proven."""
    dice = random.Random(SEED)
    zygote = Zygote(config)
    try:
        for deliverer in deliverers:
            deliverer.start()
        for _ in range(KILLS):
            pid = zygote.start()
            stop.wait(dice.uniform(*LIFE_S))
            kill(pid)
        pid = zygote.start()
        stop.set()
        for deliverer in deliverers:
            deliverer.join(60)
        kill(pid)
    finally:
        stop.set()
        zygote.close()
