"""The plots of a report, drawn by matplotlib, which only this file needs: import it where a report is written."""

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from torch import Tensor

from training.evaluation import Evaluation
from training.lettering import class_label

_NUMBERS, _NAMES = 25, 60
"""The most classes with numbers in the cells, and with a name at every row."""
_TRAIN, _VALIDATION, _SOFT = "#9a9fa8", "#e8501f", "#5d626b"


def curves(lines: list[dict[str, float]]) -> Figure:
    """Loss and accuracy over the steps, and the learning rate where the file has one."""
    rates = sorted(
        {name for line in lines for name in line if name.rpartition("/")[2].startswith(("learning_rate", "lr"))}
    )
    count = 3 if rates else 2
    figure = Figure(figsize=(4.2 * count, 3.1), dpi=110, layout="constrained")
    panels = figure.subplots(1, count)
    for panel, quantity in zip(panels, ("loss", "accuracy"), strict=False):
        for part, colour, name in (("train", _TRAIN, "training"), ("val", _VALIDATION, "validation")):
            _line(panel, lines, f"{part}/{quantity}", color=colour, label=name)
        _panel(panel, quantity)
    panels[1].yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    if rates:
        for rate in rates:
            _line(panels[2], lines, rate, color=_SOFT, label=rate)
        _panel(panels[2], "learning rate", legend=len(rates) > 1)
    return figure


def confusion(evaluation: Evaluation) -> Figure:
    """How often each class (row) is taken for each class (column), of the classes that occur as either."""
    matrix = evaluation.confusion
    occurs = (matrix.sum(0) + matrix.sum(1)).nonzero().flatten()
    names = [class_label(evaluation.class_names[index], index) for index in occurs.tolist()]
    matrix = matrix[occurs][:, occurs]
    shares = matrix / matrix.sum(1, keepdim=True).clamp(min=1)
    count = len(names)
    side = min(max(3.4, 1.6 + 0.42 * count), 11.5) if count <= _NUMBERS else 9.5
    figure = Figure(figsize=(side + 1, side), dpi=110, layout="constrained")
    panel = figure.subplots()
    # Few mistakes among many pictures are to be seen: the colours are those of the root.
    image = panel.imshow(shares.numpy(), cmap="Oranges", norm=PowerNorm(0.5, 0, 1), interpolation="nearest")
    step = 1 if count <= _NAMES else math.ceil(count / 40)
    places = list(range(0, count, step))
    size = 9 if count <= _NUMBERS else 7
    panel.set_xticks(places, [names[place] for place in places], rotation=90, fontsize=size, parse_math=False)
    panel.set_yticks(places, [names[place] for place in places], fontsize=size, parse_math=False)
    if max(map(len, names)) <= 3 and count <= _NUMBERS:
        panel.tick_params(axis="x", labelrotation=0)
    panel.set_xlabel("predicted class")
    panel.set_ylabel("true class")
    for edge in panel.spines.values():
        edge.set_visible(False)
    panel.tick_params(length=0 if step == 1 else 2)
    if count <= _NUMBERS:
        _numbers(panel, matrix, shares)
    bar = figure.colorbar(image, ax=panel, fraction=0.04, pad=0.02, ticks=[0, 0.01, 0.1, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0", "1 %", "10 %", "25 %", "50 %", "100 %"], fontsize=8)
    bar.outline.set_visible(False)
    bar.set_label("share of the true class", fontsize=8)
    return figure


def _numbers(panel: Axes, matrix: Tensor, shares: Tensor) -> None:
    size = 9 if len(matrix) <= 12 else 7
    for row, column in matrix.nonzero().tolist():
        colour = "white" if shares[row, column] > 0.4 else "#222222"
        panel.text(column, row, str(int(matrix[row, column])), ha="center", va="center", fontsize=size, color=colour)


def _line(panel: Axes, lines: list[dict[str, float]], name: str, **style: Any) -> None:
    points = [(line["step"], line[name]) for line in lines if name in line]
    if points:
        marker = "o" if len(points) == 1 else None
        panel.plot(*zip(*points, strict=True), linewidth=1.6, marker=marker, **style)


def _panel(panel: Axes, title: str, legend: bool = True) -> None:
    panel.set_title(title, fontsize=10, loc="left")
    panel.set_xlabel("step", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
    for edge in ("top", "right"):
        panel.spines[edge].set_visible(False)
    if legend and panel.get_lines():
        panel.legend(fontsize=8, frameon=False)
