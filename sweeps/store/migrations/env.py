"""How Alembic runs here: on the connection, and in the transaction, that `upgrade` hands over."""

from alembic import context

from sweeps.store import tables_night  # noqa: F401  (its tables are in `metadata`, too)
from sweeps.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
