"""What comes in, what goes out, and what somebody must know."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    _inbox()
    _outbox()
    _outbox_indexes()
    _outbox_beside()
    _alert()


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(
        name, table, columns, unique=False, sqlite_where=condition, postgresql_where=condition
    )


def _inbox() -> None:
    op.create_table(
        "inbox",
        sa.Column("seq", INT64, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("received_ms", INT64, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("attempts", INT64, nullable=False),
        sa.CheckConstraint("state IN ('new', 'done', 'kept')", name="inbox_state"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sqlite_strict=True,
    )
    _partial("inbox_new", "inbox", ["seq"], "state = 'new'")
    op.create_table(
        "inbox_body",
        sa.Column("seq", INT64, autoincrement=False, nullable=False),
        sa.Column("headers", TEXT, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sqlite_strict=True,
    )
    op.create_table(
        "inbox_subject",
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("seq", INT64, autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("subject", "seq"),
        sqlite_strict=True,
    )
    op.create_index("inbox_subject_seq", "inbox_subject", ["seq"], unique=False)
    op.create_table(
        "seen_message",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("key"),
        sqlite_strict=True,
    )
    op.create_index("seen_message_at", "seen_message", ["at_ms"], unique=False)


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("seq", INT64, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("recipient", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("ref", TEXT, nullable=False),
        sa.Column("data", TEXT, nullable=False),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("not_before_ms", INT64, nullable=False),
        sa.Column("not_after_ms", INT64, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=True),
        sa.Column("code", INT64, nullable=True),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("due_ms", INT64, nullable=False),
        sa.Column("attempts", INT64, nullable=False),
        sa.Column("doubts", INT64, nullable=False),
        sa.Column("as_template", INT64, nullable=False),
        sa.Column("number", TEXT, nullable=True),
        sa.Column("provider_id", TEXT, nullable=True),
        sa.Column("former_id", TEXT, nullable=True),
        sa.Column("first_contact_ms", INT64, nullable=True),
        sa.CheckConstraint(
            "state IN ('queued', 'sending', 'accepted', 'delivered', 'read', 'failed', 'withheld')",
            name="outbox_state",
        ),
        sa.CheckConstraint("role IN ('customers', 'reps')", name="outbox_role"),
        sa.CheckConstraint("as_template IN (0, 1)", name="outbox_as_template"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("key"),
        sqlite_strict=True,
    )


def _outbox_indexes() -> None:
    op.create_index("outbox_ref", "outbox", ["ref", "seq"], unique=False)
    op.create_index("outbox_provider_id", "outbox", ["provider_id"], unique=False)
    _partial("outbox_due", "outbox", ["role", "due_ms"], "state = 'queued'")
    _partial("outbox_expiry", "outbox", ["not_after_ms"], "state = 'queued'")
    _partial("outbox_turn", "outbox", ["recipient", "seq"], "state IN ('queued', 'sending')")
    _partial(
        "outbox_first_contact",
        "outbox",
        ["first_contact_ms", "recipient"],
        "first_contact_ms IS NOT NULL",
    )


def _outbox_beside() -> None:
    op.create_table(
        "outbox_pair",
        sa.Column("number", TEXT, nullable=False),
        sa.Column("party", TEXT, nullable=False),
        sa.Column("opened_ms", INT64, nullable=False),
        sa.Column("paced_ms", INT64, nullable=False),
        sa.PrimaryKeyConstraint("number", "party"),
        sqlite_strict=True,
    )
    op.create_table(
        "outbox_count",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", INT64, nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )


def _alert() -> None:
    op.create_table(
        "alert",
        sa.Column("seq", INT64, autoincrement=True, nullable=False),
        sa.Column("id", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False),
        sa.Column("rule", TEXT, nullable=False),
        sa.Column("rule_version", INT64, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("open_key", TEXT, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("active", INT64, nullable=False),
        sa.Column("seen", INT64, nullable=False),
        sa.Column("region", TEXT, nullable=True),
        sa.Column("dealer", TEXT, nullable=True),
        sa.Column("serial", TEXT, nullable=True),
        sa.Column("what", TEXT, nullable=False),
        sa.Column("consequence", TEXT, nullable=False),
        sa.Column("action", TEXT, nullable=False),
        sa.Column("act_by_ms", INT64, nullable=True),
        sa.Column("owner", TEXT, nullable=True),
        sa.Column("count", INT64, nullable=False),
        sa.Column("first_ms", INT64, nullable=False),
        sa.Column("last_ms", INT64, nullable=False),
        sa.Column("closed_ms", INT64, nullable=True),
        sa.Column("close_reason", TEXT, nullable=True),
        sa.Column("absorbed_by", TEXT, nullable=True),
        sa.CheckConstraint("tier IN ('P0', 'P1', 'P2')", name="alert_tier"),
        sa.CheckConstraint("state IN ('open', 'acked', 'snoozed', 'closed')", name="alert_state"),
        sa.CheckConstraint(
            "(state = 'closed') = (open_key IS NULL) AND (state = 'closed') = (closed_ms IS NOT NULL)",
            name="alert_closed",
        ),
        sa.CheckConstraint("active IN (0, 1) AND seen IN (0, 1)", name="alert_flags"),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id"),
        sa.UniqueConstraint("open_key"),
        sqlite_strict=True,
    )
    for column in ("key", "region", "dealer"):
        op.create_index(f"alert_{column}", "alert", [column, "seq"], unique=False)
