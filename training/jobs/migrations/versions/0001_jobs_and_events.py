"""Jobs and their events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Id = sa.String(32).with_variant(sa.String(32, collation="C"), "postgresql")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "jobs",
        sa.Column("id", Id, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("config", sa.JSON, nullable=False),
        sa.Column("body", sa.String(64), nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("key", sa.Text),
        sa.Column("dataset", sa.Text),
        sa.Column("devices", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("failure", sa.String(16)),
        sa.Column("stopped", sa.Boolean, nullable=False),
        sa.Column("asked", sa.String(16)),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("created", Moment, nullable=False),
        sa.Column("updated", Moment, nullable=False),
        sa.Column("started", Moment),
        sa.Column("finished", Moment),
        sa.Column("not_before", Moment),
        sa.Column("step", sa.Integer, nullable=False),
        sa.Column("steps", sa.Integer),
        sa.Column("eta_seconds", sa.Float),
        sa.Column("scores", sa.JSON),
        sa.Column("model_version", sa.Integer),
        sa.Column("gpus", sa.JSON, nullable=False),
        sa.Column("worker", sa.Text),
        sa.Column("place", sa.Text),
        sa.Column("pid", sa.Integer),
        sa.Column("pid_started", sa.Text),
        sa.Column("beat", sa.Integer, nullable=False),
        sa.Column("events", sa.Integer, nullable=False),
        sa.UniqueConstraint("owner", "key", name="jobs_owner_key"),
    )
    op.create_table(
        "events",
        sa.Column("job", Id, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("time", Moment, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
    )
