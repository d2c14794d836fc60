"""Two indexes of the outbox that nobody goes by who does not ask for what they are for.

That of the vendor's ids holds only what a vendor has taken; that of what comes too late is for
questions about that alone.
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

QUEUED, TAKEN = "state = 'queued'", "provider_id IS NOT NULL"
MADE = (
    ("outbox_taken", "provider_id", TAKEN, TAKEN),
    ("outbox_late", "not_after_ms", QUEUED, f"{QUEUED} AND not_after_ms IS NOT NULL"),
)
"""Name, column, and which rows are in it on SQLite and on PostgreSQL."""
GONE = ("outbox_provider_id", "outbox_expiry")


def upgrade() -> None:
    """Forward only. The old ones go last: on PostgreSQL nobody reads behind who drops an index."""
    for name, column, on_sqlite, on_postgres in MADE:
        op.create_index(
            name,
            "outbox",
            [column],
            sqlite_where=sa.text(on_sqlite),
            postgresql_where=sa.text(on_postgres),
        )
    for name in GONE:
        op.drop_index(name, "outbox")
