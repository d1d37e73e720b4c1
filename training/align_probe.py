"""The filmstrip of an aligner: the same pairs of pictures laid on each other, at one validation after the other."""

from functools import partial

import torch

from stn import outline
from stn.align_views import laid
from training.align_loss import distances, points_like
from training.align_module import AlignmentModule
from training.align_report import on_each_other
from training.data.datamodule import DataModule
from training.pairs import DrawnPairs, Pairs
from training.probe import Items, Look, in_pixels, probe_pictures, tile, uri


def begin_pairs(module: AlignmentModule, data: DataModule, count: int) -> tuple[Items, Look]:
    """Pairs of views of test pictures, as the test makes them, and how the moving view of each is laid on the fixed one."""
    found, _ = probe_pictures(data.test, count)
    pairs, drawn = module.pairs(found.to(module.device).float() / 255, None, "probe")
    pictures = [
        {"image": uri(tile(moving)), "fixed": uri(tile(fixed)), "class": None}
        for moving, fixed in zip(*pairs, strict=True)
    ]
    return pictures, partial(describe_pairs, module, pairs, drawn)


@torch.no_grad()
def describe_pairs(module: AlignmentModule, pairs: Pairs, drawn: DrawnPairs) -> Items:
    """Both on each other, and what of the moving view lies on the fixed one."""
    moving, fixed = pairs
    transform = module.model.transform
    theta, logit = module.model.glance(moving, fixed)
    warped, inside = laid(transform, theta, moving)
    truth = drawn.truth(points_like(moving).expand(len(moving), -1, -1))
    off = distances(transform, theta, truth).mean(1) * (max(fixed.shape[2:]) / 2)
    warped = warped * inside
    borders = outline(transform, theta)
    return [
        {
            "transformed": uri(tile(on_each_other(there, other))),
            "outline": in_pixels(border, tile(one)),
            "class": None,
            "probability": round(confidence, 4),
            "distance": round(distance, 3),
        }
        for one, other, there, border, confidence, distance in zip(
            moving, fixed, warped, borders, logit.sigmoid().tolist(), off.tolist(), strict=True
        )
    ]
