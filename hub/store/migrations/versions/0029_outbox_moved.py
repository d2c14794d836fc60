"""Whose messages have moved is told to the sender, which keeps the order of looks in memory."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Forward only. A sender that begins reads from the outbox who waits."""
    op.create_table(
        "outbox_moved",
        sa.Column("seq", INT64, primary_key=True, autoincrement=True),
        sa.Column("recipient", sa.Text, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
    )
    op.add_column("outbox_pair", sa.Column("held_ms", INT64, server_default="0", nullable=False))
    op.drop_index("outbox_due", "outbox")
