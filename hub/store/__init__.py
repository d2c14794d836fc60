"""One schema on SQLite and PostgreSQL, and one way to write: through one FIFO thread."""

from hub.store.bulk import bulk_insert, bulk_upsert
from hub.store.database import Database
from hub.store.pipeline import Values
from hub.store.schema import BYTES, INT64, METADATA, TEXT
from hub.store.statement import Statement, WideStatement, set_columns

__all__ = [
    "BYTES",
    "INT64",
    "METADATA",
    "TEXT",
    "Database",
    "Statement",
    "Values",
    "WideStatement",
    "bulk_insert",
    "bulk_upsert",
    "set_columns",
]
