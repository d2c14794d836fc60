"""What re-reading the ledger has shown so far, and how far that is."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "ledger_check",
        sa.Column("id", INT64, autoincrement=False, nullable=False),
        sa.Column("holder", TEXT, nullable=False),
        sa.Column("beat", INT64, nullable=False),
        sa.Column("checked", INT64, nullable=False),
        sa.Column("verified", INT64, nullable=False),
        sa.Column("verified_ms", INT64, nullable=True),
        sa.Column("whole_ms", INT64, nullable=True),
        sa.Column("broken_at", INT64, nullable=True),
        sa.Column("finding", TEXT, nullable=True),
        sa.CheckConstraint("id = 1", name="ledger_check_one"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_table(
        "ledger_check_pass",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )
