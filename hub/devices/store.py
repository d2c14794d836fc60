"""Tables of the boxes and the SQL over them."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import (
    CheckConstraint,
    Column,
    Connection,
    Index,
    PrimaryKeyConstraint,
    Select,
    Table,
    insert,
    select,
    update,
)

from hub.store import BYTES, INT64, METADATA, TEXT, Statement, WideStatement
from shared.instants import rfc3339

DEVICE = Table(
    "device",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("dealer", TEXT, nullable=False),
    Column("keyid", TEXT, nullable=False, unique=True),
    Column("public_key", BYTES, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("version", TEXT),
    Column("enrolled_ms", INT64, nullable=False),
)
DEVICE_KEY = Table(
    "device_key",
    METADATA,
    Column("keyid", TEXT, primary_key=True),
    Column("device", TEXT, nullable=False),
    Column("public_key", BYTES, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("follows", TEXT),
    Column("added_ms", INT64, nullable=False),
    Column("retires_ms", INT64),
    CheckConstraint(
        "state IN ('active', 'retiring', 'retired', 'revoked')", name="device_key_state"
    ),
    Index("device_key_device", "device", "added_ms"),
)
"""Every key a box ever had."""
INVITATION = Table(
    "invitation",
    METADATA,
    Column("code_hash", BYTES, primary_key=True),
    Column("dealer", TEXT, nullable=False),
    Column("created_ms", INT64, nullable=False),
    Column("expires_ms", INT64, nullable=False),
    Column("used_by", TEXT),
    Column("used_ms", INT64),
)
WITNESS = Table(
    "witness",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("size", INT64, nullable=False),
    Column("time_s", INT64, nullable=False),
    Column("line", TEXT, nullable=False),
)
DEVICE_STATUS = Table(
    "device_status",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("dealer", TEXT),
    Column("epoch_opened_index", INT64),
    Column("epochs", INT64, nullable=False),
    Column("last_index", INT64, nullable=False),
    Column("last_received_ms", INT64, nullable=False),
    Column("events", INT64, nullable=False),
    Column("heartbeat_ms", INT64),
    Column("version", TEXT),
    Column("clock", TEXT),
    Column("clock_err_ms", INT64),
    Column("backlog_sale", INT64),
    Column("backlog_vehicle", INT64),
    Column("backlog_system", INT64),
    Column("oldest_unsent_ms", INT64),
    Column("buffer_bytes", INT64),
    Column("disk_free_bytes", INT64),
    Column("ledger_size", INT64),
    Column("sources", TEXT),
    Column("counters", TEXT),
)
CAPTURE_RANGE = Table(
    "capture_range",
    METADATA,
    Column("device", TEXT, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("gen", INT64, nullable=False),
    Column("first_n", INT64, nullable=False),
    Column("last_n", INT64, nullable=False),
    Column("first_index", INT64, nullable=False),
    PrimaryKeyConstraint("device", "lane", "gen", "first_n", "first_index"),
)
CAPTURE_RUN = Table(
    "capture_run",
    METADATA,
    Column("device", TEXT, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("gen", INT64, nullable=False),
    Column("first_n", INT64, nullable=False),
    Column("last_n", INT64, nullable=False),
    PrimaryKeyConstraint("device", "lane", "gen", "first_n"),
)
DECLARED_LOSS = Table(
    "declared_loss",
    METADATA,
    Column("index", INT64, nullable=False),
    Column("part", INT64, nullable=False),
    Column("device", TEXT, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("gen", INT64, nullable=False),
    Column("first_n", INT64, nullable=False),
    Column("last_n", INT64, nullable=False),
    Column("reason", TEXT, nullable=False),
    PrimaryKeyConstraint("index", "part"),
    Index("declared_loss_device", "device", "lane", "gen", "first_n"),
)


LANE = ("device", "lane", "gen")
RUNS_BESIDE = WideStatement(
    CAPTURE_RUN,
    (*LANE, "first_n", "last_n"),
    "SELECT run.device, run.lane, run.gen, run.first_n, run.last_n"
    " FROM said CROSS JOIN capture_run AS run"
    " WHERE run.device = said.device AND run.lane = said.lane AND run.gen = said.gen"
    " AND run.first_n <= said.last_n AND run.last_n >= said.first_n",
)
"""The runs of each lane that touch or overlap these numbers."""
EXTEND_RUN = WideStatement(
    CAPTURE_RUN,
    (*LANE, "first_n", "last_n"),
    "UPDATE capture_run SET last_n = said.last_n FROM said WHERE capture_run.device = said.device"
    " AND capture_run.lane = said.lane AND capture_run.gen = said.gen"
    " AND capture_run.first_n = said.first_n",
)
DROP_RUN = Statement(
    "DELETE FROM capture_run WHERE device = :device AND lane = :lane AND gen = :gen "
    "AND first_n = :first_n"
)
KEY_STATES = Statement(
    "SELECT keyid, state FROM device_key WHERE keyid IN (SELECT value FROM json_each(:keyids))",
    postgres="SELECT keyid, state FROM device_key"
    " WHERE keyid IN (SELECT json_array_elements_text(CAST(:keyids AS json)))",
)
HEARD = WideStatement(
    DEVICE_STATUS,
    ("device", "dealer", "last_index", "last_received_ms", "events"),
    "UPDATE device_status SET dealer = said.dealer, last_index = said.last_index,"
    " last_received_ms = said.last_received_ms, events = device_status.events + said.events"
    " FROM said WHERE device_status.device = said.device",
)
"""A box was heard: of each chunk its last entry counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A device that may deliver."""

    device: str
    dealer: str
    keyid: str
    """Of the key that was asked for; a box may have several."""
    public_key: bytes
    state: str
    key_state: str = "active"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKey:
    """One key of a box."""

    keyid: str
    device: str
    public_key: bytes
    state: str
    follows: str | None
    retires_ms: int | None


def find_key(connection: Connection, keyid: str) -> Enrolled | None:
    """The device of a key, or None."""
    row = connection.execute(
        select(DEVICE_KEY, DEVICE.c.dealer, DEVICE.c.state.label("device_state"))
        .join(DEVICE, DEVICE.c.device == DEVICE_KEY.c.device)
        .where(DEVICE_KEY.c.keyid == keyid)
    ).one_or_none()
    if row is None:
        return None
    return Enrolled(
        device=row.device,
        dealer=row.dealer,
        keyid=row.keyid,
        public_key=bytes(row.public_key),
        state=row.device_state,
        key_state=row.state,
    )


def keys_of(connection: Connection, device: str) -> list[DeviceKey]:
    """Every key a box ever had, the newest first."""
    return _keys(
        connection,
        select(DEVICE_KEY)
        .where(DEVICE_KEY.c.device == device)
        .order_by(DEVICE_KEY.c.added_ms.desc(), DEVICE_KEY.c.follows.is_(None)),
    )


def key_states(connection: Connection, keyids: Collection[str]) -> dict[str, str]:
    """The state of each of these keys."""
    names = orjson.dumps(list(keyids)).decode()
    return dict(KEY_STATES.rows(connection, keyids=names))


def keys_due(connection: Connection, now_ms: int) -> list[DeviceKey]:
    """Keys whose overlap is over."""
    return _keys(
        connection,
        select(DEVICE_KEY).where(
            DEVICE_KEY.c.state == "retiring", DEVICE_KEY.c.retires_ms <= now_ms
        ),
    )


def _keys(connection: Connection, query: Select[Any]) -> list[DeviceKey]:
    return [
        DeviceKey(
            keyid=row.keyid,
            device=row.device,
            public_key=bytes(row.public_key),
            state=row.state,
            follows=row.follows,
            retires_ms=row.retires_ms,
        )
        for row in connection.execute(query)
    ]


def follow_key(
    connection: Connection,
    key: DeviceKey,
    *,
    now_ms: int,
    retires_ms: int,
) -> bool:
    """Make `key` the newest of its box; False when it does not follow the newest one."""
    moved = connection.execute(
        update(DEVICE)
        .where(DEVICE.c.device == key.device, DEVICE.c.keyid == key.follows)
        .values(keyid=key.keyid, public_key=key.public_key)
    ).rowcount
    if not moved:
        return False
    connection.execute(
        update(DEVICE_KEY)
        .where(DEVICE_KEY.c.keyid == key.follows, DEVICE_KEY.c.state == "active")
        .values(state="retiring", retires_ms=retires_ms)
    )
    add_key(connection, key, now_ms=now_ms)
    return True


def add_key(connection: Connection, key: DeviceKey, *, now_ms: int) -> None:
    """Store a key of a box."""
    connection.execute(
        insert(DEVICE_KEY).values(
            keyid=key.keyid,
            device=key.device,
            public_key=key.public_key,
            state=key.state,
            follows=key.follows,
            added_ms=now_ms,
            retires_ms=key.retires_ms,
        )
    )


def end_key(connection: Connection, keyid: str, *, state: str) -> bool:
    """Retire or revoke a key; False when that was done before."""
    return bool(
        connection.execute(
            update(DEVICE_KEY)
            .where(DEVICE_KEY.c.keyid == keyid, DEVICE_KEY.c.state.in_(("active", "retiring")))
            .values(state=state)
        ).rowcount
    )


def set_device_state(connection: Connection, device: str, state: str) -> None:
    """Say how a box stands."""
    connection.execute(update(DEVICE).where(DEVICE.c.device == device).values(state=state))


def move_device_state(connection: Connection, device: str, state: str, *, before: str) -> bool:
    """Say how a box stands if it stood as `before`; whether it did."""
    return bool(
        connection.execute(
            update(DEVICE)
            .where(DEVICE.c.device == device, DEVICE.c.state == before)
            .values(state=state)
        ).rowcount
    )


def device_state(connection: Connection, device: str) -> str | None:
    """How a box stands, None when there is none of that id."""
    return connection.execute(select(DEVICE.c.state).where(DEVICE.c.device == device)).scalar()


def add_invitation(
    connection: Connection, *, code_hash: bytes, dealer: str, now_ms: int, expires_ms: int
) -> None:
    """Store an invitation; its code is not kept, only its hash."""
    connection.execute(
        insert(INVITATION).values(
            code_hash=code_hash, dealer=dealer, created_ms=now_ms, expires_ms=expires_ms
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """A one-use invitation of a dealer's box."""

    dealer: str
    expires_ms: int
    used_by: str | None


def find_invitation(connection: Connection, code_hash: bytes) -> Invitation | None:
    """The invitation of a code, or None."""
    row = connection.execute(
        select(INVITATION).where(INVITATION.c.code_hash == code_hash)
    ).one_or_none()
    if row is None:
        return None
    return Invitation(dealer=row.dealer, expires_ms=row.expires_ms, used_by=row.used_by)


def use_invitation(connection: Connection, code_hash: bytes, *, device: str, now_ms: int) -> bool:
    """Mark the invitation used by `device`; False when somebody else was faster."""
    return bool(
        connection.execute(
            update(INVITATION)
            .where(INVITATION.c.code_hash == code_hash, INVITATION.c.used_by.is_(None))
            .values(used_by=device, used_ms=now_ms)
        ).rowcount
    )


def add_device(
    connection: Connection, enrolled: Enrolled, *, version: str | None, now_ms: int
) -> None:
    """Store an enrolled device with its first key."""
    connection.execute(
        insert(DEVICE).values(
            device=enrolled.device,
            dealer=enrolled.dealer,
            keyid=enrolled.keyid,
            public_key=enrolled.public_key,
            state=enrolled.state,
            version=version,
            enrolled_ms=now_ms,
        )
    )
    first = DeviceKey(
        keyid=enrolled.keyid,
        device=enrolled.device,
        public_key=enrolled.public_key,
        state="active",
        follows=None,
        retires_ms=None,
    )
    add_key(connection, first, now_ms=now_ms)


def list_devices(connection: Connection) -> list[dict[str, object]]:
    """Every enrolled device with its status from the ledger, by dealer."""
    rows = connection.execute(
        select(DEVICE, DEVICE_STATUS)
        .outerjoin(DEVICE_STATUS, DEVICE_STATUS.c.device == DEVICE.c.device)
        .order_by(DEVICE.c.dealer, DEVICE.c.enrolled_ms)
    )
    return [
        {
            "device": row.device,
            "dealer": row.dealer,
            "state": row.state,
            "version": row.version_1 or row.version,
            "enrolled_at": rfc3339(row.enrolled_ms),
            "seen_at": None if row.last_received_ms is None else rfc3339(row.last_received_ms),
            "events": row.events or 0,
        }
        for row in rows
    ]


def keep_cosignature(
    connection: Connection, *, device: str, size: int, time_s: int, line: str
) -> None:
    """Keep the newest cosignature of a witness; an older one than the kept changes nothing."""
    changed = connection.execute(
        update(WITNESS)
        .where(WITNESS.c.device == device, WITNESS.c.size <= size)
        .values(size=size, time_s=time_s, line=line)
    ).rowcount
    known = connection.execute(select(WITNESS.c.device).where(WITNESS.c.device == device)).first()
    if not changed and known is None:
        connection.execute(
            insert(WITNESS).values(device=device, size=size, time_s=time_s, line=line)
        )
