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

MADE = (
    ("outbox_taken", "provider_id", "provider_id IS NOT NULL"),
    ("outbox_late", "not_after_ms", "state = 'queued' AND not_after_ms IS NOT NULL"),
)
GONE = ("outbox_provider_id", "outbox_expiry")


def upgrade() -> None:
    """Forward only. The old ones go last: on PostgreSQL nobody reads behind who drops an index."""
    for name, column, which in MADE:
        where = sa.text(which)
        op.create_index(name, "outbox", [column], sqlite_where=where, postgresql_where=where)
    for name in GONE:
        op.drop_index(name, "outbox")
