"""What became of our messages waits behind what people write."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
NEW = sa.text("state = 'new'")


def upgrade() -> None:
    """Forward only. What waits already keeps its place in front."""
    patient = sa.Column("patient", INT64, server_default="0", nullable=False)
    op.add_column("inbox", patient)
    op.drop_index("inbox_new", "inbox")
    op.create_index(
        "inbox_new", "inbox", ["patient", "seq"], sqlite_where=NEW, postgresql_where=NEW
    )
