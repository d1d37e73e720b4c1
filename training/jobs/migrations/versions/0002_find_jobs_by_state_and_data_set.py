"""Indexes: workers look for the oldest queued job, and a data set is not deleted while a job uses it."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("jobs_state_id", "jobs", ["state", "id"])
    op.create_index("jobs_dataset_state", "jobs", ["dataset", "state"])
