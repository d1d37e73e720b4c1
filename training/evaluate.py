"""`python -m training.evaluate`: the report on a trained network, on its own test pictures or on any others."""

import argparse
import json
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.child import interrupt_on_signals

if TYPE_CHECKING:
    from training.data.batches import Batch
    from training.evaluation import Evaluation
    from training.evaluation_data import Request
    from training.trained import Trained

log = logging.getLogger("training")


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the report is written, 2 for a mistake in arguments or data, 130 when interrupted."""
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
        prog="python -m training.evaluate",
        description="Score a trained network on labelled pictures, and write a page with its mistakes.",
    )
    parser.add_argument(
        "model", type=Path, metavar="RUN_OR_MODEL", help="a run folder, finished or not, or a model file"
    )
    parser.add_argument(
        "config",
        nargs="?",
        type=Path,
        metavar="CONFIG.json",
        help='{"data": {...}, "distortion": {...}, "part": "test|train|validation|all"}, each optional, with the fields of '
        "a training config; without it, the run's own test pictures",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="folder for the page (default: RUN/report for the run's own test, otherwise `report` in this folder)",
    )
    parser.add_argument("--json", action="store_true", help="print the scores as JSON")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace) -> None:
    """Evaluate, write the report, print the scores."""
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    from training.evaluation import evaluate
    from training.evaluation_data import OWN_TEST, read_pictures, read_request
    from training.facts import data_facts, model_facts, report_title, run_facts
    from training.report import check_place, device_for, write_report
    from training.trained import read_trained

    _set_up_logging()
    request = read_request(options.config)
    trained = read_trained(options.model)
    own = trained.run is not None and request == OWN_TEST
    folder = options.output or (trained.run / "report" if own and trained.run else Path("report"))
    check_place(folder)
    pictures = read_pictures(trained, request)
    config = pictures.config
    device = device_for(config.trainer.accelerator)
    batches = _shown(pictures.batches(), len(pictures))
    evaluation = evaluate(trained.model, batches, trained.info.class_names, device)
    if own:
        facts = run_facts(config, trained.info, request.part)
    else:
        facts = data_facts(config.data, config.distortion, request.part) | model_facts(trained.info)
    title = report_title(trained.name, config.data.name, request.part)
    metrics = trained.run / "metrics.jsonl" if trained.run else None
    page = write_report(folder, title, trained.model, evaluation, metrics, {"weights": str(trained.file), **facts})
    _print(evaluation, trained, request, facts, page, options.json)


def _shown(batches: "Iterator[Batch]", total: int, seconds_between_lines: float = 5.0) -> "Iterator[Batch]":
    """The batches, with a bar on a terminal and a line every few seconds elsewhere."""
    from tqdm import tqdm

    if sys.stderr.isatty():
        columns, rows = shutil.get_terminal_size()
        with tqdm(desc="evaluate", total=total, unit="picture", ncols=columns, nrows=rows) as bar:
            for batch in batches:
                yield batch
                bar.update(len(batch.labels))
        return
    done, last = 0, time.monotonic()
    for batch in batches:
        yield batch
        done += len(batch.labels)
        if time.monotonic() - last > seconds_between_lines:
            log.info("evaluated %d of %d pictures", done, total)
            last = time.monotonic()


def _print(
    evaluation: "Evaluation", trained: "Trained", request: "Request", facts: dict[str, str], page: Path, as_json: bool
) -> None:
    from training.evaluation import most_confused, wilson_interval
    from training.page import percent

    if as_json:
        answer = {"model": trained.name, "part": request.part, **scores(evaluation), "page": str(page)}
        sys.stdout.write(json.dumps(answer, indent=2) + "\n")
        return
    low, high = wilson_interval(evaluation.mistakes, len(evaluation.labels))
    lines = [
        ("model", f"{trained.name} ({trained.file})"),
        ("data", f"{facts['data']}, {request.part}: {len(evaluation.labels):,} pictures"),
        ("distortion", facts["distortion"]),
        ("accuracy", percent(evaluation.accuracy)),
        ("error", f"{percent(1 - evaluation.accuracy)}, 95 % interval {percent(low)} to {percent(high)}"),
        ("loss", f"{evaluation.loss:.4f}"),
    ]
    names = evaluation.class_names
    for pair in most_confused(evaluation, 3):
        lines.append(("confused", f"{names[pair.label]} taken for {names[pair.predicted]}: {pair.pictures}"))
    lines.append(("page", str(page)))
    for name, value in lines:
        sys.stdout.write(f"{name:10}  {value}\n")


def scores(evaluation: "Evaluation") -> dict[str, Any]:
    """What `--json` prints of an evaluation; null where a share has nothing to be one of."""
    from training.evaluation import class_scores, most_confused, wilson_interval

    names, count = evaluation.class_names, len(evaluation.labels)
    return {
        "pictures": count,
        "mistakes": evaluation.mistakes,
        "accuracy": evaluation.accuracy,
        "error": 1 - evaluation.accuracy,
        "error_interval": wilson_interval(evaluation.mistakes, count),
        "loss": evaluation.loss,
        "classes": [score._asdict() for score in class_scores(evaluation)],
        "confused": [
            {"class": names[pair.label], "taken_for": names[pair.predicted], "pictures": pair.pictures}
            for pair in most_confused(evaluation)
        ],
    }


def _set_up_logging() -> None:
    log.setLevel(logging.INFO)
    log.addHandler(logging.StreamHandler())


if __name__ == "__main__":
    sys.exit(main())
