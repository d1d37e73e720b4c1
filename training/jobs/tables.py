"""The tables as they are now; `migrations/` has how they came to be so, and a test compares the two."""

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class Moment(TypeDecorator[datetime]):
    """A time in UTC; SQLite keeps it without a zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


Id = String(32).with_variant(String(32, collation="C"), "postgresql")  # sorted by bytes, as SQLite does
metadata = MetaData()

jobs = Table(
    "jobs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("body", String(64), nullable=False),  # hash of what was posted
    Column("owner", Text, nullable=False),  # "" for nobody: two NULLs would not be the same owner of a key
    Column("key", Text),
    Column("dataset", Text),
    Column("devices", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("failure", String(16)),
    Column("stopped", Boolean, nullable=False),
    Column("asked", String(16)),
    Column("attempt", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("created", Moment, nullable=False),
    Column("updated", Moment, nullable=False),
    Column("started", Moment),
    Column("finished", Moment),
    Column("not_before", Moment),
    Column("step", Integer, nullable=False),
    Column("steps", Integer),
    Column("eta_seconds", Float),
    Column("scores", JSON(none_as_null=True)),
    Column("model_version", Integer),
    Column("gpus", JSON, nullable=False),
    Column("worker", Text),
    Column("place", Text),
    Column("process", Text),
    Column("beat", Integer, nullable=False),
    Column("events", Integer, nullable=False),  # id of the last one
    UniqueConstraint("owner", "key", name="jobs_owner_key"),
    Index("jobs_state_id", "state", "id"),
    Index("jobs_dataset_state", "dataset", "state"),
)

events = Table(
    "events",
    metadata,
    Column("job", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("time", Moment, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("data", JSON, nullable=False),
)

workers = Table(
    "workers",
    metadata,
    Column("name", Text, primary_key=True),
    Column("place", Text, nullable=False),
    Column("devices", Integer, nullable=False),  # 0 of one that has ended in good order
    Column("seen", Moment, nullable=False),  # the last sign of life, by the database's clock
)
