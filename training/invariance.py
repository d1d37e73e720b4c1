"""`python -m training.invariance`: how far a trained network's class and theta keep up when its pictures are moved."""

import argparse
import json
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.child import interrupt_on_signals

if TYPE_CHECKING:
    from stn.invariance import Report
    from training.invariance_config import InvarianceConfig
    from training.invariance_data import Upright
    from training.trained import Trained

log = logging.getLogger("training")


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the page is written, 2 for a mistake in arguments or data, 130 when interrupted."""
    interrupt_on_signals()
    try:
        _run(_parse(arguments))
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.invariance",
        description="Move pictures by known transforms, and measure how far a trained network keeps up.",
    )
    parser.add_argument(
        "model", type=Path, metavar="RUN_OR_MODEL", help="a run folder, finished or not, or a model file"
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        metavar="CONFIG.json",
        help='{"data": {...}, "invariance": {...}}, both optional, with the fields of training.config.DataConfig and '
        "training.invariance_config.InvarianceConfig; without it, the network's own test pictures",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder for the page (default: RUN/invariance for a run's own pictures, otherwise `invariance` in this folder)",
    )
    parser.add_argument("--json", action="store_true", help="print all numbers as JSON")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> None:
    """Measure, write the page, print the verdict."""
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    from stn.invariance import MOVEMENTS, report
    from training.facts import data_facts, model_facts, report_title
    from training.invariance_data import read_invariance_request, read_upright
    from training.invariance_page import GENERATOR
    from training.invariance_report import write_invariance
    from training.overlay import overlay_of
    from training.report import check_place, device_for
    from training.trained import read_trained

    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())
    data, config = read_invariance_request(options.config)
    trained = read_trained(options.model)
    own = trained.run is not None and not data
    folder = options.output or (trained.run / "invariance" if own and trained.run else Path("invariance"))
    check_place(folder, GENERATOR)
    upright = read_upright(trained, data, config)
    trained.model.to(device_for(upright.config.trainer.accelerator))
    total = len(upright.images) * (1 + sum(len(MOVEMENTS[name].sizes) for name in config.movements))
    with _shown(total) as progress:
        overlay = overlay_of(upright.images, config)
        found = report(
            trained.model, upright.images, upright.labels, config.movements, overlay=overlay, progress=progress
        )
    asked = {name: str(getattr(config, name)) for name in ("seed", "noise", "clutter", "clutter_size")}
    facts = data_facts(upright.config.data, upright.config.distortion, config.part) | asked | model_facts(trained.info)
    title = "Invariance: " + report_title(trained.name, upright.config.data.name, config.part)
    about = _about(trained, upright, config)
    page = write_invariance(folder, title, found, upright.trained, about, {"weights": str(trained.file), **facts})
    _print(found, trained, upright, about, page, options.json)


def _about(trained: "Trained", upright: "Upright", config: "InvarianceConfig") -> dict[str, Any]:
    """What was measured, by which code, on what."""
    import platform

    import torch

    from stn.config import to_dict
    from training.machine import commit, device_name

    return {
        "model": trained.name,
        "data": upright.config.data.name,
        "asked": to_dict(config),
        "provenance": dict(trained.info.provenance),
        "commit": commit(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {device_name()}",
    }


@contextmanager
def _shown(total: int, seconds_between_lines: float = 5.0) -> "Iterator[Callable[[int], None]]":
    """What counts pictures: with a bar on a terminal and a line every few seconds elsewhere."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        columns, rows = shutil.get_terminal_size()
        with tqdm(desc="invariance", total=total, unit="picture", ncols=columns, nrows=rows) as bar:
            yield lambda count: (bar.update(count), None)[1]
        return
    done, last = 0, time.monotonic()

    def tell(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last > seconds_between_lines:
            log.info("named %d of %d moved pictures", done, total)
            last = time.monotonic()

    yield tell


def _print(
    report: "Report", trained: "Trained", upright: "Upright", about: dict[str, Any], page: Path, as_json: bool
) -> None:
    from training.page import percent
    from training.verdict import caution, report_json, verdict

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
