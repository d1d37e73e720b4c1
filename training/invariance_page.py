"""The page of a measurement of invariance."""

from collections.abc import Mapping
from html import escape

from stn.invariance import Measured, Report
from training.page import INVARIANCE, facts_list, html_page, percent, plot, scores, section
from training.trained_ranges import Ranges
from training.verdict import SHARES, between, caution, kept_shares, kept_words

"""In the first lines of every page, by which it is known."""

_MEANING = (
    "<p>Each picture is moved as a whole, by one movement at a time. <b>Accuracy</b>: the share that is named right. "
    "<b>Agreement</b>: the share that is named as without the movement. <b>Spread</b>: how far what a point of the output "
    "shows of the picture wanders over all sizes of the movement, in pixels of the input: 0 where the transformer undoes "
    "the movement. Beside it: were theta held where it is without the movement; without a transformer; and with the best "
    "theta that this kind of transform allows. What a movement takes out of the picture no transformer brings back.</p>"
)


def invariance_page(
    title: str, report: Report, trained: Ranges, curves: bytes | None, facts: Mapping[str, str], note: str = ""
) -> str:
    """The whole page.

    Args:
        title: what was measured, on what.
        report: what came out.
        trained: how far the pictures of its training were moved.
        curves: a PNG, where there is one.
        facts: lines on the model and the data, by name.
        note: a sentence on what is missing.
    """
    height, width = report.size
    entries = [
        ("accuracy", percent(report.accuracy), "without a movement"),
        ("pictures", f"{report.images:,}", f"of {height}x{width} pixels"),
    ]
    sections = [
        scores(entries),
        *(f'<p class="note">{escape(text)}</p>' for text in (caution(report), note) if text),
        section("Verdict", _MEANING + _kept_table(report, trained)),
        section("Alignment", _spread_table(report)),
        section("Curves", plot(curves, "Accuracy, agreement and alignment over the size of each movement"))
        if curves
        else "",
        section("Facts", facts_list(facts)),
    ]
    return html_page(title, INVARIANCE, sections)


def _kept_table(report: Report, trained: Ranges) -> str:
    head = "<tr><th>movement<th>trained" + "".join(
        f"<th>keeps {round(100 * share)} % of its accuracy" for share in SHARES
    )
    rows = "".join(
        f"<tr><td>{escape(measured.movement.name)}<td>{escape(_trained(measured, trained))}"
        + "".join(f"<td>{escape(kept_words(found, measured))}" for found in kept_shares(measured).values())
        for measured in report.measured
    )
    return _table(head, rows)


def _spread_table(report: Report) -> str:
    columns = ("spread, model", "theta held", "without a transformer", "best theta of its kind", "lost at most")
    head = "<tr><th>movement" + "".join(f"<th>{column}" for column in columns)
    rows = ""
    for measured in report.measured:
        alignments = (measured.model, measured.held, measured.identity, measured.perfect)
        pixels = "".join(f"<td>{float(each.spread.mean()):.2f} pixels" for each in alignments)
        lost = percent(float(measured.lost.max()), 1)
        rows += f"<tr><td>{escape(measured.movement.name)}{pixels}<td>{lost}"
    return _table(head, rows)


def _table(head: str, rows: str) -> str:
    return f'<div class="scroll"><table class="words"><thead>{head}</thead><tbody>{rows}</tbody></table></div>'


def _trained(measured: Measured, trained: Ranges) -> str:
    asked = measured.movement
    if asked.name not in trained:
        return "-"
    low, high = trained[asked.name]
    return "without" if low == high else between(low, high, asked.unit)
