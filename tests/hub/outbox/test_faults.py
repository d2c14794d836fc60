"""Whatever the vendor, the statuses and power cuts do: nothing is lost, and doubles are counted."""

import os
from collections import Counter
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from hub.inbox.incoming import Status
from hub.outbox.messages import Accepted, Action, Failed
from hub.outbox.moves.store import OUTBOX_MOVED
from hub.outbox.numbers.store import OUTBOX_NUMBER
from hub.outbox.pairs import store as pairs
from hub.outbox.rules import PASSED_AT_DOUBTS, Limits, pair_wait_ms
from hub.outbox.sender import Sender
from hub.outbox.service import Outbox
from hub.outbox.store import OUTBOX
from tests.fakes.manual_clock import ManualClock
from tests.fakes.scripted_channel import PlainWords, draft

LIMITS = Limits(pair_burst=3)
ANSWERS: tuple[Action, ...] = (
    "retry",
    "pair",
    "slow",
    "stop",
    "spam",
    "template",
    "unreachable",
    "permanent",
)
ANSWER = st.sampled_from([None, None, None, *ANSWERS, "silent: taken", "silent: not taken"])
WORD = st.sampled_from(
    ["sent", "delivered", "read", "failed", "closed", "passing", "locked", "spam"]
)
CODES = {"failed": 131026, "closed": 131047, "passing": 131000, "locked": 131031, "spam": 131048}
PERSON = st.sampled_from(["per_a", "per_b", "cus_c"])
OPERATION = st.one_of(
    st.tuples(st.just("say"), st.tuples(PERSON, st.booleans(), st.sampled_from([0, 0, 0, 60_000]))),
    st.tuples(st.just("say"), st.tuples(PERSON, st.booleans(), st.just(0))),
    st.tuples(st.just("send"), st.lists(ANSWER, max_size=4)),
    st.tuples(st.just("send"), st.lists(ANSWER, max_size=4)),
    st.tuples(st.just("wait"), st.sampled_from([1, 1_000, 6_000, 60_000, 3_600_000])),
    st.tuples(st.just("status"), st.tuples(st.integers(0, 20), WORD)),
    st.tuples(st.just("cut"), st.tuples(st.integers(0, 3), st.booleans())),
    st.tuples(st.just("open"), PERSON),
    st.tuples(st.just("withdraw"), st.tuples(PERSON, st.sampled_from(["offer", "card"]))),
)
NAMES = count()


class Vendor:
    """Keeps account of what it has taken, under ids of its own."""

    name = "brand"

    def __init__(self, clock, prefix):
        self.clock, self.prefix = clock, prefix
        self.answers: list[str | None] = []
        self.taken: list[tuple[str, str, str]] = []
        """Our id, its id, to whom."""
        self.asked: list[tuple[str, int]] = []

    def send(self, address, _rendered, *, window_open, out_id):  # noqa: ARG002 - template or not is one to it
        """By the script; nothing in the script: accept."""
        self.asked.append((address.phone, self.clock.wall_ms()))
        answer = self.answers.pop(0) if self.answers else None
        for action in ANSWERS:
            if answer == action:
                return Failed(action, 1, action)
        if answer != "silent: not taken":
            self.taken.append((out_id, f"{self.prefix}.{len(self.taken)}", address.phone))
        if answer is not None:
            return Failed("unknown", None, answer)
        return Accepted(self.taken[-1][1])


class World:
    """One outbox, its vendor, and a person at the power switch."""

    def __init__(self, database):
        self.database = database
        self.name = f"led_{next(NAMES)}"
        self.clock = ManualClock()
        self.vendor = Vendor(self.clock, self.name)
        self.outbox = Outbox(database, self.clock)
        self.words = PlainWords()
        self.said: list[tuple[str, str, str]] = []
        """Ours, to whom, and which: each kind is heard in its order."""
        self.undone: Counter[str] = Counter()
        """Ours that the vendor took and later said had failed: they did not arrive."""
        self.sender = self.boot()
        with database.read() as connection:
            self.doubtful_before = self.outbox.doubtful(connection)

    def boot(self):
        """The sender of a fresh process."""
        return Sender(
            self.outbox, {"brand": self.vendor}, number_for=lambda _role: "brand",
            renderer=self.words, addresses=self.words, limits={"brand": LIMITS},
        )  # fmt: skip

    def do(self, operation, detail):
        """One operation."""
        getattr(self, operation)(detail)

    def say(self, what):
        """Something new, to one of three people, perhaps urgent, perhaps not yet."""
        person, urgent, later_ms = what
        key = f"{self.name}/{len(self.said)}"
        new = draft(
            key, to=f"{person}{self.name}", ref=self.name, urgent=urgent,
            kind="card" if urgent or later_ms else "offer",
            not_before_ms=self.clock.wall_ms() + later_ms,
        )  # fmt: skip
        out_id = self.database.write(lambda c: self.outbox.enqueue(c, new))
        self.said.append((out_id, new.to, f"{urgent} {later_ms}"))

    def send(self, answers):
        """A round takes exactly what may go; each call to the vendor ends as scripted."""
        recovered = self.sender._recovered
        with self.database.read() as connection:
            may_go = self.may_go(connection)
        _, taken = self.sender._round()
        # A sender that begins first doubts what was on its way.
        assert may_go == {each.row.id for each in taken} or not recovered
        self.vendor.answers = list(answers)
        for each in taken:
            self.sender._deliver(each)
        self.vendor.answers = []

    def may_go(self, connection):
        """The ids of what may go now, found by looking at everything that waits."""
        now_ms = self.clock.wall_ms()
        if not self.sender._open_roads(self.outbox.numbers.shut(connection)()):
            return set()
        rows = [row for row in self.outbox.of(connection, self.name) if row.not_after_ms >= now_ms]
        found = set()
        for person in {to for _, to, _ in self.said}:
            mine = [row for row in rows if row.to == person]
            sending = [row for row in mine if row.state == "sending"]
            pair = pairs.of(connection, "brand", person)
            if pair.held_ms > now_ms or pair_wait_ms(pair.paced_ms, now_ms, LIMITS):
                continue
            in_turn = [
                row
                for row in mine
                if row.state in {"queued", "sending"} and row.not_before_ms <= now_ms
                and (row.doubts < PASSED_AT_DOUBTS or row.due_ms <= now_ms)
            ]  # fmt: skip
            urgent = [row for row in in_turn if row.urgent]
            others = [row for row in in_turn if not row.urgent]
            if urgent and not any(row.urgent for row in sending):
                found |= {row.id for row in urgent[:1] if row.due_ms <= now_ms}
            elif others and not urgent and not sending:
                found |= {row.id for row in others[:1] if row.due_ms <= now_ms}
        return found

    def wait(self, ms):
        """Time passes."""
        self.clock.advance(ms)

    def status(self, which):
        """The vendor reports on something it has taken."""
        number, word = which
        if not self.vendor.taken:
            return
        out_id, its_id, _ = self.vendor.taken[number % len(self.vendor.taken)]
        status = Status(
            message_id=its_id, channel="meta", number="brand", provider_ms=None,
            status="failed" if word in CODES else word, code=CODES.get(word),
            ours=out_id if number % 2 else None,
        )  # fmt: skip
        if status.status == "failed":
            self.undone[out_id] += 1
        self.database.write(lambda c: self.outbox.on_status(c, status))

    def cut(self, where):
        """The power goes: so many messages had reached the vendor, with or without effect."""
        reached, silent = where
        _, taken = self.sender._round()
        for each in taken[:reached]:
            self.vendor.answers = ["silent: not taken" if silent else None]
            self.sender._send(each)
        self.vendor.answers = []
        self.sender.close()
        self.sender = self.boot()

    def open(self, person):
        """The person writes to us."""
        now_ms = self.clock.wall_ms()
        self.database.write(
            lambda c: self.outbox.opened(c, "brand", f"{person}{self.name}", now_ms)
        )

    def withdraw(self, which):
        """Nothing more of a kind is to be said to them."""
        person, kind = which
        to = f"{person}{self.name}"
        self.database.write(lambda c: self.outbox.withdraw(c, ref=self.name, kinds={kind}, to=to))

    def settle_down(self):
        """Everything works again, for long enough."""
        for _ in range(40):
            while self.sender.step():
                pass
            if not {"queued", "sending"} & {row.state for row in self.rows().values()}:
                return
            self.clock.advance(600_000)

    def rows(self):
        """What became of everything."""
        with self.database.read() as connection:
            return {row.id: row for row in self.outbox.of(connection, self.name)}

    def check(self):
        """Nothing is lost, doubled unaccounted for, out of order or too fast."""
        rows, taken = self.rows(), Counter(out_id for out_id, _, _ in self.vendor.taken)
        assert [out_id for out_id, _, _ in self.said] == list(rows)
        assert {"queued", "sending"}.isdisjoint(row.state for row in rows.values())
        for row in rows.values():
            assert row.state not in {"accepted", "delivered", "read"} or taken[row.id]
            gone = row.doubts or row.id in self.undone
            assert row.state != "withheld" or not taken[row.id] or gone
        with self.database.read() as connection:
            doubtful = self.outbox.doubtful(connection) - self.doubtful_before
        doubled = sum(max(0, n - 1 - self.undone[out_id]) for out_id, n in taken.items() if n > 1)
        assert doubled <= doubtful
        for person in {to for _, to, _ in self.said}:
            self.check_person(person, {row.id for row in rows.values() if row.doubts > 1})
        self.clock.advance(60_000)
        self.sender.step()
        assert not len(self.sender._lines)

    def check_person(self, person, passed):
        """One person heard things in the order in which they were said, and not too fast.

        `passed`: nothing waits for what was left unanswered twice.
        """
        heard = [out_id for out_id, _, to in self.vendor.taken if to == person]
        first = [each for each in dict.fromkeys(heard) if each not in passed | self.undone.keys()]
        for kind in {kind for _, _, kind in self.said}:
            order = [out_id for out_id, to, each in self.said if to == person and each == kind]
            assert [each for each in first if each in order] == [
                each for each in order if each in first
            ]
        times = [at_ms for to, at_ms in self.vendor.asked if to == person]
        for number, at_ms in enumerate(times):
            for earlier, then_ms in enumerate(times[: number + 1]):
                assert number - earlier + 1 <= 3 + (at_ms - then_ms) // LIMITS.pair_ms


@settings(
    max_examples=int(os.environ.get("KICKSTAND_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(OPERATION, max_size=40))
def test_whatever_happens_everything_is_said_once_or_accounted_for(database, operations):
    """
    Messages to three people, every refusal and silence of the vendor, statuses in any order, power
    cuts before and after a message reached the vendor. Once everything works again each message
    has arrived or says why not, in order for each person, within the pair rate; what arrived
    twice is within the count of doubts.
    """
    for table in (OUTBOX, OUTBOX_MOVED, OUTBOX_NUMBER):
        database.write(lambda connection, table=table: connection.execute(delete(table)))
    world = World(database)
    try:
        for operation, detail in operations:
            world.do(operation, detail)
        world.settle_down()
        world.check()
    finally:
        world.sender.close()
