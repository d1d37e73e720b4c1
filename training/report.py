"""The report on a model: what it scores on labelled pictures, and the mistakes it makes, as one page and its pictures.

index.html            the page; it holds all pictures and opens from anywhere
curves.png            loss, accuracy and learning rate over the steps, where there is a metrics file
confusion.png         which class is taken for which
mistakes.png          the pictures of highest loss, what the transformer made of them, and theta
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from stn import Classifier, read_model_info
from stn.whole_file import written_beside
from training.data.datamodule import DataModule
from training.evaluation import Evaluation, evaluate
from training.facts import report_title, run_facts
from training.lettering import class_label
from training.metrics_file import read_metrics
from training.page import REPORT, check_place, percent
from training.pictures import caption_sheet, tiles
from training.report_page import Shown, report_page

log = logging.getLogger(__name__)

NO_PLOTS = "Without matplotlib there are no plots here: pip install matplotlib, then write the report again."


def write_report(
    folder: Path,
    title: str,
    model: Classifier,
    evaluation: Evaluation,
    metrics: Path | None = None,
    facts: Mapping[str, str] | None = None,
) -> Path:
    """The path of the page, after all files are written into the folder; those of an earlier report are replaced.

    Args:
        folder: made where it is missing.
        title: what was evaluated, on what.
        model: what was evaluated.
        evaluation: what came out.
        metrics: the run's `metrics.jsonl`, for the curves; left out where there is no such file.
        facts: lines on the run, the model and the data, by name.

    Raises:
        ValueError: the folder holds another page.
        OSError: a file cannot be written.
    """
    page = folder / "index.html"
    check_place(folder, REPORT)
    folder.mkdir(parents=True, exist_ok=True)
    plots, note = _plots(evaluation, metrics)
    shown, sheet = _worst(model, evaluation)
    for name in ("curves", "confusion"):
        if name not in plots:
            (folder / f"{name}.png").unlink(missing_ok=True)
    for name, data in {**plots, "mistakes": _png(sheet)}.items():
        with written_beside(folder / f"{name}.png") as beside:
            beside.write_bytes(data)
    text = report_page(title, evaluation, plots, shown, facts or {}, note)
    with written_beside(page) as beside:
        beside.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
    return page


def write_run_report(run: Path, model: Classifier, data: DataModule, scores: Mapping[str, float]) -> None:
    """The report on a run's test pictures, into `report/` of its folder; where it fails, the log says why.

    Args:
        run: a run folder with its model file.
        model: the weights that were tested.
        data: what it was trained on.
        scores: what the test gave.
    """
    device, config = next(model.parameters()).device, data.config
    try:
        info = read_model_info(run / "model.safetensors")
        evaluation = evaluate(model, data.test, data.class_names, device_for(config.trainer.accelerator))
        facts = run_facts(config, info, "test")
        facts |= {f"{name} at the end of training": f"{value:.6f}" for name, value in scores.items()}
        title = report_title(config.name, config.data.name, "test")
        page = write_report(run / "report", title, model, evaluation, run / "metrics.jsonl", facts)
        log.info("report %s", page)
    except (OSError, ValueError, RuntimeError) as error:
        log.warning("the report could not be written: %s", error)
        log.debug("the report ended with an error", exc_info=True)
    finally:
        model.to(device)


def device_for(accelerator: str) -> torch.device:
    """The GPU where there is one and the CPU was not asked for."""
    found = torch.accelerator.current_accelerator(check_available=True) if accelerator != "cpu" else None
    return found or torch.device("cpu")


def _plots(evaluation: Evaluation, metrics: Path | None) -> tuple[dict[str, bytes], str]:
    """The plots by name, and what to say where there are none."""
    try:
        from training.plots import confusion, curves
    except ModuleNotFoundError:
        return {}, NO_PLOTS
    figures = {"confusion": confusion(evaluation)}
    lines = read_metrics(metrics) if metrics and metrics.exists() else []
    if lines:
        figures["curves"] = curves(lines)
    plots = {}
    for name, figure in figures.items():
        file = io.BytesIO()
        figure.savefig(file, format="png")
        plots[name] = file.getvalue()
    return plots, ""


@torch.no_grad()
def _worst(model: Classifier, evaluation: Evaluation) -> tuple[list[Shown], Image.Image]:
    """The pictures that are shown, in words for the page and as one sheet."""
    images = evaluation.images.to(next(model.parameters()).device)
    training = model.training
    pairs = tiles(model, images, model.eval()(images).transformed)
    model.train(training)
    parameters = model.transformer.transform.parameter_names if model.transformer else ()
    shown, headings, captions = [], [], []
    for pair, number in zip(pairs, evaluation.worst.tolist(), strict=True):
        label, predicted = int(evaluation.labels[number]), int(evaluation.predicted[number])
        probability = float(evaluation.probabilities[number, predicted])
        values = evaluation.theta[number].tolist() if evaluation.theta is not None else []
        theta = dict(zip(parameters, values, strict=True))
        name, true = evaluation.class_names[predicted], evaluation.class_names[label]
        shown.append(Shown([_png(tile) for tile in pair], true, name, probability, theta))
        headings.append(f"{class_label(name, predicted)}  {percent(probability, 1)}")
        captions.append([f"true class {class_label(true, label)}", *_lines(theta)])
    return shown, caption_sheet(pairs, headings, captions)


def _lines(theta: Mapping[str, float], per_line: int = 3) -> list[str]:
    entries = [f"{name} {value:+.3f}" for name, value in theta.items()]
    return ["   ".join(entries[start : start + per_line]) for start in range(0, len(entries), per_line)]


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()
