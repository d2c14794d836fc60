"""The ledger's own tables. Only the sequencer writes the first group; then what re-reading them
showed, what the ledger was asked for, and projections."""

from sqlalchemy import CheckConstraint, Column, Index, PrimaryKeyConstraint, Table

from hub.store.schema import BYTES, INT64, METADATA, TEXT

BATCH = Table(
    "batch",
    METADATA,
    Column("first_index", INT64, primary_key=True, autoincrement=False),
    Column("count", INT64, nullable=False),
    Column("device", TEXT, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("seq", INT64, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Column("batch_id", BYTES, nullable=False, unique=True),
    Column("statement", BYTES, nullable=False),
    Column("seal", BYTES, nullable=False),
    Column("events", BYTES, nullable=False),
    CheckConstraint("count > 0", name="batch_count"),
)
TILE = Table(
    "tile",
    METADATA,
    Column("level", INT64, nullable=False),
    Column("idx", INT64, nullable=False),
    Column("hashes", BYTES, nullable=False),
    Column("root", BYTES, nullable=False),
    PrimaryKeyConstraint("level", "idx"),
)
CHECKPOINT = Table(
    "checkpoint",
    METADATA,
    Column("size", INT64, primary_key=True, autoincrement=False),
    Column("root", BYTES, nullable=False),
    Column("at_ms", INT64, nullable=False),
)
LANE_HEAD = Table(
    "lane_head",
    METADATA,
    Column("device", TEXT, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("next_seq", INT64, nullable=False),
    Column("last_batch", BYTES, nullable=False),
    PrimaryKeyConstraint("device", "epoch", "lane"),
)
CHECK = Table(
    "ledger_check",
    METADATA,
    Column("id", INT64, primary_key=True, autoincrement=False),
    Column("holder", TEXT, nullable=False),
    Column("beat", INT64, nullable=False),
    Column("checked", INT64, nullable=False),
    Column("verified", INT64, nullable=False),
    Column("verified_ms", INT64),
    Column("whole_ms", INT64),
    Column("broken_at", INT64),
    Column("finding", TEXT),
    CheckConstraint("id = 1", name="ledger_check_one"),
)
CHECK_PASS = Table(
    "ledger_check_pass",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("state", BYTES, nullable=False),
)
EPOCH = Table(
    "epoch",
    METADATA,
    Column("device", TEXT, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("nonce", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("opened_ms", INT64, nullable=False),
    PrimaryKeyConstraint("device", "epoch"),
)
CONTRADICTION = Table(
    "contradiction",
    METADATA,
    Column("batch_id", BYTES, primary_key=True),
    Column("device", TEXT, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("seq", INT64, nullable=False),
    Column("code", TEXT, nullable=False),
    Column("statement", BYTES, nullable=False),
    Column("seal", BYTES, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Index("contradiction_device", "device", "received_ms"),
)
CONTRADICTION_MORE = Table(
    "contradiction_more",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("count", INT64, nullable=False),
)
"""How many contradicting statements of a device were refused and not kept."""
REFILL_CLAIM = Table(
    "refill_claim",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("size", INT64, nullable=False),
    Column("root", BYTES, nullable=False),
    Column("checkpoint", TEXT, nullable=False),
    Column("noted_ms", INT64, nullable=False),
)
"""Tree heads of ours that boxes hold and we do not: each device's largest."""
REFILL_BATCH = Table(
    "refill_batch",
    METADATA,
    Column("batch_id", BYTES, primary_key=True),
    Column("first_index", INT64, nullable=False),
    Column("count", INT64, nullable=False),
    Column("device", TEXT, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("lane", TEXT, nullable=False),
    Column("seq", INT64, nullable=False),
    Column("received_ms", INT64, nullable=False),
    Column("statement", BYTES, nullable=False),
    Column("seal", BYTES, nullable=False),
    Column("events", BYTES, nullable=False),
    Column("attachments", BYTES, nullable=False),
    Index("refill_batch_place", "first_index"),
)
"""What boxes gave back after a restore, aside until a signed root proves its place."""
REFILL_HOLD = Table(
    "refill_hold",
    METADATA,
    Column("id", INT64, primary_key=True, autoincrement=False),
    Column("held_ms", INT64, nullable=False),
)
"""A row: an operator restored this database, and nothing new is taken until he says so."""
PENDING = Table(
    "ledger_pending",
    METADATA,
    Column("id", INT64, primary_key=True, autoincrement=True),
    Column("type", TEXT, nullable=False),
    Column("data", BYTES, nullable=False),
    Column("at_ms", INT64, nullable=False),
)
CURSOR = Table(
    "projection_cursor",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("next_index", INT64, nullable=False),
)
ENTRY = Table(
    "entry",
    METADATA,
    Column("index", INT64, primary_key=True, autoincrement=False),
    Column("type", TEXT, nullable=False),
    Column("dealer", TEXT),
    Column("device", TEXT, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("quarantined", TEXT),
    Index("entry_type", "type", "index"),
    Index("entry_dealer", "dealer", "index"),
    Index("entry_device", "device", "index"),
)
ENTRY_SERIAL = Table(
    "entry_serial",
    METADATA,
    Column("serial", TEXT, nullable=False),
    Column("index", INT64, nullable=False),
    PrimaryKeyConstraint("serial", "index"),
    sqlite_with_rowid=False,
)
ENTRY_COUNT = Table(
    "entry_count",
    METADATA,
    Column("dealer", TEXT, nullable=False),
    Column("type", TEXT, nullable=False),
    Column("day", INT64, nullable=False),
    Column("count", INT64, nullable=False),
    PrimaryKeyConstraint("dealer", "type", "day"),
)
DEVICE_DEALER = Table(
    "device_dealer",
    METADATA,
    Column("device", TEXT, primary_key=True),
    Column("dealer", TEXT, nullable=False),
)
