"""What the command line says of a job, as the functions that do it take it."""

from collections.abc import Sequence
from typing import NamedTuple

from training.config import TrainingConfig


class Address(NamedTuple):
    """Of a service, and the key for it."""

    url: str | None
    key: str | None


class Launch(NamedTuple):
    """What a job is to do."""

    config: TrainingConfig
    dataset: str | None
    """Of the service's own, instead of the config's."""
    folders: Sequence[str]
    """Those of the data's `root` and `cache` that were given."""
    idempotency_key: str | None
