import math
from typing import Any

import pytest
import torch
from torch import nn

from stn import SpatialTransformer, ThinPlateSpline
from tests.stn.predicts import Predicts
from tests.stn.unchecked import unchecked


def test_bounds_hold_whatever_is_predicted_and_keep_the_identity_to_the_bit() -> None:
    bounds: dict[str, Any] = {"scale": (0.5, 2.0), "angle": 0.7}
    images = torch.rand(1, 1, 9, 9)
    fresh = SpatialTransformer(Predicts(1.0, 0.0, 0.0, 0.0), "similarity", (9, 9), bounds=bounds)
    assert torch.equal(fresh(images).images, images)
    for scale, angle in [(-50.0, 9.0), (50.0, -9.0), (1.3, 0.2)]:
        theta = SpatialTransformer(Predicts(scale, angle, 4.0, 0.0), "similarity", (9, 9), bounds=bounds)(images).theta[
            0
        ]
        assert 0.5 <= theta[0] <= 2.0 and abs(theta[1]) <= 0.7
        assert theta[2] == 4.0


def test_bounds_bend_theta_smoothly() -> None:
    layer = SpatialTransformer(nn.Identity(), "attention", (2, 2), bounds={"scale": (0.2, 3.0), "?0": 0.4}).double()
    assert layer.bounds is not None
    theta = (torch.tensor([[1.0, 0.0, 0.0]]) + torch.linspace(-3, 3, 13)[:, None]).double().requires_grad_()
    assert torch.autograd.gradcheck(layer.bounds, theta)
    assert torch.autograd.gradgradcheck(layer.bounds, theta)
    slope = torch.autograd.functional.jacobian(layer.bounds, torch.tensor([[1.0, 0.0, 0.0]]).double())
    torch.testing.assert_close(slope[0, :, 0], torch.eye(3).double())


def test_the_bounds_of_a_spline_are_distances_from_its_control_points() -> None:
    spline = ThinPlateSpline()
    layer = SpatialTransformer(Predicts(*[9.0] * 32), spline, (4, 4), bounds={"*": 0.25})
    moved = layer(torch.rand(1, 1, 8, 8)).theta - spline.identity()
    assert moved.abs().max() <= 0.25 + 1e-6 and moved.abs().min() > 0.249


def test_a_composed_theta_stays_within_the_bounds_and_the_identity_to_the_bit() -> None:
    bounds: dict[str, Any] = {"scale": (0.5, 2.0), "angle": 0.7}
    images = torch.rand(1, 1, 9, 9)
    for scale, angle in [(1.9, 0.6), (0.4, -9.0)]:
        net = Predicts(scale, angle, 0.0, 0.0)
        layer = SpatialTransformer(net, "similarity", (9, 9), bounds=bounds, iterations=3)
        theta = layer(images).theta[0]
        assert 0.5 <= theta[0] <= 2.0 and abs(theta[1]) <= 0.7
    still = Predicts(1.0, 0.0, 0.0, 0.0)
    assert torch.equal(
        SpatialTransformer(still, "similarity", (9, 9), bounds=bounds, iterations=3)(images).images, images
    )


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"scle": 0.3}, "bounds must name parameters of the transform, scale, x0, y0, got 'scle'"),
        ({"scale": (1.0, 2.0)}, r"bounds of scale must lie around the identity, 1, got \(1.0, 2.0\)"),
        (
            {"scale": (0.0, 1.0, 2.0)},
            r"bounds of scale must be a range \(low, high\) or one number, got \(0.0, 1.0, 2.0\)",
        ),
        ({"scale": "a"}, r"bounds of scale must be a range \(low, high\) or one number, got 'a'"),
        ({"scale": -0.5}, "bounds of scale must lie around the identity, 1, got"),
        ({"scale": math.nan}, "bounds of scale must lie around the identity, 1, got"),
    ],
)
def test_bounds_that_cannot_be_are_refused(bounds: dict[str, Any], message: str) -> None:
    with unchecked(), pytest.raises(ValueError, match=message):
        SpatialTransformer(nn.Identity(), "attention", (2, 2), bounds=bounds)


@pytest.mark.parametrize("width", [1, 7])
def test_a_theta_of_the_wrong_width_is_refused_with_bounds_too(width: int) -> None:
    layer = SpatialTransformer(Predicts(*[0.0] * width), "affine", (2, 2), bounds={"*": 0.5})
    with pytest.raises(ValueError, match=rf"theta must have shape \(B, 6\) for Affine, got \(1, {width}\)"):
        layer(torch.rand(1, 1, 4, 4))
