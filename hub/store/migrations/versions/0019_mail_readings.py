"""Who was shown what a delivery holds; deliveries and messages that need a look are found at once."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "inbox_reading",
        sa.Column("n", INT64, autoincrement=True, nullable=False),
        sa.Column("inbox", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_index("inbox_reading_of", "inbox_reading", ["inbox", "n"], unique=False)
    for table, name, which in (
        ("inbox", "inbox_kept", "state = 'kept'"),
        ("outbox", "outbox_unsaid", "state IN ('failed', 'withheld')"),
    ):
        op.create_index(
            name,
            table,
            ["seq"],
            unique=False,
            sqlite_where=sa.text(which),
            postgresql_where=sa.text(which),
        )
