"""Max pooling of odd numbers of channels, channels last, against torch's own."""

import pytest
import torch
from torch import nn

from stn.pooling import MaxPool2d


def grad_of(pool: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    own = images.clone().requires_grad_()
    out = pool(own)
    towards = torch.linspace(-1, 1, out.numel()).view_as(out).to(out.dtype)
    (slope,) = torch.autograd.grad(out, own, towards, retain_graph=True)
    (square,) = torch.autograd.grad(out.square().sum(), own, create_graph=True)
    (second,) = torch.autograd.grad(square.square().sum(), own)
    return out, slope, second


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels", [2, 5, 10, 20])
def test_values_and_derivatives_are_torchs(channels: int, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    images = torch.randperm(2 * channels * 6 * 8).view(2, channels, 6, 8)  # no two are equal
    images = images.remainder(256).to(dtype).to(memory_format=torch.channels_last) + 0.0
    if dtype != torch.bfloat16:
        images += torch.linspace(0, 0.9, images.numel(), dtype=dtype).view_as(images)
    ours, torchs = grad_of(MaxPool2d(2), images), grad_of(nn.MaxPool2d(2), images)
    for found, expected in zip(ours, torchs, strict=True):
        assert torch.equal(found, expected)
    assert ours[0].is_contiguous(memory_format=torch.channels_last)


def test_odd_channels_go_by_pairs_and_others_as_torch_does() -> None:
    odd, full = (torch.rand(1, count, 4, 4).to(memory_format=torch.channels_last) for count in (10, 16))
    names = [MaxPool2d(2)(images.requires_grad_()).grad_fn.name() for images in (odd, full)]
    assert names == ["_PoolPairsBackward", "MaxPool2DWithIndicesBackward0"]


@pytest.mark.parametrize("size", [(5, 4), (4, 5)])
def test_sides_that_have_no_pairs_are_pooled_as_torch_does(size: tuple[int, int]) -> None:
    images = torch.rand(1, 10, *size).to(memory_format=torch.channels_last)
    for ceil in (False, True):
        pools = [kind(2, ceil_mode=ceil) for kind in (MaxPool2d, nn.MaxPool2d)]
        assert torch.equal(*(pool(images.clone().requires_grad_()) for pool in pools))


def test_of_equal_values_one_gets_the_gradient() -> None:
    images = torch.zeros(1, 10, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    MaxPool2d(2)(images).sum().backward()
    windows = images.grad.unflatten(2, (2, 2)).unflatten(4, (2, 2))
    assert torch.equal(windows.sum((3, 5)), torch.ones(1, 10, 2, 2))
    assert set(images.grad.unique().tolist()) == {0.0, 1.0}


def test_values_that_are_not_numbers_stay_so() -> None:
    images = torch.zeros(1, 10, 4, 4)
    images[0, :, 1, 2] = torch.nan
    pooled = MaxPool2d(2)(images.to(memory_format=torch.channels_last).requires_grad_())
    assert bool(pooled[0, :, 0, 1].isnan().all()) and not bool(pooled[0, :, 1].isnan().any())
