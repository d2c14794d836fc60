"""Some messages are e-mail."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.add_column("outbox", sa.Column("channel", TEXT, nullable=False, server_default="whatsapp"))
