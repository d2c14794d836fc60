"""Whose turn it is, and what is held back from a person, is found without reading all that waits."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('queued', 'sending')")
SENDING = sa.text("state = 'sending'")
HELD = sa.text("state = 'queued' AND reason IN ('messaging_limit', 'spam')")


def upgrade() -> None:
    """Forward only."""
    op.create_index(
        "outbox_held",
        "outbox",
        ["recipient"],
        unique=False,
        sqlite_where=HELD,
        postgresql_where=HELD,
    )
    op.create_index(
        "outbox_sending",
        "outbox",
        ["recipient"],
        unique=False,
        sqlite_where=SENDING,
        postgresql_where=SENDING,
    )
    op.drop_index("outbox_turn", table_name="outbox")
    op.create_index(
        "outbox_turn",
        "outbox",
        ["recipient", "urgent", "seq"],
        unique=False,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    )
