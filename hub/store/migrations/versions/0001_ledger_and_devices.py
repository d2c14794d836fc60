"""The ledger, the boxes and the vault."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
APPEND_ONLY = ("batch", "tile", "checkpoint")


def upgrade() -> None:
    """Forward only."""
    _ledger_1()
    _ledger_2()
    _ledger_3()
    _ledger_4()
    _devices_1()
    _devices_2()
    _devices_3()
    _devices_4()
    _vault()
    _append_only()


def _ledger_1() -> None:
    op.create_table(
        "batch",
        sa.Column("first_index", INT64, autoincrement=False, nullable=False),
        sa.Column("count", INT64, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("epoch", INT64, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("seq", INT64, nullable=False),
        sa.Column("received_ms", INT64, nullable=False),
        sa.Column("batch_id", sa.LargeBinary(), nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("count > 0", name="batch_count"),
        sa.PrimaryKeyConstraint("first_index"),
        sa.UniqueConstraint("batch_id"),
        sqlite_strict=True,
    )
    op.create_table(
        "checkpoint",
        sa.Column("size", INT64, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("size"),
        sqlite_strict=True,
    )


def _ledger_2() -> None:
    op.create_table(
        "contradiction",
        sa.Column("batch_id", sa.LargeBinary(), nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("epoch", INT64, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("seq", INT64, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("received_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("batch_id"),
        sqlite_strict=True,
    )
    op.create_index(
        "contradiction_device", "contradiction", ["device", "received_ms"], unique=False
    )
    op.create_table(
        "device_dealer",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("dealer", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("device"),
        sqlite_strict=True,
    )
    op.create_table(
        "entry",
        sa.Column("index", INT64, autoincrement=False, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("dealer", TEXT, nullable=True),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("quarantined", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("index"),
        sqlite_strict=True,
    )
    op.create_index("entry_dealer", "entry", ["dealer", "index"], unique=False)
    op.create_index("entry_device", "entry", ["device", "index"], unique=False)
    op.create_index("entry_type", "entry", ["type", "index"], unique=False)


def _ledger_3() -> None:
    op.create_table(
        "entry_count",
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("day", INT64, nullable=False),
        sa.Column("count", INT64, nullable=False),
        sa.PrimaryKeyConstraint("dealer", "type", "day"),
        sqlite_strict=True,
    )
    op.create_table(
        "entry_serial",
        sa.Column("serial", TEXT, nullable=False),
        sa.Column("index", INT64, nullable=False),
        sa.PrimaryKeyConstraint("serial", "index"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epoch",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("epoch", INT64, nullable=False),
        sa.Column("nonce", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("opened_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device", "epoch"),
        sqlite_strict=True,
    )
    op.create_table(
        "lane_head",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("epoch", INT64, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("next_seq", INT64, nullable=False),
        sa.Column("last_batch", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("device", "epoch", "lane"),
        sqlite_strict=True,
    )


def _ledger_4() -> None:
    op.create_table(
        "ledger_pending",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("type", TEXT, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_table(
        "projection_cursor",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("next_index", INT64, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )
    op.create_table(
        "tile",
        sa.Column("level", INT64, nullable=False),
        sa.Column("idx", INT64, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "idx"),
        sqlite_strict=True,
    )


def _devices_1() -> None:
    op.create_table(
        "capture_range",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("gen", INT64, nullable=False),
        sa.Column("first_n", INT64, nullable=False),
        sa.Column("last_n", INT64, nullable=False),
        sa.Column("first_index", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device", "lane", "gen", "first_n", "first_index"),
        sqlite_strict=True,
    )
    op.create_table(
        "capture_run",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("gen", INT64, nullable=False),
        sa.Column("first_n", INT64, nullable=False),
        sa.Column("last_n", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device", "lane", "gen", "first_n"),
        sqlite_strict=True,
    )
    op.create_table(
        "declared_loss",
        sa.Column("index", INT64, nullable=False),
        sa.Column("part", INT64, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("gen", INT64, nullable=False),
        sa.Column("first_n", INT64, nullable=False),
        sa.Column("last_n", INT64, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("index", "part"),
        sqlite_strict=True,
    )
    op.create_index(
        "declared_loss_device", "declared_loss", ["device", "lane", "gen", "first_n"], unique=False
    )


def _devices_2() -> None:
    op.create_table(
        "device",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("keyid", TEXT, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("enrolled_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device"),
        sa.UniqueConstraint("keyid"),
        sqlite_strict=True,
    )


def _devices_3() -> None:
    op.create_table(
        "device_status",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("dealer", TEXT, nullable=True),
        sa.Column("epoch_opened_index", INT64, nullable=True),
        sa.Column("epochs", INT64, nullable=False),
        sa.Column("last_index", INT64, nullable=False),
        sa.Column("last_received_ms", INT64, nullable=False),
        sa.Column("events", INT64, nullable=False),
        sa.Column("heartbeat_ms", INT64, nullable=True),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("clock", TEXT, nullable=True),
        sa.Column("clock_err_ms", INT64, nullable=True),
        sa.Column("backlog_sale", INT64, nullable=True),
        sa.Column("backlog_vehicle", INT64, nullable=True),
        sa.Column("backlog_system", INT64, nullable=True),
        sa.Column("oldest_unsent_ms", INT64, nullable=True),
        sa.Column("buffer_bytes", INT64, nullable=True),
        sa.Column("disk_free_bytes", INT64, nullable=True),
        sa.Column("ledger_size", INT64, nullable=True),
        sa.Column("sources", TEXT, nullable=True),
        sa.Column("counters", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("device"),
        sqlite_strict=True,
    )
    op.create_table(
        "invitation",
        sa.Column("code_hash", sa.LargeBinary(), nullable=False),
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("expires_ms", INT64, nullable=False),
        sa.Column("used_by", TEXT, nullable=True),
        sa.Column("used_ms", INT64, nullable=True),
        sa.PrimaryKeyConstraint("code_hash"),
        sqlite_strict=True,
    )


def _devices_4() -> None:
    op.create_table(
        "witness",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("size", INT64, nullable=False),
        sa.Column("time_s", INT64, nullable=False),
        sa.Column("line", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("device"),
        sqlite_strict=True,
    )


def _vault() -> None:
    op.create_table(
        "vault_item",
        sa.Column("sha256", TEXT, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("received_ms", INT64, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("sha256"),
        sqlite_strict=True,
    )


def _append_only() -> None:
    """UPDATE and DELETE of what was sequenced are refused by the database itself."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    if not sqlite:
        op.execute(
            "CREATE FUNCTION ledger_is_append_only() RETURNS trigger AS $$ BEGIN "
            "RAISE EXCEPTION 'the ledger is append-only'; END $$ LANGUAGE plpgsql"
        )
    for table in APPEND_ONLY:
        for verb in ("UPDATE", "DELETE"):
            name = f"{table}_no_{verb.lower()}"
            refuse = (
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                if sqlite
                else "FOR EACH ROW EXECUTE FUNCTION ledger_is_append_only()"
            )
            op.execute(f"CREATE TRIGGER {name} BEFORE {verb} ON {table} {refuse}")
