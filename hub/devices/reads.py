"""Questions about the boxes: how each is, what it lost, who vouches for the ledger.

A network has some hundreds of boxes, so these read all of them at once; BOXES_MAX bounds it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import orjson
from sqlalchemy import Connection, func, select

from hub.devices.rules import Run, undeclared_holes
from hub.devices.store import (
    CAPTURE_RUN,
    DECLARED_LOSS,
    DEVICE,
    DEVICE_STATUS,
    WITNESS,
    keys_of,
)

BOXES_MAX = 5000
LOSSES_MAX = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An enrolled box as it last described itself; None where it has not."""

    device: str
    dealer: str
    state: str
    keyid: str
    enrolled_ms: int
    seen_ms: int | None
    version: str | None
    backlog: Mapping[str, int]
    oldest_unsent_ms: int | None
    clock: str | None
    clock_err_ms: int | None
    disk_free_bytes: int | None
    sources: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LostRun:
    """Capture numbers that never came. `reason` and `index` are None when undeclared."""

    lane: str
    gen: int
    first_n: int
    last_n: int
    reason: str | None
    index: int | None

    @property
    def count(self) -> int:
        """How many captures."""
        return self.last_n - self.first_n + 1


LaneKey = tuple[str, str, int]


def boxes(connection: Connection, device: str | None = None) -> list[Box]:
    """Every enrolled box, or one, by dealer and time of enrolment."""
    query = (
        select(
            DEVICE.c.device,
            DEVICE.c.dealer,
            DEVICE.c.state,
            DEVICE.c.keyid,
            DEVICE.c.enrolled_ms,
            DEVICE.c.version.label("enrolled_version"),
            DEVICE_STATUS.c.last_received_ms,
            DEVICE_STATUS.c.version,
            DEVICE_STATUS.c.backlog_sale,
            DEVICE_STATUS.c.backlog_vehicle,
            DEVICE_STATUS.c.backlog_system,
            DEVICE_STATUS.c.oldest_unsent_ms,
            DEVICE_STATUS.c.clock,
            DEVICE_STATUS.c.clock_err_ms,
            DEVICE_STATUS.c.disk_free_bytes,
            DEVICE_STATUS.c.sources,
        )
        .outerjoin(DEVICE_STATUS, DEVICE_STATUS.c.device == DEVICE.c.device)
        .order_by(DEVICE.c.dealer, DEVICE.c.enrolled_ms, DEVICE.c.device)
        .limit(BOXES_MAX)
    )
    if device is not None:
        query = query.where(DEVICE.c.device == device)
    return [
        Box(
            device=row.device,
            dealer=row.dealer,
            state=row.state,
            keyid=row.keyid,
            enrolled_ms=row.enrolled_ms,
            seen_ms=row.last_received_ms,
            version=row.version or row.enrolled_version,
            backlog={
                lane: n
                for lane, n in (
                    ("sale", row.backlog_sale),
                    ("vehicle", row.backlog_vehicle),
                    ("system", row.backlog_system),
                )
                if n is not None
            },
            oldest_unsent_ms=row.oldest_unsent_ms,
            clock=row.clock,
            clock_err_ms=row.clock_err_ms,
            disk_free_bytes=row.disk_free_bytes,
            sources=orjson.loads(row.sources) if row.sources else {},
        )
        for row in connection.execute(query)
    ]


def lost_runs(connection: Connection, device: str | None = None) -> Mapping[str, list[LostRun]]:
    """What each box, or one, lost: declared runs, newest first, then holes nobody declared."""
    declared: dict[LaneKey, list[LostRun]] = {}
    query = select(DECLARED_LOSS, DECLARED_LOSS.c.index.label("place")).order_by(
        DECLARED_LOSS.c.index.desc()
    )
    if device is not None:
        query = query.where(DECLARED_LOSS.c.device == device)
    for row in connection.execute(query):
        declared.setdefault((row.device, row.lane, row.gen), []).append(
            LostRun(
                lane=row.lane,
                gen=row.gen,
                first_n=row.first_n,
                last_n=row.last_n,
                reason=row.reason,
                index=row.place,
            )
        )
    found: dict[str, list[LostRun]] = {}
    for (box, _, _), losses in declared.items():
        found.setdefault(box, []).extend(losses)
    for (box, lane, gen), runs in _captured(connection, device).items():
        stated = [(run.first_n, run.last_n) for run in declared.get((box, lane, gen), [])]
        for first, last in undeclared_holes(runs, stated):
            found.setdefault(box, []).append(
                LostRun(lane=lane, gen=gen, first_n=first, last_n=last, reason=None, index=None)
            )
    return found


def _captured(connection: Connection, device: str | None) -> Mapping[LaneKey, Sequence[Run]]:
    query = select(CAPTURE_RUN)
    if device is not None:
        query = query.where(CAPTURE_RUN.c.device == device)
    runs: dict[LaneKey, list[Run]] = {}
    for row in connection.execute(query):
        runs.setdefault((row.device, row.lane, row.gen), []).append((row.first_n, row.last_n))
    return runs


@dataclass(frozen=True, slots=True, kw_only=True)
class Witnesses:
    """How many stores vouch for the ledger's history, of how many that could."""

    vouching: int
    possible: int


def witnesses(
    connection: Connection, *, size_min: int = 1, since_s: int | None = None
) -> Witnesses:
    """Stores whose box cosigned a tree head of at least this size, since then if given."""
    possible = connection.execute(
        select(func.count(DEVICE.c.dealer.distinct())).where(DEVICE.c.state == "active")
    ).scalar_one()
    query = (
        select(func.count(DEVICE.c.dealer.distinct()))
        .join_from(WITNESS, DEVICE, DEVICE.c.device == WITNESS.c.device)
        .where(DEVICE.c.state == "active", WITNESS.c.size >= size_min)
    )
    if since_s is not None:
        query = query.where(WITNESS.c.time_s >= since_s)
    return Witnesses(vouching=int(connection.execute(query).scalar_one()), possible=int(possible))


def public_keys(connection: Connection, device: str) -> list[bytes]:
    """Every public key a box ever had, the newest first."""
    return [key.public_key for key in keys_of(connection, device)]
