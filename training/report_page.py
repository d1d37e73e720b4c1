"""The page of a report: one HTML file with its pictures inside, without scripts."""

from collections.abc import Mapping
from html import escape
from typing import NamedTuple

from training.evaluation import Evaluation, class_scores, most_confused, wilson_interval
from training.page import REPORT, facts_list, html_page, image, percent, plot, scores, section

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
        section("Training", _SMOOTHING + plot(plots["curves"], "Curves of the training")) if "curves" in plots else "",
        section("Confusion", _confusion(evaluation, plots.get("confusion"))),
        section("Classes", _classes(evaluation)),
        _shown(evaluation, shown),
        section("Facts", facts_list(facts)) if facts else "",
    ]
    return html_page(title, REPORT, sections)


def _scores(evaluation: Evaluation) -> str:
    count, mistakes = len(evaluation.labels), evaluation.mistakes
    low, high = wilson_interval(mistakes, count)
    entries = [
        ("accuracy", percent(evaluation.accuracy), f"{count - mistakes:,} of {count:,} pictures named right"),
        ("error", percent(1 - evaluation.accuracy), f"95 % interval {percent(low)} to {percent(high)}"),
        ("loss", f"{evaluation.loss:.4f}", "mean cross entropy"),
    ]
    return scores(entries)


def _confusion(evaluation: Evaluation, drawn: bytes | None) -> str:
    pairs = most_confused(evaluation)
    parts = [plot(drawn, "Confusion matrix: true classes in rows, predicted ones in columns")] if drawn else []
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
        return section("Least certain", text + f'<div class="shown">{figures}</div>')
    count = "all of them" if len(shown) == mistakes else f"the {len(shown)} worst of {mistakes:,}"
    text = (
        f"<p>By loss, {count}: the input with the outline of what is sampled, and what the transformer made of it.</p>"
    )
    return section("Mistakes", text + f'<div class="shown">{figures}</div>')


def _figure(entry: Shown) -> str:
    texts = ("input with the sampled outline", "transformed image")
    images = "".join(image(tile, text) for tile, text in zip(entry.tiles, texts, strict=False))
    theta = "".join(f"<span>{escape(name)} {value:+.3f}</span> " for name, value in entry.theta.items())
    return (
        f"<figure><div>{images}</div><figcaption>{_name(entry.predicted)} <b>{percent(entry.probability, 1)}</b><br>"
        f'<small>true class {_name(entry.label)}</small></figcaption><p class="theta">{theta}</p></figure>'
    )


def _name(name: str, characters: int = 60) -> str:
    """A class name in its own direction of writing; of a long one the start, and all of it when it is pointed at."""
    if not name.strip():
        return "<i>blank</i>"
    if len(name) <= characters:
        return f"<bdi>{escape(name)}</bdi>"
    return f'<bdi title="{escape(name)}">{escape(name[: characters - 1])}…</bdi>'


_SMOOTHING = (
    "<p>The training loss contains label smoothing and penalties, where the config asks for them; the validation loss is "
    "the cross entropy alone.</p>"
)
