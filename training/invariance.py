"""`python -m training.invariance`: how far a trained network's class and theta keep up when its pictures are moved."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from training.page_command import counted, page_parser, run_command

if TYPE_CHECKING:
    from training.invariance_measurement import Measurement
    from training.trained import Trained


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the page is written, 2 for a mistake in arguments or data, 130 when interrupted."""
    parser = page_parser(
        "training.invariance",
        "Move pictures by known transforms, and measure how far a trained network keeps up.",
        '{"data": {...}, "invariance": {...}}, both optional, with the fields of training.config.DataConfig and '
        "training.invariance_config.InvarianceConfig; without it, the network's own test pictures",
        "RUN/invariance for a run's own pictures, otherwise `invariance`",
        "all numbers",
    )
    return run_command(_run, lambda: parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    """Measure, write the page, print the verdict."""
    from training.invariance_data import read_invariance_request
    from training.invariance_measurement import measure
    from training.trained import read_trained

    data, config = read_invariance_request(options.config)
    trained = read_trained(options.model)
    own = trained.run is not None and not data
    folder = options.output or (trained.run / "invariance" if own and trained.run else Path("invariance"))
    found = measure(
        trained,
        data,
        config,
        folder,
        lambda total: counted("invariance", "named %d of %d moved pictures", total),
    )
    _print(found, trained, options.json)


def _print(found: "Measurement", trained: "Trained", as_json: bool) -> None:
    from training.page import percent
    from training.verdict import caution, report_json, verdict

    report, upright, about, page = found
    if as_json:
        answer = {**about, **report_json(report, upright.trained), "page": str(page)}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return
    lines = [
        ("model", f"{trained.name} ({trained.file})"),
        ("data", f"{upright.config.data.name}, {about['asked']['part']}: {report.images:,} pictures"),
        ("accuracy", f"{percent(report.accuracy)} without a movement"),
        *([("caution", caution(report))] if caution(report) else []),
        *(tuple(verdict(measured, upright.trained).split(": ", 1)) for measured in report.measured),
        ("page", str(page)),
    ]
    for name, value in lines:
        sys.stdout.write(f"{name:11}  {value}\n")


if __name__ == "__main__":
    sys.exit(main())
