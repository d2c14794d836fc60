"""Generations of the ledger after the first."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "ledger_generation",
        sa.Column("generation", INT64, autoincrement=False, nullable=False),
        sa.Column("first_index", INT64, nullable=False),
        sa.Column("origin", TEXT, nullable=False),
        sa.Column("opened_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("generation"),
        sqlite_strict=True,
    )
