"""Run by Alembic: upgrades on the connection, and in the transaction, that `training.jobs.upgrade` gives."""

from alembic import context

given = context.config.attributes
context.configure(connection=given["connection"], version_table=given["version_table"])
context.run_migrations()
