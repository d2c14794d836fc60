"""How far a lead's taps stand on the ledger, each in one fact of a race."""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")


def upgrade() -> None:
    """Forward only. Taps of before are told with the next fact of their lead."""
    op.add_column("lead", sa.Column("taps_told", INT64, server_default="0", nullable=False))
