"""What the law and the settings ask for without anybody saying so: a step for the worker."""

from functools import partial
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from hub.config import LeadsConfig
from hub.errors import StoreUnavailable
from hub.inbox.service import DAY_MS, Inbox
from hub.leads import erasing
from hub.ledger.service import Ledger
from hub.outbox import store as outbox
from hub.subjects.service import Subjects

GRACE_MS: Final = 10 * 60_000
"""Between "hapus data saya" and the erasure: the answer goes out meanwhile. The law gives 72 h."""
GRACE_MAX_MS: Final = DAY_MS
"""Then it is done even if the answer still waits to be sent."""
REST_MS: Final = 1000
"""How often it is looked whether somebody is due."""
RETENTION_MS: Final = 3_600_000
"""How often it is looked what has grown too old."""
SOME: Final = 50
"""Done by one step at most."""

log = structlog.get_logger()


class Retention:
    """Erasures that are due, and what is too old to be kept. Any number of processes may run it."""

    def __init__(self, subjects: Subjects, inbox: Inbox, settings: LeadsConfig) -> None:
        """Nothing is read yet."""
        self.subjects = subjects
        self._database = subjects.database
        self._contacts = subjects.contacts
        self._inbox = inbox
        self._settings = settings
        self._reapplied = False
        self._looked_ms: int | None = None
        self._retained_ms: int | None = None
        self._quiet: tuple[int, str] = (-1, "")
        self._failed: set[str] = set()

    def step(self, now_ms: int) -> int:
        """Do some of what is due; how much that was. 0: nothing is, for the next second."""
        if _within(self._looked_ms, now_ms, REST_MS):
            return 0
        done = self._reapply()
        done += self.subjects.file_some()
        # An erasure waits for the last of a backlog of buyers: it would have to look into all.
        if not done:
            done = self._asked(now_ms) + self._too_old(now_ms)
        self._looked_ms = None if done else now_ms
        return done

    def _reapply(self) -> int:
        """Once in the life of a process: a backup is restored while none runs."""
        if self._reapplied:
            return 0
        done = self.subjects.reapply()
        self._reapplied = True
        return done

    def _asked(self, now_ms: int) -> int:
        """Those who asked to be erased and have had their answer."""
        with self._database.read() as connection:
            due = self._contacts.erasures_due(connection, now_ms - GRACE_MS, SOME)
            overdue = self._contacts.erasures_due(connection, now_ms - GRACE_MAX_MS, SOME)
            answered = [
                contact
                for contact in due
                if contact in overdue or not outbox.on_its_way(connection, contact)
            ]
        return sum(self._erase(contact, "asked", with_purchases=True) for contact in answered)

    def _too_old(self, now_ms: int) -> int:
        if _within(self._retained_ms, now_ms, RETENTION_MS):
            return 0
        before_ms = now_ms - self._settings.retention_days * DAY_MS
        done = self._inbox.forget(self._settings.raw_body_days)
        done += self._old_leads(before_ms, now_ms)
        done += self._quiet_people(before_ms)
        if not done:
            self._retained_ms = now_ms
            self._quiet = (-1, "")
        return done

    def _old_leads(self, before_ms: int, now_ms: int) -> int:
        with self._database.read() as connection:
            old = erasing.closed_before(connection, before_ms, SOME)
        for lead, contact in old:
            fact = partial(_state, contact=contact, lead=lead, now_ms=now_ms)
            self.subjects.forget_lead(lead, contact, fact=fact)
        return len(old)

    def _quiet_people(self, before_ms: int) -> int:
        """Those of whom nothing was heard for so long, and whose leads are long over."""
        with self._database.read() as connection:
            page = self._contacts.quiet_since(connection, before_ms, after=self._quiet, limit=SOME)
            unwanted = [
                contact
                for _, contact in page
                if not erasing.is_wanted(connection, contact, before_ms)
            ]
        if page:
            self._quiet = page[-1]
        for contact in unwanted:
            # What they bought stays with the sale: that is another purpose, and another time.
            self._erase(contact, "retention", with_purchases=False)
        return len(page)

    def _erase(self, contact: str, reason: str, *, with_purchases: bool) -> int:
        """One person who cannot be erased keeps no other waiting; a restart tries again."""
        if contact in self._failed:
            return 0
        try:
            self.subjects.erase_contact(contact, reason=reason, with_purchases=with_purchases)
        except (DBAPIError, StoreUnavailable):
            raise
        except Exception as error:  # noqa: BLE001 - whatever one person's rows set off
            log.error("erasure_failed", contact=contact, error=type(error).__name__)  # noqa: TRY400 - a trace could name them
            self._failed.add(contact)
            return 0
        return 1


def _state(connection: Connection, *, contact: str, lead: str, now_ms: int) -> None:
    fact = {"subject": contact, "scope": lead}
    Ledger.append(connection, "subject.erased", fact, now_ms=now_ms)


def _within(then_ms: int | None, now_ms: int, span_ms: int) -> bool:
    """Whether `then_ms` is less than `span_ms` ago; in the future is long ago."""
    return then_ms is not None and 0 <= now_ms - then_ms < span_ms
