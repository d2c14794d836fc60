"""What of a lead is in Qontak's CRM, and timelines by time so that what is new is found."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "crm_lead",
        sa.Column("lead", TEXT, nullable=False),
        sa.Column("wanted", INT64, nullable=False),
        sa.Column("seen", INT64, nullable=False),
        sa.Column("due_ms", INT64, nullable=False),
        sa.Column("attempts", INT64, nullable=False),
        sa.Column("deal", TEXT, nullable=True),
        sa.Column("stage", TEXT, nullable=True),
        sa.Column("reason", TEXT, nullable=True),
        sa.PrimaryKeyConstraint("lead"),
        sqlite_strict=True,
    )
    op.create_index("crm_lead_due", "crm_lead", ["due_ms"], unique=False)
    op.create_table(
        "crm_person",
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("person", TEXT, nullable=False),
        sa.Column("erased", INT64, nullable=False),
        sa.PrimaryKeyConstraint("contact"),
        sqlite_strict=True,
    )
    op.create_table(
        "crm_note",
        sa.Column("lead", TEXT, nullable=False),
        sa.Column("seq", INT64, autoincrement=False, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("lead", "seq"),
        sqlite_strict=True,
    )
    op.create_index("lead_event_at", "lead_event", ["at_ms"], unique=False)
