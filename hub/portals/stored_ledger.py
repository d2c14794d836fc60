"""The pages' questions about the ledger, answered by the ledger and the boxes' keys."""

import base64
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Literal

from sqlalchemy import Connection

from hub.devices import reads as device_reads
from hub.ledger import overview, reads
from hub.ledger.batches import LedgerBatch
from hub.ledger.checker import read_check
from hub.ledger.service import EntryProof, Ledger
from hub.ledger.tree import newest_checkpoint
from hub.portals.read_models import Count, Entry, EntryFilter, LedgerState, Proof, Slice
from hub.store import Database
from shared import merkle
from shared.clock import Clock
from shared.crypto.keys import BadKey, BadSignature, PublicKey
from shared.identifiers import HUB_DEVICE
from shared.wire.batch import MalformedBatch, parse_statement, verify_seal
from shared.wire.events import MalformedEvent, Occurred, parse_event

WITNESS_S = 48 * 3600
"""A store that has not cosigned for two days is not said to vouch for today's ledger."""

QUARANTINED = "quarantined"


class StoredLedger:
    """Reads the ledger of one hub."""

    def __init__(
        self, database: Database, ledger: Ledger, *, hub_keys: Sequence[PublicKey], clock: Clock
    ) -> None:
        """`hub_keys` have sealed the hub's own facts, the one in use is last."""
        self._database = database
        self._ledger = ledger
        self._hub_keys = tuple(hub_keys)
        self._clock = clock

    def state(self) -> LedgerState:
        """The ledger as a whole."""
        with self._database.read() as connection:
            since_s = self._clock.wall_ms() // 1000 - WITNESS_S
            seen = device_reads.witnesses(connection, since_s=since_s)
            known = read_check(connection)
            size, _ = newest_checkpoint(connection)
        return LedgerState(
            size=size,
            checked=known.checked,
            verified_ms=known.verified_ms,
            whole_ms=known.whole_ms,
            broken_at=known.broken_at,
            finding=known.finding,
            witnesses=seen.vouching if seen.possible else None,
            witnesses_possible=seen.possible or None,
            read_only=self._ledger.refill.state().read_only,
        )

    def entries(self, chosen: EntryFilter, page: Slice) -> Sequence[Entry]:
        """A page of entries in the order asked for."""
        newest = page.order == "newest"
        # Below a cursor the ledger lists newest first, above it oldest first.
        below = page.after if newest else page.before
        above = page.before if newest else page.after
        turned = page.before is not None
        if not newest and page.before is None and page.after is None:
            above = -1
        rows: list[reads.EntryRow] = []
        with self._database.read() as connection:
            while len(rows) < page.limit:
                part = reads.list_entries(
                    connection,
                    _stored(chosen),
                    before=_number(below),
                    after=_number(above),
                    limit=page.limit - len(rows),
                )
                rows += part
                if len(part) < min(page.limit, reads.PAGE_MAX):
                    break
                below, above = (part[-1].index, None) if above is None else (None, part[-1].index)
        if turned:
            rows.reverse()
        return [_entry(row) for row in rows]

    def entry(self, index: int) -> Entry | None:
        """One entry."""
        with self._database.read() as connection:
            row = reads.one_entry(connection, index)
        return None if row is None else _entry(row)

    def proof(self, index: int) -> Proof | None:
        """Its proof under the newest tree head, with what the seal is worth."""
        found = self._ledger.proof(index)
        if found is None:
            return None
        with self._database.read() as connection:
            key = self._key(connection, found.batch)
            seen = device_reads.witnesses(connection, size_min=index + 1)
        return Proof(
            holds=found.holds,
            size=found.checkpoint_size,
            root=base64.b64encode(found.root).decode(),
            seal=seal_state(found.batch, key),
            keyid=None if key is None else key.keyid,
            sealed=_sealed(found.batch),
            witnesses=seen.vouching if seen.possible else None,
            witnesses_possible=seen.possible or None,
            text=proof_text(found, key),
        )

    def _key(self, connection: Connection, batch: LedgerBatch) -> PublicKey | None:
        """The key that made the seal; where none did, the newest, whose seal it should be."""
        keys = list(reversed(self._hub_keys)) if batch.device == HUB_DEVICE else []
        for raw in device_reads.public_keys(connection, batch.device):
            with suppress(BadKey):
                keys.append(PublicKey(raw))
        made = [key for key in keys if seal_state(batch, key) == "valid"]
        return next(iter([*made, *keys]), None)

    def count(self, chosen: EntryFilter) -> Count:
        """How many entries the filter holds."""
        counts = self.counts_by_type(chosen).values()
        return Count(n=sum(c.n for c in counts), capped=any(c.capped for c in counts))

    def counts_by_type(self, chosen: EntryFilter) -> Mapping[str, Count]:
        """How many of each type."""
        with self._database.read() as connection:
            tallies = overview.count_by_type(connection, _stored(chosen))
        return {kind: Count(n=tally.n, capped=tally.capped) for kind, tally in tallies.items()}


def _number(cursor: int | str | None) -> int | None:
    return None if cursor is None else int(cursor)


def _stored(chosen: EntryFilter) -> reads.EntryFilter:
    return reads.EntryFilter(
        types=(QUARANTINED,) if chosen.quarantined else chosen.types,
        dealer=chosen.dealer,
        device=chosen.device,
        serial=chosen.serial,
        indexes=chosen.indexes,
        since_ms=chosen.since_ms,
        until_ms=chosen.until_ms,
    )


def _entry(row: reads.EntryRow) -> Entry:
    event = None
    if row.quarantined is None:
        try:
            event = parse_event(row.raw)
        except MalformedEvent:
            event = None
    return Entry(
        index=row.index,
        type=row.type,
        dealer=row.dealer,
        device=row.device,
        serials=row.serials,
        at_ms=row.at_ms,
        received_ms=row.received_ms,
        batch_id=row.batch_id,
        quarantined=row.quarantined,
        event=event,
        raw=row.raw,
    )


def seal_state(batch: LedgerBatch, key: PublicKey | None) -> Literal["valid", "invalid", "unknown"]:
    """What the box's signature over its batch is worth today."""
    if key is None:
        return "unknown"
    try:
        verify_seal(batch.statement, batch.seal, key)
    except BadSignature:
        return "invalid"
    return "valid"


def _sealed(batch: LedgerBatch) -> Occurred | None:
    try:
        return parse_statement(batch.statement).sealed
    except MalformedBatch:
        return None


def proof_text(found: EntryProof, key: PublicKey | None) -> str:
    """The tlog-proof file, with the leaf and the batch's seal on its extra line."""
    extra: dict[str, object] = {"v": 1, "leaf": _b64(found.leaf)}
    if key is not None:
        extra["seal"] = _seal(found, key)
    line = json.dumps(extra, separators=(",", ":"), ensure_ascii=False).encode()
    header, _, rest = found.tlog_proof.partition("\n")
    return f"{header}\nextra {_b64(line)}\n{rest}"


def _seal(found: EntryProof, key: PublicKey) -> dict[str, object]:
    batch = found.batch
    place = found.index - batch.first_index
    level = [merkle.leaf_hash(event) for event in batch.events]

    def node(height: int, position: int) -> bytes:
        width = 1 << height
        return merkle.root_of(level[position * width : (position + 1) * width])

    path = merkle.range_proof(place, place + 1, len(level), node)
    return {
        "statement": _b64(batch.statement),
        "seal": _b64(batch.seal),
        "key": _b64(key.raw),
        "index": place,
        "path": [_b64(step) for step in path],
    }


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
