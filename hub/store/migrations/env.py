"""Alembic's environment: runs on the connection that hub.store.migrate hands over."""

from alembic import context

from hub.store.schema import METADATA

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=METADATA)
# The caller's transaction: schema and version record are committed together or not at all.
context.run_migrations()
