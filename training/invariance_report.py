"""The files of a measurement of invariance.

index.html            the page; it holds the curves and opens from anywhere
curves.png            the curves
invariance.json       all numbers
"""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stn.invariance import Report
from stn.whole_file import written_beside
from training.invariance_page import invariance_page
from training.page import INVARIANCE, check_place
from training.report import NO_PLOTS
from training.trained_ranges import Ranges
from training.verdict import report_json


def write_invariance(
    folder: Path, title: str, report: Report, trained: Ranges, about: Mapping[str, Any], facts: Mapping[str, str]
) -> Path:
    """The path of the page, after all files are written into the folder; those of an earlier one are replaced.

    Args:
        folder: made where it is missing.
        title: what was measured, on what.
        report: what came out.
        trained: how far the pictures of its training were moved.
        about: what the JSON says besides: command, commit, machine.
        facts: lines on the model and the data, by name.

    Raises:
        ValueError: the folder holds another page.
        OSError: a file cannot be written.
    """
    check_place(folder, INVARIANCE)
    folder.mkdir(parents=True, exist_ok=True)
    curves = _curves(report, trained)
    if curves is None:
        (folder / "curves.png").unlink(missing_ok=True)
    else:
        with written_beside(folder / "curves.png") as beside:
            beside.write_bytes(curves)
    with written_beside(folder / "invariance.json") as beside:
        beside.write_text(json.dumps({**about, **report_json(report, trained)}, indent=2) + "\n")
    text = invariance_page(title, report, trained, curves, facts, "" if curves else NO_PLOTS)
    page = folder / "index.html"
    with written_beside(page) as beside:
        beside.write_text(text, encoding="utf-8", errors="xmlcharrefreplace")
    return page


def _curves(report: Report, trained: Ranges) -> bytes | None:
    try:
        from training.invariance_plots import invariance_curves
    except ModuleNotFoundError:
        return None
    file = io.BytesIO()
    invariance_curves(report, trained).savefig(file, format="png")
    return file.getvalue()
