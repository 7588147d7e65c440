"""Run by Alembic for each migration. The connection comes from `store.migrate`, inside its transaction."""

from alembic import context

from wattspan.store.schema.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # `store.engine` begins the transaction itself, and SQLite then takes table changes back
)
with context.begin_transaction():
    context.run_migrations()
