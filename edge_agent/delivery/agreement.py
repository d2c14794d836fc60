"""Before a batch is sent, and after anything odd, box and hub agree where the box stands.

A restored card, a clone or a salvage shows here. The old epoch is then closed on the ledger, and
only what never reached it is positioned anew.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_agent.buffer import Buffer, Gap, Span, Standing
from edge_agent.buffer.settings import EPOCH_NONCE
from edge_agent.delivery.head import Agreement, Head, compare, parse_head
from edge_agent.delivery.link import Link
from edge_agent.delivery.refill import Refiller
from edge_agent.errors import AnswerUnproven, HistoryLost, HubRefused, KeyUnknown
from shared import merkle
from shared.checkpoint import (
    Checkpoint,
    MalformedNote,
    NoteKey,
    NoteUnsigned,
    open_checkpoint,
    parse_checkpoint,
)
from shared.crypto.keys import b64url
from shared.generation import Opening, shared_size
from shared.wire import batch as wire
from shared.wire import fields
from shared.wire.events import LANES
from shared.wire.fields import MalformedField
from shared.wire.receipts import unpack_hashes

OnEvent = Callable[[str, Mapping[str, object]], None]
MAX_RUNS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Capture numbers that the hub says stand in one batch, with the proof of their leaves."""

    first_n: int
    last_n: int
    batch_id: str
    first_index: int
    received_ms: int
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreed:
    """The outcome: lanes whose batch in flight the hub has already."""

    received: frozenset[str]


class Negotiator:
    """Compares heads and repositions. Every step may be cut short and simply run again."""

    def __init__(
        self,
        buffer: Buffer,
        *,
        log_key: NoteKey,
        random_bytes: Callable[[int], bytes],
        on_event: OnEvent,
        openings: Sequence[Opening] = (),
    ) -> None:
        """Nothing is asked before agree(). `openings`: of the ledger's later generations."""
        self._buffer = buffer
        self._log_key = log_key
        self._openings = openings
        self._random_bytes = random_bytes
        self._on_event = on_event
        self._refiller = Refiller(buffer, on_event=on_event)

    def use_log_key(self, log_key: NoteKey, openings: Sequence[Opening]) -> None:
        """Checkpoints are signed with this key from now on."""
        self._log_key, self._openings = log_key, openings

    def agree(self, link: Link, *, reopen: bool = False) -> Agreed:
        """Ask for the head until both sides stand in the same place. Raises LinkError.

        `reopen`: the epoch has to be closed although the places agree, because the hub will
        never take what is sealed in it.
        """
        self._follow_generation()
        known = self._buffer.checkpoint()
        answer = link.head()
        head = parse_head(answer)
        self._refuse_younger(link, known, answer)
        if self._buffer.epoch() is None and self._buffer.doubt() is None and head.is_fresh:
            self._buffer.adopt(head.epoch, head.lanes)
        lanes = self._compare(head)
        if self._buffer.doubt() == "generation" and any(map(self._buffer.in_flight, LANES)):
            # Sealed over a tree head that this generation does not have.
            lanes = dict.fromkeys(LANES, Agreement.DIFFERENT)
        if reopen or Agreement.DIFFERENT in lanes.values():
            self._open_epoch(link, head, "retired_key" if reopen else None)
            lanes = dict.fromkeys(LANES, Agreement.SAME)
        if self._buffer.doubt() is not None:
            self._settle_doubt(link)
        received = [lane for lane, found in lanes.items() if found is Agreement.RECEIVED]
        return Agreed(received=frozenset(received))

    def _follow_generation(self) -> None:
        """Go on with the newest generation, if the root key has opened one and more was proven to
        this box than that has in common with the old one."""
        known = self._buffer.checkpoint()
        if known is None:
            return
        proven = parse_checkpoint(known)
        common = shared_size(self._openings, proven.origin)
        if common is None or proven.size <= common:
            return
        newest = self._openings[-1]
        self._buffer.follow_generation(newest.begins.text)
        self._on_event(
            "generation_followed",
            {"generation": newest.generation, "size": newest.begins.size, "seen": proven.size},
        )

    def _refuse_younger(self, link: Link, known: str | None, answer: Mapping[str, Any]) -> None:
        """A hub with a shorter ledger than we have seen proven is refilled, not written to."""
        if known is None:
            return
        try:
            offered = open_checkpoint(str(answer.get("checkpoint")), self._log_key)
        except NoteUnsigned as error:
            raise KeyUnknown(f"the hub's checkpoint is not of a key known here: {error}") from error
        except MalformedNote as error:
            raise AnswerUnproven(f"the hub's checkpoint is not readable: {error}") from error
        proven = parse_checkpoint(known)
        if offered.size < proven.size:
            refilling = self._refiller.step(link, known)
            raise HistoryLost(
                f"the hub's ledger has {offered.size} entries, {proven.size} were proven to this "
                "box: it must be restored; the box gives back what it keeps and sends nothing new",
                refilling=refilling,
            )

    def _compare(self, head: Head) -> dict[str, Agreement]:
        if self._buffer.epoch() != head.epoch:
            return dict.fromkeys(LANES, Agreement.DIFFERENT)
        ours = self._buffer.places()
        return {
            lane: compare(head.lanes[lane], ours[lane], self._buffer.in_flight(lane))
            for lane in LANES
        }

    def _open_epoch(self, link: Link, head: Head, why: str | None) -> None:
        own = self._buffer.epoch() or 0
        # A hub that has lost epochs of this box must not give one of them a second meaning.
        above = own if own > head.epoch else None
        reason = why or self._reason(hub_lost_epochs=above is not None)
        nonce = self._buffer.recall(EPOCH_NONCE)
        if nonce is None:
            nonce = b64url(self._random_bytes(16))
            # Kept before it is used: asked again after a power cut, the hub opens no second one.
            self._buffer.remember(EPOCH_NONCE, nonce)
        fresh = parse_head(
            link.open_epoch(close=head.epoch, nonce=nonce, reason=reason, above=above)
        )
        self._buffer.reopen(fresh.epoch, fresh.lanes, max_gen=fresh.max_gen)
        self._on_event(
            "epoch_opened", {"closed": head.epoch, "epoch": fresh.epoch, "reason": reason}
        )

    def _reason(self, *, hub_lost_epochs: bool) -> str:
        """Why box and hub do not agree on its place."""
        doubt, known = self._buffer.doubt(), self._buffer.checkpoint()
        if doubt == "salvage":
            return doubt
        # Nothing was proven yet in the generation that is open: what it lacks, the hub has lost.
        old = known is not None and parse_checkpoint(known).origin != self._log_key.name
        if old or doubt == "generation":
            return "generation"
        return "hub_restored" if hub_lost_epochs else "restored"

    # --- what waits, compared with the ledger ----------------------------------------------

    def _settle_doubt(self, link: Link) -> None:
        conflicting: list[Span] = []
        settled = 0
        for span in self._buffer.waiting_spans():
            count, conflicts = self._settle_span(link, span)
            settled += count
            conflicting.extend(conflicts)
        for gap in self._buffer.gaps():
            self._declare(link, gap)
        renumbered = self._buffer.renumber(conflicting) if conflicting else 0
        self._buffer.end_doubt()
        self._on_event("doubt_settled", {"on_ledger": settled, "renumbered": renumbered})

    def _settle_span(self, link: Link, span: Span) -> tuple[int, list[Span]]:
        """Settle what of a span the ledger has; how many that were, and which conflict.

        One proof covers a run of numbers. If it does not fit, some of our bytes are others than
        the ledger's and some may be the very same: halves are asked for until each is known.
        """
        settled, conflicts = 0, []
        for run, checkpoint in self._runs(link, span):
            if self._settle_run(link, span, run, checkpoint):
                settled += run.last_n - run.first_n + 1
            elif run.first_n == run.last_n:
                conflicts.append(Span(span.lane, span.gen, run.first_n, run.last_n))
            else:
                middle = (run.first_n + run.last_n) // 2
                for first, last in ((run.first_n, middle), (middle + 1, run.last_n)):
                    half = self._settle_span(link, Span(span.lane, span.gen, first, last))
                    settled += half[0]
                    conflicts.extend(half[1])
        return settled, conflicts

    def _settle_run(self, link: Link, span: Span, run: Run, checkpoint: Checkpoint) -> bool:
        """Move the run to the ring if our own bytes are the proven ones; False if they are not."""
        part = Span(span.lane, span.gen, run.first_n, run.last_n)
        events = self._buffer.events_of(part)
        if events is None:
            raise AnswerUnproven("the hub answered with numbers it was not asked about")
        hashes = wire.leaf_hashes(events, bytes.fromhex(run.batch_id), run.received_ms)
        try:
            merkle.verify_range(
                run.first_index,
                hashes,
                checkpoint.size,
                proof=run.proof,
                tree_root=checkpoint.root,
            )
        except merkle.ProofRefused:
            return False
        body = self._whole(link, run, events)
        standing = Standing(
            batch_id=run.batch_id,
            first_index=run.first_index,
            received_ms=run.received_ms,
            body=body,
            batch_first_index=run.first_index - (body.events.index(events[0]) if body else 0),
        )
        self._buffer.settle(part, standing)
        return True

    @staticmethod
    def _whole(link: Link, run: Run, events: Sequence[bytes]) -> wire.Body | None:
        """The batch that holds these events, as this box once sealed it, for the ring.

        Its id stands in the leaves that were just proven, and is the hash of its statement.
        """
        try:
            body = wire.decode_body(link.batch_body(run.batch_id), bare=True)
        except HubRefused as refusal:
            if refusal.retryable:
                raise
            return None
        except wire.MalformedBatch as error:
            raise AnswerUnproven(f"the hub's batch is not readable: {error}") from error
        if body.batch_id != run.batch_id or not set(events) <= set(body.events):
            raise AnswerUnproven("the hub answered with another batch than the one it proved")
        return body

    def _declare(self, link: Link, gap: Gap) -> None:
        """Declare lost what neither side has. The hub's word is enough for what it has: these
        numbers are gone here, and a wrong word would show as a hole on the hub's own list."""
        lost: list[tuple[int, int]] = []
        at = gap.span.first_n
        for run, _ in self._runs(link, gap.span):
            if at < run.first_n:
                lost.append((at, run.first_n - 1))
            at = run.last_n + 1
        if at <= gap.span.last_n:
            lost.append((at, gap.span.last_n))
        self._buffer.declare_gap(gap, lost)
        if lost:
            count = sum(last - first + 1 for first, last in lost)
            self._on_event(
                "loss_declared",
                {"lane": gap.span.lane, "gen": gap.span.gen, "count": count, "why": gap.reason},
            )

    def _runs(self, link: Link, span: Span) -> list[tuple[Run, Checkpoint]]:
        """All runs of the ledger inside a span, ascending, each with the tree that proves it."""
        found: list[tuple[Run, Checkpoint]] = []
        at = span.first_n
        while at <= span.last_n and len(found) <= MAX_RUNS:
            answer = link.receipts(span.lane, span.gen, at, span.last_n)
            runs, checkpoint = self._read_runs(answer, Span(span.lane, span.gen, at, span.last_n))
            if not runs:
                break
            found.extend((run, checkpoint) for run in runs)
            at = runs[-1].last_n + 1
        return found

    def _read_runs(self, answer: Mapping[str, Any], span: Span) -> tuple[list[Run], Checkpoint]:
        try:
            checkpoint = open_checkpoint(str(answer.get("checkpoint")), self._log_key)
            runs = fields.each(answer, "runs", MAX_RUNS, _run)
        except NoteUnsigned as error:
            raise KeyUnknown(f"the hub's receipts are not of a key known here: {error}") from error
        except (MalformedField, MalformedNote) as error:
            raise AnswerUnproven(f"the hub's receipts are not readable: {error}") from error
        at = span.first_n
        for run in runs:
            if run.first_n < at or run.last_n > span.last_n:
                raise AnswerUnproven("the hub answered with numbers it was not asked about")
            at = run.last_n + 1
        return list(runs), checkpoint


def _run(value: object, name: str) -> Run:
    run = fields.mapping(value, name)
    first_n = fields.integer(run, "n_from", 1)
    return Run(
        first_n=first_n,
        last_n=fields.integer(run, "n_to", first_n),
        batch_id=fields.hexadecimal(run, "batch_id"),
        first_index=fields.integer(run, "first_index"),
        received_ms=fields.integer(run, "received_ms"),
        proof=unpack_hashes(run, "proof"),
    )
