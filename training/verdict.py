"""What a measurement of invariance comes to, in words and as JSON."""

from typing import Any

from stn.invariance import Alignment, Kept, Measured, Report, kept
from training.trained_ranges import Ranges

SHARES = (0.99, 0.95, 0.9)
"""Of the accuracy without a movement."""


LEAST = 0.5
"""Accuracy without a movement below which keeping it is worth little."""


def kept_shares(measured: Measured) -> dict[float, Kept | None]:
    """For each of the shares between which sizes it is kept."""
    asked = measured.movement
    return {share: kept(asked.sizes, measured.accuracy, asked.still, share) for share in SHARES}


def caution(report: Report) -> str:
    """What is to be said of a network that is wrong without any movement; empty where there is nothing."""
    if report.accuracy >= LEAST:
        return ""
    share = f"{100 * report.accuracy:.1f} %"
    return f"Only {share} of the pictures are named right without a movement, so the ranges below say little."


def between(low: float, high: float, unit: str) -> str:
    """A range in words.

    >>> between(-45.04, 50.0, "degrees")
    'from -45 to 50 degrees'
    """
    return f"from {_number(low)} to {_number(high)} {unit}"


def kept_words(found: Kept | None, measured: Measured) -> str:
    """Where a share is kept, and whether that is all that was tried."""
    unit = measured.movement.unit
    if found is None:
        return "nowhere: there is no accuracy to keep"
    if all(found.whole):
        return f"over the whole range tried, {between(found.low, found.high, unit)}"
    text = between(found.low, found.high, unit)
    tried = [name for name, whole in zip(("smallest", "largest"), found.whole, strict=True) if whole]
    return f"{text} (the {tried[0]} tried)" if tried else text


def verdict(measured: Measured, trained: Ranges) -> str:
    """The verdict on one movement, a sentence for each thing that is said."""
    asked = measured.movement
    ranges = [f"{round(100 * share)} % {kept_words(found, measured)}" for share, found in kept_shares(measured).items()]
    text = f"{asked.name}: of its accuracy the model keeps " + "; ".join(ranges) + "."
    if asked.name in trained:
        low, high = trained[asked.name]
        moved = "without it" if low == high else between(low, high, asked.unit)
        text += f" It was trained {moved}."
    spreads = [
        float(each.spread.mean()) for each in (measured.model, measured.held, measured.identity, measured.perfect)
    ]
    model, held, identity, perfect = (f"{value:.1f}" for value in spreads)
    return (
        f"{text} What a point of the output shows is spread over {model} pixels ({held} were theta held, {identity} "
        f"without a transformer, {perfect} for the best theta of its kind)."
    )


def report_json(report: Report, trained: Ranges) -> dict[str, Any]:
    """All numbers of the report; distances and spreads are in pixels of the input."""
    return {
        "images": report.images,
        "size": list(report.size),
        "accuracy": report.accuracy,
        "movements": [_measured_json(measured, trained) for measured in report.measured],
    }


def _measured_json(measured: Measured, trained: Ranges) -> dict[str, Any]:
    asked = measured.movement
    alignments = {name: getattr(measured, name) for name in ("model", "held", "identity", "perfect")}
    return {
        "name": asked.name,
        "unit": asked.unit,
        "sizes": list(asked.sizes),
        "accuracy": _rounded(measured.accuracy.tolist()),
        "agreement": _rounded(measured.agreement.tolist()),
        "lost": _rounded(measured.lost.tolist()),
        "distance": {name: _rounded(each.distance.tolist()) for name, each in alignments.items()},
        "spread": {name: _spread_json(each) for name, each in alignments.items()},
        "trained": list(trained[asked.name]) if asked.name in trained else None,
        "kept": {
            f"{share:g}": None if found is None else {"low": found.low, "high": found.high, "whole": list(found.whole)}
            for share, found in kept_shares(measured).items()
        },
        "verdict": verdict(measured, trained),
    }


def _spread_json(alignment: Alignment) -> dict[str, float]:
    values = alignment.spread
    return {
        "mean": round(float(values.mean()), 6),
        "median": round(float(values.quantile(0.5)), 6),
        "percentile_95": round(float(values.quantile(0.95)), 6),
    }


def _rounded(values: list[float]) -> list[float]:
    return [round(value, 6) for value in values]


def _number(value: float) -> str:
    """With as many digits as a size is known to."""
    digits = 2 if abs(value) < 3 else 0
    return f"{round(value, digits) + 0.0:g}"
