"""The keys of a box: the newest, and those before it that may still have sealed something."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Forward only: every box begins with the key it was enrolled with."""
    op.create_table(
        "device_key",
        sa.Column("keyid", TEXT, nullable=False),
        sa.Column("device", TEXT, nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("state", TEXT, nullable=False),
        sa.Column("follows", TEXT, nullable=True),
        sa.Column("added_ms", INT64, nullable=False),
        sa.Column("retires_ms", INT64, nullable=True),
        sa.CheckConstraint(
            "state IN ('active', 'retiring', 'retired', 'revoked')", name="device_key_state"
        ),
        sa.PrimaryKeyConstraint("keyid"),
        sqlite_strict=True,
    )
    op.create_index("device_key_device", "device_key", ["device", "added_ms"], unique=False)
    op.execute(
        "INSERT INTO device_key (keyid, device, public_key, state, added_ms) "
        "SELECT keyid, device, public_key, 'active', enrolled_ms FROM device"
    )
