"""Choosing from a dict of names."""

from collections.abc import Mapping
from typing import TypeVar

Value = TypeVar("Value")


def choose(choices: Mapping[str, Value], name: str, argument: str) -> Value:
    """The value of this name, or a ValueError that lists the known ones."""
    if not isinstance(name, str) or name not in choices:
        raise ValueError(f"{argument} must be one of {', '.join(sorted(choices))}, got {name!r}")
    return choices[name]
