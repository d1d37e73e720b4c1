"""Whether two answers say the same."""

from typing import Any

TOLERANCE = 1e-4
"""Probabilities and theta of the same image in batches of different sizes differ by roundings."""


def alike(one: Any, other: Any) -> bool:
    """Whether two JSON values have the same keys, texts and, but for roundings, decimal numbers.

    Whole numbers, such as a model's version, may differ; so may pictures (`data:...`), whose bytes a rounding changes.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    if isinstance(one, str) and isinstance(other, str):
        return one == other or (one.startswith("data:") and other.startswith("data:"))
    return type(one) is type(other)
