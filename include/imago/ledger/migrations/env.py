"""Runs the migrations on the connection that `imago.ledger.migrate` gives."""

from alembic import context

from imago.ledger.schema import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="ledger_version",
    version_table_schema=context.config.attributes["schema"],
)
context.run_migrations()
