"""What a hub restored from a backup takes back, and a bound on kept contradictions."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "contradiction_more",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("count", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device"),
        sqlite_strict=True,
    )
    op.create_table(
        "refill_claim",
        sa.Column("device", TEXT, nullable=False),
        sa.Column("size", INT64, nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("checkpoint", TEXT, nullable=False),
        sa.Column("noted_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("device"),
        sqlite_strict=True,
    )
    op.create_table(
        "refill_hold",
        sa.Column("id", INT64, autoincrement=False, nullable=False),
        sa.Column("held_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_table(
        "refill_batch",
        sa.Column("batch_id", sa.LargeBinary(), nullable=False),
        sa.Column("first_index", INT64, nullable=False),
        sa.Column("count", INT64, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("epoch", INT64, nullable=False),
        sa.Column("lane", TEXT, nullable=False),
        sa.Column("seq", INT64, nullable=False),
        sa.Column("received_ms", INT64, nullable=False),
        sa.Column("statement", sa.LargeBinary(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.Column("attachments", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("batch_id"),
        sqlite_strict=True,
    )
    op.create_index("refill_batch_place", "refill_batch", ["first_index"], unique=False)
