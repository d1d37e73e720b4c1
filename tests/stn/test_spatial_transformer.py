import math
from inspect import unwrap
from typing import Any

import pytest
import torch
from torch import nn

from stn import (
    LOCALIZATIONS,
    TRANSFORMS,
    SpatialTransformer,
    sample,
    sampling_grid,
)
from tests.stn.predicts import Predicts
from tests.stn.unchecked import unchecked


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
    with pytest.raises(ValueError, match=r"size must be \(height, width\) of at least \(4, 4\)"):
        LOCALIZATIONS["conv"](1, (3, 28), TRANSFORMS["affine"]())


def test_all_settings_of_the_sampler_reach_it() -> None:
    images, theta = torch.rand(2, 2, 9, 11), torch.tensor([[2.0, 0.3, -0.4]])
    settings: dict[str, Any] = {
        "kernel": "catmull_rom",
        "padding": "constant",
        "background": (0.5, 0.25),
        "antialias": 3,
    }
    layer = SpatialTransformer(Predicts(*theta[0].tolist()), "attention", (5, 6), **settings)
    expected = sample(images, sampling_grid("attention", theta.expand(2, -1), (5, 6)), **settings)
    torch.testing.assert_close(layer(images).images, expected)
    assert not torch.allclose(expected, sample(images, sampling_grid("attention", theta.expand(2, -1), (5, 6))))


def test_deeper_features_can_place_the_grid_on_the_input() -> None:
    trunk = nn.Sequential(nn.Conv2d(1, 5, 3, stride=2), nn.ReLU())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3))
    layer = SpatialTransformer(head, "attention", (8, 8))
    images = torch.rand(2, 1, 16, 16)
    transformed = layer(images, trunk(images))
    torch.testing.assert_close(transformed.theta, head(trunk(images)))
    assert transformed.images.shape == (2, 1, 8, 8)
    transformed.images.sum().backward()
    assert trunk[0].weight.grad is not None and trunk[0].weight.grad.abs().sum() > 0


def test_iterations_compose_theta_and_sample_the_original() -> None:
    images = torch.rand(2, 1, 12, 12)
    net = Predicts(0.9, 0.2, 0.1, -0.05)
    once, twice = (SpatialTransformer(net, "similarity", (12, 12), iterations=count)(images) for count in (1, 2))
    similarity = TRANSFORMS["similarity"]()
    composed = similarity.compose(once.theta, once.theta)
    torch.testing.assert_close(twice.theta, composed)
    torch.testing.assert_close(twice.images, sample(images, sampling_grid(similarity, composed, (12, 12))))
    assert torch.equal(net.seen[0], images)
    assert torch.equal(net.seen[2], once.images)  # the second look sees what the first theta made


@pytest.mark.parametrize("name", ["affine", "attention", "similarity", "translation", "rigid", "projective"])
def test_every_transform_that_composes_can_be_iterated_and_learns(name: str) -> None:
    net = LOCALIZATIONS["dense"](1, (8, 8), TRANSFORMS[name]())
    layer = SpatialTransformer(net, name, (8, 8), iterations=3)
    images = torch.rand(2, 1, 8, 8)
    transformed = layer(images)
    torch.testing.assert_close(transformed.images, images, atol=2e-6, rtol=0)  # angles are added up in float32
    transformed.images.square().sum().backward()
    gradient = net.theta.bias.grad
    assert gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0


def test_transformers_stand_in_series_and_between_layers() -> None:
    network = nn.ModuleList(
        [
            SpatialTransformer(LOCALIZATIONS["conv"](3, (16, 20), TRANSFORMS["affine"]()), "affine", (12, 14)),
            nn.Conv2d(3, 6, 3, padding=1),
            SpatialTransformer(
                LOCALIZATIONS["conv"](6, (12, 14), TRANSFORMS["thin_plate_spline"]()), "thin_plate_spline", (9, 8)
            ),
        ]
    )
    values = torch.rand(2, 3, 16, 20)
    for layer in network:
        values = layer(values).images if isinstance(layer, SpatialTransformer) else layer(values)
    assert values.shape == (2, 6, 9, 8)
    values.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_theta_that_is_not_finite_is_an_error_that_names_the_image(value: float) -> None:
    def localization(images: torch.Tensor) -> torch.Tensor:
        theta = TRANSFORMS["affine"]().identity().repeat(len(images), 1)
        theta[2, 4] = value
        return theta

    class Net(nn.Module):
        forward = staticmethod(localization)

    with pytest.raises(ValueError, match=f"theta must be finite, got {value} for image 2"):
        SpatialTransformer(Net(), "affine", (4, 4))(torch.rand(4, 1, 4, 4))
    SpatialTransformer(Net(), "affine", (4, 4), check=False)(torch.rand(4, 1, 4, 4))
    with pytest.raises(ValueError, match="theta must be finite"):
        sampling_grid("affine", localization(torch.rand(4, 1, 4, 4)), (4, 4))
    with pytest.raises(ValueError, match="grid must be finite, got .* for image 1"):
        sample(torch.rand(2, 1, 4, 4), torch.tensor([0.0, value]).view(2, 1, 1, 1).expand(2, 3, 3, 2))


@pytest.mark.parametrize(
    ("name", "theta", "iterations", "message"),
    [
        ("affine", (1e17, 0.0, 0.0, 0.0, 1e17, 0.0), 3, r"theta must be at most 2\^60 in size, got .* for image 0"),
        ("projective", (1.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0), 2, "theta must be finite, got .* for image 0"),
    ],
)
def test_a_composed_theta_that_overflows_is_an_error(
    name: str, theta: tuple[float, ...], iterations: int, message: str
) -> None:
    images = torch.rand(2, 1, 4, 4)
    SpatialTransformer(Predicts(*theta), name, (4, 4))(images)
    with pytest.raises(ValueError, match=message):
        SpatialTransformer(Predicts(*theta), name, (4, 4), iterations=iterations)(images)
    SpatialTransformer(Predicts(*theta), name, (4, 4), iterations=iterations, check=False)(images)


def test_a_large_theta_is_no_error_and_an_absurd_one_is() -> None:
    images = torch.ones(1, 1, 4, 4)
    theta = torch.tensor([[1e18, 0.0, 0.0]])
    assert torch.equal(sample(images, sampling_grid("attention", theta, (2, 2))), torch.zeros(1, 1, 2, 2))
    with pytest.raises(ValueError, match=r"theta must be at most 2\^60 in size, got 3.*e\+38 for image 0"):
        SpatialTransformer(Predicts(3e38, 0.0, 0.0), "attention", (2, 2))(images)


def test_theta_stays_exact_under_autocast() -> None:
    net = LOCALIZATIONS["conv"](
        1, (28, 28), TRANSFORMS["affine"](), start=[0.7519, 0.2505, 0.501, -0.2505, 0.7519, 0.501]
    )
    layer = SpatialTransformer(net, "affine", (28, 28))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(layer(torch.rand(2, 1, 28, 28)).theta[0], net.theta.bias)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_no_images_give_no_images(name: str) -> None:
    net = LOCALIZATIONS["conv"](1, (8, 8), TRANSFORMS[name]())
    assert SpatialTransformer(net, name, (4, 5))(torch.rand(0, 1, 8, 8)).images.shape == (0, 1, 4, 5)


def test_images_that_cannot_be_sampled_are_refused() -> None:
    layer = SpatialTransformer(Predicts(1.0, 0.0, 0.0), "attention", (4, 4))
    with pytest.raises(ValueError, match="images must be floating point, got torch.uint8"):
        unwrap(SpatialTransformer.forward)(layer, torch.zeros(1, 1, 4, 4, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"images must have shape \(B, C, H, W\)"):
        unwrap(SpatialTransformer.forward)(layer, torch.zeros(1, 4, 4))
    with pytest.raises(ValueError, match="theta must have one row for each of 2 images, got 1"):
        unwrap(SpatialTransformer.forward)(layer, torch.rand(2, 1, 4, 4), torch.rand(1, 3))


def test_a_state_dict_loads_whatever_the_output_size() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 32))
    small = SpatialTransformer(net, "thin_plate_spline", (10, 12), bounds={"*": 0.5})
    assert set(small.state_dict()) == {f"localization.{name}" for name in net.state_dict()}
    large = SpatialTransformer(net, "thin_plate_spline", (40, 52))
    assert not any(large.load_state_dict(small.state_dict()))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"kernel": "bilinaer"},
            "kernel must be one of bicubic, bilinear, catmull_rom, integer, lanczos3, got 'bilinaer'",
        ),
        ({"padding": "zero"}, "padding must be one of border, constant, reflection, zeros, got 'zero'"),
        ({"padding": []}, r"padding must be one of border, constant, reflection, zeros, got \[\]"),
        (
            {"padding": "constant", "background": ()},
            r"background must be finite numbers, one for each channel or one for all, got \(\)",
        ),
        ({"padding": "constant"}, "background must be given for padding 'constant' and for no other, got None"),
        ({"background": (0.5,)}, r"background must be given for padding 'constant' and for no other, got \(0.5,\)"),
        ({"antialias": 0}, r"antialias must be a whole number in \[1, 16\], got 0"),
        ({"size": (0, 4)}, r"size must be \(height, width\) of at least \(1, 1\), got \(0, 4\)"),
        ({"transform": "afine"}, "transform must be one of affine, .*, got 'afine'"),
        ({"iterations": 0}, r"iterations must be a whole number in \[1, 64\], got 0"),
        ({"iterations": 2, "transform": "thin_plate_spline"}, "iterations must be 1 for ThinPlateSpline, got 2"),
        ({"gradient_factor": -1.0}, "gradient_factor must be finite and not negative, got -1.0"),
        ({"outside_penalty": math.inf}, "outside_penalty must be finite and not negative, got inf"),
    ],
)
def test_wrong_settings_are_refused_with_argument_rule_and_value(settings: dict[str, Any], message: str) -> None:
    with unchecked(), pytest.raises(ValueError, match=message):
        SpatialTransformer(nn.Identity(), **{"transform": "affine", "size": (4, 4)} | settings)


def test_features_and_iterations_exclude_each_other() -> None:
    layer = SpatialTransformer(Predicts(1.0, 0.0, 0.0), "attention", (4, 4), iterations=2)
    with pytest.raises(ValueError, match="features must be None for iterations above 1, got 2 iterations"):
        layer(torch.rand(1, 1, 4, 4), torch.rand(1, 3))
