"""The simulated hub: the real application over a disk whose power may go."""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import cast
from urllib.parse import urlsplit

from flask import Flask
from sqlalchemy import Connection, func, select

from edge_agent.errors import HubUnreachable
from edge_agent.transports import RawAnswer
from firmware_sim.chaos.clocks import MachineClock
from firmware_sim.chaos.disk import Cut, Disk, PowerCut
from firmware_sim.fresh_database import put_migrated
from hub.app import door_of
from hub.config import HubConfig, parse_config
from hub.devices.routes import Door, blueprint
from hub.doors import put_before
from hub.generations import NothingMissing, open_generation
from hub.jobs import Worker
from hub.keys import create_keys
from hub.ledger import claims
from hub.ledger.batches import LedgerBatch
from hub.ledger.placed import Placed
from hub.ledger.sequencer import Incoming
from hub.ledger.tables import EPOCH
from hub.wiring import Hub, open_hub
from shared import http_signatures as signatures
from shared.identifiers import HUB_DEVICE
from shared.wire import batch as wire
from shared.wire.receipts import Receipt

URL = "http://hub.example"
KEY_OVERLAP_S = 300
"""Short enough for a key to end, and to strand what it sealed, within a seed."""


def _epochs(connection: Connection) -> int:
    return connection.execute(select(func.count()).select_from(EPOCH)).scalar_one()


class _DoorOfToday:
    """The door of whichever hub runs now: an app with its routes outlives every power cut."""

    def __init__(self) -> None:
        self.door: Door

    def __getattr__(self, name: str) -> Callable[..., object]:
        def late(*arguments: object, **named: object) -> object:
            result: object = getattr(self.door, name)(*arguments, **named)
            return result

        return late


class HubSide:
    """A hub that can be cut, rebooted, held and made to lie."""

    def __init__(
        self,
        folder: Path,
        clock: MachineClock,
        random: Random,
        *,
        prepare: Callable[[Hub], None] = lambda _hub: None,
    ) -> None:
        """`prepare` may plant a bug into every hub that is opened."""
        self._folder = folder
        self._clock = clock
        self._random = random
        self._prepare = prepare
        self.cut_share = 0.0
        self.down = False
        self.holding = False
        self.cuts = 0
        self.restores = 0
        self.generations = 0
        self._backed_up: tuple[int, int] | None = None
        self._held: list[tuple[Incoming, Future[Placed]]] = []
        self._disk = Disk(self._decide)
        self.config: HubConfig = parse_config(
            f'[server]\npublic_url = "{URL}"\nkeys_dir = "{folder}/keys"\n'
            f'database = "sqlite:///{folder}/hub.db"\n'
            f"[ingest]\nkey_overlap_s = {KEY_OVERLAP_S}\n"
        )
        create_keys(folder / "keys")
        self.hub: Hub
        # The boxes' door alone: the pages take no part in any promise that is checked here.
        app = Flask("door")
        self._today = _DoorOfToday()
        door = cast("Door", self._today)
        app.register_blueprint(blueprint(door))
        put_before(app, {("POST", "/v1/batches"): lambda asked: door.signed(asked, door.batch)})
        self._client = app.test_client()
        put_migrated(folder / "hub.db")
        self._boot()

    def _decide(self) -> Cut | None:
        if self._random.random() >= self.cut_share:
            return None
        return self._random.choice(("before", "after"))

    def _boot(self) -> None:
        self.hub = open_hub(
            self.config,
            clock=self._clock,
            threaded=False,
            connection_factory=self._disk.open_hub,
        )
        self._prepare(self.hub)
        sequencer = self.hub.ledger.sequencer
        place_now = sequencer.submit

        def submit(incoming: Incoming) -> "Future[Placed]":
            if not self.holding:
                return place_now(incoming)
            future: Future[Placed] = Future()
            self._held.append((incoming, future))
            return future

        sequencer.submit = submit  # type: ignore[method-assign]
        self._place_now = place_now
        self._today.door = door_of(self.hub)
        timers = (self.hub.devices.keys.retire_due,)
        self._worker = Worker(self.hub.database, self.hub.ledger, sequences=True, timers=timers)

    def power_cut(self) -> None:
        """Everything in memory is gone, what was held too; then it boots again."""
        self.cuts += 1
        self._disk.pull()
        self._held.clear()
        self.holding = False
        self._clock.reboot()
        self._boot()

    # --- backups of the database -----------------------------------------------------------

    def back_up(self) -> None:
        """Copy the database, as an operator would: with the hub stopped."""
        with self.hub.database.read() as connection:
            self._backed_up = (self.hub.ledger.size(), _epochs(connection))
        self._disk.pull()
        for path in self._folder.glob("backup.db*"):
            path.unlink()
        for path in self._folder.glob("hub.db*"):
            shutil.copy(path, self._folder / path.name.replace("hub.db", "backup.db"))
        self.power_cut()

    def note_fact(self) -> None:
        """The hub has something of its own to say, which is in no ring."""
        with suppress(PowerCut):
            self.hub.database.write(
                lambda connection: self.hub.ledger.append(connection, "sim.fact", {}, now_ms=0)
            )
            return
        self.power_cut()

    def open_generation(self) -> None:
        """The operator goes on without what nobody can give back, again after each power cut."""
        # The service is stopped for it, and what it held back is gone with it.
        self._held.clear()
        self.holding = False
        while True:
            try:
                open_generation(self.hub, reason="simulated", again=self._reopened)
            except PowerCut:
                self.power_cut()
                continue
            except NothingMissing:  # the power went after the last step
                pass
            else:
                self.generations += 1
            self._disk.pull()
            self._boot()
            return

    def _reopened(self, _config: HubConfig) -> Hub:
        self._boot()
        return self.hub

    def lost_by_restoring(self, *, facts: bool = False) -> list[LedgerBatch] | None:
        """The batches a restore would lose; None when there is no backup, or, without `facts`, when
        facts of the hub's own would be among them, which nobody could give back."""
        if self._backed_up is None:
            return None
        size, epochs = self._backed_up
        if facts:
            return self.hub.ledger.batches(size, 10**9)
        with self.hub.database.read() as connection:
            if _epochs(connection) != epochs:
                return None
        lost = self.hub.ledger.batches(size, 10**9)
        return None if any(batch.device == HUB_DEVICE for batch in lost) else lost

    def restore(self) -> None:
        """Put the backup in place and hold it, as the manual says; then start."""
        self._disk.pull()
        for path in self._folder.glob("hub.db*"):
            path.unlink()
        for path in self._folder.glob("backup.db*"):
            shutil.copy(path, self._folder / path.name.replace("backup.db", "hub.db"))
        calm, self.cut_share = self.cut_share, 0.0
        self.power_cut()
        self.hub.database.write(lambda connection: claims.hold(connection, now_ms=0))
        self.cut_share = calm
        self.restores += 1

    def release_hold(self) -> None:
        """The operator's last step."""
        with suppress(PowerCut):
            self.hub.database.write(claims.release)
            return
        self.power_cut()

    def release(self) -> None:
        """Place what was held."""
        held, self._held, self.holding = self._held, [], False
        for incoming, _ in held:
            try:
                self._place_now(incoming)
            except PowerCut:
                self.power_cut()
                return

    def work(self) -> None:
        """One round of the background worker."""
        try:
            self._worker.step()
        except PowerCut:
            self.power_cut()

    def settle(self) -> None:
        """Work until nothing is left."""
        while self._worker.step():
            pass

    def handle(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """Answer a request. Raises HubUnreachable when down or cut in the middle."""
        if self.down:
            raise HubUnreachable("simulated: the hub is down")
        parts = urlsplit(url)
        try:
            answer = self._client.open(
                parts.path,
                method=method,
                query_string=parts.query,
                base_url=URL,
                headers=dict(headers),
                data=body or None,
            )
        except PowerCut:
            self.power_cut()
            raise HubUnreachable("simulated: the hub lost power") from None
        return RawAnswer(
            answer.status_code,
            {name.lower(): value for name, value in answer.headers.items()},
            answer.get_data(),
        )

    def lie(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> RawAnswer:
        """A signed 200 for a batch that the ledger never took: only its proof gives it away."""
        authority, path, query = signatures.split_url(url)
        request = signatures.Request(
            method=method,
            authority=authority,
            path=path,
            query=query,
            headers=dict(headers),
            body=body,
        )
        taken = wire.decode_body(wire.decompress(body, headers["content-encoding"]))
        receipt = Receipt(
            batch_id=taken.batch_id,
            first_index=0,
            count=taken.statement.count,
            received_ms=self._clock.wall_ms(),
            proof=(hashlib.sha256(b"no").digest(),),
            checkpoint=self.hub.ledger.checkpoint(),
        )
        answer = receipt.encode()
        plain = {"date": "Sun, 22 Nov 2026 13:31:53 GMT", "content-type": "application/json"}
        signed = signatures.sign_response(
            request,
            status=200,
            headers=plain,
            body=answer,
            key=self.hub.keys.http,
            now_s=self._clock.wall_ms() // 1000,
        )
        return RawAnswer(200, {**plain, **signed}, answer)
