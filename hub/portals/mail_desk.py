"""What came in and what went out, as admins look at it: every reading of a body is logged first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from sqlalchemy import Connection

from hub.contacts.service import Contacts
from hub.inbox import reads as inbox_reads
from hub.inbox.reads import Kept, Reading
from hub.inbox.service import Inbox
from hub.outbox import reads as outbox_reads
from hub.outbox.store import OutboxRow
from hub.portals.read_models import Slice
from hub.store import Database
from shared.clock import Clock

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a delivery holds. Its reading stands in the log."""

    body: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery, whose data it holds, and who was shown it."""

    row: Kept
    subjects: Sequence[str]
    readings: Sequence[Reading]


class MailDesk:
    """Inbox and outbox of one database."""

    def __init__(
        self, database: Database, inbox: Inbox, contacts: Contacts, *, clock: Clock, days: int
    ) -> None:
        """`days`: how long bodies are kept."""
        self._database = database
        self._inbox = inbox
        self._contacts = contacts
        self._clock = clock
        self.days: Final = days

    def deliveries(self, state: str | None, source: str | None, part: Slice) -> list[Kept]:
        """A page of what came in."""
        with self._database.read() as connection:
            return inbox_reads.page(
                connection,
                state=state,
                source=source,
                after=_cursor(part.after),
                before=_cursor(part.before),
                limit=part.limit,
                newest=part.order == "newest",
            )

    def delivery_counts(self) -> tuple[Mapping[str, int], Sequence[str], bool]:
        """How many wait and are kept, the sources, and whether anything ever came."""
        with self._database.read() as connection:
            return (
                inbox_reads.counts(connection),
                inbox_reads.sources(connection),
                inbox_reads.any_row(connection),
            )

    def delivery(self, inbox_id: str) -> Delivery | None:
        """One of them."""
        with self._database.read() as connection:
            row = inbox_reads.one(connection, inbox_id)
            if row is None:
                return None
            return Delivery(
                row=row,
                subjects=inbox_reads.subjects(connection, row.seq),
                readings=inbox_reads.readings(connection, inbox_id),
            )

    def content(self, inbox_id: str, *, by: str) -> Content | None:
        """What it holds, once the reading is in the log; None: that is no longer kept.

        In the log of the delivery, and of every customer it is known to hold something of.
        """

        def work(connection: Connection) -> Content | None:
            row = inbox_reads.one(connection, inbox_id)
            found = None if row is None else inbox_reads.content(connection, row.seq)
            if row is None or found is None:
                return None
            now_ms = self._clock.wall_ms()
            inbox_reads.read_by(connection, inbox_id, by=by, at_ms=now_ms)
            for subject in inbox_reads.subjects(connection, row.seq):
                if subject.startswith("cus_"):
                    self._contacts.read_identity(
                        connection, subject, by=by, why=f"inbox {inbox_id}", now_ms=now_ms
                    )
            return Content(body=found[0], headers=found[1])

        return self._database.write(work)

    def replay(self, inbox_id: str, *, by: str) -> None:
        """Let it be acted on once more. Raises Refused when it is unknown or its body is gone."""
        self._inbox.replay(inbox_id)
        log.info("inbox_replayed", id=inbox_id, by=by)

    def messages(self, state: str | None, part: Slice) -> list[OutboxRow]:
        """A page of what went out, or did not."""
        with self._database.read() as connection:
            return outbox_reads.page(
                connection,
                state=state,
                after=_cursor(part.after),
                before=_cursor(part.before),
                limit=part.limit,
                newest=part.order == "newest",
            )

    def message_counts(self) -> tuple[Mapping[str, int], bool]:
        """How many wait, failed and were withheld, and whether there ever was one."""
        with self._database.read() as connection:
            return outbox_reads.counts(connection), outbox_reads.any_row(connection)


def _cursor(value: int | str | None) -> str | None:
    return None if value is None else str(value)
