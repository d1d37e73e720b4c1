"""What an aligner makes of pairs, in pictures: while it trains, and on a page at the end.

index.html            scores, the pairs, and facts on the run; it opens from anywhere
pairs.png             moving, fixed, both on each other before and after, for some pairs of the test
"""

import io
import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image

from stn.align_views import laid
from stn.aligner import Aligner
from stn.types import Images
from stn.whole_file import written_beside
from training.align_module import AlignmentModule
from training.data.datamodule import DataModule
from training.facts import describe, report_title
from training.page import check_place, facts_list, html_page, percent, plot, scores, section
from training.pictures import caption_sheet, picture_tile

log = logging.getLogger(__name__)

GENERATOR = '<meta name="generator" content="stn alignment report">'
"""In the first lines of every such page."""


def test_sheet(module: AlignmentModule, data: DataModule, count: int) -> Image.Image:
    """The first pairs of the test."""
    pictures = data.test.first(count).to(module.device).float() / 255
    (moving, fixed), _ = module.pairs(pictures, None, "test", 0)
    return pair_sheet(module.model, moving, fixed)


@torch.no_grad()
def pair_sheet(aligner: Aligner, moving: Images, fixed: Images) -> Image.Image:
    """Of each pair: moving, fixed, both on each other as they are, and once they are aligned.

    On each other, one is red and the other cyan: grey is what agrees.
    """
    theta, logit = aligner.locate(moving, fixed)  # also of a pair that shows nothing
    laid_there, inside = laid(aligner.transform, theta, moving)
    tiles = [
        [picture_tile(image) for image in (one, other, on_each_other(one, other), on_each_other(warped, other))]
        for one, other, warped in zip(moving, fixed, laid_there * inside, strict=True)
    ]
    headings = [f"confidence {confidence:.0%}" for confidence in logit.sigmoid().tolist()]
    return caption_sheet(tiles, headings, [[] for _ in tiles], columns=2)


def on_each_other(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Two images (C, H, W) as one of three channels: the first red, the second green and blue."""
    red, other = a.mean(0), b.mean(0)
    return torch.stack([red, other, other])


def write_align_report(run: Path, module: AlignmentModule, data: DataModule, found: Mapping[str, float]) -> None:
    """The report on a run's test pairs, into `report/` of its folder; where it fails, the log says why."""
    try:
        folder = run / "report"
        check_place(folder, GENERATOR)
        folder.mkdir(parents=True, exist_ok=True)
        file = io.BytesIO()
        test_sheet(module, data, 12).save(file, "PNG", optimize=True)
        with written_beside(folder / "pairs.png") as beside:
            beside.write_bytes(file.getvalue())
        with written_beside(folder / "index.html") as beside:
            beside.write_text(_page(module, found, file.getvalue()), encoding="utf-8", errors="xmlcharrefreplace")
        log.info("report %s", folder / "index.html")
    except (OSError, ValueError, RuntimeError) as error:
        log.warning("the report could not be written: %s", error)
        log.debug("the report ended with an error", exc_info=True)


def _page(module: AlignmentModule, found: Mapping[str, float], sheet: bytes) -> str:
    config = module.config
    values = {name.removeprefix("test/"): value for name, value in found.items()}

    def before(name: str, unit: str) -> str:
        return f"{values[f'identity_{name}']:.2f}{unit} where nothing is moved"

    large = [
        ("distance", f"{values['distance']:.2f} px", f"mean over points and pairs; {before('distance', ' px')}"),
        ("95th percentile", f"{values['distance_p95']:.2f} px", before("distance_p95", " px")),
        (
            "within 1 px",
            percent(values["within_1px"], 1),
            f"of the pairs; {percent(values['identity_within_1px'], 1)} where nothing is moved",
        ),
        ("outline", f"{values['outline']:.3f}", f"intersection over union; {before('outline', '')}"),
        ("confidence", f"{values['confidence_error']:.3f}", "mean squared error of the probability (Brier)"),
    ]
    facts = {
        "data": describe(config.data, ("name",)),
        "pairs": describe(config.pairs) or "as by default",
        "network": describe(config.aligner, ("transforms",)),
        "optimizer": describe(config.optimizer, ("name", "learning_rate")),
        "trainer": describe(config.trainer, ("batch_size",)),
    }
    text = "Moving, fixed, both before and after: one red, the other cyan, so that grey agrees"
    pairs = section("Pairs of the test", f"<p>{text}.</p>{plot(sheet, text)}")
    sections = [scores(large), pairs, section("Facts", facts_list(facts))]
    return html_page(report_title(config.name, config.data.name, "test"), GENERATOR, sections)
