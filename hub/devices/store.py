"""Tables of the boxes and the SQL over them."""

from dataclasses import dataclass

from sqlalchemy import (
    Column,
    Connection,
    Index,
    PrimaryKeyConstraint,
    Table,
    insert,
    select,
    update,
)

from hub.store import BYTES, INT64, METADATA, TEXT, Statement

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


RUNS_BESIDE = Statement(
    "SELECT first_n, last_n FROM capture_run WHERE device = :device AND lane = :lane "
    "AND gen = :gen AND first_n <= :high AND last_n >= :low"
)
"""The runs of a lane that touch or overlap numbers from `low` to `high`."""
EXTEND_RUN = Statement(
    "UPDATE capture_run SET last_n = :last_n WHERE device = :device AND lane = :lane "
    "AND gen = :gen AND first_n = :first_n"
)
DROP_RUN = Statement(
    "DELETE FROM capture_run WHERE device = :device AND lane = :lane AND gen = :gen "
    "AND first_n = :first_n"
)
HEARD = Statement(
    "UPDATE device_status SET dealer = :dealer, last_index = :last_index, "
    "last_received_ms = :last_received_ms, events = events + :more WHERE device = :device"
)
"""A box was heard: of each chunk its last entry counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolled:
    """A device that may deliver."""

    device: str
    dealer: str
    keyid: str
    public_key: bytes
    state: str


def find_key(connection: Connection, keyid: str) -> Enrolled | None:
    """The device of a key, or None."""
    row = connection.execute(select(DEVICE).where(DEVICE.c.keyid == keyid)).one_or_none()
    if row is None:
        return None
    return Enrolled(
        device=row.device,
        dealer=row.dealer,
        keyid=row.keyid,
        public_key=bytes(row.public_key),
        state=row.state,
    )


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
    """Store an enrolled device."""
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
            "enrolled_ms": row.enrolled_ms,
            "last_received_ms": row.last_received_ms,
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
