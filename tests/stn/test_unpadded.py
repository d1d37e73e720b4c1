"""Layers that skip what pooling drops, against the same layers that do not."""

import pytest
import torch
from torch import nn

from stn.localization import TutorialLocalization
from stn.networks import tutorial
from stn.transforms import Affine
from stn.unpadded import Unpadded


def values_and_derivatives(layers: nn.Module, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    own = images.clone().requires_grad_()
    out = layers(own)
    towards = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view_as(out)
    return (out, *torch.autograd.grad(out, (own, *layers.parameters()), towards))


@pytest.mark.parametrize("size", [(16, 16), (17, 30), (42, 42), (43, 20), (31, 33)])
@pytest.mark.parametrize("pools", [(2, 2), (3, 2), (1, 4)])
def test_the_numbers_are_those_of_all_rows_and_columns(size: tuple[int, int], pools: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(2, 3, 5),
        nn.MaxPool2d(pools[0]),
        nn.ReLU(),
        nn.Conv2d(3, 4, 2),
        nn.MaxPool2d(pools[1]),
        nn.ReLU(),
    ]
    images = torch.rand(2, 2, *size, dtype=torch.float64)
    whole, cut = (kind(*layers).double() for kind in (nn.Sequential, Unpadded))
    for found, expected in zip(values_and_derivatives(cut, images), values_and_derivatives(whole, images), strict=True):
        torch.testing.assert_close(found, expected)


def test_what_reaches_the_result_is_counted() -> None:
    layers = Unpadded(nn.Conv2d(1, 1, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(1, 1, 5), nn.MaxPool2d(2), nn.Flatten())
    assert [layers.seen(side) for side in (16, 19, 40, 41, 42, 43, 44)] == [16, 16, 40, 40, 40, 40, 44]


def sides_of_pooling(layers: nn.Module, images: torch.Tensor) -> list[tuple[list[int], list[int]]]:
    """(height, width) of what each pooling got and of what it gave."""
    sides: list[tuple[list[int], list[int]]] = []

    def note(_: nn.Module, given: tuple[torch.Tensor], pooled: torch.Tensor) -> None:
        sides.append((list(given[0].shape[2:]), list(pooled.shape[2:])))

    for layer in layers.modules():
        if isinstance(layer, nn.MaxPool2d):
            layer.register_forward_hook(note)
    layers(images)
    return sides


@pytest.mark.parametrize("size", [(28, 28), (42, 42), (41, 30)])
def test_the_tutorials_layers_compute_nothing_that_is_dropped(size: tuple[int, int]) -> None:
    for layers in (tutorial(1, size).trunk, TutorialLocalization(1, size, Affine()).features):
        sides = sides_of_pooling(layers.eval(), torch.rand(1, 1, *size))
        assert [given for given, _ in sides] == [[2 * side for side in pooled] for _, pooled in sides]
        assert len(sides) == 2


def test_layers_for_every_size_are_exported_for_a_range_of_sizes() -> None:
    net = TutorialLocalization(1, (42, 42), Affine(), pooled=(3, 3)).eval()
    nn.init.normal_(net.theta.weight)
    sides = {2: torch.export.Dim("height", min=32, max=640), 3: torch.export.Dim("width", min=32, max=640)}
    program = torch.export.export(net, (torch.rand(1, 1, 42, 42),), dynamic_shapes=(sides,))
    images = torch.rand(1, 1, 41, 50)
    torch.testing.assert_close(program.module()(images), net(images))


def test_weights_have_the_names_that_they_have_in_a_sequence() -> None:
    """So that files of models that were trained before the layers were cut can be read."""
    layers = tutorial(1, (28, 28), batch_norm=True).trunk
    assert list(layers.state_dict()) == list(nn.Sequential(*layers).state_dict())
