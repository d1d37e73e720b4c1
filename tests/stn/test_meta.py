"""Networks without memory: shapes are inferred on the meta device, and weights put in afterwards."""

import pytest
import torch
from torch import nn

from stn import TRANSFORMS, InputConfig, ModelConfig, Normalise, build_model

DIGITS = InputConfig(channels=1, height=28, width=28, mean=(0.1,), std=(0.3,))


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_shapes_are_inferred_on_the_meta_device(transform: str) -> None:
    with torch.device("meta"):
        logits, transformed = build(transform)(torch.rand(2, 1, 28, 28))
    assert logits.shape == (2, 10)
    assert transformed.images.shape == (2, 1, 28, 28)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_network_made_without_memory_takes_weights_in_place(transform: str) -> None:
    wanted = build(transform).eval()
    with torch.device("meta"):
        model = build(transform).eval()
    model.load_state_dict(wanted.state_dict(), assign=True)
    images = torch.rand(2, 1, 28, 28)
    assert torch.equal(model(images)[0], wanted(images)[0])


def build(transform: str) -> nn.Module:
    return build_model(ModelConfig(transform=transform, filters=(4, 8), units=16), DIGITS, 10)


@pytest.mark.parametrize(("mean", "std"), [((0.5,), (0.5, 0.5)), ((), ()), ((0.5,), (0.0,)), ((0.5,), (float("nan"),))])
def test_a_normalisation_that_is_none_is_refused(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"must (have one value for each channel|be positive and finite), got \("):
        Normalise(mean, std)


def test_a_normalisation_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match=r"std must be positive and finite, got \(inf,\)"):
        Normalise((0.5,), (float("inf"),))
    with pytest.raises(ValueError, match=r"mean must be finite, got \(nan,\)"):
        Normalise((float("nan"),), (1.0,))


def test_images_with_other_channels_than_the_normalisation_are_refused() -> None:
    with pytest.raises(ValueError, match=r"images must have shape \(B, 3, H, W\), got \(2, 1, 4, 4\)"):
        Normalise((0.5,) * 3, (0.5,) * 3)(torch.rand(2, 1, 4, 4))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_a_normalisation_keeps_the_dtype_of_the_images(dtype: torch.dtype) -> None:
    assert Normalise((0.5,), (0.25,)).to(dtype)(torch.ones(1, 3, 2, 2, dtype=dtype)).unique().tolist() == [2.0]
