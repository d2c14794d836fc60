"""Counters of the ledger and what its own tables say of boxes. Nothing here scans the ledger."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, and_, func, select

from hub.ledger.entries import DAY_MS, WIB_MS, day_of
from hub.ledger.reads import EntryFilter, terms_of
from hub.ledger.tables import CONTRADICTION, ENTRY, ENTRY_COUNT, ENTRY_SERIAL, EPOCH

COUNT_MAX = 5000
"""Filters without a maintained counter are counted up to here, and then said to be more."""

CLONE_WINDOW_MS = 7 * DAY_MS
"""A box that opens a second new epoch within this time may be one of two."""
HUB_LOST = ("generation", "hub_restored")
"""Reasons for a new epoch that are the hub's and not the box's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How many of one type. `capped`: counting stopped early, there are at least so many."""

    n: int
    capped: bool


def _day(at_ms: int | None) -> int | None:
    """The day that begins at this instant, or None when none does."""
    if at_ms is None or (at_ms + WIB_MS) % DAY_MS:
        return None
    return day_of(at_ms)


def _has_counters(wanted: EntryFilter) -> bool:
    """Do whole days of maintained counters answer this?"""
    days = all(at_ms is None or _day(at_ms) for at_ms in (wanted.since_ms, wanted.until_ms))
    return days and wanted.device is None and wanted.serial is None and wanted.indexes is None


def count_by_type(connection: Connection, wanted: EntryFilter) -> Mapping[str, Tally]:
    """How many entries of each type the filter holds, exactly or up to COUNT_MAX of all."""
    return (_maintained if _has_counters(wanted) else _capped)(connection, wanted)


def _maintained(connection: Connection, wanted: EntryFilter) -> Mapping[str, Tally]:
    query = select(ENTRY_COUNT.c.type, func.sum(ENTRY_COUNT.c.count)).group_by(ENTRY_COUNT.c.type)
    if wanted.types:
        query = query.where(ENTRY_COUNT.c.type.in_(wanted.types))
    if wanted.dealer is not None:
        query = query.where(ENTRY_COUNT.c.dealer == wanted.dealer)
    if wanted.since_ms is not None:
        query = query.where(ENTRY_COUNT.c.day >= _day(wanted.since_ms))
    if wanted.until_ms is not None:
        query = query.where(ENTRY_COUNT.c.day < _day(wanted.until_ms))
    return {kind: Tally(n=int(n), capped=False) for kind, n in connection.execute(query)}


def _capped(connection: Connection, wanted: EntryFilter) -> Mapping[str, Tally]:
    query = select(ENTRY.c.type).where(*terms_of(connection, wanted))
    if wanted.serial is not None:
        query = query.join(
            ENTRY_SERIAL,
            and_(ENTRY_SERIAL.c.index == ENTRY.c.index, ENTRY_SERIAL.c.serial == wanted.serial),
        )
    newest = query.order_by(ENTRY.c.index.desc()).limit(COUNT_MAX).subquery()
    rows = connection.execute(select(newest.c.type, func.count()).group_by(newest.c.type)).all()
    capped = sum(int(n) for _, n in rows) >= COUNT_MAX
    return {kind: Tally(n=int(n), capped=capped) for kind, n in rows}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoxHistory:
    """What the ledger's own tables say of a box."""

    epoch: int
    suspected_clone: bool


def box_histories(connection: Connection, now_ms: int) -> Mapping[str, BoxHistory]:
    """Of every box: its open epoch, and whether two of it may be about.

    A contradicting statement, or a second new epoch within a week, is such a sign; it is shown
    for a week after the last one.
    """
    since_ms = now_ms - CLONE_WINDOW_MS
    contradicting = set(
        connection.scalars(
            select(CONTRADICTION.c.device).where(CONTRADICTION.c.received_ms > since_ms).distinct()
        )
    )
    epochs = connection.execute(
        select(EPOCH.c.device, func.max(EPOCH.c.epoch)).group_by(EPOCH.c.device)
    ).all()
    reopened = {
        device
        for device, n in connection.execute(
            select(EPOCH.c.device, func.count())
            # Not when it was the hub that had lost its place.
            .where(EPOCH.c.opened_ms > since_ms, EPOCH.c.epoch > 1, EPOCH.c.reason.not_in(HUB_LOST))
            .group_by(EPOCH.c.device)
        )
        if n > 1
    }
    return {
        device: BoxHistory(
            epoch=int(epoch), suspected_clone=device in contradicting or device in reopened
        )
        for device, epoch in epochs
    }
