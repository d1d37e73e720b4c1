"""Run by Alembic: upgrades on the connection, and in the transaction, that `training.jobs.upgrade` gives."""

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
