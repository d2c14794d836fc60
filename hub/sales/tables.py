"""Tables of sales and units. Index columns are places on the ledger."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Index,
    PrimaryKeyConstraint,
    Table,
    and_,
    literal_column,
)

from hub.store import BYTES, INT64, METADATA, TEXT

SALE = Table(
    "sale",
    METADATA,
    Column("dealer", TEXT, nullable=False),
    Column("index", INT64, nullable=False),
    Column("device", TEXT, nullable=False),
    Column("gen", INT64, nullable=False),
    Column("n", INT64, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("till", TEXT, nullable=False),
    Column("receipt", TEXT, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("err_ms", INT64),
    Column("received_ms", INT64, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("flags", TEXT, nullable=False),
    Column("content", BYTES, nullable=False),
    Column("payment", TEXT),
    Column("operator", TEXT),
    Column("buyer_commitment", TEXT),
    Column("list_idr", INT64, nullable=False),
    Column("discount_idr", INT64, nullable=False),
    Column("net_idr", INT64, nullable=False),
    Column("serials", TEXT),
    Column("refers_to", INT64),
    Column("reversed_by", INT64),
    PrimaryKeyConstraint("dealer", "index"),
    CheckConstraint(
        "(kind = 'sale' AND state IN ('final', 'part', 'voided', 'returned'))"
        " OR (kind = 'duplicate' AND state = 'duplicate')"
        " OR (kind IN ('void', 'return') AND state IN ('applied', 'unmatched'))",
        name="sale_state",
    ),
    CheckConstraint("(state = 'applied') <= (refers_to IS NOT NULL)", name="sale_applied"),
    Index("sale_index", "index"),
    Index("sale_receipt", "dealer", "till", "receipt", "index"),
    Index("sale_number", "receipt", "index"),
    Index("sale_capture", "device", "gen", "n", "index"),
    Index("sale_time", "at_ms"),
    sqlite_strict=True,
)
SALE_FLAGGED = Index(
    "sale_flagged",
    SALE.c.index,
    sqlite_where=SALE.c.flags != "",
    postgresql_where=SALE.c.flags != "",
)

SALE_UNIT = Table(
    "sale_unit",
    METADATA,
    Column("dealer", TEXT, nullable=False),
    Column("sale", INT64, nullable=False),
    Column("line", INT64, nullable=False),
    Column("serial", TEXT),
    Column("serial_raw", TEXT),
    Column("model", TEXT),
    Column("list_idr", INT64, nullable=False),
    Column("discount_idr", INT64, nullable=False),
    Column("net_idr", INT64, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("flag", TEXT),
    Column("reversed_by", INT64),
    Column("activated_index", INT64),
    Column("activated_ms", INT64),
    Column("unanswered_index", INT64),
    PrimaryKeyConstraint("dealer", "sale", "line"),
    CheckConstraint("state IN ('sold', 'voided', 'returned', 'duplicate')", name="sale_unit_state"),
    CheckConstraint(
        "(state IN ('voided', 'returned')) = (reversed_by IS NOT NULL)", name="sale_unit_reversed"
    ),
    Index("sale_unit_serial", "serial", "state", "sale"),
    sqlite_strict=True,
)

SALE_ANSWER = Table(
    "sale_answer",
    METADATA,
    Column("dealer", TEXT, nullable=False),
    Column("index", INT64, nullable=False),
    Column("device", TEXT, nullable=False),
    Column("serial", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("sale_gen", INT64, nullable=False),
    Column("sale_n", INT64, nullable=False),
    Column("at_ms", INT64, nullable=False),
    Column("err_ms", INT64),
    Column("sale", INT64),
    PrimaryKeyConstraint("dealer", "index"),
    CheckConstraint("kind IN ('answered', 'unanswered')", name="sale_answer_kind"),
    Index("sale_answer_capture", "device", "sale_gen", "sale_n", "index"),
    Index("sale_answer_serial", "serial", "kind", "index"),
    sqlite_strict=True,
)


def unit_state(live_count: str, undone: str, reported_state: str) -> str:
    """What a unit is, as SQL over these expressions: what its sales say, else what it says."""
    return (
        f"CASE WHEN {live_count} > 0 THEN 'sold' WHEN {undone} = 'returned' THEN 'returned'"
        f" WHEN {undone} = 'voided' OR {reported_state} = 'stock' THEN 'stock'"
        " ELSE 'unknown' END"
    )


def unit_dealer(live_count: str, sale_dealer: str, heard_dealer: str) -> str:
    """Whose a unit is, as SQL: of who sold it, else of where it was heard last."""
    return (
        f"CASE WHEN {live_count} > 0 THEN {sale_dealer}"
        f" ELSE coalesce({heard_dealer}, {sale_dealer}) END"
    )


STATE_RULE = unit_state("live_count", "undone", "reported_state")
DEALER_RULE = unit_dealer("live_count", "sale_dealer", "heard_dealer")

UNIT = Table(
    "unit",
    METADATA,
    Column("serial", TEXT, primary_key=True),
    Column("model", TEXT),
    # What the scooter said of itself, last.
    Column("heard_dealer", TEXT),
    Column("reported_state", TEXT),
    Column("firmware", TEXT),
    Column("battery_pct", INT64),
    Column("odometer_m", INT64),
    Column("seen_index", INT64),
    Column("seen_ms", INT64),
    Column("fault_index", INT64),
    Column("fault_ms", INT64),
    Column("fault_code", TEXT),
    # What its sales say: the first that stands, else the last that was undone.
    Column("live_count", INT64, nullable=False),
    Column("sale_index", INT64),
    Column("sale_ms", INT64),
    Column("sale_dealer", TEXT),
    Column("undone", TEXT),
    Column("activated_index", INT64),
    Column("activated_ms", INT64),
    # Computed from the columns above, by the same words in every statement and in the checks;
    # plain columns, because SQLite answers no question from an index of generated ones alone.
    Column("state", TEXT, nullable=False),
    Column("dealer", TEXT),
    CheckConstraint(f"state = {STATE_RULE}", name="unit_is_what_it_was"),
    CheckConstraint(f"coalesce(dealer, '') = coalesce({DEALER_RULE}, '')", name="unit_is_where"),
    CheckConstraint("live_count >= 0", name="unit_live_count"),
    CheckConstraint("undone IN ('voided', 'returned')", name="unit_undone"),
    Index("unit_state", "state", "serial"),
    Index("unit_dealer", "dealer", "state", "serial"),
    Index("unit_model", "model", "state", "serial"),
    Index("unit_model_serial", "model", "serial"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
QUIET = and_(UNIT.c.state == literal_column("'sold'"), UNIT.c.activated_ms.is_(None))
"""Sold, and never answered. Written without a parameter, or no engine would use its index."""
UNIT_QUIET = Index(
    "unit_quiet",
    # Of one value each, and only so does SQLite prefer this index to that of all sold units.
    UNIT.c.state,
    UNIT.c.activated_ms,
    UNIT.c.serial,
    UNIT.c.dealer,
    UNIT.c.model,
    sqlite_where=QUIET,
    postgresql_where=QUIET,
)

TABLES = (SALE, SALE_UNIT, SALE_ANSWER, UNIT)
