"""Indexes that answer what the units' page asks: a model's units in order, and the quiet ones."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

QUIET = sa.text("state = 'sold' AND activated_ms IS NULL")


def upgrade() -> None:
    """Forward only."""
    op.create_index("unit_model_serial", "unit", ["model", "serial"], unique=False)
    op.drop_index("unit_quiet", "unit")
    op.create_index(
        "unit_quiet",
        "unit",
        ["state", "activated_ms", "serial", "dealer", "model"],
        unique=False,
        sqlite_where=QUIET,
        postgresql_where=QUIET,
    )
