"""A process as one name, which an executor gives it."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("jobs", sa.Column("process", sa.Text))
    op.execute("UPDATE jobs SET process = CAST(pid AS TEXT) || '.' || pid_started WHERE pid IS NOT NULL")
    op.drop_column("jobs", "pid")
    op.drop_column("jobs", "pid_started")
