"""The outbox as other features see it: what is to be said, and what became of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from hub.inbox.incoming import Status
from hub.outbox import rules, store
from hub.outbox.codes import TOO_FAST_FOR_ONE, meaning_of
from hub.outbox.messages import Accepted, Action, Draft, Failed, Road, Role, State, Withhold
from hub.outbox.moves import store as moves
from hub.outbox.numbers.service import Numbers
from hub.outbox.pairs import store as pairs
from hub.outbox.store import OutboxRow
from hub.outbox.withdrawals import store as withdrawals
from hub.store import Database
from shared.clock import Clock
from shared.identifiers import new_id
from shared.instants import rfc3339

__all__ = ["Change", "Outbox", "OutboxRow"]

DOUBTFUL = "doubtful"
OPEN: frozenset[State] = frozenset({"queued", "sending"})
"""It is still to be said: what comes after it to the same person waits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What just became of a message."""

    id: str
    to: str
    role: Role
    kind: str
    ref: str
    data: Mapping[str, object]
    state: State
    at_ms: int
    code: int | None = None
    """The vendor's error code of a failure."""
    reason: str | None = None


class Outbox:
    """Messages are enqueued in the transaction that decides them, and sent after its commit."""

    def __init__(self, database: Database, clock: Clock) -> None:
        """Touch nothing yet."""
        self.database = database
        self.clock = clock
        self.numbers = Numbers(clock)
        self.on_change: list[Callable[[Connection, Change], object]] = []
        """Told of every change but one's own enqueueing and withdrawing, in its transaction."""
        self.on_enqueue: list[Callable[[], object]] = []
        """Called inside the enqueueing transaction: a write asked for now runs behind it."""

    def enqueue(self, connection: Connection, draft: Draft) -> str:
        """Say something once the caller's transaction is durable; its out_… id.

        The same key again says nothing more and gives the same id.
        """
        self.enqueue_all(connection, [draft])
        out_id = store.of_key(connection, draft.key)
        if out_id is None:
            raise AssertionError("a message that was just stored")
        return out_id

    def enqueue_all(self, connection: Connection, drafts: Sequence[Draft]) -> None:
        """The same for several, said to each person in this order."""
        store.add(connection, [(new_id("out"), draft) for draft in drafts], self.clock.wall_ms())
        for wake in self.on_enqueue:
            wake()

    def withdraw(
        self,
        connection: Connection,
        *,
        ref: str,
        kinds: Collection[str] | None = None,
        to: str | None = None,
    ) -> None:
        """Do not say what waits about `ref`. None means any kind, any person."""
        self._withdraw(connection, [ref], kinds, to)

    def withdraw_all(
        self, connection: Connection, refs: Sequence[str], kinds: Collection[str]
    ) -> None:
        """Do not say what waits about any of `refs`."""
        self._withdraw(connection, refs, kinds, None)

    def _withdraw(
        self,
        connection: Connection,
        refs: Sequence[str],
        kinds: Collection[str] | None,
        to: str | None,
    ) -> None:
        now_ms = self.clock.wall_ms()
        withdrawals.withdraw(
            connection, refs, kinds=kinds, to=to, reason="withdrawn", now_ms=now_ms
        )

    def on_status(self, connection: Connection, status: Status) -> Change | None:
        """Take in what the vendor says became of a message; None when it changes nothing.

        Every status may come again, late and in any order. The listeners are told as well.
        """
        row = None
        if status.ours is not None:
            row = store.of_id(connection, status.ours)
        row = row or store.of_provider_id(connection, status.message_id)
        if row is None or _of_another_try(row, status):
            return None
        if status.status == "failed":
            return self._failed_later(connection, row, status)
        self.numbers.arrived(connection, row)
        values = {} if row.provider_id else {"provider_id": status.message_id}
        return self._move(connection, row, status.status, values)

    def _failed_later(
        self, connection: Connection, row: OutboxRow, status: Status
    ) -> Change | None:
        """What a refusal means does not depend on when it is told; but it may come for ever."""
        failed = Failed(
            meaning_of(status.code) or "permanent", status.code, status.reason or "failed"
        )
        if rules.next_state(row.state, "failed") is None:
            return None
        if row.number is not None:
            self.numbers.refused(connection, row.number, failed, late=True)
        said = {"code": failed.code, "reason": failed.reason}
        if failed.action == "template" and not row.as_template:
            return self._again_as_template(connection, row, said | {"former_id": status.message_id})
        tries = row.attempts + 1
        wait_ms = _late_wait_ms(failed.action, tries, row.kind)
        if wait_ms is None or tries > rules.PASSING_MAX:
            return self._move(connection, row, "failed", said | {"provider_id": status.message_id})
        if failed.action == "spam":
            said["reason"] = rules.SPAM
        again = {"provider_id": None, "former_id": status.message_id, "attempts": tries}
        due_ms = self.clock.wall_ms() + wait_ms
        return self._move(connection, row, "again", {**said, **again, "due_ms": due_ms})

    def _again_as_template(
        self, connection: Connection, row: OutboxRow, said: Mapping[str, object]
    ) -> Change | None:
        if row.number is not None:
            pairs.closed(connection, row.number, row.to, row.at_ms)
        again = {"as_template": 1, "provider_id": None, "due_ms": self.clock.wall_ms()}
        changed = self._move(connection, row, "again", {**again, **said})
        for wake in self.on_enqueue:
            wake()
        return changed

    def settle(
        self,
        connection: Connection,
        out_id: str,
        outcome: Accepted | Failed | Withhold,
        *,
        window_open: bool,
    ) -> Change | None:
        """Write down how an attempt to send ended, wherever a status has brought the row since."""
        row = store.of_id(connection, out_id)
        if row is None:
            return None
        match outcome:
            case Accepted(provider_id):
                return self._accepted(connection, row, provider_id, window_open=window_open)
            case Withhold(reason):
                return self._move(connection, row, "withhold", {"reason": reason})
            case Failed():
                return self._failed(connection, row, outcome, window_open=window_open)

    def _accepted(
        self, connection: Connection, row: OutboxRow, provider_id: str, *, window_open: bool
    ) -> Change | None:
        if provider_id == row.former_id:
            # That it failed was told before we heard that it was taken.
            return None
        values: dict[str, object] = {"provider_id": provider_id, "reason": None, "code": None}
        if not window_open:
            values["first_contact_ms"] = self.clock.wall_ms()
        if row.number is not None:
            self.numbers.taken(connection, row.number, first=not window_open)
        changed = self._move(connection, row, "accept", values)
        if changed is None:
            # A status overtook the answer, which alone says the id and whom it was the first to.
            store.change(
                connection,
                row.id,
                provider_id=row.provider_id or provider_id,
                first_contact_ms=values.get("first_contact_ms", row.first_contact_ms),
            )
        return changed

    def _failed(
        self, connection: Connection, row: OutboxRow, failed: Failed, *, window_open: bool
    ) -> Change | None:
        now_ms = self.clock.wall_ms()
        tries = row.attempts + 1
        said: dict[str, object] = {"code": failed.code, "reason": failed.reason}
        if row.number is not None:
            self.numbers.refused(connection, row.number, failed)
        match failed.action:
            case "retry" | "pair":
                waits = (
                    rules.retry_wait_ms if failed.action == "retry" else rules.pair_retry_wait_ms
                )
                said |= {"attempts": tries, "due_ms": now_ms + waits(tries)}
                return self._move(connection, row, "again", said)
            case "slow" | "stop":
                # The number waits, not this message.
                return self._move(connection, row, "again", said | {"due_ms": now_ms})
            case "spam" | "wait" if row.kind not in rules.CANNOT_WAIT:
                said["reason"] = rules.SPAM if failed.action == "spam" else failed.reason
                said["due_ms"] = now_ms + rules.HELD_WAIT_MS
                return self._move(connection, row, "again", said)
            case "template" if window_open:
                return self._again_as_template(connection, row, said)
            case "unknown":
                often = 1 if failed.answered else rules.doubts_max(row.kind)
                return self.doubt(
                    connection, row, failed.reason, first=not window_open, doubts_max=often
                )
        return self._move(connection, row, "refuse", said)

    def doubt(
        self,
        connection: Connection,
        row: OutboxRow,
        reason: str,
        *,
        first: bool,
        doubts_max: int = 1,
    ) -> Change | None:
        """It may have been sent: it is sent again, each time later, and counted.

        What a status says until then ends the doubt. `first`: if it was, then to somebody who had
        not written to us: that counts against the messaging limit.
        """
        if row.state != "sending":
            return None
        store.count(connection, DOUBTFUL)
        now_ms = self.clock.wall_ms()
        values: dict[str, object] = {"first_contact_ms": now_ms} if first else {}
        if row.doubts >= doubts_max:
            values |= {"code": None, "reason": reason}
            return self._move(connection, row, "refuse", values)
        due_ms = now_ms + rules.doubt_wait_ms(row.doubts)
        values |= {"doubts": row.doubts + 1, "due_ms": due_ms, "reason": reason}
        return self._move(connection, row, "again", values)

    def withhold(self, connection: Connection, row: OutboxRow, reason: str) -> Change | None:
        """It is not said any more."""
        return self._move(connection, row, "withhold", {"reason": reason})

    def take(self, connection: Connection, row: OutboxRow, number: str) -> None:
        """The sender is about to send it through `number`."""
        self._move(connection, row, "send", {"number": number})

    def _move(
        self,
        connection: Connection,
        row: OutboxRow,
        event: rules.Event,
        values: Mapping[str, object],
    ) -> Change | None:
        state = rules.next_state(row.state, event)
        if state is None:
            return None
        now_ms = self.clock.wall_ms()
        store.change(connection, row.id, state=state, at_ms=now_ms, **values)
        due_ms = _int(values.get("due_ms"))
        too_fast = event == "again" and _int(values.get("code")) in TOO_FAST_FOR_ONE
        if too_fast and row.number is not None and due_ms is not None:
            pairs.held(connection, row.number, row.to, due_ms)
        if event == "again" or (event != "send" and row.state in OPEN):
            moves.tell(connection, row.to, Road(row.role, row.channel))
        change = Change(
            id=row.id,
            to=row.to,
            role=row.role,
            kind=row.kind,
            ref=row.ref,
            data=row.data,
            state=state,
            at_ms=now_ms,
            code=_int(values.get("code")),
            reason=_text(values.get("reason")),
        )
        if event != "send":
            for listener in self.on_change:
                listener(connection, change)
        return change

    @classmethod
    def opened(cls, connection: Connection, number: str, to: str, at_ms: int) -> None:
        """A person wrote to a number of ours: for 24 hours we may answer freely."""
        cls.opened_all(connection, [(number, to, at_ms)])

    @staticmethod
    def opened_all(connection: Connection, wrote: Sequence[tuple[str, str, int]]) -> None:
        """The same for several messages: to which number, by whom, when."""
        pairs_ms: dict[tuple[str, str], int] = {}
        people_ms: dict[str, int] = {}
        for number, to, at_ms in wrote:
            pairs_ms[number, to] = max(at_ms, pairs_ms.get((number, to), at_ms))
            people_ms[to] = min(at_ms, people_ms.get(to, at_ms))
        pairs.opened(connection, pairs_ms)
        store.release(connection, people_ms)

    @staticmethod
    def window_open(connection: Connection, number: str, to: str, now_ms: int) -> bool:
        """Whether a person may be answered freely from this number."""
        return rules.window_is_open(pairs.of(connection, number, to).opened_ms, now_ms)

    @staticmethod
    def of(connection: Connection, ref: str) -> list[OutboxRow]:
        """Everything said or to be said about `ref`, in order."""
        return store.of_ref(connection, ref)

    @staticmethod
    def newest(connection: Connection, *, ref: str, kind: str) -> Mapping[str, object] | None:
        """What the newest message of a kind about `ref` holds, None when there is none."""
        return store.newest(connection, ref, kind)

    @staticmethod
    def doubtful(connection: Connection) -> int:
        """How many attempts ended without our knowing whether the message went."""
        return store.counted(connection, DOUBTFUL)

    def page(self, after: str | None, limit: int) -> dict[str, object]:
        """Messages behind `after`, oldest first, in the contract's words for deliveries."""
        with self.database.read() as connection:
            rows = store.page(connection, after, limit + 1)
        items = [delivery(row) for row in rows[:limit]]
        return {"items": items, "next": items[-1]["id"] if len(rows) > limit else None}


def delivery(row: OutboxRow) -> dict[str, object]:
    """A message in the contract's words."""
    return {
        "id": row.id,
        "to": row.to,
        "channel": row.channel,
        "kind": row.kind,
        "state": "queued" if row.state == "sending" else row.state,
        "reason": row.reason,
        "at": rfc3339(row.at_ms),
    }


def _of_another_try(row: OutboxRow, status: Status) -> bool:
    """Whether a status speaks of an earlier attempt, which was given up for the present one."""
    if status.status in {"delivered", "read"}:
        return False  # it did arrive, by whichever attempt
    if status.message_id == row.former_id:
        return True
    return row.provider_id is not None and row.provider_id != status.message_id


def _late_wait_ms(action: Action, tries: int, kind: str) -> int | None:
    """How long a message waits that was accepted and then refused; None: it has failed."""
    match action:
        case "pair":
            return rules.pair_retry_wait_ms(tries)
        case "retry" | "slow":
            return rules.retry_wait_ms(tries)
        case "stop":
            return 0  # the number waits, and the message with it
        case "spam" if kind not in rules.CANNOT_WAIT:
            return rules.HELD_WAIT_MS
    return None


def _int(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
