"""What the vendor lets our numbers do, known to every process."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "outbox_number",
        sa.Column("number", TEXT, nullable=False),
        sa.Column("why", TEXT, nullable=True),
        sa.Column("late", INT64, nullable=False),
        sa.Column("since_ms", INT64, nullable=False),
        sa.Column("shut_until_ms", INT64, nullable=False),
        sa.Column("silent_until_ms", INT64, nullable=False),
        sa.CheckConstraint("why IN ('stop', 'spam')", name="outbox_number_why"),
        sa.PrimaryKeyConstraint("number"),
        sqlite_strict=True,
    )
