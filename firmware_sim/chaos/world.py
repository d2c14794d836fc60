"""One seed, one course of events: what happens, in which order, and how it ends."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from firmware_sim.chaos.box import Box, Parts
from firmware_sim.chaos.checks import Invariants
from firmware_sim.chaos.clocks import MachineClock, TrueTime
from firmware_sim.chaos.hub_side import HubSide
from firmware_sim.chaos.network import Network
from hub.wiring import Hub
from shared.identifiers import HUB_DEVICE
from shared.wire.events import LANES

START_MS = 1_795_354_312_000
BOXES = 2
ACTIONS = 140
DRAIN_ROUNDS = 400
DRAIN_ROUNDS_RESTORED = 120
ROOMY_BYTES = 2 * 1024 * 1024
"""A ring that shrinks while a hub waits for it would lose what the simulation wants to see back."""
PATIENCE_ENDS = 0.2
"""How likely an operator, looking again, is to wait no longer for what may still come back."""
NEW_KEYS_AT = (25, 40, 85)
"""Before which actions a box is given a next key."""
YEAR_1970_MS = -START_MS
YEAR_2038_MS = 366_000_000_000
WRONG_CLOCKS_MS = (0, 0, YEAR_1970_MS, YEAR_2038_MS, -86_400_000, 7_200_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a seed ended."""

    seed: int
    entries: int
    cuts: int
    restores: int
    hub_restores: int
    generations: int
    """Of the ledger, opened after the first."""
    lost_declared: int
    violations: list[str]


class World:
    """Boxes, hub and network of one seed."""

    def __init__(
        self,
        seed: int,
        folder: Path,
        *,
        parts: Parts,
        prepare: Callable[[Hub], None],
        restores_hub: bool = False,
        loses_facts: bool = False,
    ) -> None:
        """Everything is set up on a quiet day. `restores_hub`: its disk dies now and then;
        `loses_facts`: and its own facts with it, so that a new generation has to be opened."""
        self._restores_hub = restores_hub
        self._loses_facts = loses_facts
        self._owed = 0
        """How long the ledger was before its last restore, as far as any box saw it proven."""
        self.seed = seed
        self.random = Random(seed)
        self.true = TrueTime(START_MS)
        self.hub = HubSide(folder, MachineClock(self.true, "hub"), self.random, prepare=prepare)
        self.network = Network(self.random, self.hub)
        self.boxes = []
        for number in range(BOXES):
            clock = MachineClock(self.true, f"box{number}")
            box = Box(
                folder / f"box{number}",
                clock=clock,
                random=self.random,
                network=self.network,
                parts=parts,
                renews_keys=loses_facts,
            )
            box.enrol(self.hub)
            self.boxes.append(box)

    def _actions(self) -> list[tuple[int, Callable[[Box], object]]]:
        """What can happen, and how often."""
        random = self.random
        operators: list[tuple[int, Callable[[Box], object]]] = [
            (3, lambda _: self._back_up_hub()),
            (3, lambda _: self._restore_hub()),
            (6, lambda _: self._operate()),
        ]
        if self._loses_facts:
            operators.append((4, lambda _: self.hub.note_fact()))
        return [
            # Only where it is wanted: the other seeds keep their course of events.
            *(operators if self._restores_hub else []),
            (14, lambda box: box.show([box.sale()])),
            (10, lambda box: box.show(box.reports(random.randrange(1, 40)))),
            (16, lambda box: box.step("sale")),
            (16, lambda box: box.step("vehicle")),
            (8, lambda box: box.step("system")),
            (12, lambda _: self.hub.work()),
            (4, lambda _: self.hub.release()),
            (3, lambda _: self._hold()),
            (5, lambda _: self.network.deliver_late()),
            (3, lambda box: box.guarded(box.power_cut)),
            (2, lambda _: self.hub.power_cut()),
            (2, lambda _: self._toggle_hub()),
            (4, self._wrong_clock),
            (2, lambda box: box.copy_card()),
            (3, self._restore),
        ]

    def _hold(self) -> None:
        self.hub.holding = True

    def _toggle_hub(self) -> None:
        self.hub.down = not self.hub.down

    def _wrong_clock(self, box: Box) -> None:
        box.clock.wrong_by_ms = self.random.choice(WRONG_CLOCKS_MS)

    def _restore(self, box: Box) -> None:
        """Half the seeds never see a restored card, so that nothing may excuse a second epoch."""
        if self.seed % 2 == 0 or self._loses_facts or self._refilling() or not box.restore_card():
            return
        on_ledger = Invariants(self.hub, self.boxes).markers_on_ledger(box.device)
        # What only the thrown-away card held is gone with it; what the image holds is not.
        box.truth.acknowledged &= on_ledger | box.held_markers()

    # --- the hub's operator ------------------------------------------------------------------

    def _refilling(self) -> bool:
        """Until the boxes have given back what was lost, a ring is the only copy."""
        ledger = self.hub.hub.ledger
        return ledger.size() < self._owed or ledger.refill.state().lacks_generation is not None

    def _back_up_hub(self) -> None:
        if not self._refilling():
            self.hub.back_up()

    def _restore_hub(self) -> None:
        """The disk dies and the backup comes back, if the rings hold all that was ever proven.

        What is in no ring (the hub's own facts, a batch whose receipt got lost on the way) nobody
        could give back: such a hub stays read-only, which is not this simulation's business.
        """
        facts = self._loses_facts
        lost = None if self._refilling() else self.hub.lost_by_restoring(facts=facts)
        if not lost:
            return
        origin = self.hub.hub.ledger.key.name
        seen = max(box.seen_size(origin) for box in self.boxes)
        kept = set().union(*(box.ring_ids() for box in self.boxes))
        if facts:
            kept |= {batch.batch_id for batch in lost if batch.device == HUB_DEVICE}
            kept = kept.union(*(box.undelivered_ids() for box in self.boxes))
        if all(batch.batch_id in kept for batch in lost if batch.first_index < seen):
            self._owed = seen
            self.hub.restore()

    def _operate(self) -> None:
        """Whoever held the hub lets go when nothing is missing any more, or never will come."""
        if not self._refilling():
            self.hub.release_hold()
        elif self._loses_facts and self.random.random() < PATIENCE_ENDS:
            self.hub.open_generation()
            self._owed = 0

    def run(self) -> None:
        """The bad days."""
        self.network.trouble = self.random.choice((0.0, 0.5, 1.0))
        cut_share = self.random.choice((0.0, 0.01, 0.04))
        self.hub.cut_share = cut_share
        for box in self.boxes:
            box.cut_share = cut_share
        actions = self._actions()
        weights = [weight for weight, _ in actions]
        for number in range(ACTIONS):
            if number in NEW_KEYS_AT and self.seed % 2 == 0 and not self._restores_hub:
                # A card from before a key's end knows no key that is taken any more, and a hub
                # from before its beginning does not know it.
                self.boxes[number % BOXES].make_next_key()
            [(_, act)] = self.random.choices(actions, weights)
            act(self.random.choice(self.boxes))
            self.true.pass_ms(self.random.randrange(1, 20_000))

    def heal(self) -> bool:
        """Everything works again; whether all that waits got through."""
        self.network.trouble = self.hub.cut_share = 0.0
        self.hub.down = False
        self.hub.release()
        for box in self.boxes:
            box.cut_share = 0.0
            box.show([])
        for _ in range(DRAIN_ROUNDS_RESTORED if self._restores_hub else DRAIN_ROUNDS):
            for box in self.boxes:
                for lane in LANES:
                    box.step(lane)
            self.hub.work()
            if self._restores_hub:
                self._operate()
            self.true.pass_ms(60_000)
            if all(self._drained(box) for box in self.boxes):
                break
        self.hub.settle()
        return all(self._drained(box) for box in self.boxes)

    @staticmethod
    def _drained(box: Box) -> bool:
        return not sum(box.buffer.backlog().events.values()) and box.buffer.doubt() is None


def run_seed(
    seed: int,
    *,
    parts: Parts | None = None,
    prepare: Callable[[Hub], None] = lambda _hub: None,
    restores_hub: bool = False,
    loses_facts: bool = False,
) -> Outcome:
    """Run one seed from nothing to the last check. Never raises for a violation.

    `restores_hub`: the hub's database is now and then replaced by an older backup of it.
    `loses_facts`: by one that lacks what no ring holds; then a new generation is opened.
    """
    with tempfile.TemporaryDirectory(prefix="kickstand-chaos-") as folder:
        usual = Parts(buffer_bytes=ROOMY_BYTES) if restores_hub or loses_facts else Parts()
        world = World(
            seed,
            Path(folder),
            parts=parts or usual,
            prepare=prepare,
            restores_hub=restores_hub or loses_facts,
            loses_facts=loses_facts,
        )
        world.run()
        drained = world.heal()
        checks = Invariants(world.hub, world.boxes)
        violations = checks.all()
        if not drained:
            violations.append("not everything that waits got through")
        outcome = Outcome(
            seed=seed,
            entries=world.hub.hub.ledger.size(),
            cuts=world.hub.cuts + sum(box.cuts for box in world.boxes),
            restores=sum(box.restores for box in world.boxes),
            hub_restores=world.hub.restores,
            generations=world.hub.generations,
            lost_declared=checks.lost_declared,
            violations=violations,
        )
        for box in world.boxes:
            box.close()
        world.hub.hub.close()
        return outcome
