"""One schema on SQLite and PostgreSQL, and one way to write: through one FIFO thread."""

from hub.store.database import Database, bulk_insert
from hub.store.schema import BYTES, INT64, METADATA, TEXT

__all__ = ["BYTES", "INT64", "METADATA", "TEXT", "Database", "bulk_insert"]
