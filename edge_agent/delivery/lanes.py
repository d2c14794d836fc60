"""The three lanes as step functions: one step is at most one exchange with the hub.

Threads call them in a loop (`run`), a simulator calls them one by one.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random

from edge_agent.buffer import Buffer, SealedBatch, Sealer
from edge_agent.delivery.agreement import Negotiator, OnEvent
from edge_agent.delivery.link import Answered, Link
from edge_agent.delivery.rotation import KeyFolder, KeyRotation
from edge_agent.errors import (
    AnswerUnproven,
    BufferBroken,
    BufferFull,
    HistoryLost,
    HubRefused,
    KeyUnknown,
    LinkError,
)
from edge_agent.timekeeping import Timekeeper
from shared.checkpoint import Checkpoint, NoteKey, cosign, parse_checkpoint
from shared.clock import Clock
from shared.crypto.keys import SigningKey
from shared.generation import Opening
from shared.wire import batch as wire
from shared.wire.events import LANES
from shared.wire.receipts import (
    MalformedReceipt,
    ReceiptRefused,
    parse_receipt,
    verify_receipt,
)

IDLE_MS = 30_000
"""A lane looks for work this often even if nobody woke it."""
POLL_MS = 1000
STEP_MAX_MS = 120_000
"""No step takes longer, agreeing on a long backlog's places included."""
HALT_MS = 3_600_000
"""A halted lane tries again this often: the hub may have been mended."""
LEARN_TIME_MS = 3_600_000
SUSPENDED = "suspended"
SUSPENDED_MS = 600_000
"""A suspended box asks this often whether it is let in again."""
REFILL_PAUSE_MS = 50
"""Between two parts of what a restored hub gets back."""
HOPELESS = {"malformed-batch", "too-large", "attachment-missing", "seal-invalid", "device-mismatch"}
"""Codes with which the same bytes are refused for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How patient delivery is. Times in ms."""

    prefer_wait_s: int = 2
    backoff_first_ms: int = 1000
    backoff_max_ms: int = 300_000
    cosign_ms: int = 3_600_000
    rotate_key_days: int = 0
    """The key is followed by a new one after so many days; 0: only when told to."""
    gather_ms: int = 2000
    """Telemetry waits this long for company before a batch is cut; sales never wait."""


@dataclass(slots=True)
class LaneState:
    """What one lane is doing; read by status, written by the lane's own thread."""

    state: str = "idle"
    detail: str = ""
    failures: int = 0
    halted: bool = False
    polling: str | None = None
    """Batch id the hub has queued: ask after it instead of sending it again."""
    obeys_hub: bool = False
    """The pause was named by the hub: not even a sale cuts it short."""
    last_receipt_mono_ms: int | None = None
    due_mono_ms: int | None = None
    """By when the lane's thread must have shown a sign of life."""


@dataclass(slots=True)
class _Shared:
    agreed: bool = False
    seal_retired: bool = False
    """A key ended before a batch it had sealed was delivered: the epoch has to be closed."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    proof_lock: threading.Lock = field(default_factory=threading.Lock)
    cosigned_mono_ms: int | None = None
    time_learned_mono_ms: int | None = None


class Delivery:
    """Sends what the buffer holds, most urgent first, until it is proven to be on the ledger."""

    def __init__(
        self,
        buffer: Buffer,
        links: Mapping[str, Link],
        *,
        device: str,
        key: SigningKey,
        log_key: NoteKey,
        openings: Sequence[Opening] = (),
        clock: Clock,
        timekeeper: Timekeeper,
        random: Random,
        random_bytes: Callable[[int], bytes],
        settings: Settings | None = None,
        key_folder: KeyFolder | None = None,
        on_event: OnEvent = lambda _event, _fields: None,
    ) -> None:
        """`links`: one line to the hub for each lane; `key_folder`: where a next key waits.

        `openings`: of the ledger's later generations, as the hub's root key signed them.
        """
        self._buffer = buffer
        self._links = links
        self._device = device
        self._keys = KeyRotation(
            key, key_folder, device=device, links=links, clock=clock, on_event=on_event
        )
        self._log_key = log_key
        self._clock = clock
        self._timekeeper = timekeeper
        self._random = random
        self._settings = settings or Settings()
        self._on_event = on_event
        self._shared = _Shared()
        self._negotiator = Negotiator(
            buffer,
            log_key=log_key,
            openings=openings,
            random_bytes=random_bytes,
            on_event=on_event,
        )
        halted = buffer.backlog().halted
        # Halted before a restart: tried again now, and said to be halted until it succeeds.
        self.lanes: dict[str, LaneState] = {
            lane: LaneState(halted=lane in halted) for lane in LANES
        }

    # --- the loop of one thread -----------------------------------------------------------

    def run(self, lane: str, stop: threading.Event) -> None:
        """Step until `stop`. Raises only what is a defect."""
        while not stop.is_set():
            seen = self._buffer.work_seen(lane)
            self._due(lane, STEP_MAX_MS)
            wait_ms = self.step(lane)
            self._due(lane, wait_ms + self._settings.gather_ms + STEP_MAX_MS)
            self._wait(lane, wait_ms, seen, stop)

    def tallies(self) -> dict[str, int]:
        """Answers since the start that no hub had signed, and refusals that it had."""
        counted: Counter[str] = Counter()
        for link in self._links.values():
            counted.update(link.tallies)
        return dict(counted)

    def overdue(self) -> list[str]:
        """Lanes whose thread has not shown a sign of life in time."""
        now = self._clock.mono_ms()
        return [
            lane
            for lane, state in self.lanes.items()
            if state.due_mono_ms is not None and now > state.due_mono_ms
        ]

    def _due(self, lane: str, ms: int) -> None:
        self.lanes[lane].due_mono_ms = self._clock.mono_ms() + ms

    def _wait(self, lane: str, wait_ms: int, seen: int, stop: threading.Event) -> None:
        state = self.lanes[lane]
        if wait_ms <= 0:
            return
        # After a failure only a sale may hurry the lane; telemetry would hammer a weak hub.
        if state.obeys_hub or (state.failures and lane != "sale"):
            stop.wait(wait_ms / 1000)
            return
        woken = self._buffer.wait_for_work(lane, wait_ms, seen)
        if woken and lane != "sale" and not stop.is_set():
            stop.wait(self._settings.gather_ms / 1000)

    def use_log_key(self, log_key: NoteKey, openings: Sequence[Opening] = ()) -> None:
        """Checkpoints are signed with this key from now on. From any thread.

        Of a later generation of the ledger: both sides agree anew before anything is sent.
        """
        self._negotiator.use_log_key(log_key, openings)
        if log_key.name != self._log_key.name:
            self._shared.agreed = False
        self._log_key = log_key

    # --- one step -------------------------------------------------------------------------

    def step(self, lane: str) -> int:
        """Do the lane's next thing; how many ms to wait before the next step."""
        state = self.lanes[lane]
        state.obeys_hub = False
        try:
            self._agree(lane)
            batch = self._buffer.seal(lane, self._sealer())
            if batch is None:
                return self._idle(lane)
            return self._deliver(lane, batch)
        except HistoryLost as error:
            wait_ms = self._failed(lane, error)
            return REFILL_PAUSE_MS if error.refilling else wait_ms
        except HubRefused as refusal:
            return self._refused(lane, refusal)
        except (LinkError, MalformedReceipt, ReceiptRefused) as error:
            return self._failed(lane, error)
        except (BufferFull, BufferBroken) as error:
            return self._failed(lane, error)

    def _agree(self, lane: str) -> None:
        """Before anything is sent, both sides agree where the box stands."""
        with self._shared.lock:
            if self._shared.agreed and self._buffer.doubt() is None:
                return
            agreed = self._negotiator.agree(self._links[lane], reopen=self._shared.seal_retired)
            self._shared.seal_retired = False
            for name in agreed.received:
                batch = self._buffer.in_flight(name)
                self.lanes[name].polling = batch.batch_id if batch is not None else None
            self._shared.agreed = True
            self._on_event("heads_agreed", {"received": sorted(agreed.received)})

    def _sealer(self) -> Sealer:
        return Sealer(device=self._device, key=self._keys.key, now=self._timekeeper.now())

    def _deliver(self, lane: str, batch: SealedBatch) -> int:
        state, link = self.lanes[lane], self._links[lane]
        known = self._known()
        size = None if known is None else known.size
        state.state = "sending"
        if state.polling == batch.batch_id:
            answer = link.get_batch(batch.batch_id, known=size)
        else:
            state.polling = None
            self._log("batch_sent", batch)
            body = wire.encode_body(batch.statement, batch.seal, batch.events, batch.attachments)
            answer = link.post_batch(body, known=size, wait_s=self._settings.prefer_wait_s)
        if answer.status == 202:
            # Queued is a promise, not a proof: nothing is freed.
            state.polling = batch.batch_id
            state.state, state.failures = "waiting", 0
            return POLL_MS
        if answer.status != 200:
            raise AnswerUnproven(f"the hub answered a batch with status {answer.status}")
        with self._shared.proof_lock:
            following = self._take_receipt(lane, batch, answer, known)
        return 0 if following is not None else self._idle(lane)

    def _take_receipt(
        self, lane: str, batch: SealedBatch, answer: Answered, known: Checkpoint | None
    ) -> SealedBatch | None:
        """Verify the proof, then free the batch and cut the next in one commit."""
        current = self._known()
        if current is not None and (known is None or known.size != current.size):
            # Another lane has moved the checkpoint meanwhile: have the growth proven from there.
            known = current
            answer = self._links[lane].get_batch(batch.batch_id, known=known.size)
            if answer.status != 200:
                raise AnswerUnproven("the hub gave a receipt and then none")
        receipt = parse_receipt(answer.body)
        checkpoint = verify_receipt(
            receipt,
            batch_id=batch.batch_id,
            events=batch.events,
            log_key=self._log_key,
            known=known,
        )
        # Power lost here: the batch is sent again and the hub answers with its old place.
        following = self._buffer.receipted(
            batch,
            first_index=receipt.first_index,
            received_ms=receipt.received_ms,
            checkpoint=checkpoint.text,
            seal_next=self._sealer(),
        )
        state = self.lanes[lane]
        if state.halted:
            self._buffer.halt(lane, None)
            state.halted = False
        state.state, state.detail, state.failures, state.polling = "idle", "", 0, None
        state.last_receipt_mono_ms = self._clock.mono_ms()
        self._log("batch_receipted", batch, first_index=receipt.first_index)
        return following

    def _known(self) -> Checkpoint | None:
        text = self._buffer.checkpoint()
        return None if text is None else parse_checkpoint(text)

    def _log(self, event: str, batch: SealedBatch, **more: object) -> None:
        self._on_event(
            event,
            {
                "batch_id": batch.batch_id,
                "lane": batch.lane,
                "gen_n": [list(run) for run in batch.ranges],
                "count": len(batch.events),
                "mono_ms": self._clock.mono_ms(),
                **more,
            },
        )

    # --- when there is nothing to send ----------------------------------------------------

    def _idle(self, lane: str) -> int:
        if lane == "system":
            self._learn_time(lane)
            self._follow_key(lane)
            self._cosign(lane)
        state = self.lanes[lane]
        state.state, state.detail, state.failures = "idle", "", 0
        return IDLE_MS

    def _learn_time(self, lane: str) -> None:
        now = self._clock.mono_ms()
        last = self._shared.time_learned_mono_ms
        if last is not None and now - last < LEARN_TIME_MS:
            return
        self._links[lane].learn_time()
        self._shared.time_learned_mono_ms = now

    def _follow_key(self, lane: str) -> None:
        with self._shared.lock:
            self._keys.make_due(self._buffer, self._timekeeper, self._settings.rotate_key_days)
            self._keys.follow(self._links[lane])

    def _cosign(self, lane: str) -> None:
        """Vouch for the last verified checkpoint, at most once an hour, never with a bad clock."""
        now, last = self._clock.mono_ms(), self._shared.cosigned_mono_ms
        time_s = self._timekeeper.authenticated_s()
        known = self._known()
        if time_s is None or known is None or known.size == 0:
            return
        if last is not None and now - last < self._settings.cosign_ms:
            return
        line = cosign(known, name=self._device, key=self._keys.key, time_s=time_s)
        self._shared.cosigned_mono_ms = now
        # A hub that does not want it has lost a witness, not an event.
        with suppress(HubRefused):
            self._links[lane].cosign(line, known.size)

    # --- when it did not work -------------------------------------------------------------

    def _refused(self, lane: str, refusal: HubRefused) -> int:
        state = self.lanes[lane]
        if refusal.problem.status == 409 or refusal.code == "read-only":
            self._shared.agreed = False
        if refusal.code == "seal-retired":
            self._shared.agreed, self._shared.seal_retired = False, True
        if refusal.code == "key-retired" and self._followed_late(lane):
            return 0
        if refusal.code == "batch-unknown":
            state.polling = None
        if refusal.code in HOPELESS:
            return self._halt(lane, refusal)
        wait_ms = self._failed(lane, refusal)
        if refusal.code == SUSPENDED:
            # Head office has shut this box out: it captures on, and asks now and then.
            state.state, state.obeys_hub = "suspended", True
            return SUSPENDED_MS + self._random.randrange(self._settings.backoff_first_ms)
        if refusal.retry_after_ms is not None:
            state.obeys_hub = True
            # A whole network that was told the same second would come back in it.
            spread = self._random.randrange(self._settings.backoff_first_ms)
            return max(refusal.retry_after_ms + spread, wait_ms)
        return wait_ms if state.failures > 1 or refusal.problem.status not in {404, 409} else 0

    def _followed_late(self, lane: str) -> bool:
        with self._shared.lock, suppress(LinkError):
            return self._keys.follow(self._links[lane], retired=True)
        return False

    def _halt(self, lane: str, refusal: HubRefused) -> int:
        state = self.lanes[lane]
        state.state, state.detail = "halted", str(refusal)
        state.obeys_hub = state.halted = True
        self._buffer.halt(lane, str(refusal)[:200])
        self._on_event("lane_halted", {"lane": lane, "code": refusal.code})
        return HALT_MS

    def _failed(self, lane: str, error: Exception) -> int:
        """Full jitter: a random pause below a ceiling that doubles with every failure."""
        if isinstance(error, ReceiptRefused | KeyUnknown):
            # A tree head under a ledger key that this box does not know yet looks the same; so
            # does one of a generation that another lane has learnt of meanwhile.
            self._shared.agreed = False
            with suppress(LinkError):
                self._links[lane].renew_keys()
        state = self.lanes[lane]
        ceiling = min(
            self._settings.backoff_max_ms,
            self._settings.backoff_first_ms * 2 ** min(state.failures, 20),
        )
        state.failures += 1
        state.state, state.detail = "waiting", str(error)
        self._on_event(
            "delivery_failed",
            {"lane": lane, "why": type(error).__name__, "failures": state.failures},
        )
        return self._random.randrange(1, ceiling + 1)
