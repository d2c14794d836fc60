"""Customers as persons: keys, consents, transcripts, readings, erasures."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "contact",
        sa.Column("id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=True),
        sa.Column("language", TEXT, nullable=False),
        sa.Column("met_ms", INT64, nullable=False),
        sa.Column("seen_ms", INT64, nullable=False),
        sa.Column("consent_version", TEXT, nullable=True),
        sa.Column("consent_ms", INT64, nullable=True),
        sa.Column("opted_out_ms", INT64, nullable=True),
        sa.Column("erasure_asked_ms", INT64, nullable=True),
        sa.Column("erased_ms", INT64, nullable=True),
        sa.CheckConstraint("erased_ms IS NULL OR name IS NULL", name="contact_erased"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )
    op.create_index("contact_seen", "contact", ["seen_ms", "id"], unique=False)
    op.create_index(
        "contact_asked",
        "contact",
        ["erasure_asked_ms"],
        unique=False,
        sqlite_where=sa.text("erasure_asked_ms IS NOT NULL"),
        postgresql_where=sa.text("erasure_asked_ms IS NOT NULL"),
    )
    op.create_table(
        "opt_out",
        sa.Column("key_hash", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("key_hash"),
        sqlite_strict=True,
    )
    op.create_table(
        "erasure",
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("contact"),
        sqlite_strict=True,
    )
    _keys()
    _words()


def _keys() -> None:
    op.create_table(
        "contact_key",
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("value", TEXT, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("seen_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.PrimaryKeyConstraint("kind", "value"),
        sqlite_strict=True,
    )
    op.create_index(
        "contact_key_contact", "contact_key", ["contact", "kind", "seen_ms"], unique=False
    )
    op.create_table(
        "contact_conflict",
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("other", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.ForeignKeyConstraint(["other"], ["contact.id"]),
        sa.PrimaryKeyConstraint("contact", "other", "kind"),
        sqlite_strict=True,
    )
    op.create_table(
        "contact_consent",
        sa.Column("n", INT64, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("version", TEXT, nullable=True),
        sa.Column("channel", TEXT, nullable=False),
        sa.CheckConstraint("what IN ('consent', 'opt_out', 'opt_in')", name="contact_consent_what"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.PrimaryKeyConstraint("n"),
        sqlite_strict=True,
    )
    op.create_index("contact_consent_contact", "contact_consent", ["contact", "n"], unique=False)


def _words() -> None:
    op.create_table(
        "transcript",
        sa.Column("n", INT64, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("lead", TEXT, nullable=True),
        sa.Column("direction", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("text", TEXT, nullable=True),
        sa.Column("number", TEXT, nullable=True),
        sa.Column("message_id", TEXT, nullable=True),
        sa.Column("inbox", TEXT, nullable=True),
        sa.CheckConstraint("direction IN ('in', 'out')", name="transcript_direction"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.PrimaryKeyConstraint("n"),
        sqlite_strict=True,
    )
    op.create_index("transcript_contact", "transcript", ["contact", "n"], unique=False)
    op.create_index("transcript_lead", "transcript", ["lead", "n"], unique=False)
    op.create_index(
        "transcript_message",
        "transcript",
        ["message_id"],
        unique=True,
        sqlite_where=sa.text("message_id IS NOT NULL"),
        postgresql_where=sa.text("message_id IS NOT NULL"),
    )
    op.create_table(
        "identity_reading",
        sa.Column("n", INT64, nullable=False),
        sa.Column("contact", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("by", TEXT, nullable=False),
        sa.Column("why", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"]),
        sa.PrimaryKeyConstraint("n"),
        sqlite_strict=True,
    )
    op.create_index("identity_reading_contact", "identity_reading", ["contact", "n"], unique=False)
