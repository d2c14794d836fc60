"""Rooms of Qontak's: where a person can be answered."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "qontak_room",
        sa.Column("number", TEXT, nullable=False),
        sa.Column("person", TEXT, nullable=False),
        sa.Column("room", TEXT, nullable=False),
        sa.Column("open", INT64, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("number", "person"),
        sqlite_strict=True,
    )
