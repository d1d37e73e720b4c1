"""The table of the paper beside what was trained here, as Markdown and as a picture."""

import statistics
from collections.abc import Iterable
from pathlib import Path

from stn.whole_file import written_beside
from training.experiments.cells import MODELS, PAPER
from training.experiments.rows import Row
from training.recipes import DISTORTIONS


def write_table(folder: Path, rows: list[Row]) -> None:
    """Write table1.md and, where matplotlib is installed, table1.png: one part for each recipe and budget."""
    parts = [(key, [row for row in rows if (row["recipe"], row["budget"]) == key]) for key in _budgets(rows)]
    text = "\n\n".join(
        f"### Recipe {recipe}, {budget} per cell\n\n{_markdown(part)}" for (recipe, budget), part in parts
    )
    with written_beside(folder / "table1.md") as path:
        path.write_text("Test error in %: paper | here, mean of all seeds ± half their range.\n\n" + text + "\n")
    _draw(folder / "table1.png", parts)


def _budgets(rows: Iterable[Row]) -> list[tuple[str, str]]:
    return list(dict.fromkeys((row["recipe"], row["budget"]) for row in rows))


def _markdown(rows: list[Row]) -> str:
    models = [model for model in MODELS if any(row["model"] == model for row in rows)]
    head = ["model", *DISTORTIONS, "parameters", "images seen", "seconds"]
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for model in models:
        own = [row for row in rows if row["model"] == model]
        cells = [_cell(model, name, [row["error"] for row in own if row["distortion"] == name]) for name in DISTORTIONS]
        spans = [_span(row[key] for row in own) for key in ("parameters", "images", "seconds")]
        lines.append(f"| {' | '.join([model, *cells, *spans])} |")
    return "\n".join(lines)


def _cell(model: str, distortion: str, errors: list[float]) -> str:
    paper = PAPER[model].get(distortion)
    told = f"{paper:g}" if paper is not None else "-"
    if not errors:
        return f"{told} \\| -"
    spread = f" ± {(max(errors) - min(errors)) / 2:.2f}" if len(errors) > 1 else ""
    return f"{told} \\| **{statistics.mean(errors):.2f}**{spread}"


def _span(values: Iterable[float]) -> str:
    numbers = sorted({round(value) for value in values})
    return f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"


def _mean(rows: list[Row], model: str, distortion: str) -> float:
    """Of this cell's errors; 0, which draws no bar, where it has not been trained."""
    errors = [row["error"] for row in rows if (row["model"], row["distortion"]) == (model, distortion)]
    return statistics.mean(errors) if errors else 0.0


def _draw(path: Path, parts: list[tuple[tuple[str, str], list[Row]]]) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(11, 3.6 * len(parts)), layout="constrained")
    for axes, ((recipe, budget), rows) in zip(figure.subplots(len(parts), squeeze=False)[:, 0], parts, strict=True):
        models = [model for model in MODELS if any(row["model"] == model for row in rows)]
        width = 0.8 / len(models)
        for index, model in enumerate(models):
            places = [column + (index - (len(models) - 1) / 2) * width for column in range(len(DISTORTIONS))]
            errors = [
                [row["error"] for row in rows if (row["model"], row["distortion"]) == (model, name)]
                for name in DISTORTIONS
            ]
            axes.bar(places, [statistics.mean(each) if each else 0 for each in errors], 0.9 * width, label=model)
            told = [PAPER[model].get(name) for name in DISTORTIONS]
            marks = [(place, error) for place, error in zip(places, told, strict=True) if error is not None]
            axes.plot(*zip(*marks, strict=True), "k_", markersize=60 * width)
        axes.set_xticks(range(len(DISTORTIONS)), list(DISTORTIONS))
        axes.set_ylabel("test error, %")
        axes.set_title(f"{recipe}, {budget} per cell; black lines: the paper")
        axes.legend(fontsize="small")
    with written_beside(path) as beside:
        figure.savefig(beside, format="png", dpi=110)
