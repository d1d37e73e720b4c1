"""Code that may not look at values: `torch.func`, and fake tensors."""

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from stn import (
    KERNELS,
    TRANSFORMS,
    ConvLocalization,
    GridGenerator,
    SpatialTransformer,
    constants,
    sample,
    sampling_grid,
    warp,
)
from stn.transforms import lattice as sums

PADDINGS = ("zeros", "border", "reflection", "constant")


@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_vmap_over_samples_gives_each_sample(kernel: str, padding: str) -> None:
    images, grids = torch.rand(3, 1, 2, 6, 5), torch.rand(3, 1, 4, 4, 2) * 3 - 1.5
    background = (0.3,) if padding == "constant" else None

    def sampled(images: Tensor, grid: Tensor) -> Tensor:
        return sample(images, grid, kernel, padding, background)

    expected = torch.stack([sampled(*pair) for pair in zip(images, grids, strict=True)])
    torch.testing.assert_close(torch.func.vmap(sampled)(images, grids), expected)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_vmap_over_warps_and_their_gradients_gives_each(name: str) -> None:
    generator = GridGenerator(name, (4, 4)).double()
    images = torch.rand(3, 1, 2, 6, 5, dtype=torch.float64)
    theta = generator.transform.identity().double().expand(3, 1, -1) * 0.83 + 0.01

    def loss(theta: Tensor, images: Tensor) -> Tensor:
        return warp(images, theta, generator).square().sum() + sampling_grid(name, theta, (2, 2)).sum()

    expected = torch.stack([torch.func.grad(loss)(*pair) for pair in zip(theta, images, strict=True)])
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(loss))(theta, images), expected)


def test_vmap_over_a_layer_gives_each() -> None:
    layer = SpatialTransformer(ConvLocalization(1, (8, 8), TRANSFORMS["projective"]()), "projective", (8, 8))
    images = torch.rand(3, 2, 1, 8, 8)
    torch.testing.assert_close(torch.func.vmap(lambda images: layer(images).images)(images), images)


def test_no_constant_that_is_kept_belongs_to_a_transform_of_torch_func(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "_KEPT", {})
    grid = torch.rand(1, 2, 2, 2) - 0.5
    torch.func.grad(lambda grid: sample(torch.rand(1, 1, 4, 4), grid).sum())(grid)
    assert not any(torch._C._functorch.is_functorch_wrapped_tensor(kept) for kept in constants._KEPT.values())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_shapes_are_inferred_with_fake_tensors(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "FEWEST_POINTS", 0)
    count = len(TRANSFORMS[name]().parameter_names)
    with FakeTensorMode(allow_non_fake_inputs=True):
        layer = SpatialTransformer(ConvLocalization(1, (8, 8), TRANSFORMS[name]()), name, (5, 4))
        images, theta, grid = layer(torch.rand(2, 1, 8, 8))
    assert (images.shape, theta.shape, grid.shape) == ((2, 1, 5, 4), (2, count), (2, 5, 4, 2))
