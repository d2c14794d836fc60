"""A process that says things and sends them until it is killed: what a power cut is tried on.

    python -m tests.fakes.sender_process DATABASE_URL VENDOR_FILE

The vendor is a file: a line ``taken <out id>`` stands in it from the moment at which a message
has reached it. Each line on stdout is an id that is durably enqueued.
"""

import os
import sys
from functools import partial
from itertools import count
from pathlib import Path

from sqlalchemy import Connection

from hub.outbox.messages import Accepted, Address, Draft, Rendered
from hub.outbox.sender import Sender
from hub.outbox.service import Outbox
from hub.store import Database
from shared.clock import SystemClock
from shared.identifiers import new_id
from tests.fakes.scripted_channel import PlainWords, draft


class FileVendor:
    """Has a message when its line is written."""

    name = "brand"

    def __init__(self, path: Path) -> None:
        """Open for appending: a line is written whole or not at all."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self._numbers = count()

    def send(
        self, _address: Address, _rendered: Rendered, *, window_open: bool, out_id: str
    ) -> Accepted:
        """Take it."""
        del window_open
        os.write(self._file, f"taken {out_id}\n".encode())
        return Accepted(f"wamid.{os.getpid()}.{next(self._numbers)}")


def _enqueue(outbox: Outbox, new: Draft, connection: Connection) -> str:
    return outbox.enqueue(connection, new)


def main() -> None:
    """Say one thing after the other to a dozen people."""
    url, path = sys.argv[1:]
    database = Database(url)
    outbox = Outbox(database, SystemClock())
    words = PlainWords()
    sender = Sender(
        outbox, {"brand": FileVendor(Path(path))}, number_for=lambda _role: "brand",
        renderer=words, addresses=words,
    )  # fmt: skip
    sender.start()
    run = new_id("run")
    for number in count():
        new = draft(f"{run}/{number}", to=f"per_{run}{number % 12}", ref="led_1")
        out_id = database.write(partial(_enqueue, outbox, new))
        sys.stdout.write(out_id + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
