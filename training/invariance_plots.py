"""The curves of a measurement of invariance, drawn by matplotlib, which only this file needs."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stn.invariance import Measured, Report
from training.trained_ranges import Ranges

_MODEL, _INK, _SOFT, _PERFECT, _TRAINED = "#e8501f", "#17191d", "#5d626b", "#2a7de1", "#efe6d2"


def invariance_curves(report: Report, trained: Ranges) -> Figure:
    """A row for each movement: what becomes of the class on the left, how far the movement is undone on the right."""
    rows = len(report.measured)
    figure = Figure(figsize=(10.5, 2.7 * rows), dpi=110, layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False)
    for (left, right), measured in zip(panels, report.measured, strict=True):
        _classes(left, measured)
        _alignment(right, measured)
        for panel in (left, right):
            _panel(panel, measured, trained)
    return figure


def _classes(panel: Axes, measured: Measured) -> None:
    sizes = measured.movement.sizes
    panel.plot(sizes, 100 * measured.lost, color=_SOFT, linewidth=1, linestyle=":", label="lost out of the picture")
    panel.plot(sizes, 100 * measured.accuracy, color=_MODEL, linewidth=2.4, label="accuracy")
    panel.plot(sizes, 100 * measured.agreement, color=_INK, linewidth=1, linestyle="--", label="agreement")
    panel.set_ylim(-3, 103)
    panel.yaxis.set_major_formatter(lambda value, _: f"{value:g} %")
    panel.set_title(f"{measured.movement.name}: the class", fontsize=10, loc="left")


def _alignment(panel: Axes, measured: Measured) -> None:
    sizes = measured.movement.sizes
    lines = (
        (measured.identity, _SOFT, "-", "without a transformer"),
        (measured.held, _SOFT, ":", "theta held"),
        (measured.perfect, _PERFECT, "--", "best theta of its kind"),
        (measured.model, _MODEL, "-", "model"),
    )
    for alignment, colour, style, label in lines:
        panel.plot(sizes, alignment.distance, color=colour, linestyle=style, linewidth=1.5, label=label)
    panel.set_ylim(bottom=-0.02 * panel.get_ylim()[1])
    panel.set_title(f"{measured.movement.name}: pixels that are not undone", fontsize=10, loc="left")


def _panel(panel: Axes, measured: Measured, trained: Ranges) -> None:
    if measured.movement.name in trained:
        low, high = trained[measured.movement.name]
        if low < high:
            panel.axvspan(low, high, color=_TRAINED, zorder=0, label="trained on")
    panel.set_xlim(measured.movement.sizes[0], measured.movement.sizes[-1])
    panel.set_xlabel(measured.movement.unit, fontsize=9)
    panel.tick_params(labelsize=8)
    panel.grid(color="#e6e6e6", linewidth=0.8)
    panel.set_axisbelow(True)
    for edge in ("top", "right"):
        panel.spines[edge].set_visible(False)
    panel.legend(fontsize=7, frameon=False)
