"""A model in a form's own words is kept for the owner of its lead."""

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only. What was not kept before cannot be brought back."""
    text = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.add_column("lead", sa.Column("model_said", text))
