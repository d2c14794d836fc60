"""What is held back from a person is looked for at their every message: not among all that waits."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

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
