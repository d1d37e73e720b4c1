"""`python -m training.evaluate`: the report on a trained network, on its own test pictures or on any others."""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.page_command import counted, page_parser, run_command

if TYPE_CHECKING:
    from training.data.batches import Batch
    from training.evaluation import Evaluation
    from training.evaluation_data import Request
    from training.trained import Trained


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the report is written, 2 for a mistake in arguments or data, 130 when interrupted."""
    parser = page_parser(
        "training.evaluate",
        "Score a trained network on labelled pictures, and write a page with its mistakes.",
        '{"data": {...}, "distortion": {...}, "part": "test|train|validation|all"}, each optional, with the fields of a '
        "training config; without it, the run's own test pictures",
        "RUN/report for the run's own test, otherwise `report`",
        "the scores",
    )
    return run_command(_run, lambda: parser.parse_args(arguments))


def _run(options: argparse.Namespace) -> None:
    """Evaluate, write the report, print the scores."""
    from training.evaluation import evaluate
    from training.evaluation_data import OWN_TEST, read_pictures, read_request
    from training.facts import data_facts, model_facts, report_title, run_facts
    from training.page import REPORT, check_place
    from training.report import device_for, write_report
    from training.trained import read_trained

    request = read_request(options.config)
    trained = read_trained(options.model)
    own = trained.run is not None and request == OWN_TEST
    folder = options.output or (trained.run / "report" if own and trained.run else Path("report"))
    check_place(folder, REPORT)
    pictures = read_pictures(trained, request)
    config = pictures.config
    device = device_for(config.trainer.accelerator)
    with counted("evaluate", "evaluated %d of %d pictures", len(pictures)) as progress:
        batches = _passing(pictures.batches(), progress)
        evaluation = evaluate(trained.model, batches, trained.info.class_names, device)
    if own:
        facts = run_facts(config, trained.info, request.part)
    else:
        facts = data_facts(config.data, config.distortion, request.part) | model_facts(trained.info)
    title = report_title(trained.name, config.data.name, request.part)
    metrics = trained.run / "metrics.jsonl" if trained.run else None
    page = write_report(folder, title, trained.model, evaluation, metrics, {"weights": str(trained.file), **facts})
    _print(evaluation, trained, request, facts, page, options.json)


def _passing(batches: "Iterator[Batch]", progress: Callable[[int], None]) -> "Iterator[Batch]":
    for batch in batches:
        yield batch
        progress(len(batch.labels))


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


if __name__ == "__main__":
    sys.exit(main())
