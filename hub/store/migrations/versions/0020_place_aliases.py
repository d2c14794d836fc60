"""What people write for places, beside the list that ships."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only."""
    op.create_table(
        "place_alias",
        sa.Column("key", TEXT, nullable=False),
        sa.Column("alias", TEXT, nullable=False),
        sa.Column("place", TEXT, nullable=True),
        sa.Column("lat_udeg", INT64, nullable=True),
        sa.Column("lon_udeg", INT64, nullable=True),
        sa.Column("region", TEXT, nullable=True),
        sa.Column("changed_no", INT64, nullable=False),
        sa.CheckConstraint("(lat_udeg IS NULL) = (lon_udeg IS NULL)", name="place_alias_point"),
        sa.CheckConstraint("(place IS NULL) = (lat_udeg IS NOT NULL)", name="place_alias_means"),
        sa.PrimaryKeyConstraint("key"),
        sqlite_strict=True,
    )
    op.create_index("place_alias_changed", "place_alias", ["changed_no"])
