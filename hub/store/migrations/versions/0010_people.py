"""People: who they are, where they work, when they are away, and what WhatsApp calls them."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "person",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("dealers", TEXT, nullable=False),
        sa.Column("regions", TEXT, nullable=False),
        sa.Column("phone", TEXT, nullable=True),
        sa.Column("email", TEXT, nullable=True),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("active_from", TEXT, nullable=True),
        sa.Column("active_until", TEXT, nullable=True),
        sa.Column("deputy", TEXT, nullable=True),
        sa.Column("wa_opt_in_ms", INT64, nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'executive', 'regional_manager', 'technician', 'dealer_manager', 'rep', 'auditor')",
            name="person_role",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("phone"),
        sqlite_strict=True,
    )
    op.create_table(
        "person_dealer",
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("person", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["dealer"], ["dealer.code"]),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("dealer", "person"),
        sqlite_strict=True,
    )
    op.create_index("person_dealer_person", "person_dealer", ["person"], unique=False)
    _duty()
    op.create_table(
        "person_bsuid",
        sa.Column("bsuid", TEXT, nullable=False),
        sa.Column("person", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("bsuid"),
        sqlite_strict=True,
    )
    op.create_index("person_bsuid_person", "person_bsuid", ["person"], unique=False)


def _duty() -> None:
    op.create_table(
        "person_away",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("from_day", TEXT, nullable=False),
        sa.Column("until_day", TEXT, nullable=False),
        sa.Column("deputy", TEXT, nullable=True),
        sa.Column("own", INT64, nullable=False),
        sa.CheckConstraint("from_day <= until_day", name="person_away_days"),
        sa.CheckConstraint("own IN (0, 1)", name="person_away_own"),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("person", "from_day"),
        sqlite_strict=True,
    )
    op.create_index("person_away_until", "person_away", ["until_day"], unique=False)
    op.create_table(
        "person_ready",
        sa.Column("person", TEXT, nullable=False),
        sa.Column("until_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("person"),
        sqlite_strict=True,
    )
