"""Run by alembic, from ``storage/migrate.py`` alone: the connection comes from there."""

from __future__ import annotations

from alembic import context

from dlgmgmt.storage.migrate import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    # SQLite can do it too, and the transaction has begun: it holds the lock of all migrations.
    transactional_ddl=True,
)
context.run_migrations()
