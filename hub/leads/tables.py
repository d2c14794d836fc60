"""The tables of leads."""

from typing import Final

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, UniqueConstraint, text

from hub.leads.states import STATES
from hub.store import INT64, METADATA, TEXT

LEAD: Final = Table(
    "lead",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("contact", TEXT, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("human", INT64, nullable=False),
    Column("test", INT64, nullable=False),
    Column("round", INT64, nullable=False),
    Column("ring", INT64, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("campaign", TEXT),
    Column("first_touch", TEXT),
    Column("last_touch", TEXT),
    Column("model", TEXT),
    Column("model_said", TEXT),
    Column("payment", TEXT, nullable=False),
    Column("buy_when", TEXT, nullable=False),
    Column("language", TEXT, nullable=False),
    Column("place", TEXT),
    Column("area", TEXT),
    Column("region", TEXT),
    Column("lat_udeg", INT64),
    Column("lon_udeg", INT64),
    Column("consent_version", TEXT),
    Column("consent_ms", INT64),
    Column("screening", TEXT),
    Column("dealer", TEXT),
    Column("rep", TEXT),
    Column("nearest", TEXT),
    Column("received_ms", INT64, nullable=False),
    Column("qualified_ms", INT64),
    Column("offered_ms", INT64),
    Column("claimed_ms", INT64),
    Column("response_ms", INT64),
    Column("contacted_ms", INT64),
    Column("confirmed_ms", INT64),
    Column("closed_ms", INT64),
    Column("close_reason", TEXT),
    Column("next_step", TEXT),
    Column("next_step_ms", INT64),
    Column("asked_ms", INT64),
    Column("reminded", INT64, nullable=False),
    Column("told", INT64, nullable=False),
    Column("serial", TEXT),
    Column("sale_index", INT64),
    Column("back", TEXT),
    Column("duplicate_of", TEXT),
    Column("previous", TEXT),
    Column("events", INT64, nullable=False),
    Column("taps_told", INT64, nullable=False, server_default="0"),
    Column("erased_ms", INT64),
    CheckConstraint(
        "state IN ({})".format(", ".join(f"'{state}'" for state in STATES)), name="lead_state"
    ),
    CheckConstraint("(rep IS NULL) = (dealer IS NULL)", name="lead_owner"),
    CheckConstraint("(next_step IS NULL) = (next_step_ms IS NULL)", name="lead_step"),
    Index("lead_contact", "contact", "received_ms"),
    Index("lead_received", "received_ms", "id"),
    Index("lead_by_state", "state", "received_ms", "id"),
    Index("lead_by_dealer", "dealer", "state", "received_ms", "id"),
    Index("lead_by_rep", "rep", "state"),
    Index("lead_sale", "sale_index"),
    Index("lead_serial", "serial"),
    Index(
        "lead_to_forget",
        "closed_ms",
        sqlite_where=text("erased_ms IS NULL"),
        postgresql_where=text("erased_ms IS NULL"),
    ),
    Index(
        "lead_due",
        "next_step_ms",
        sqlite_where=text("next_step_ms IS NOT NULL"),
        postgresql_where=text("next_step_ms IS NOT NULL"),
    ),
)

LEAD_OFFER: Final = Table(
    "lead_offer",
    METADATA,
    Column("id", TEXT, primary_key=True),
    Column("lead", TEXT, ForeignKey("lead.id"), nullable=False),
    Column("person", TEXT, nullable=False),
    Column("dealer", TEXT, nullable=False),
    Column("round", INT64, nullable=False),
    Column("ring", INT64, nullable=False),
    Column("state", TEXT, nullable=False),
    Column("live", INT64, nullable=False),
    Column("distance_m", INT64, nullable=False),
    Column("offered_ms", INT64, nullable=False),
    Column("margin_ms", INT64),
    UniqueConstraint("lead", "person", "round", name="lead_offer_once"),
    Index("lead_offer_turn", "person", "offered_ms"),
    Index("lead_offer_dealer", "dealer", "lead"),
)

LEAD_EVENT: Final = Table(
    "lead_event",
    METADATA,
    Column("lead", TEXT, ForeignKey("lead.id"), primary_key=True),
    Column("seq", INT64, primary_key=True, autoincrement=False),
    Column("at_ms", INT64, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("person", TEXT),
    Column("dealer", TEXT),
    Column("decision", TEXT),
    Column("margin_ms", INT64),
    Column("provider_ms", INT64),
    Column("ledger_index", INT64),
    Column("detail", TEXT),
    Index("lead_event_at", "at_ms"),
)

LEAD_CURSOR: Final = Table(
    "lead_cursor",
    METADATA,
    Column("name", TEXT, primary_key=True),
    Column("next_index", INT64, nullable=False),
)

LEAD_ANSWER: Final = Table(
    "lead_answer",
    METADATA,
    Column("key", TEXT, primary_key=True),
    Column("body_sha256", TEXT, nullable=False),
    Column("lead", TEXT, ForeignKey("lead.id"), nullable=False),
    Column("answer", TEXT, nullable=False),
    Column("at_ms", INT64, nullable=False),
)
"""What the intake's door answered to an idempotency key."""

PLACE_ALIAS: Final = Table(
    "place_alias",
    METADATA,
    Column("key", TEXT, primary_key=True),
    Column("alias", TEXT, nullable=False),
    Column("place", TEXT),
    Column("lat_udeg", INT64),
    Column("lon_udeg", INT64),
    Column("region", TEXT),
    Column("changed_no", INT64, nullable=False),
    CheckConstraint("(lat_udeg IS NULL) = (lon_udeg IS NULL)", name="place_alias_point"),
    CheckConstraint("(place IS NULL) = (lat_udeg IS NOT NULL)", name="place_alias_means"),
    Index("place_alias_changed", "changed_no"),
    sqlite_strict=True,
)
"""What people of this network write for places, beside the list that ships."""
