"""Sending what waits: in order for each person, as fast as each number may, once."""

import threading
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from hub.errors import StoreUnavailable
from hub.outbox import rules, store
from hub.outbox.gates import Gate
from hub.outbox.lines import Line, Lines, Said, Wait, turn
from hub.outbox.messages import (
    Accepted,
    Address,
    Addresses,
    Channel,
    Failed,
    Rendered,
    Renderer,
    Road,
    Role,
    Withhold,
)
from hub.outbox.moves import store as moves
from hub.outbox.pairs import store as pairs
from hub.outbox.pairs.store import Pair
from hub.outbox.rules import Limits
from hub.outbox.service import Outbox
from hub.outbox.store import OutboxRow
from hub.store.sole import Sole

ROLES: tuple[Role, ...] = ("reps", "customers")
"""Reps first: somebody has tapped and waits."""
MAIL = Road("reps", "mail")
"""E-mail to dealers: its channel has this name, and no window is ever closed."""
THREADS = 16
"""Enough for 80 messages a second while each answer takes 200 ms."""
SPARED_THREADS = 4
"""Kept free for what is urgent, so that it waits for no slow answer to something else."""
IDLE_WAIT_S = 0.05
"""How often messages of other processes, and due ones, are looked for."""
RETRY_WAIT_S = 1.0
SWEEP_MAX = 200
LOOK_AGAIN_MS = 60_000
"""Everybody for whom something waits is looked at so often, whether or not anybody told of them: an
older release that is still running beside us does not tell."""
LOOKS_MAX = 256
"""Lines looked at in one transaction."""
RENDER_ATTEMPTS_MAX = 3

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Taken:
    """A message that we have taken and the number it goes through."""

    row: OutboxRow
    number: str


@dataclass(slots=True)
class _Look:
    """What one transaction looks at, and what came of it: that holds once it is durable."""

    connection: Connection
    now_ms: int
    swept: int
    taken: list[_Taken] = field(default_factory=list)
    said: dict[Line, Said] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Ready:
    """A message in words, and to whom."""

    address: Address
    rendered: Rendered
    window_open: bool


class Sender:
    """One per process; of all processes on a database one sends, the others stand by."""

    def __init__(
        self,
        outbox: Outbox,
        channels: Mapping[str, Channel],
        *,
        number_for: Callable[[Role], str | None],
        renderer: Renderer,
        addresses: Addresses,
        limits: Mapping[str, Limits] | None = None,
        first_contacts: Callable[[], int | None] = lambda: None,
        threads: int = THREADS,
    ) -> None:
        """`channels` and `limits` by the name of our number. Starts nothing yet.

        `first_contacts`: how many people may at present be written to within 24 hours without
        having written to us, by all our numbers together; None: any.
        """
        self._outbox = outbox
        self._database = outbox.database
        self._clock = outbox.clock
        self._channels = channels
        self._number_for = number_for
        self._renderer = renderer
        self._addresses = addresses
        self._gates = {
            name: Gate((limits or {}).get(name, Limits()), self._clock) for name in channels
        }
        self._sole = Sole(self._database, "sender")
        self._recovered = False
        self._lines = Lines()
        self._look_again_ms = 0
        self._threads = threads
        self._spared = min(SPARED_THREADS, threads - 1)
        self._pool: ThreadPoolExecutor | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._in_flight = 0
        self._first_contacts_max = first_contacts
        self._first_contacts: dict[str, str] = {}
        outbox.on_enqueue.append(self._wake.set)

    # --- one round --------------------------------------------------------------------------

    def step(self) -> int:
        """Send what may go now, in the caller's thread; how many rows moved."""
        swept, taken = self._round()
        for each in taken:
            self._deliver(each)
        return swept + len(taken)

    def _round(self) -> tuple[int, list[_Taken]]:
        """Take what may go now; with it, how many rows moved without being sent."""
        if not self._sole.held():
            self._recovered = False
            return 0, []
        if not self._recovered:
            if self._in_flight:
                return 0, []  # what we are sending is in no doubt
            self._database.write(self._recover)
            self._recovered = True
        self._look_again()
        swept = 0
        while True:
            try:
                look: _Look = self._database.write(self._take, shared=True)
            except (DBAPIError, StoreUnavailable):
                # It may have been committed all the same: then what was taken is sent by nobody.
                self._recovered = False
                raise
            for line, said in look.said.items():
                self._lines.settle(line, said)
            swept += look.swept
            if look.taken or len(look.said) < LOOKS_MAX:
                return swept, look.taken

    def _recover(self, connection: Connection) -> None:
        """What was being sent when the sender before us died may have gone."""
        for row in store.sending(connection):
            self._outbox.doubt(connection, row, "interrupted", first=True)
        moves.news(connection)()
        self._lines.clear()
        self._look_again_ms = 0

    def _look_again(self) -> None:
        if (now_ms := self._clock.wall_ms()) < self._look_again_ms:
            return
        with self._database.read() as connection:
            waiting = store.who_waits(connection)
        for to, road in waiting:
            self._lines.hear(road, to, now_ms)
        self._look_again_ms = now_ms + LOOK_AGAIN_MS

    def _open_roads(self, shut: Collection[str]) -> dict[Road, str]:
        numbers: dict[Road, str | None] = {Road(role): self._number_for(role) for role in ROLES}
        numbers[MAIL] = MAIL.channel
        return {
            road: name
            for road, name in numbers.items()
            if name is not None
            and name in self._gates
            and name not in shut
            and self._gates[name].open()
        }

    def _take(self, connection: Connection) -> _Look:
        now_ms = self._clock.wall_ms()
        late = store.late(connection, now_ms, SWEEP_MAX)
        news = moves.news(connection)
        shut = self._outbox.numbers.shut(connection)
        withheld = [self._outbox.withhold(connection, row, "too_late") for row in late()]
        for to, road in news() + (moves.news(connection)() if withheld else []):
            self._lines.hear(road, to, now_ms)
        look = _Look(connection, now_ms, len(withheld))
        roads = self._open_roads(shut())
        for urgent, threads in ((True, self._threads), (False, self._threads - self._spared)):
            for road, number in roads.items():
                self._look_at(look, road, number, threads - self._in_flight, urgent=urgent)
        return look

    def _look_at(self, look: _Look, road: Road, number: str, most: int, *, urgent: bool) -> None:
        """Of the lines whose time has come take the first, until `most` are taken in all."""
        while (room := most - len(look.taken)) > 0 and len(look.said) < LOOKS_MAX:
            lines = self._lines.due(road, look.now_ms, room, urgent=urgent, but=look.said)
            if not lines:
                return
            people = [line.to for line in lines]
            found = store.fronts(look.connection, road, people, look.now_ms, urgent=urgent)
            turns = [turn(front, look.now_ms) for front in found]
            ours = [row.to for row in turns if isinstance(row, OutboxRow)]
            free = pairs.ours(look.connection, number, ours)
            for line, said in zip(lines, turns, strict=True):
                if not isinstance(said, OutboxRow):
                    look.said[line] = said
                elif said.to not in free or said.not_after_ms < look.now_ms:
                    # They write to us at this moment, and theirs comes first; or it is swept next.
                    look.said[line] = Wait(look.now_ms)
                else:
                    wait = self._go(look, said, number, free[said.to])
                    if wait is None:
                        return
                    look.said[line] = wait

    def _go(self, look: _Look, row: OutboxRow, number: str, pair: Pair) -> Wait | None:
        """Take a message if the pair allows it, and how long its line waits then; None when the
        number is used up for now.
        """
        gate, now_ms = self._gates[number], look.now_ms
        wait_ms = rules.pair_wait_ms(pair.paced_ms, now_ms, gate.limits)
        until_ms = max(now_ms + wait_ms, pair.held_ms)
        if until_ms > now_ms:
            return Wait(until_ms, held=True)
        if not gate.take():
            return None
        paced_ms = rules.paced_after(pair.paced_ms, now_ms, gate.limits)
        pairs.paced(look.connection, number, row.to, paced_ms)
        self._outbox.take(look.connection, row, number)
        look.taken.append(_Taken(row, number))
        wait_ms = rules.pair_wait_ms(paced_ms, now_ms, gate.limits)
        # What follows is not looked at while this one is sent; nor before its time, if it has one.
        return Wait(now_ms + wait_ms, held=True) if wait_ms else Wait(None)

    # --- one message ------------------------------------------------------------------------

    def _deliver(self, taken: _Taken) -> None:
        """Send one message and write down how that ended."""
        outcome, window_open = self._send(taken)
        gate = self._gates[taken.number]
        if isinstance(outcome, Accepted):
            gate.accepted()
        elif isinstance(outcome, Failed) and outcome.action == "slow":
            gate.slow()

        def settle(connection: Connection) -> None:
            self._outbox.settle(connection, taken.row.id, outcome, window_open=window_open)

        while not self._settled(settle, taken):
            # The vendor has it: what became of it must not be forgotten while we live.
            if self._stop.wait(RETRY_WAIT_S):
                break
        with self._lock:
            self._first_contacts.pop(taken.row.id, None)

    def _settled(self, settle: Callable[[Connection], None], taken: _Taken) -> bool:
        try:
            self._database.write(settle, shared=True)
        except (DBAPIError, StoreUnavailable) as error:
            log.warning("outbox_not_settled", id=taken.row.id, error=type(error).__name__)
            return False
        return True

    def _send(self, taken: _Taken) -> tuple[Accepted | Failed | Withhold, bool]:
        """How it ended, and whether the window was open."""
        row = taken.row
        try:
            ready = self._ready(taken)
        except Exception as error:  # noqa: BLE001 - one message that cannot be said stops no other
            log.warning("outbox_not_rendered", id=row.id, kind=row.kind, error=type(error).__name__)
            broken = not isinstance(error, DBAPIError) and row.attempts + 1 >= RENDER_ATTEMPTS_MAX
            reason = f"not rendered: {type(error).__name__}"
            return Failed("permanent" if broken else "retry", None, reason), True
        if not isinstance(ready, _Ready):
            return ready, True
        outcome: Accepted | Failed
        try:
            outcome = self._channels[taken.number].send(
                ready.address, ready.rendered, window_open=ready.window_open, out_id=row.id
            )
        except Exception as error:
            log.exception("outbox_channel_failed", id=row.id)
            # It may have gone before it failed.
            outcome = Failed("unknown", None, type(error).__name__, answered=True)
        return outcome, ready.window_open

    def _ready(self, taken: _Taken) -> _Ready | Failed | Withhold:
        """The words and the address as the tables are now, or why there are none."""
        row = taken.row
        now_ms = self._clock.wall_ms()
        if row.not_after_ms < now_ms:
            return Withhold("too_late")
        with self._database.read() as connection:
            address = self._addresses.address(connection, row.to)
            if isinstance(address, Withhold):
                return address
            rendered = self._renderer.render(connection, row.outgoing)
            if isinstance(rendered, Withhold):
                return rendered
            window_open = row.channel == "mail" or (
                not row.as_template
                and self._outbox.window_open(connection, taken.number, row.to, now_ms)
            )
            refused = None
            if not window_open:
                refused = self._refused(connection, taken, rendered, now_ms)
        return refused or _Ready(address, rendered, window_open=window_open)

    def _refused(
        self, connection: Connection, taken: _Taken, rendered: Rendered, now_ms: int
    ) -> Failed | None:
        """Why a person who has not written to us lately cannot be written to, if so."""
        if rendered.template is None:
            return Failed("unreachable", None, "window_closed")
        if self._outbox.numbers.silent(connection, taken.number):
            held = rules.SPAM
        elif not self._may_begin(connection, taken, now_ms):
            held = rules.LIMITED
        else:
            return None
        cannot_wait = taken.row.kind in rules.CANNOT_WAIT
        return Failed("unreachable" if cannot_wait else "wait", None, held)

    def _may_begin(self, connection: Connection, taken: _Taken, now_ms: int) -> bool:
        """Whether one person more may be written to first, today."""
        most = self._first_contacts_max()
        if most is None:
            return True
        with self._lock:
            to = taken.row.to
            known = store.first_contacts(connection, but=to, since_ms=now_ms - rules.WINDOW_MS)
            if known + len(set(self._first_contacts.values()) - {to}) >= most:
                return False
            self._first_contacts[taken.row.id] = to
            return True

    # --- threads ----------------------------------------------------------------------------

    def start(self) -> None:
        """Send until `stop`, several messages at once."""
        self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="sending")
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            woken = self._wake.wait(IDLE_WAIT_S)
            self._wake.clear()
            try:
                # Who woke us has not committed yet: only a write is sure to see what it enqueued.
                if woken or self._due():
                    self._hand_out()
            except (DBAPIError, StoreUnavailable) as error:
                log.warning("sender_waits", error=type(error).__name__)
                self._stop.wait(RETRY_WAIT_S)

    def _due(self) -> bool:
        now_ms = self._clock.wall_ms()
        if not self._recovered:
            return True
        with self._database.look() as connection:
            if moves.any_news(connection) or store.any_late(connection, now_ms):
                return True
            shut = self._outbox.numbers.shut(connection)()
        return any(
            self._lines.due(road, now_ms, 1, urgent=urgent)
            for road in self._open_roads(shut)
            for urgent in (True, False)
        )

    def _hand_out(self) -> None:
        if self._in_flight >= self._threads:
            return
        _, taken = self._round()
        for each in taken:
            with self._lock:
                self._in_flight += 1
            assert self._pool is not None
            self._pool.submit(self._deliver, each).add_done_callback(self._delivered)

    def _delivered(self, _done: object) -> None:
        with self._lock:
            self._in_flight -= 1
        self._wake.set()

    def sends(self) -> bool:
        """Whether of all processes this is the one that does."""
        return self._recovered

    def idle(self) -> bool:
        """Whether nothing is being sent and nothing wants to go through a number that is open."""
        now_ms = self._clock.wall_ms()
        with self._database.read() as connection:
            if store.sending(connection) or store.any_late(connection, now_ms):
                return False
            shut = self._outbox.numbers.shut(connection)()
            return not any(
                store.waiting(connection, road, now_ms) for road in self._open_roads(shut)
            )

    def stop(self) -> None:
        """Finish what is being sent, and let another process send."""
        self._stop.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join()
        if self._pool is not None:
            self._pool.shutdown()
        self.close()

    def close(self) -> None:
        """Let another process send; whatever is in flight is theirs to doubt."""
        self._sole.release()
