"""Every version of the tables, each made from the one before; see `training.jobs.database`."""
