"""What retention and erasure look for: buyers by a keyed hash, and closed leads by their age."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.add_column("vault_item", sa.Column("phone_hash", TEXT, nullable=True))
    op.create_index("vault_item_phone", "vault_item", ["phone_hash"], unique=False)
    op.add_column("lead", sa.Column("erased_ms", INT64, nullable=True))
    op.create_index(
        "lead_to_forget",
        "lead",
        ["closed_ms"],
        unique=False,
        sqlite_where=sa.text("erased_ms IS NULL"),
        postgresql_where=sa.text("erased_ms IS NULL"),
    )
