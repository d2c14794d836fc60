"""Leads, their offers and what happened to them."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
STATES = (
    "'SCREENING', 'QUALIFIED', 'UNCLAIMED', 'CLAIMED', 'CONTACTED', 'DEMO_SCHEDULED', "
    "'WON_REPORTED', 'CLOSED_WON', 'LOST_UNRESPONSIVE', 'EXPIRED', 'OPTED_OUT', 'DUPLICATE'"
)


def upgrade() -> None:
    """Forward only."""
    _lead()
    _lead_indexes()
    _offers()
    _events()


def _text(*names: str, nullable: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, TEXT, nullable=nullable) for name in names]


def _number(*names: str, nullable: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, INT64, nullable=nullable) for name in names]


def _lead() -> None:
    op.create_table(
        "lead",
        *_text("id", "contact", "state", nullable=False),
        *_number("human", "test", "round", "ring", nullable=False),
        *_text("source", nullable=False),
        *_text("campaign", "first_touch", "last_touch", "model"),
        *_text("payment", "buy_when", "language", nullable=False),
        *_text("place", "area", "region"),
        *_number("lat_udeg", "lon_udeg"),
        *_text("consent_version"),
        *_number("consent_ms"),
        *_text("screening", "dealer", "rep", "nearest"),
        *_number("received_ms", nullable=False),
        *_number("qualified_ms", "offered_ms", "claimed_ms", "response_ms"),
        *_number("contacted_ms", "confirmed_ms", "closed_ms"),
        *_text("close_reason", "next_step"),
        *_number("next_step_ms", "asked_ms"),
        *_number("reminded", "told", nullable=False),
        *_text("serial"),
        *_number("sale_index"),
        *_text("back", "duplicate_of", "previous"),
        *_number("events", nullable=False),
        sa.CheckConstraint(f"state IN ({STATES})", name="lead_state"),
        sa.CheckConstraint("(rep IS NULL) = (dealer IS NULL)", name="lead_owner"),
        sa.CheckConstraint("(next_step IS NULL) = (next_step_ms IS NULL)", name="lead_step"),
        sa.PrimaryKeyConstraint("id"),
        sqlite_strict=True,
    )


def _lead_indexes() -> None:
    op.create_index("lead_contact", "lead", ["contact", "received_ms"], unique=False)
    op.create_index("lead_received", "lead", ["received_ms", "id"], unique=False)
    op.create_index("lead_by_state", "lead", ["state", "received_ms", "id"], unique=False)
    op.create_index(
        "lead_by_dealer", "lead", ["dealer", "state", "received_ms", "id"], unique=False
    )
    op.create_index("lead_by_rep", "lead", ["rep", "state"], unique=False)
    op.create_index("lead_sale", "lead", ["sale_index"], unique=False)
    op.create_index("lead_serial", "lead", ["serial"], unique=False)
    op.create_index(
        "lead_due",
        "lead",
        ["next_step_ms"],
        unique=False,
        sqlite_where=sa.text("next_step_ms IS NOT NULL"),
        postgresql_where=sa.text("next_step_ms IS NOT NULL"),
    )


def _offers() -> None:
    op.create_table(
        "lead_offer",
        *_text("id", "lead", "person", "dealer", nullable=False),
        *_number("round", "ring", nullable=False),
        *_text("state", nullable=False),
        *_number("live", "distance_m", "offered_ms", nullable=False),
        *_number("margin_ms"),
        sa.ForeignKeyConstraint(["lead"], ["lead.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("lead", "person", "round", name="lead_offer_once"),
        sqlite_strict=True,
    )
    op.create_index("lead_offer_turn", "lead_offer", ["person", "offered_ms"], unique=False)


def _events() -> None:
    op.create_table(
        "lead_event",
        *_text("lead", nullable=False),
        sa.Column("seq", INT64, autoincrement=False, nullable=False),
        *_number("at_ms", nullable=False),
        *_text("kind", nullable=False),
        *_text("person", "dealer", "decision"),
        *_number("margin_ms", "provider_ms", "ledger_index"),
        *_text("detail"),
        sa.ForeignKeyConstraint(["lead"], ["lead.id"]),
        sa.PrimaryKeyConstraint("lead", "seq"),
        sqlite_strict=True,
    )
    op.create_table(
        "lead_cursor",
        *_text("name", nullable=False),
        *_number("next_index", nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )
    op.create_table(
        "lead_answer",
        *_text("key", "body_sha256", "lead", "answer", nullable=False),
        *_number("at_ms", nullable=False),
        sa.ForeignKeyConstraint(["lead"], ["lead.id"]),
        sa.PrimaryKeyConstraint("key"),
        sqlite_strict=True,
    )
