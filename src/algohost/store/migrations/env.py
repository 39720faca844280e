"""Alembic's way in: runs the migrations on the connection that ``store.schema`` hands over."""

from alembic import context

from algohost.store import tables, trading_tables  # noqa: F401 - they fill it
from algohost.store.metadata import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=False,  # the caller holds the one transaction
)
context.run_migrations()
