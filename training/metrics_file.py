"""The file of a run's metrics: a line of JSON for each validation."""

import json
import math
from pathlib import Path


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The lines of a metrics file; what a kill cut short, or is no number, is left out."""
    lines = []
    for line in path.read_text().splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if isinstance(values, dict) and isinstance(values.get("step"), int):
            numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
            lines.append({name: value for name, value in numbers.items() if math.isfinite(value)})
    return lines
