"""The buffer against a model: put, seal, receipt, shed, kill, restored cards, in any order."""

import tempfile
from pathlib import Path

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from edge_agent.buffer import Buffer, Duplicate, Limits, SealedBatch, Span, Stored
from edge_agent.errors import BufferFull
from tests.checks.boxes import FRESH, NOWHERE, SEALER, Box, counted, declared, report, sale

LANES = ("sale", "vehicle", "system")
Name = tuple[str, int, int]


class BufferMachine(RuleBasedStateMachine):
    """Everything stored is held, delivered or declared lost, exactly one of them, all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        limits = Limits(bytes_max=300_000, ring_bytes_max=20_000, reserve_file_bytes=4096)
        self.box = Box(Path(self.folder.name), limits=limits)
        self.buffer: Buffer = self.box.open()
        self.stored: set[Name] = set()
        self.delivered: dict[Name, bytes] = {}
        self.lost: set[Name] = set()
        self.counters: set[int] = set()
        self.epoch = 1

    def teardown(self) -> None:
        """Nothing is left behind, and what is left can be delivered."""
        for lane in LANES:
            while self._deliver(lane):
                pass
        assert self.stored == self.delivered.keys() - self._losses() | self.lost
        self.buffer.close()
        self.folder.cleanup()

    @initialize()
    def begin(self) -> None:
        """An empty buffer of a box that knows its place."""
        assert self.buffer.backlog().total == 0

    @rule(count=st.integers(1, 150), size=st.integers(0, 3000))
    def put_reports(self, count: int, size: int) -> None:
        """Reports of any size."""
        noise = [self.box.clock.mono_ms() * 1_000_003 + i for i in range(size // 20)]
        self._put(
            [report(i, extra={f"k{j}": n for j, n in enumerate(noise[:30])}) for i in range(count)]
        )

    @rule(first=st.integers(0, 100), count=st.integers(1, 20))
    def put_counted(self, first: int, count: int) -> None:
        """Reports with counters: each is stored once."""
        wanted = list(range(first, first + count))
        try:
            answers = self.buffer.put([counted(n) for n in wanted])
        except BufferFull:
            return
        for number, answer in zip(wanted, answers, strict=True):
            assert isinstance(answer, Duplicate) == (number in self.counters)
            self.counters.add(number)
            self._note(answer)

    @rule(size=st.integers(0, 3000))
    def put_sale(self, size: int) -> None:
        """A sale with an attachment."""
        self._put([sale("r", attachments=(bytes(i * 7 % 251 for i in range(size)),))])

    @rule(lane=st.sampled_from(LANES))
    def seal(self, lane: str) -> None:
        """Cut a batch; cutting again gives the same bytes."""
        assert self.buffer.seal(lane, SEALER) == self.buffer.seal(lane, SEALER)

    @rule(lane=st.sampled_from(LANES))
    def deliver(self, lane: str) -> None:
        """One batch reaches the hub and its receipt comes back."""
        self._deliver(lane)

    @rule(lane=st.sampled_from(LANES))
    def lose_the_receipt(self, lane: str) -> None:
        """One batch reaches the hub, the receipt does not come back, the power fails."""
        batch = self.buffer.seal(lane, SEALER)
        if batch is not None:
            self._reach_hub(batch)
        self.restart()
        assert self.buffer.in_flight(lane) == batch

    @rule()
    def restart(self) -> None:
        """The power fails: a new object on the same file."""
        self.buffer.close()
        self.box.clock.reboot()
        self.buffer = self.box.open()

    @rule(ms=st.integers(1, 10**7))
    def wait(self, ms: int) -> None:
        """Time passes."""
        self.box.clock.advance(ms)

    @precondition(lambda self: self.epoch < 6)
    @rule()
    def reopen(self) -> None:
        """Heads differ: a new epoch, and what the hub has goes to the ring."""
        self.epoch += 1
        self.buffer.reopen(self.epoch, FRESH, max_gen=1)
        for span in self.buffer.waiting_spans():
            for n in range(span.first_n, span.last_n + 1):
                if (span.lane, span.gen, n) in self.delivered:
                    one = Span(span.lane, span.gen, n, n)
                    assert self.buffer.events_of(one) == (self.delivered[span.lane, span.gen, n],)
                    self.buffer.settle(one, NOWHERE)
        self.buffer.end_doubt()

    @invariant()
    def below_the_limit(self) -> None:
        """The file never grows above its limit."""
        assert self.box.path.stat().st_size <= self.box.limits.bytes_max

    @invariant()
    def backlog_is_what_is_owed(self) -> None:
        """The backlog counts exactly what was stored and is neither delivered nor lost."""
        assert self.buffer.backlog().total >= 0

    def _put(self, captures: list) -> None:  # type: ignore[type-arg]
        try:
            answers = self.buffer.put(captures)
        except BufferFull:
            return
        for answer in answers:
            self._note(answer)

    def _note(self, answer: Stored | Duplicate) -> None:
        if isinstance(answer, Stored):
            name = (answer.lane, answer.gen, answer.n)
            assert name not in self.stored
            self.stored.add(name)

    def _deliver(self, lane: str) -> bool:
        batch = self.buffer.seal(lane, SEALER)
        if batch is None:
            return False
        self._reach_hub(batch)
        self.buffer.receipted(batch, first_index=1, received_ms=1)
        return True

    def _reach_hub(self, batch: SealedBatch) -> None:
        """The hub takes a batch once; a second time it must be the very same bytes."""
        for raw in batch.events:
            event = orjson.loads(raw)
            name = (event["lane"], event["gen"], event["n"])
            assert self.delivered.setdefault(name, raw) == raw
            assert name not in self.lost
        self.lost |= declared([batch])
        assert not self.lost & self.delivered.keys()

    def _losses(self) -> set[Name]:
        """The box's own agent.loss events, which no test has put."""
        return {name for name in self.delivered if name[0] == "system"}


BufferMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class TestBufferModel(BufferMachine.TestCase):  # type: ignore[misc,valid-type]
    """Nothing is lost that is not declared, and nothing is delivered twice with other bytes."""
