"""What people did about an alert, and until when it is put off."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.add_column("alert", sa.Column("snoozed_until_ms", INT64, nullable=True))
    op.create_table(
        "alert_deed",
        sa.Column("n", INT64, autoincrement=True, nullable=False),
        sa.Column("alert", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("deed", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=True),
        sa.CheckConstraint(
            "deed IN ('ack', 'snooze', 'resolve', 'feedback')", name="alert_deed_known"
        ),
        sa.ForeignKeyConstraint(["alert"], ["alert.id"]),
        sa.PrimaryKeyConstraint("n"),
    )
    op.create_index("alert_deed_alert", "alert_deed", ["alert", "n"], unique=False)
