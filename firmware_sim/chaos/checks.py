"""What must be true at the end of every seed, whatever happened in it."""

from collections import Counter
from collections.abc import Mapping, Sequence

from sqlalchemy import select

from firmware_sim.chaos.box import Box, marker_of
from firmware_sim.chaos.hub_side import HubSide
from hub.devices.rules import undeclared_holes
from hub.devices.store import CAPTURE_RUN, DECLARED_LOSS
from hub.ledger.reads import contradictions
from hub.ledger.verify import Verifier
from hub.rebuild import rebuild
from hub.vault.store import fetch
from shared import merkle
from shared.checkpoint import to_base64
from shared.generation import shared_size
from shared.identifiers import HUB_DEVICE
from shared.wire.batch import leaf_hashes
from shared.wire.events import Event, Loss, parse_event


class Invariants:
    """Looks at hub and boxes after the faults have ended."""

    def __init__(self, hub: HubSide, boxes: Sequence[Box]) -> None:
        """Look at nothing yet."""
        self._hub = hub
        self._boxes = boxes
        self.lost_declared = 0

    def all(self) -> list[str]:
        """Every violation, in words."""
        found = [failure for box in self._boxes for failure in box.failures]
        found += self._ledger_holds()
        events = self._events()
        ids = Counter((e.device, e.gen, e.lane, e.n) for e in events)
        found += [f"event {key} stands {n} times" for key, n in ids.items() if n > 1]
        for box in self._boxes:
            found += self._box(box, [e for e in events if e.device == box.device])
        return found

    def _events(self) -> list[Event]:
        return [
            parse_event(raw)
            for batch in self._hub.hub.ledger.batches(0, 10**9)
            if batch.device != HUB_DEVICE
            for raw in batch.events
        ]

    def markers_on_ledger(self, device: str) -> set[str]:
        """What of a box's facts stands on the ledger now."""
        events = [event for event in self._events() if event.device == device]
        return {m for m in (marker_of(event.raw) for event in events) if m is not None}

    def _ledger_holds(self) -> list[str]:
        hub = self._hub.hub
        with hub.database.read() as connection:
            verified = Verifier(hub_keys=hub.keys.http_ever, root=hub.keys.root.public).run(
                connection
            )
        found = list(verified.findings)
        roots: dict[tuple[str, int], str] = {}
        for box in self._boxes:
            for place, root in box.truth.checkpoints.items():
                if roots.setdefault(place, root) != root:
                    found.append(f"boxes saw two roots for a ledger of {place}")
        found += self._old_roots(roots)
        differing = rebuild(hub).differing
        return found + [f"projection {name} is not the fold of the ledger" for name in differing]

    def _old_roots(self, roots: Mapping[tuple[str, int], str]) -> list[str]:
        """Whatever was once proven to a box, restored hubs included, is a prefix of the ledger;
        of an earlier generation, as far as the root key says that it has lasted."""
        openings = self._hub.hub.keys.history.openings
        leaves = [
            leaf
            for batch in self._hub.hub.ledger.batches(0, 10**9)
            for leaf in leaf_hashes(batch.events, bytes.fromhex(batch.batch_id), batch.received_ms)
        ]
        return [
            f"the {size} entries once proven to a box are not the ledger's first {size}"
            for (origin, size), root in roots.items()
            if size <= (n if (n := shared_size(openings, origin)) is not None else size)
            and (size > len(leaves) or to_base64(merkle.root_of(leaves[:size])) != root)
        ]

    def _box(self, box: Box, events: Sequence[Event]) -> list[str]:
        name = box.device
        markers = Counter(m for m in (marker_of(event.raw) for event in events) if m is not None)
        found = [
            f"{name}: {marker} stands {times} times"
            for marker, times in markers.items()
            if times > 1 + (marker in box.truth.may_stand_twice)
        ]
        missing = box.truth.acknowledged - set(markers)
        declared = sum(event.data.count for event in events if isinstance(event.data, Loss))
        self.lost_declared += declared
        sales = sorted(marker for marker in missing if not marker.startswith("r"))
        if sales:
            found.append(f"{name}: acknowledged sales are gone: {sales[:3]}")
        if len(missing) > declared:
            found.append(f"{name}: {len(missing)} facts are gone, {declared} declared lost")
        found += self._attachments(events)
        if not box.restores and not box.salvages:
            found += self._quiet_history(box)
        return found

    def _attachments(self, events: Sequence[Event]) -> list[str]:
        with self._hub.hub.database.read() as connection:
            return [
                f"attachment {item.sha256[:12]} of {event.type} is not in the vault"
                for event in events
                for item in event.attachments
                if fetch(connection, item.sha256) is None
            ]

    def _quiet_history(self, box: Box) -> list[str]:
        """A box that was never restored nor salvaged has no hole, no second epoch, no clone."""
        found = []
        for_nothing = box.epochs_opened - box.keys_stranded - box.hub_lost_place
        if for_nothing:
            found.append(f"{box.device}: opened {for_nothing} epochs for nothing")
        with self._hub.hub.database.read() as connection:
            if contradictions(connection, box.device):
                found.append(f"{box.device}: contradicted itself")
            runs: dict[tuple[str, int], list[tuple[int, int]]] = {}
            losses: dict[tuple[str, int], list[tuple[int, int]]] = {}
            for table, into in ((CAPTURE_RUN, runs), (DECLARED_LOSS, losses)):
                for row in connection.execute(select(table).where(table.c.device == box.device)):
                    into.setdefault((row.lane, row.gen), []).append((row.first_n, row.last_n))
        for key, covered in runs.items():
            holes = undeclared_holes(covered, losses.get(key, ()))
            if holes:
                found.append(f"{box.device}: undeclared holes in {key}: {holes[:3]}")
        return found
