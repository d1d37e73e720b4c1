"""What only a GPU can show: recorded steps, and the convolutions and pooling that are its own. Run with -m gpu."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import nn

from stn import ModelConfig
from stn.convolution import Conv2d
from stn.pooling import MaxPool2d
from tests.training.runs import small, stop_after
from training.config import OptimizerConfig, TrainingConfig
from training.data.datamodule import DataModule
from training.fit import fit
from training.recipes import DISTORTIONS
from training.runs import create_run

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore")]  # Lightning's, which a run is silent about


def on_gpu(steps: int = 24, **trainer: Any) -> TrainingConfig:
    return small(**{"max_steps": steps, "validate_every": 12, "accelerator": "auto", **trainer})


def scores(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def trained(root: Path, config: TrainingConfig) -> list[dict[str, float]]:
    run = create_run(root, config)
    fit(config, run)
    return scores(run)


def test_recorded_steps_are_those_that_run_one_by_one(tmp_path: Path) -> None:
    recorded, one_by_one = (trained(tmp_path, on_gpu(cuda_graph=graph)) for graph in (True, False))
    assert [line["step"] for line in recorded] == [12, 24]
    for first, second, near in zip(recorded, one_by_one, (0.02, 0.1), strict=True):
        assert first["train/loss"] == pytest.approx(second["train/loss"], rel=near)  # TF32, and sums in any order
        assert first["learning_rate"] == second["learning_rate"]


@pytest.mark.parametrize(
    ("model", "optimizer", "trainer"),
    [
        ({"dropout": 0.3, "identity_penalty": 0.1}, {"gradient_clip": 1.0}, {}),
        ({"transform": "thin_plate_spline", "padding": "constant", "background": (0.5,)}, {"name": "sgd"}, {}),
        ({"transform": "projective", "bounds": {"x0": (-0.5, 0.5)}, "antialias": 2}, {}, {"precision": "bfloat16"}),
        ({"transform": "similarity", "iterations": 2, "padding": "border"}, {"schedule": "cosine"}, {}),
        ({"classifier": "cnn", "localization": "dense", "size": (28, 28), "units": None}, {}, {"precision": "float16"}),
    ],
)
def test_steps_of_every_kind_can_be_recorded(
    tmp_path: Path, model: dict[str, Any], optimizer: dict[str, Any], trainer: dict[str, Any]
) -> None:
    network = ModelConfig(**{"filters": (8, 8), "units": 16, **model})
    config = dataclasses.replace(on_gpu(**trainer), model=network, optimizer=OptimizerConfig(**optimizer))
    first, last = trained(tmp_path, config)
    assert last["train/loss"] < first["train/loss"]


@pytest.mark.parametrize("name", DISTORTIONS)
def test_pictures_are_distorted_as_on_the_cpu(name: str) -> None:
    """But for the chance, which is a GPU's own: the same mean and deviation of many."""
    config = dataclasses.replace(on_gpu(batch_size=256, steps_at_once=4), distortion=DISTORTIONS[name])
    found = {}
    for accelerator in ("cpu", "auto"):
        settings = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, accelerator=accelerator))
        data = DataModule(settings)
        data.trainer = pl.Trainer(accelerator=accelerator, logger=False)
        data.setup("fit")
        images, *_ = data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)
        assert images.device.type == ("cpu" if accelerator == "cpu" else "cuda")
        found[accelerator] = images.mean().item(), images.std().item()
    assert found["auto"] == pytest.approx(found["cpu"], rel=0.03)


def test_a_run_goes_on_on_another_device(tmp_path: Path) -> None:
    config = on_gpu(40, checkpoint_every=7)
    run = create_run(tmp_path, config)
    for stop, accelerator in ((10, "auto"), (20, "cpu"), (30, "auto"), (None, "cpu")):
        there = dataclasses.replace(config, trainer=dataclasses.replace(config.trainer, accelerator=accelerator))
        if stop is None:
            fit(there, run)
            continue
        stop_after(stop, there, run)
    assert json.loads((run / "result.json").read_text())["steps"] == 40
    assert [line["step"] for line in scores(run)] == [12, 24, 36, 40]


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    optimizer = OptimizerConfig(name="sgd", learning_rate=9.9, momentum=0.99, schedule="constant")
    config = dataclasses.replace(on_gpu(400, validate_every=200), optimizer=optimizer)
    with pytest.raises(ValueError, match="training diverged"):
        fit(config, create_run(tmp_path, config))


@pytest.mark.parametrize(("size", "kernel"), [((10, 10), 7), ((7, 7), 7), ((9, 12), (7, 8))])
def test_a_large_kernel_on_a_small_image_is_torchs_convolution(size: tuple[int, int], kernel: Any) -> None:
    ours = Conv2d(5, 6, kernel).cuda()
    images = torch.randn(3, 5, *size, device="cuda", requires_grad=True)
    with torch.backends.cudnn.flags(allow_tf32=False):
        results = []
        for convolve in (ours, lambda x: nn.Conv2d.forward(ours, x)):
            out = convolve(images)
            towards = torch.linspace(-1, 1, out.numel(), device="cuda").view_as(out)
            results.append((out, *torch.autograd.grad(out, (images, *ours.parameters()), towards)))
    assert "_Product" in str(ours(images).grad_fn.next_functions[0][0])
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # float32 sums in another order


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pooling_and_its_derivative_are_torchs(ceil_mode: bool) -> None:
    images = torch.randint(4, (3, 5, 9, 14), device="cuda").float().requires_grad_()  # with many values that are equal
    results = []
    for pooled in (MaxPool2d(2, ceil_mode=ceil_mode)(images), F.max_pool2d(images, 2, ceil_mode=ceil_mode)):
        towards = torch.arange(pooled.numel(), device="cuda").view_as(pooled).float()
        results.append((pooled, *torch.autograd.grad(pooled, images, towards)))
    for found, expected in zip(*results, strict=True):
        assert torch.equal(found, expected)
