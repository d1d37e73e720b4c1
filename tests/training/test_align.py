import dataclasses
import json
import warnings
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_sample_image

import stn
from service.models.folder import SHIPPED_ALIGNER
from training.align_confidence import confidence_examples, confidence_loss, shrunk
from training.align_loss import align_losses, distances, points_like
from training.align_scores import border, outline_overlap
from training.config import DataConfig, DistortionConfig, OptimizerConfig, TrainerConfig, TrainingConfig
from training.fit import fit
from training.pair_config import PairConfig
from training.pairs import draw_pairs, make_pairs, take_pairs
from training.runs import make_run
from training.trained import read_trained

PLAIN = PairConfig(
    view=0.5, brightness=0.0, contrast=(1.0, 1.0), noise=0.0, occlusion=0.0, shift=0.05, scale=(0.9, 1.1)
)


@pytest.mark.parametrize("elastic", [0.0, 0.02])
def test_the_true_transform_sends_fixed_points_where_the_moving_view_shows_the_same(elastic: float) -> None:
    config = dataclasses.replace(PLAIN, elastic=elastic)
    pictures = F.interpolate(
        torch.rand(3, 1, 6, 6, generator=torch.Generator().manual_seed(0)), (96, 80), mode="bicubic"
    )
    drawn = draw_pairs(config, (96, 80), 3, torch.Generator().manual_seed(1))
    moving, fixed = make_pairs(pictures.clamp(0, 1), drawn, config)
    assert moving.shape == fixed.shape == (3, 1, 48, 40)
    points = stn.lattice((48, 40)).expand(3, -1, -1)
    truth = drawn.truth(points)
    inside = (truth.abs() < 0.95).all(-1)
    shown = stn.sample(moving, truth.unflatten(1, (48, 40)))[:, 0].flatten(1)
    assert inside.float().mean() > 0.3
    # Both views are sampled bilinearly, a view of a view twice.
    assert (shown - fixed[:, 0].flatten(1))[inside].abs().max() < 0.02


def test_a_pair_is_the_same_whatever_else_is_in_its_batch() -> None:
    config = PairConfig(elastic=0.01)
    pictures = torch.rand(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    drawn = draw_pairs(config, (32, 32), 4, torch.Generator().manual_seed(1))
    whole = make_pairs(pictures, drawn, config)
    part = make_pairs(pictures[1::2], take_pairs(drawn, slice(1, None, 2)), config)
    for one, other in zip(whole, part, strict=True):
        assert torch.equal(one[1::2], other)


def test_outlines_overlap_as_their_areas_do() -> None:
    square = border(torch.zeros(1))[None]
    overlap = outline_overlap(square.expand(3, -1, -1), torch.cat([square, square + 1, square + 9]))
    assert overlap[0] == 1
    assert overlap[1] == pytest.approx(1 / 7, abs=0.03)  # a quarter of each
    assert overlap[2] == 0


def test_the_loss_falls_and_the_truth_is_approached() -> None:
    torch.manual_seed(0)
    aligner = stn.build_aligner(stn.AlignerConfig(levels=(16, 32), steps=(2, 2)))
    pictures = F.interpolate(torch.rand(8, 1, 9, 9), (32, 32), mode="bicubic").clamp(0, 1)
    drawn = draw_pairs(PLAIN, (32, 32), 8, torch.Generator().manual_seed(2))
    pairs = make_pairs(pictures, drawn, dataclasses.replace(PLAIN, view=1.0))
    optimizer = torch.optim.Adam(aligner.parameters(), 5e-3)
    losses = []
    for _ in range(12):
        parts = align_losses(aligner, *pairs, drawn, photometric=True)
        optimizer.zero_grad()
        parts.total(1.0, 0.1).backward()
        optimizer.step()
        losses.append([parts.points.item(), parts.search.item()])
    assert losses[-1][0] < 0.9 * losses[0][0]
    assert losses[-1][1] < losses[0][1]
    assert points_like(pictures).shape == (64, 2)


def test_a_pair_that_the_aligner_is_not_sure_of_is_looked_at_again_and_mostly_found() -> None:
    aligner = stn.load_aligner(SHIPPED_ALIGNER)
    far = dataclasses.replace(PLAIN, view=2 / 3, rotation=45.0, scale=(0.7, 1.4), shift=0.2, perspective=0.15)
    chance = torch.Generator().manual_seed(1)
    squares = []
    for index in range(32):
        photograph = torch.from_numpy(load_sample_image(("china.jpg", "flower.jpg")[index % 2]).copy())
        y, x = (int(torch.randint(0, most, (1,), generator=chance)) for most in (236, 449))
        squares.append(photograph[y : y + 192, x : x + 192].float().mean(2)[None] / 255)
    pictures = F.interpolate(torch.stack(squares), (96, 96), mode="area")
    drawn = draw_pairs(far, (96, 96), 32, torch.Generator().manual_seed(1))
    moving, fixed = make_pairs(pictures, drawn, far)
    truth = drawn.truth(points_like(moving).expand(32, -1, -1))
    with torch.inference_mode():
        (first, unsure), (second, sure) = aligner.glance(moving, fixed), aligner.locate(moving, fixed)
        off = [distances(aligner.transform, theta, truth).mean(1) * 32 for theta in (first, second)]
    doubtful = unsure < 0
    assert torch.equal(first[~doubtful], second[~doubtful]) and torch.equal(unsure[~doubtful], sure[~doubtful])
    assert (off[0][doubtful] > 5).all() and 1 <= doubtful.sum() <= 6
    assert (off[1][doubtful] < 1).sum() * 2 > doubtful.sum()
    assert (sure[doubtful & (off[1] < 1)] > 2).all()


CONFIG = TrainingConfig(
    name="align",
    task="align",
    data=DataConfig(name="digits", validation=0.02, test=0.02),
    pairs=PairConfig(photometric=0.1, same_class=0.5),
    aligner=stn.AlignerConfig(transforms=("similarity", "affine"), levels=(8, 16), steps=(1, 1), channels=4),
    optimizer=OptimizerConfig(learning_rate=1e-3),
    trainer=TrainerConfig(max_steps=4, batch_size=4, validate_every=2, checkpoint_every=3, accelerator="cpu"),
)


def quiet_fit(run: Path) -> dict[str, float]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
        return fit(CONFIG, run)


def test_a_run_ends_with_an_aligner_its_scores_and_a_report_and_goes_on_where_it_was(tmp_path: Path) -> None:
    make_run(tmp_path / "whole", CONFIG)
    scores = quiet_fit(tmp_path / "whole")
    names = {"loss", "distance", "distance_p95", "within_1px", "outline", "confidence_error"}
    names |= {f"identity_{name}" for name in ("distance", "distance_p95", "within_1px", "outline")}
    assert set(scores) == {f"test/{name}" for name in names}
    info = stn.read_aligner_info(tmp_path / "whole" / "model.safetensors")
    assert info.config == CONFIG.aligner
    assert dict(info.scores) == scores
    assert "where nothing is moved" in (tmp_path / "whole" / "report" / "index.html").read_text()
    assert len(list((tmp_path / "whole" / "samples").glob("*.png"))) == 2
    probe = tmp_path / "whole" / "probe"
    shown = json.loads((probe / "pictures.json").read_text())["pictures"]
    assert len(shown) == 8 and all(entry["image"] != entry["fixed"] for entry in shown)
    frames = [json.loads((probe / f"step-{step:06d}.json").read_text())["items"] for step in (2, 4)]
    for one, other in zip(*frames, strict=True):
        assert len(one["outline"]) >= 4 and one["distance"] > 0 and 0 < one["probability"] < 1
        assert one["transformed"] != other["transformed"] or one["outline"] == other["outline"]
    assert frames[0] != frames[1]  # the aligner has learnt something
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4]
    assert lines[-1]["train/points"] > 0
    with pytest.raises(stn.OtherTask, match="task align"):
        read_trained(tmp_path / "whole")
    # A run whose end was lost goes on from its last checkpoint to the same weights, to the bit.
    run = tmp_path / "resumed"
    (run / "checkpoints").mkdir(parents=True)
    for name in ("checkpoints/last.ckpt", "checkpoints/best.ckpt", "data.json", "metrics.jsonl"):
        (run / name).write_bytes((tmp_path / "whole" / name).read_bytes())
    assert torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 3
    assert quiet_fit(run) == scores
    again, before = (stn.load_aligner(path / "model.safetensors").state_dict() for path in (run, tmp_path / "whole"))
    assert all(torch.equal(again[name], before[name]) for name in before)


def test_the_confidence_learns_from_pairs_of_every_size_and_from_strangers_alone() -> None:
    torch.manual_seed(0)
    aligner, config = stn.build_aligner(stn.AlignerConfig(levels=(16, 32), steps=(2, 2))), PLAIN
    chance = torch.Generator().manual_seed(0)
    pictures = F.interpolate(torch.rand(6, 1, 12, 12, generator=chance), (96, 80), mode="bicubic").clamp(0, 1)
    sizes = {tuple(shrunk(pictures, config, chance).shape[2:]) for _ in range(40)}
    assert min(min(size) for size in sizes) >= 16 and max(size[0] for size in sizes) <= 96  # a view is half of that
    assert len({size[0] < 40 for size in sizes}) == 2
    small = shrunk(pictures, config, chance)
    drawn = draw_pairs(config, (small.shape[2], small.shape[3]), 6, chance)
    moving, fixed = make_pairs(small, drawn, config)
    unlike = torch.tensor([True, True, False, True, True, True])
    evidence, wanted = confidence_examples(aligner, moving, fixed, drawn, unlike)
    assert len(evidence) == len(wanted) == 6 + 5 + 1
    assert wanted[6:].tolist() == [0, 0, 0, 0, 0, 1]
    losses = []
    optimizer = torch.optim.Adam(aligner.parameters(), 0.02)
    for _ in range(40):
        optimizer.zero_grad()
        loss = confidence_loss(aligner, moving, fixed, drawn, unlike)
        loss.backward()
        losses.append(float(loss.detach()))
        taught = {name.partition(".")[0] for name, each in aligner.named_parameters() if each.grad is not None}
        assert taught == {"confidence"}
        optimizer.step()
    assert losses[-1] < 0.5 * losses[0]


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match="distortion must be left out for task align"):
        dataclasses.replace(CONFIG, distortion=DistortionConfig(rotation=10.0))
    with pytest.raises(ValueError, match="same_class must be 0 where photometric is 0"):
        PairConfig(same_class=0.5)
    with pytest.raises(ValueError, match=r"scale must be two factors, one on each side of 1"):
        stn.AlignerConfig(scale=(1.1, 1.4))
