import dataclasses

import pytest
import torch

from stn import InputConfig, ModelConfig, build_model
from training.presets import PRESETS


def images_of(channels: int, height: int, width: int) -> InputConfig:
    return InputConfig(channels=channels, height=height, width=width, mean=(0.4,) * channels, std=(0.2,) * channels)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 40, 23), (1, 7, 64)])
def test_the_classifier_takes_any_channels_height_and_width(channels: int, height: int, width: int) -> None:
    model = build_model(ModelConfig(), images_of(channels, height, width), classes=5)
    prediction = model(torch.rand(2, channels, height, width))
    assert prediction.logits.shape == (2, 5)
    assert prediction.transformed.images.shape == (2, channels, height, width)


def test_normalisation_stands_after_the_transformer() -> None:
    images = images_of(1, 28, 28)
    model = build_model(ModelConfig(filters=(4,)), images, classes=3).eval()
    with torch.no_grad():  # zoom out, so that most of the output lies outside the image
        model.transformer.localization[1].theta.bias.copy_(torch.tensor([9.0, 0, 0, 0, 9, 0]))
        seen: list[torch.Tensor] = []
        model.trunk.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        transformed = model(torch.ones(1, 1, 28, 28)).transformed
    assert transformed.images[0, 0, 0, 0] == 0
    torch.testing.assert_close(seen[0][0, 0, 0, 0], torch.tensor((0 - 0.4) / 0.2))


def test_the_plain_network_is_the_same_one_without_the_transformer() -> None:
    images = images_of(1, 28, 28)
    plain = build_model(ModelConfig(transform="none"), images, classes=3)
    whole = build_model(ModelConfig(), images, classes=3)
    assert plain(torch.rand(2, 1, 28, 28)).transformed is None
    whole.transformer = None
    assert {name: tensor.shape for name, tensor in plain.state_dict().items()} == {
        name: tensor.shape for name, tensor in whole.state_dict().items()
    }


OPTIONS = {
    "kernel": "lanczos3",
    "padding": "border",
    "antialias": 2,
    "iterations": 3,
    "gradient_factor": 0.5,
    "localization_rate": 0.1,
    "outside_penalty": 2.0,
    "identity_penalty": 3.0,
    "size": (12, 14),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_of_the_transformer_reaches_it(option: str) -> None:
    config = ModelConfig(transform="similarity", localization_pooled=(2, 2), **{option: OPTIONS[option]})
    model = build_model(config, images_of(1, 28, 28), classes=3)
    assert getattr(model.transformer, option) == OPTIONS[option]
    assert getattr(build_model(ModelConfig(), images_of(1, 28, 28), 3).transformer, option) != OPTIONS[option]
    assert model(torch.rand(2, 1, 28, 28)).logits.shape == (2, 3)


@pytest.mark.parametrize("background", [(0.25,), (0.25, 0.5, 0.75)])
def test_the_background_stands_outside_the_image(background: tuple[float, ...]) -> None:
    model = build_model(ModelConfig(padding="constant", background=background), images_of(3, 28, 28), classes=3)
    with torch.no_grad():  # far outside
        model.transformer.localization[1].theta.bias.copy_(torch.tensor([1.0, 0, 9, 0, 1, 9]))
        transformed = model(torch.rand(1, 3, 28, 28)).transformed
    torch.testing.assert_close(transformed.images[0, :, 0, 0], torch.tensor(background).expand(3))


def test_a_background_of_the_wrong_width_is_refused() -> None:
    config = ModelConfig(padding="constant", background=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"background must be 1 or 3 numbers, got \(0.1, 0.2\)"):
        build_model(config, images_of(3, 28, 28), classes=3)


def test_theta_stays_within_its_bounds() -> None:
    config = ModelConfig(transform="similarity", bounds={"scale": (0.5, 2.0), "*0": (-0.25, 0.25)})
    model = build_model(config, images_of(1, 28, 28), classes=3)
    images = torch.rand(1, 1, 28, 28)
    assert torch.equal(model(images).transformed.theta, torch.tensor([[1.0, 0.0, 0.0, 0.0]]))
    with torch.no_grad():
        model.transformer.localization[1].theta.bias.fill_(5.0)
    scale, angle, x0, y0 = model(images).transformed.theta[0].tolist()
    assert 1.9 < scale <= 2.0 and 0.2 < x0 <= 0.25 and 0.2 < y0 <= 0.25
    assert angle == 5.0


def test_bounds_of_a_parameter_that_the_transform_lacks_are_refused() -> None:
    with pytest.raises(ValueError, match=r"bounds must name parameters of the transform, .*got 'zoom'"):
        build_model(ModelConfig(bounds={"zoom": (0.5, 2.0)}), images_of(1, 28, 28), classes=3)


def test_the_lattice_is_that_of_the_spline() -> None:
    config = ModelConfig(transform="thin_plate_spline", lattice=(3, 5))
    model = build_model(config, images_of(1, 28, 28), classes=3)
    assert model(torch.rand(2, 1, 28, 28)).transformed.theta.shape == (2, 30)


def test_more_pixels_than_a_spline_may_prepare_are_refused() -> None:
    config = ModelConfig(transform="thin_plate_spline", lattice=(32, 32), size=(256, 256))
    with pytest.raises(ValueError, match=r"size must be at most 4096 pixels for thin_plate_spline, got \(256, 256\)"):
        build_model(config, images_of(1, 28, 28), classes=3)


def test_iterations_want_images_that_the_localization_net_can_see_again() -> None:
    with pytest.raises(ValueError, match="size must be that of the images, or localization_pooled given"):
        build_model(ModelConfig(iterations=2, size=(20, 20)), images_of(1, 28, 28), classes=3)


@pytest.mark.parametrize(
    ("preset", "side", "transform", "parameters"),
    [
        ("digits", 42, "affine", 290_640),
        ("digits", 42, "none", 846_778),
        ("mnist", 28, "affine", 247_568),
        ("mnist", 28, "none", 215_418),
    ],
)
def test_the_networks_of_the_presets_stay_what_their_results_were_measured_with(
    preset: str, side: int, transform: str, parameters: int
) -> None:
    config = dataclasses.replace(PRESETS[preset]().model, transform=transform)
    model = build_model(config, images_of(1, side, side), classes=10)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_more_poolings_than_the_image_has_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="filters must be few enough for a 8x8 image to be halved"):
        build_model(ModelConfig(filters=(4, 4, 4, 4)), images_of(1, 8, 8), classes=3)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"classes must be in \[2, 65536\], got 1"):
        build_model(ModelConfig(), images_of(1, 28, 28), classes=1)
