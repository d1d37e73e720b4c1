"""The page of a report: one HTML file with its pictures inside, without scripts."""

import base64
from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from training.evaluation import Evaluation, class_scores, most_confused, wilson_interval

GENERATOR = '<meta name="generator" content="stn report">'
"""In the first lines of every page, by which a report is known."""


class Shown(NamedTuple):
    """One picture of the sheet, in words."""

    tiles: list[bytes]
    """PNGs: the input, and the transformed image where there is one."""
    label: str
    predicted: str
    probability: float
    """Of the predicted class."""
    theta: dict[str, float]


def report_page(
    title: str,
    evaluation: Evaluation,
    plots: Mapping[str, bytes],
    shown: list[Shown],
    facts: Mapping[str, str],
    note: str = "",
) -> str:
    """The whole page.

    Args:
        title: what was evaluated, on what.
        evaluation: its scores.
        plots: PNGs, `curves` and `confusion`, where there are any.
        shown: the worst mistakes, or the least certain pictures where there is no mistake.
        facts: lines on the run, the model and the data, by name.
        note: a sentence on what is missing.
    """
    sections = [
        _scores(evaluation),
        f'<p class="note">{escape(note)}</p>' if note else "",
        _section("Training", _SMOOTHING + _plot(plots["curves"], "Curves of the training"))
        if "curves" in plots
        else "",
        _section("Confusion", _confusion(evaluation, plots.get("confusion"))),
        _section("Classes", _classes(evaluation)),
        _shown(evaluation, shown),
        _section("Facts", _facts(facts)) if facts else "",
    ]
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{GENERATOR}\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1><bdi>{escape(title)}</bdi></h1>\n" + "\n".join(filter(None, sections)) + "\n</body>\n</html>\n"
    )


def percent(share: float | None, digits: int = 2) -> str:
    """A share as people read it; a dash where there is none."""
    return "-" if share is None else f"{100 * share:.{digits}f} %"


def _section(heading: str, body: str) -> str:
    return f"<section>\n<h2>{heading}</h2>\n{body}\n</section>"


def _scores(evaluation: Evaluation) -> str:
    count, mistakes = len(evaluation.labels), evaluation.mistakes
    low, high = wilson_interval(mistakes, count)
    entries = [
        ("accuracy", percent(evaluation.accuracy), f"{count - mistakes:,} of {count:,} pictures named right"),
        ("error", percent(1 - evaluation.accuracy), f"95 % interval {percent(low)} to {percent(high)}"),
        ("loss", f"{evaluation.loss:.4f}", "mean cross entropy"),
    ]
    return (
        '<dl class="scores">'
        + "".join(f"<div><dt>{a}</dt><dd>{b}</dd><dd>{c}</dd></div>" for a, b, c in entries)
        + "</dl>"
    )


def _confusion(evaluation: Evaluation, plot: bytes | None) -> str:
    pairs = most_confused(evaluation)
    parts = [_plot(plot, "Confusion matrix: true classes in rows, predicted ones in columns")] if plot else []
    if not pairs:
        return "".join(parts) + "<p>No class is taken for another.</p>"
    names = evaluation.class_names
    rows = "".join(
        f"<tr><td>{_name(names[pair.label])}<td>{_name(names[pair.predicted])}<td>{pair.pictures}</tr>"
        for pair in pairs
    )
    head = "<tr><th>true class<th>taken for<th>pictures</tr>"
    table = f'<div class="scroll"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>'
    return f'<div class="beside">{"".join(parts)}<div><h3>Most confused</h3>{table}</div></div>'


def _classes(evaluation: Evaluation) -> str:
    rows = "".join(
        f"<tr><td>{index}<td>{_name(score.name)}<td>{score.pictures:,}"
        f"<td>{_bar(score.recall)}<td>{_bar(score.precision)}</tr>"
        for index, score in enumerate(class_scores(evaluation))
    )
    head = (
        "<tr><th>class<th>name<th>pictures"
        '<th title="share of its pictures that are given its name">recall'
        '<th title="share of the pictures given its name that show it">precision</tr>'
    )
    return f'<div class="scroll tall"><table class="classes"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _bar(share: float | None) -> str:
    if share is None:
        return "-"
    return f'<span class="bar"><i style="width:{100 * share:.1f}%"></i></span><b>{percent(share, 1)}</b>'


def _shown(evaluation: Evaluation, shown: list[Shown]) -> str:
    mistakes = evaluation.mistakes
    figures = "".join(_figure(entry) for entry in shown)
    if not mistakes:
        text = "<p>There are no mistakes. These are the pictures whose class was least certain.</p>"
        return _section("Least certain", text + f'<div class="shown">{figures}</div>')
    count = "all of them" if len(shown) == mistakes else f"the {len(shown)} worst of {mistakes:,}"
    text = (
        f"<p>By loss, {count}: the input with the outline of what is sampled, and what the transformer made of it.</p>"
    )
    return _section("Mistakes", text + f'<div class="shown">{figures}</div>')


def _figure(entry: Shown) -> str:
    texts = ("input with the sampled outline", "transformed image")
    images = "".join(_image(tile, text) for tile, text in zip(entry.tiles, texts, strict=False))
    theta = "".join(f"<span>{escape(name)} {value:+.3f}</span> " for name, value in entry.theta.items())
    return (
        f"<figure><div>{images}</div><figcaption>{_name(entry.predicted)} <b>{percent(entry.probability, 1)}</b><br>"
        f'<small>true class {_name(entry.label)}</small></figcaption><p class="theta">{theta}</p></figure>'
    )


def _facts(facts: Mapping[str, str]) -> str:
    lines = "".join(f"<dt>{escape(name)}</dt><dd><bdi>{escape(value)}</bdi></dd>" for name, value in facts.items())
    return f'<dl class="facts">{lines}</dl>'


def _name(name: str, characters: int = 60) -> str:
    """A class name in its own direction of writing; of a long one the start, and all of it when it is pointed at."""
    if not name.strip():
        return "<i>blank</i>"
    if len(name) <= characters:
        return f"<bdi>{escape(name)}</bdi>"
    return f'<bdi title="{escape(name)}">{escape(name[: characters - 1])}…</bdi>'


def _plot(png: bytes, text: str) -> str:
    return f'<div class="plot">{_image(png, text)}</div>'


def _image(png: bytes, text: str) -> str:
    return f'<img src="data:image/png;base64,{base64.b64encode(png).decode()}" alt="{escape(text)}">'


_SMOOTHING = (
    "<p>The training loss contains label smoothing and penalties, where the config asks for them; the validation loss is "
    "the cross entropy alone.</p>"
)

_STYLE = """
:root {
  color-scheme: light dark;
  --page: light-dark(#fafaf8, #111315); --panel: light-dark(#ffffff, #191b1f); --line: light-dark(#e2e2dd, #2d3137);
  --ink: light-dark(#17191d, #eceef0); --soft: light-dark(#5d626b, #9ba1aa); --accent: light-dark(#e8501f, #ff7446);
}
* { box-sizing: border-box; margin: 0; }
body {
  max-width: 70rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; background: var(--page); color: var(--ink);
  font: 400 1rem/1.5 Inter, system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums;
}
h1 { font-size: 1.75rem; line-height: 1.25; font-weight: 650; letter-spacing: -0.02em; overflow-wrap: anywhere; }
h2 { font-size: 1.125rem; margin: 2.5rem 0 0.75rem; font-weight: 620; }
h3 { font-size: 0.875rem; margin-bottom: 0.5rem; color: var(--soft); font-weight: 500; }
section > p { color: var(--soft); margin-bottom: 1rem; }
.note { margin-top: 1.5rem; padding: 0.625rem 1rem; border-left: 3px solid var(--accent); background: var(--panel); }
.scores { display: grid; grid-template-columns: repeat(auto-fit, minmax(14rem, 1fr)); gap: 1rem; margin-top: 1.5rem; }
.scores div, figure { background: var(--panel); border: 1px solid var(--line); border-radius: 10px; padding: 1rem; }
.scores dt, .scores dd + dd { color: var(--soft); font-size: 0.875rem; }
.scores dd { font-size: 1.75rem; line-height: 1.3; font-weight: 620; }
.scores dd + dd { font-weight: 400; }
.plot { background: #fff; border: 1px solid var(--line); border-radius: 10px; padding: 0.75rem; text-align: center; }
.plot img { max-width: 100%; height: auto; }
.beside { display: flex; flex-wrap: wrap; gap: 1.5rem; align-items: flex-start; }
.beside .plot { flex: 3 1 24rem; }
.beside > div:last-child { flex: 1 1 17rem; min-width: 0; }
.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 10px; background: var(--panel); }
.tall { max-height: 34rem; }
table { width: 100%; border-collapse: collapse; font-size: 0.875rem; }
th { position: sticky; top: 0; background: var(--panel); color: var(--soft); font-weight: 500; }
th, td { padding: 0.375rem 0.75rem; text-align: right; white-space: nowrap; border-bottom: 1px solid var(--line); }
tbody tr:last-child td { border-bottom: 0; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; white-space: normal; }
.classes td:nth-child(2) { min-width: 8rem; }
bdi { overflow-wrap: anywhere; }
.bar { display: inline-block; width: 7rem; height: 0.5rem; border-radius: 4px; background: var(--line); }
.bar + b { display: inline-block; min-width: 4.25rem; font-weight: inherit; }
.bar i { display: block; height: 100%; border-radius: 4px; background: var(--accent); }
.shown { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1rem; }
figure { padding: 0.75rem; min-width: 0; }
figure div { display: flex; gap: 0.5rem; }
figure img { width: 6.875rem; height: 6.875rem; border-radius: 4px; image-rendering: pixelated; }
figcaption { line-height: 1.35; margin-top: 0.25rem; }
figcaption b { color: var(--accent); font-weight: 600; margin-left: 0.25rem; }
small, .theta { color: var(--soft); font-size: 0.8125rem; }
.theta { margin-top: 0.375rem; font: 0.75rem/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.theta span { display: inline-block; margin-right: 0.625rem; }
.facts { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 0.25rem 1.5rem; font-size: 0.875rem; }
.facts dt { color: var(--soft); }
.facts dd { overflow-wrap: anywhere; white-space: pre-wrap; }
@media (max-width: 36rem) {
  .bar { display: none; }
  .facts { grid-template-columns: 1fr; }
  .facts dd { margin-bottom: 0.5rem; }
}
"""
