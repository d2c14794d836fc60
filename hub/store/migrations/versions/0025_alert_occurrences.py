"""Every time the trouble of an alert was found."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only. What was found before is told by the first and the last time alone."""
    op.create_table(
        "alert_occurrence",
        sa.Column("n", INT64, autoincrement=True, nullable=False),
        sa.Column("alert", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.PrimaryKeyConstraint("n"),
        sqlite_strict=True,
    )
    op.create_index("alert_occurrence_alert", "alert_occurrence", ["alert", "n"], unique=False)
