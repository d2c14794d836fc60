"""Answers overtake what waits for the same person."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Forward only."""
    op.add_column("outbox", sa.Column("urgent", INT64, nullable=False, server_default="0"))
    queued = sa.text("state = 'queued'")
    op.drop_index("outbox_due", "outbox")
    op.create_index(
        "outbox_due",
        "outbox",
        ["role", "urgent", "due_ms"],
        unique=False,
        sqlite_where=queued,
        postgresql_where=queued,
    )
