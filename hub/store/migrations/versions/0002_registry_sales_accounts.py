"""The registry, sales and units, and who may sign in."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    _registry_1()
    _registry_2()
    _sales_1()
    _sales_2()
    _sales_3()
    _sales_4()
    _sales_5()
    _accounts_1()
    _accounts_2()


def _registry_1() -> None:
    op.create_table(
        "model",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("serial_pattern", TEXT, nullable=True),
        sa.Column("has_telemetry", INT64, nullable=False),
        sa.Column("warranty_months", INT64, nullable=True),
        sa.Column("active", INT64, nullable=False),
        sa.CheckConstraint("has_telemetry IN (0, 1) AND active IN (0, 1)", name="model_yes_or_no"),
        sa.PrimaryKeyConstraint("code"),
        sqlite_strict=True,
    )
    op.create_table(
        "region",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("timezone", TEXT, nullable=False),
        sa.Column("manager", TEXT, nullable=True),
        sa.Column("executives", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("code"),
        sqlite_strict=True,
    )


def _registry_2() -> None:
    op.create_table(
        "dealer",
        sa.Column("code", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("company", TEXT, nullable=True),
        sa.Column("region", TEXT, nullable=False),
        sa.Column("address", TEXT, nullable=True),
        sa.Column("lat_udeg", INT64, nullable=False),
        sa.Column("lon_udeg", INT64, nullable=False),
        sa.Column("timezone", TEXT, nullable=False),
        sa.Column("phone", TEXT, nullable=True),
        sa.Column("email", TEXT, nullable=True),
        sa.Column("hours", TEXT, nullable=False),
        sa.Column("closed_days", TEXT, nullable=False),
        sa.Column("capacity", INT64, nullable=True),
        sa.Column("weight_milli", INT64, nullable=False),
        sa.Column("authorised", INT64, nullable=False),
        sa.Column("paused_until_ms", INT64, nullable=True),
        sa.Column("opened_on", TEXT, nullable=True),
        sa.Column("closed_on", TEXT, nullable=True),
        sa.CheckConstraint("authorised IN (0, 1)", name="dealer_authorised"),
        sa.CheckConstraint("weight_milli > 0", name="dealer_weight"),
        sa.ForeignKeyConstraint(["region"], ["region.code"]),
        sa.PrimaryKeyConstraint("code"),
        sqlite_strict=True,
    )
    op.create_index("dealer_region", "dealer", ["region"], unique=False)


def _sales_1() -> None:
    op.create_table(
        "sale",
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("index", INT64, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("gen", INT64, nullable=False),
        sa.Column("n", INT64, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("till", TEXT, nullable=False),
        sa.Column("receipt", TEXT, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("err_ms", INT64, nullable=True),
        sa.Column("received_ms", INT64, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("flags", TEXT, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("payment", TEXT, nullable=True),
        sa.Column("operator", TEXT, nullable=True),
        sa.Column("buyer_commitment", TEXT, nullable=True),
        sa.Column("list_idr", INT64, nullable=False),
        sa.Column("discount_idr", INT64, nullable=False),
        sa.Column("net_idr", INT64, nullable=False),
        sa.Column("serials", TEXT, nullable=True),
        sa.Column("refers_to", INT64, nullable=True),
        sa.Column("reversed_by", INT64, nullable=True),
        sa.CheckConstraint(
            "(kind = 'sale' AND state IN ('final', 'part', 'voided', 'returned')) OR (kind = 'duplicate' AND state = 'duplicate') OR (kind IN ('void', 'return') AND state IN ('applied', 'unmatched'))",
            name="sale_state",
        ),
        sa.CheckConstraint("(state = 'applied') <= (refers_to IS NOT NULL)", name="sale_applied"),
        sa.PrimaryKeyConstraint("dealer", "index"),
        sqlite_strict=True,
    )
    op.create_index("sale_capture", "sale", ["device", "gen", "n", "index"], unique=False)


def _sales_2() -> None:
    op.create_index(
        "sale_flagged",
        "sale",
        ["index"],
        unique=False,
        sqlite_where=sa.text("flags != ''"),
        postgresql_where=sa.text("flags != ''"),
    )
    op.create_index("sale_index", "sale", ["index"], unique=False)
    op.create_index("sale_number", "sale", ["receipt", "index"], unique=False)
    op.create_index("sale_receipt", "sale", ["dealer", "till", "receipt", "index"], unique=False)
    op.create_index("sale_time", "sale", ["at_ms"], unique=False)
    op.create_table(
        "sale_answer",
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("index", INT64, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("serial", TEXT, nullable=False),
        sa.Column("kind", TEXT, nullable=False),
        sa.Column("sale_gen", INT64, nullable=False),
        sa.Column("sale_n", INT64, nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sa.Column("err_ms", INT64, nullable=True),
        sa.Column("sale", INT64, nullable=True),
        sa.CheckConstraint("kind IN ('answered', 'unanswered')", name="sale_answer_kind"),
        sa.PrimaryKeyConstraint("dealer", "index"),
        sqlite_strict=True,
    )
    op.create_index(
        "sale_answer_capture",
        "sale_answer",
        ["device", "sale_gen", "sale_n", "index"],
        unique=False,
    )
    op.create_index("sale_answer_serial", "sale_answer", ["serial", "kind", "index"], unique=False)


def _sales_3() -> None:
    op.create_table(
        "sale_unit",
        sa.Column("dealer", TEXT, nullable=False),
        sa.Column("sale", INT64, nullable=False),
        sa.Column("line", INT64, nullable=False),
        sa.Column("serial", TEXT, nullable=True),
        sa.Column("serial_raw", TEXT, nullable=True),
        sa.Column("model", TEXT, nullable=True),
        sa.Column("list_idr", INT64, nullable=False),
        sa.Column("discount_idr", INT64, nullable=False),
        sa.Column("net_idr", INT64, nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("flag", TEXT, nullable=True),
        sa.Column("reversed_by", INT64, nullable=True),
        sa.Column("activated_index", INT64, nullable=True),
        sa.Column("activated_ms", INT64, nullable=True),
        sa.Column("unanswered_index", INT64, nullable=True),
        sa.CheckConstraint(
            "(state IN ('voided', 'returned')) = (reversed_by IS NOT NULL)",
            name="sale_unit_reversed",
        ),
        sa.CheckConstraint(
            "state IN ('sold', 'voided', 'returned', 'duplicate')", name="sale_unit_state"
        ),
        sa.PrimaryKeyConstraint("dealer", "sale", "line"),
        sqlite_strict=True,
    )
    op.create_index("sale_unit_serial", "sale_unit", ["serial", "state", "sale"], unique=False)


def _sales_4() -> None:
    op.create_table(
        "unit",
        sa.Column("serial", TEXT, nullable=False),
        sa.Column("model", TEXT, nullable=True),
        sa.Column("heard_dealer", TEXT, nullable=True),
        sa.Column("reported_state", TEXT, nullable=True),
        sa.Column("firmware", TEXT, nullable=True),
        sa.Column("battery_pct", INT64, nullable=True),
        sa.Column("odometer_m", INT64, nullable=True),
        sa.Column("seen_index", INT64, nullable=True),
        sa.Column("seen_ms", INT64, nullable=True),
        sa.Column("fault_index", INT64, nullable=True),
        sa.Column("fault_ms", INT64, nullable=True),
        sa.Column("fault_code", TEXT, nullable=True),
        sa.Column("live_count", INT64, nullable=False),
        sa.Column("sale_index", INT64, nullable=True),
        sa.Column("sale_ms", INT64, nullable=True),
        sa.Column("sale_dealer", TEXT, nullable=True),
        sa.Column("undone", TEXT, nullable=True),
        sa.Column("activated_index", INT64, nullable=True),
        sa.Column("activated_ms", INT64, nullable=True),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("dealer", TEXT, nullable=True),
        sa.CheckConstraint(
            "coalesce(dealer, '') = coalesce(CASE WHEN live_count > 0 THEN sale_dealer ELSE coalesce(heard_dealer, sale_dealer) END, '')",
            name="unit_is_where",
        ),
        sa.CheckConstraint(
            "state = CASE WHEN live_count > 0 THEN 'sold' WHEN undone = 'returned' THEN 'returned' WHEN undone = 'voided' OR reported_state = 'stock' THEN 'stock' ELSE 'unknown' END",
            name="unit_is_what_it_was",
        ),
        sa.CheckConstraint("undone IN ('voided', 'returned')", name="unit_undone"),
        sa.CheckConstraint("live_count >= 0", name="unit_live_count"),
        sa.PrimaryKeyConstraint("serial"),
        sqlite_strict=True,
        sqlite_with_rowid=False,
    )


def _sales_5() -> None:
    op.create_index("unit_dealer", "unit", ["dealer", "state", "serial"], unique=False)
    op.create_index("unit_model", "unit", ["model", "state", "serial"], unique=False)
    op.create_index(
        "unit_quiet",
        "unit",
        ["serial", "dealer"],
        unique=False,
        sqlite_where=sa.text("state = 'sold' AND activated_ms IS NULL"),
        postgresql_where=sa.text("state = 'sold' AND activated_ms IS NULL"),
    )
    op.create_index("unit_state", "unit", ["state", "serial"], unique=False)


def _accounts_1() -> None:
    op.create_table(
        "account",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("email", TEXT, nullable=False),
        sa.Column("role", TEXT, nullable=False),
        sa.Column("language", TEXT, nullable=True),
        sa.Column("password_hash", TEXT, nullable=True),
        sa.Column("totp_secret", TEXT, nullable=True),
        sa.Column("totp_last_step", INT64, nullable=True),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("disabled_ms", INT64, nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'executive', 'regional_manager', 'auditor')", name="account_role"
        ),
        sa.CheckConstraint(
            "totp_last_step IS NULL OR totp_secret IS NOT NULL", name="account_totp"
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        sqlite_strict=True,
    )
    op.create_table(
        "login_guess",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", INT64, nullable=False),
        sqlite_strict=True,
    )
    op.create_index("login_guess_subject", "login_guess", ["subject", "at_ms"], unique=False)
    op.create_table(
        "portal_secret",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sqlite_strict=True,
    )


def _accounts_2() -> None:
    op.create_table(
        "account_session",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", INT64, nullable=False),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("seen_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_strict=True,
    )
    op.create_index("account_session_account", "account_session", ["account_id"], unique=False)
    op.create_table(
        "login_link",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", INT64, nullable=False),
        sa.Column("expires_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_strict=True,
    )
