"""Which leads a dealer was offered is asked for every page of its people."""

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_index("lead_offer_dealer", "lead_offer", ["dealer", "lead"], unique=False)
