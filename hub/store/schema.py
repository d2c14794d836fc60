"""Where every feature registers its tables, and the few column types they use.

Only three types, so that SQLite can hold them STRICT and PostgreSQL means the same: whole
numbers of 64 bits, text, bytes. Times are integer milliseconds, money is integer rupiah.
"""

from sqlalchemy import INTEGER, BigInteger, LargeBinary, MetaData, Table, Text, event

METADATA = MetaData()
INT64 = BigInteger().with_variant(INTEGER(), "sqlite")
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""In the order of its bytes on both engines, so that a prefix is one range of an index."""
BYTES = LargeBinary()


@event.listens_for(Table, "after_parent_attach")
def _strict(table: Table, parent: object) -> None:
    """SQLite holds every table of ours to its column types, as PostgreSQL does anyway."""
    if parent is METADATA:
        table.dialect_options["sqlite"]["strict"] = True
