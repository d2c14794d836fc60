"""The ledger is re-read while the hub runs: what is new within seconds, all of it in rounds.

Two passes of `Verifier` in small pieces, by one process at a time: the first follows the end of
the ledger, the second begins again at entry 0 whenever it has come to the end. A piece only reads,
and rests much longer than it worked. What was found, and where both passes are, is on disk.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog
from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from hub.ledger.tables import CHECK, CHECK_PASS
from hub.ledger.tree import newest_checkpoint
from hub.ledger.verify import Verifier
from hub.store import Database
from hub.store.savepoint import savepoint
from shared.clock import Clock
from shared.crypto.keys import PublicKey

SHARE = 0.03
"""Of one core, at most, over any longer time."""
PIECE_MS = 5
"""About how long a piece lasts: requests of this process wait behind it."""
LIMIT_MIN, LIMIT_MAX = 4, 2000
IDLE_MS = 1000
"""How often the end of the ledger is looked at when nothing is new."""
ROUND_REST_MS = 60_000
"""Between two rounds of a small ledger, and before one that broke off is begun again."""
RESULT_MS = 5000
"""How often the result is put on disk: no page is told of a check that is younger."""
PLACE_MS = 30_000
"""How often the passes' places are: after a power cut so much is read twice."""
STANDBY_MS = 20_000
"""Whoever checks and does not say so for so long is taken to be gone."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCheck:
    """What re-reading the ledger has shown so far."""

    checked: int = 0
    """How far the pass at the end of the ledger has come."""
    verified: int = 0
    """So many entries stood at `verified_ms`; each was read since it came, all fitted."""
    verified_ms: int | None = None
    whole_ms: int | None = None
    """When the last pass over the whole ledger came to its end."""
    broken_at: int | None = None
    """The first entry that does not fit, until a whole pass finds nothing."""
    finding: str | None = None


def read_check(connection: Connection) -> LedgerCheck:
    """What is known; of a ledger that nobody has checked yet: nothing."""
    row = connection.execute(select(CHECK)).one_or_none()
    if row is None:
        return LedgerCheck()
    return LedgerCheck(
        checked=row.checked,
        verified=row.verified,
        verified_ms=row.verified_ms,
        whole_ms=row.whole_ms,
        broken_at=row.broken_at,
        finding=row.finding,
    )


class _Pass:
    """A pass over the ledger, its place on disk, and how much of it is a piece."""

    def __init__(self, name: str, verifier: Verifier) -> None:
        self.name = name
        self.verifier = verifier
        self.kept = verifier.position
        self._limit = LIMIT_MIN

    def step(self, connection: Connection) -> int:
        """Read a piece on; how many entries it had."""
        began = time.thread_time()
        found = self.verifier.step(connection, self._limit)
        took_ms = (time.thread_time() - began) * 1000
        if took_ms > PIECE_MS:
            self._limit = max(LIMIT_MIN, self._limit // 2)
        elif took_ms < PIECE_MS / 2 and found:
            self._limit = min(LIMIT_MAX, self._limit * 2)
        return found


class Checker:
    """Call `step` often; it does a little when something is due."""

    def __init__(
        self, database: Database, *, hub_keys: Sequence[PublicKey], root: PublicKey, clock: Clock
    ) -> None:
        """`hub_keys` sealed the hub's own facts, `root` signed for each generation."""
        self._database = database
        self._hub_keys = tuple(hub_keys)
        self._root = root
        self._clock = clock
        self._name = secrets.token_hex(8)
        self._mine = False
        self._seen: tuple[str, int] | None = None
        self._seen_ms = 0
        self._due_ms = 0
        self._forget()

    def _forget(self) -> None:
        """Begin both passes at entry 0."""
        self._newest = _Pass("newest", Verifier(hub_keys=self._hub_keys, root=self._root))
        self._round = _Pass("round", Verifier(hub_keys=self._hub_keys, root=self._root))
        self._round_due_ms = 0
        self._goal: tuple[int, int] | None = None
        self._arrived = False
        self._known = LedgerCheck()
        self._result_ms = self._place_ms = self._clock.mono_ms()

    def step(self) -> None:
        """A piece of the check if one is due. Raises DBAPIError; the next call goes on."""
        now_ms = self._clock.mono_ms()
        if now_ms < self._due_ms:
            return
        self._due_ms = now_ms + IDLE_MS
        if not self._mine and not self._take(now_ms):
            return
        began = time.thread_time()
        before = self._known
        with self._database.read() as connection:
            found = self._follow(connection)
            if not found and self._arrived and now_ms >= self._round_due_ms:
                found = self._go_round(connection)
        news = _headline(before) != _headline(self._known)
        if news or now_ms - self._result_ms >= RESULT_MS:
            self._keep(now_ms)
        worked_ms = (time.thread_time() - began) * 1000
        rest_ms = int(worked_ms / SHARE)
        self._due_ms = max(self._due_ms if not found else 0, now_ms + rest_ms)

    # --- the two passes -------------------------------------------------------------------

    def _follow(self, connection: Connection) -> int:
        """A piece at the end of the ledger; 0 when nothing is new there."""
        verifier = self._newest.verifier
        if self._goal is None:
            self._goal = newest_checkpoint(connection)[0], self._clock.wall_ms()
        found = self._newest.step(connection)
        if not found:
            verifier.check_end(connection)
            if not self._arrived:
                verifier.check_tile_count(connection)
        if self._breaks(verifier):
            return 0
        size, at_ms = self._goal
        self._known = replace(self._known, checked=verifier.position)
        if verifier.position >= size:
            self._goal = None
            # From here on the badge may say so: all that stood at `at_ms` was read and fits.
            self._known = replace(self._known, verified=size, verified_ms=at_ms)
        if not found and not self._arrived:
            self._arrive()
        return found

    def _arrive(self) -> None:
        self._arrived = True
        self._round_due_ms = self._clock.mono_ms() + ROUND_REST_MS
        if self._known.broken_at is not None:
            log.warning("ledger_unbroken_again", was_broken_at=self._known.broken_at)
        whole_ms = self._known.whole_ms or self._clock.wall_ms()
        self._known = replace(self._known, broken_at=None, finding=None, whole_ms=whole_ms)

    def _go_round(self, connection: Connection) -> int:
        """A piece of the round; 0 when it has come to its end."""
        verifier = self._round.verifier
        found = self._round.step(connection)
        if not found:
            verifier.check_end(connection)
            verifier.check_tile_count(connection)
        if self._breaks(verifier) or found:
            return found
        self._known = replace(self._known, whole_ms=self._clock.wall_ms())
        self._round = _Pass("round", Verifier(hub_keys=self._hub_keys, root=self._root))
        self._round_due_ms = self._clock.mono_ms() + ROUND_REST_MS
        return 0

    def _breaks(self, verifier: Verifier) -> bool:
        """Whether this pass found what does not fit: then both begin anew, to find it again."""
        broken_at = verifier.result.broken_at
        if broken_at is None:
            return False
        finding = verifier.result.findings[0]
        log.critical("ledger_broken", entry=broken_at, finding=finding)
        known = self._known
        self._forget()
        self._known = replace(known, broken_at=broken_at, finding=finding, whole_ms=None)
        self._due_ms = self._clock.mono_ms() + ROUND_REST_MS
        return True

    # --- on disk --------------------------------------------------------------------------

    def _take(self, now_ms: int) -> bool:
        """Become the process that checks, unless another one is seen doing it."""
        with self._database.read() as connection:
            row = connection.execute(select(CHECK.c.holder, CHECK.c.beat)).one_or_none()
        holder, beat = row or ("", 0)
        if holder and (holder, beat) != self._seen:
            self._seen, self._seen_ms = (holder, beat), now_ms
        if holder and now_ms - self._seen_ms < STANDBY_MS:
            return False

        def take(connection: Connection) -> bool:
            if row is None:
                try:
                    with savepoint(connection):
                        connection.execute(
                            insert(CHECK).values(
                                id=1, holder=self._name, beat=1, checked=0, verified=0
                            )
                        )
                except IntegrityError:  # another process was faster
                    return False
                return True
            return bool(
                connection.execute(
                    update(CHECK)
                    .where(CHECK.c.holder == holder, CHECK.c.beat == beat)
                    .values(holder=self._name, beat=beat + 1)
                ).rowcount
            )

        self._mine = self._database.write(take)
        if self._mine:
            self._load()
        return self._mine

    def _load(self) -> None:
        """Go on where the last process that checked left off."""
        self._forget()
        with self._database.read() as connection:
            self._known = read_check(connection)
            saved = {row.name: bytes(row.state) for row in connection.execute(select(CHECK_PASS))}
        try:
            for pass_ in (self._newest, self._round):
                if pass_.name in saved:
                    pass_.verifier = Verifier.resumed(
                        saved[pass_.name], hub_keys=self._hub_keys, root=self._root
                    )
                    pass_.kept = pass_.verifier.position
        except ValueError as error:
            log.warning("ledger_check_begins_anew", error=str(error))
            known = self._known
            self._forget()
            self._known = known

    def _keep(self, now_ms: int) -> None:
        """Put the result on disk, the places of the passes too now and then."""
        moved: list[_Pass] = []
        if now_ms - self._place_ms >= PLACE_MS:
            self._place_ms = now_ms
            moved = [p for p in (self._newest, self._round) if p.kept != p.verifier.position]
        known = self._known

        def keep(connection: Connection) -> bool:
            mine = connection.execute(
                update(CHECK)
                .where(CHECK.c.holder == self._name)
                .values(
                    beat=CHECK.c.beat + 1,
                    checked=known.checked,
                    verified=known.verified,
                    verified_ms=known.verified_ms,
                    whole_ms=known.whole_ms,
                    broken_at=known.broken_at,
                    finding=known.finding,
                )
            ).rowcount
            if not mine:
                return False
            if known.broken_at is not None:
                connection.execute(delete(CHECK_PASS))
            _store_places(connection, moved)
            return True

        self._mine = self._database.write(keep)
        self._result_ms = now_ms
        for pass_ in moved:
            pass_.kept = pass_.verifier.position

    def release(self) -> None:
        """Let another process check at once; for a stop in order."""
        if self._mine:
            self._mine = False
            self._database.write(
                lambda connection: connection.execute(
                    update(CHECK).where(CHECK.c.holder == self._name).values(holder="")
                )
            )


def _headline(known: LedgerCheck) -> tuple[int | None, bool]:
    """What a page must not learn late."""
    return known.broken_at, known.verified_ms is None


def _store_places(connection: Connection, passes: Sequence[_Pass]) -> None:
    for pass_ in passes:
        connection.execute(delete(CHECK_PASS).where(CHECK_PASS.c.name == pass_.name))
        connection.execute(insert(CHECK_PASS).values(name=pass_.name, state=pass_.verifier.saved()))
