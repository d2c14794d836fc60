"""People of dealers sign in: an account may be a person's, whose role stands in the people's file."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

INT64 = sa.BigInteger().with_variant(sa.INTEGER(), "sqlite")
TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
WHOSE = "(person IS NULL) = (role IS NOT NULL) AND (person IS NOT NULL OR email IS NOT NULL)"
COPY = """
INSERT INTO account_new (id, email, role, language, password_hash, totp_secret, totp_last_step, created_ms, disabled_ms)
SELECT id, email, role, language, password_hash, totp_secret, totp_last_step, created_ms, disabled_ms FROM account
"""


def upgrade() -> None:
    """Forward only. SQLite cannot loosen a column, so there the tables are made anew."""
    if op.get_context().dialect.name == "sqlite":
        _anew()
        return
    op.alter_column("account", "email", nullable=True)
    op.alter_column("account", "role", nullable=True)
    op.add_column("account", sa.Column("person", TEXT, nullable=True))
    op.create_foreign_key("account_person_fkey", "account", "person", ["person"], ["id"])
    op.create_unique_constraint("account_person_key", "account", ["person"])
    op.create_check_constraint("account_whose", "account", WHOSE)


def _anew() -> None:
    """The two that point at accounts first: a table that is pointed at cannot be dropped."""
    op.create_table(
        "account_new",
        sa.Column("id", INT64, autoincrement=True, nullable=False),
        sa.Column("email", TEXT, nullable=True),
        sa.Column("role", TEXT, nullable=True),
        sa.Column("person", TEXT, nullable=True),
        sa.Column("language", TEXT, nullable=True),
        sa.Column("password_hash", TEXT, nullable=True),
        sa.Column("totp_secret", TEXT, nullable=True),
        sa.Column("totp_last_step", INT64, nullable=True),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("disabled_ms", INT64, nullable=True),
        sa.CheckConstraint(
            "role IN ('admin', 'executive', 'regional_manager', 'auditor')", name="account_role"
        ),
        sa.CheckConstraint(WHOSE, name="account_whose"),
        sa.CheckConstraint(
            "totp_last_step IS NULL OR totp_secret IS NOT NULL", name="account_totp"
        ),
        sa.ForeignKeyConstraint(["person"], ["person.id"]),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("email"),
        sa.UniqueConstraint("person"),
        sqlite_strict=True,
    )
    op.execute(COPY)
    _session_anew()
    op.create_table(
        "login_link_new",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", INT64, nullable=False),
        sa.Column("expires_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account_new.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO login_link_new SELECT token_hash, account_id, expires_ms FROM login_link"
    )
    for table in ("account_session", "login_link", "account"):
        op.drop_table(table)
    for table in ("account", "account_session", "login_link"):
        # References to a table follow its new name.
        op.rename_table(f"{table}_new", table)
    op.create_index("account_session_account", "account_session", ["account_id"], unique=False)


def _session_anew() -> None:
    op.create_table(
        "account_session_new",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("account_id", INT64, nullable=False),
        sa.Column("created_ms", INT64, nullable=False),
        sa.Column("seen_ms", INT64, nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["account_new.id"]),
        sa.PrimaryKeyConstraint("token_hash"),
        sqlite_strict=True,
    )
    op.execute(
        "INSERT INTO account_session_new SELECT token_hash, account_id, created_ms, seen_ms FROM account_session"
    )
