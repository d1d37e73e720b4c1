"""The loss that asks a transformer to undo the distortion."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch

from stn import TRANSFORMS, Affine, Transform, load_model
from tests.training.runs import small, trained
from training.config import DistortionConfig, OptimizerConfig
from training.data import DATASETS
from training.distortions import Distortions, draw
from training.points import points_of
from training.straightness import straightness_loss, undistorted

SIZES = ((8, 8), (12, 16))
KINDS = {
    "affine": DistortionConfig(rotation=40.0, scale=(0.7, 1.2), translation=True, size=SIZES[1]),
    "perspective": DistortionConfig(rotation=40.0, corners=1.0, size=SIZES[1]),
    "bent": DistortionConfig(rotation=40.0, elastic=1.0, size=SIZES[1]),
    "both": DistortionConfig(scale=(0.7, 1.2), corners=1.0, elastic=1.0, size=SIZES[1]),
}


def drawn_for(kind: str, count: int = 5, dtype: torch.dtype = torch.float64) -> Distortions:
    return draw(KINDS[kind], SIZES[0], count, torch.Generator().manual_seed(3), 0, dtype)


@pytest.mark.parametrize("kind", KINDS)
def test_points_are_followed_back_to_where_the_distortion_samples(kind: str) -> None:
    drawn = drawn_for(kind)
    expected = points_of(drawn.matrix, drawn.spline, SIZES[1]).flatten(1, 2)  # (B, H W, 2)
    height, width = SIZES[1]
    ys, xs = (torch.arange(side, dtype=torch.float64).mul(2).add(1 - side).div(side) for side in (height, width))
    pixels = torch.stack([xs.expand(height, -1), ys[:, None].expand(-1, width)], dim=-1).view(1, -1, 2)
    torch.testing.assert_close(undistorted(pixels.expand(5, -1, -1), drawn), expected, atol=1e-6, rtol=1e-6)


def test_it_is_zero_where_theta_undoes_the_distortion_and_nowhere_near() -> None:
    drawn = drawn_for("affine")
    assert drawn.matrix is not None
    whole = torch.cat([drawn.matrix, torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64).expand(5, -1, -1)], dim=1)
    theta = torch.linalg.inv(whole)[:, :2].flatten(1)
    assert straightness_loss(Affine(), theta, drawn) < 1e-12  # float32's constants in a sum of float64
    assert straightness_loss(Affine(), theta + 0.1, drawn) > 1e-3


def test_it_is_the_mean_square_of_distances_in_the_picture() -> None:
    shift = torch.eye(2, 3)[None].repeat(2, 1, 1)
    shift[:, 0, 2] = 0.3  # every point is taken 0.3 too far to the right
    loss = straightness_loss(Affine(), Affine().identity().expand(2, -1), Distortions(shift, None, None))
    assert loss == pytest.approx(0.3**2 / 2)  # of x and y


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_every_transform_has_finite_gradients(name: str, kind: str) -> None:
    transform: Transform = TRANSFORMS[name]().double()
    theta = transform.identity().double().expand(5, -1).clone().requires_grad_()
    straightness_loss(transform, theta, drawn_for(kind)).backward()
    assert theta.grad is not None
    assert theta.grad.isfinite().all()
    assert theta.grad.abs().max() > 0


def test_it_is_refused_where_nothing_is_to_be_undone() -> None:
    optimizer = OptimizerConfig(straighten=1.0)
    for change in (
        {"distortion": DistortionConfig(clutter=2)},
        {"model": dataclasses.replace(small().model, transform="none"), "distortion": DistortionConfig(rotation=9.0)},
    ):
        with pytest.raises(ValueError, match="optimizer.straighten must be 0 for a model without a transformer"):
            dataclasses.replace(small(), optimizer=optimizer, **change)
    with pytest.raises(ValueError, match="straighten must be at least 0, got -1"):
        OptimizerConfig(straighten=-1.0)


TURNED = dataclasses.replace(
    small(6),
    distortion=DistortionConfig(rotation=45.0),
    optimizer=OptimizerConfig(learning_rate=1e-2, straighten=5.0),
)


@pytest.mark.slow
def test_a_transformer_that_is_asked_to_turns_pictures_back(tmp_path: Path) -> None:
    """The slope of its angle over that of the picture: -1 where it undoes the turn; -0.75 where nobody asks for it."""
    assert slope_of(trained(tmp_path, TURNED) / "model.safetensors") == pytest.approx(-1, abs=0.15)


def slope_of(path: Path) -> float:
    model = load_model(path)
    data = DATASETS["digits"](TURNED.data)
    images = data.images[data.test][:200].float() / 255
    angles = torch.linspace(-40, 40, len(images)) * math.pi / 180
    matrix = torch.zeros(len(images), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angles.cos()
    matrix[:, 0, 1], matrix[:, 1, 0] = -angles.sin(), angles.sin()
    grid = points_of(matrix, None, (images.shape[2], images.shape[3]))
    moved = torch.nn.functional.grid_sample(images, grid, align_corners=False)
    with torch.no_grad():
        _, transformed = model(moved)
    assert transformed is not None
    theta = transformed.theta
    found = torch.atan2(theta[:, 3] - theta[:, 1], theta[:, 0] + theta[:, 4])
    centred = angles - angles.mean()
    return float(((found - found.mean()) * centred).mean() / centred.square().mean())
