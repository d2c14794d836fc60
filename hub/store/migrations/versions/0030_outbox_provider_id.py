"""Only what a vendor has taken stands in the index of the vendor's ids."""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    taken = sa.text("provider_id IS NOT NULL")
    op.drop_index("outbox_provider_id", "outbox")
    op.create_index(
        "outbox_provider_id",
        "outbox",
        ["provider_id"],
        sqlite_where=taken,
        postgresql_where=taken,
    )
