import pytest
import torch
from torch import nn

from stn import LOCALIZATIONS, TRANSFORMS, SpatialTransformer


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("localization", LOCALIZATIONS)
def test_a_fresh_transformer_returns_its_input_to_the_bit(transform: str, localization: str) -> None:
    net = LOCALIZATIONS[localization](3, (20, 28), TRANSFORMS[transform]())
    layer = SpatialTransformer(net, transform, (20, 28))
    images = torch.rand(2, 3, 20, 28)
    assert torch.equal(layer(images).images, images)


def test_the_output_has_the_asked_size_on_any_channel_count() -> None:
    net = LOCALIZATIONS["conv"](7, (12, 30), TRANSFORMS["affine"]())
    transformed = SpatialTransformer(net, "affine", (5, 8))(torch.rand(2, 7, 12, 30))
    assert transformed.images.shape == (2, 7, 5, 8)
    assert transformed.theta.shape == (2, 6)
    assert transformed.grid.shape == (2, 5, 8, 2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_identity_stays_exact_in_a_module_that_was_cast(dtype: torch.dtype) -> None:
    layer = SpatialTransformer(LOCALIZATIONS["conv"](1, (27, 31), TRANSFORMS["affine"]()), "affine", (27, 31)).to(dtype)
    images = torch.rand(2, 1, 27, 31).to(dtype)
    assert torch.equal(layer(images).images, images)


def test_theta_learns() -> None:
    net = LOCALIZATIONS["dense"](1, (8, 8), TRANSFORMS["attention"]())
    layer = SpatialTransformer(net, "attention", (8, 8))
    layer(torch.rand(2, 1, 8, 8)).images.sum().backward()
    assert net.theta.bias.grad is not None
    assert net.theta.bias.grad.abs().sum() > 0


def test_theta_and_grid_stay_float32_under_autocast() -> None:
    layer = SpatialTransformer(LOCALIZATIONS["conv"](1, (28, 28), TRANSFORMS["affine"]()), "affine", (28, 28))
    images = torch.rand(2, 1, 28, 28)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        transformed = layer(images)
    assert transformed.theta.dtype == torch.float32
    assert transformed.grid.dtype == torch.float32
    assert torch.equal(transformed.images, images)


def test_any_module_that_gives_theta_can_localize() -> None:
    localization = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    assert SpatialTransformer(localization, "attention", (4, 4))(torch.rand(2, 3, 9, 9)).images.shape == (2, 3, 4, 4)


def test_a_localization_net_of_the_wrong_width_is_refused() -> None:
    layer = SpatialTransformer(nn.Sequential(nn.Flatten(), nn.Linear(16, 5)), "affine", (4, 4))
    with pytest.raises(ValueError, match=r"theta must have shape \(B, 6\) for Affine, got \(2, 5\)"):
        layer(torch.rand(2, 1, 4, 4))


def test_images_too_small_for_a_convolutional_localization_net_are_refused() -> None:
    with pytest.raises(ValueError, match=r"size must be at least \(4, 4\)"):
        LOCALIZATIONS["conv"](1, (3, 28), TRANSFORMS["affine"]())
