"""One storage of another project, driven alone in a process of its own.

    peer.py cycle NAME COUNT FOLDER     prints {"put_s": …, "drain_s": …, "found": …}
    peer.py kill  NAME FOLDER           acknowledges on stdout until it is killed
    peer.py count NAME FOLDER           prints how many events a new process finds

Imports nothing of ours: it runs in the peers' own virtual environment.
"""

import json
import logging
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any

EVENT_BYTES = 250
TB = "thingsboard_gateway.storage.sqlite"


def event(number: int) -> str:
    """A report as JSON text of 250 bytes."""
    text = json.dumps({"serial": f"KSE8JKT26{number:08d}", "bat": number % 101, "c": number})
    return text[:-1] + ', "pad": "' + "x7k2" * 60 + '"}' if len(text) > EVENT_BYTES else _pad(text)


def _pad(text: str) -> str:
    room = EVENT_BYTES - len(text) - len(', "h": ""')
    noise = "".join(f"{(ord(c) * 7919 + i) % 36:x}" for i, c in enumerate(text * 4))
    return text[:-1] + ', "h": "' + noise[:room] + '"}'


class ThingsBoard:
    """thingsboard-gateway's SQLite storage; `full` raises its durability to ours."""

    def __init__(self, folder: Path, *, full: bool) -> None:
        database_connector: Any = import_module(f"{TB}.database_connector")
        storage: Any = import_module(f"{TB}.sqlite_event_storage").SQLiteEventStorage
        if full:
            plain = database_connector.DatabaseConnector.connect

            def connect(self: Any) -> None:
                plain(self)
                self.connection.execute("PRAGMA synchronous = FULL")

            database_connector.DatabaseConnector.connect = connect
        log = logging.getLogger("peer")
        log.trace = lambda *_args, **_more: None  # type: ignore[attr-defined]
        log.setLevel(logging.CRITICAL)
        self._path = folder / "data.db"
        config = {"data_file_path": f"{folder}/", "max_read_records_count": 1000}
        self._storage = storage(config, log, threading.Event())

    def put(self, text: str) -> None:
        """Returns before anything is on disk."""
        assert self._storage.put(text)

    def commit(self, total: int) -> None:
        """Wait until all of them are on disk."""
        reader = sqlite3.connect(self._path)
        pause = threading.Event()
        while reader.execute("SELECT count(*) FROM messages").fetchone()[0] < total:
            pause.wait(0.02)
        reader.close()

    def drain(self) -> Iterator[int]:
        """Read and delete pack by pack."""
        while pack := self._storage.get_event_pack():
            yield len(pack)
            self._storage.event_pack_processing_done()

    def found(self) -> int:
        """How many are there."""
        return int(
            sqlite3.connect(self._path).execute("SELECT count(*) FROM messages").fetchone()[0]
        )


class PersistQueue:
    """persist-queue's SQLiteAckQueue."""

    def __init__(self, folder: Path) -> None:
        import persistqueue  # noqa: PLC0415 - only the peer's own environment has it

        self._queue = persistqueue.SQLiteAckQueue(str(folder), auto_commit=True)

    def put(self, text: str) -> None:
        """Durable on return."""
        self._queue.put(text)

    def commit(self, _total: int) -> None:
        """Nothing to wait for."""

    def drain(self) -> Iterator[int]:
        """Get and acknowledge one by one."""
        while self._queue.size:
            item = self._queue.get()
            self._queue.ack(item)
            yield 1

    def found(self) -> int:
        """How many are there."""
        return int(self._queue.size)


class LiteQueue:
    """litequeue."""

    def __init__(self, folder: Path) -> None:
        from litequeue import LiteQueue as Queue  # noqa: PLC0415 - likewise

        self._queue = Queue(str(folder / "queue.db"))

    def put(self, text: str) -> None:
        """Committed on return, not synced."""
        self._queue.put(text)

    def commit(self, _total: int) -> None:
        """Nothing to wait for."""

    def drain(self) -> Iterator[int]:
        """Pop and mark done one by one."""
        while (message := self._queue.pop()) is not None:
            self._queue.done(message.message_id)
            yield 1

    def found(self) -> int:
        """How many are there."""
        return int(self._queue.qsize())


class DiskCache:
    """diskcache's Deque."""

    def __init__(self, folder: Path) -> None:
        from diskcache import Deque  # noqa: PLC0415 - likewise

        self._queue = Deque(directory=str(folder))

    def put(self, text: str) -> None:
        """Committed on return, not synced."""
        self._queue.append(text)

    def commit(self, _total: int) -> None:
        """Nothing to wait for."""

    def drain(self) -> Iterator[int]:
        """Pop one by one."""
        while self._queue:
            self._queue.popleft()
            yield 1

    def found(self) -> int:
        """How many are there."""
        return len(self._queue)


PEERS: dict[str, Callable[[Path], Any]] = {
    "thingsboard-gateway": lambda folder: ThingsBoard(folder, full=False),
    "thingsboard-gateway-full": lambda folder: ThingsBoard(folder, full=True),
    "persist-queue": PersistQueue,
    "litequeue": LiteQueue,
    "diskcache": DiskCache,
}


def cycle(name: str, total: int, folder: Path) -> dict[str, float]:
    """Put all, wait until they are committed, read and free all."""
    texts = [event(number) for number in range(total)]
    storage = PEERS[name](folder)
    began = time.perf_counter()
    for text in texts:
        storage.put(text)
    storage.commit(total)
    put = time.perf_counter()
    found = sum(storage.drain())
    return {"put_s": put - began, "drain_s": time.perf_counter() - put, "found": found}


def kill(name: str, folder: Path) -> None:
    """Acknowledge what put() returned for, until killed."""
    storage = PEERS[name](folder)
    for number in count():
        storage.put(event(number))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def main(words: list[str]) -> None:
    """One of the three verbs."""
    verb, name = words[0], words[1]
    folder = Path(words[-1])
    if verb == "cycle":
        sys.stdout.write(json.dumps(cycle(name, int(words[2]), folder)) + "\n")
    elif verb == "kill":
        kill(name, folder)
    else:
        sys.stdout.write(f"{PEERS[name](folder).found()}\n")
    sys.stdout.flush()
    # Some of them leave threads behind that never end.
    import os  # noqa: PLC0415 - the one use of it

    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
