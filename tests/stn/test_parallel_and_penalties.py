"""Several transformers beside each other, penalties, and what slows a localization net down."""

import pytest
import torch
from torch import nn

from stn import LOCALIZATIONS, TRANSFORMS, ParallelTransformers, SpatialTransformer, parameter_groups
from tests.stn.predicts import Predicts


def test_parallel_transformers_start_from_their_own_regions() -> None:
    starts = [[0.5, 0.0, x, 0.0, 0.5, y] for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    nets = [LOCALIZATIONS["conv"](2, (16, 16), TRANSFORMS["affine"](), start=start) for start in starts]
    layer = ParallelTransformers([SpatialTransformer(net, "affine", (8, 8)) for net in nets])
    images = torch.rand(3, 2, 16, 16)
    transformed = layer(images)
    assert transformed.images.shape == (3, 8, 8, 8)
    assert transformed.grid.shape == (3, 32, 8, 2)
    torch.testing.assert_close(transformed.theta, torch.tensor(starts).flatten().expand(3, -1))
    quarters = [images[:, :, top : top + 8, left : left + 8] for left in (0, 8) for top in (0, 8)]
    assert torch.equal(transformed.images, torch.cat(quarters, dim=1))


def test_the_gradient_factor_scales_what_reaches_the_localization_net_alone() -> None:
    images = torch.rand(1, 1, 8, 8)
    gradients = []
    for factor in (1.0, 0.25, 0.0):
        net = Predicts(0.8, 0.1, 0.1)
        transformed = SpatialTransformer(net, "attention", (8, 8), gradient_factor=factor)(images)
        transformed.images.square().sum().backward()
        assert net.theta.grad is not None
        assert torch.equal(transformed.theta[0], net.theta)
        gradients.append(net.theta.grad)
    torch.testing.assert_close(gradients[1], 0.25 * gradients[0])
    assert torch.equal(gradients[2], torch.zeros(3))


def test_penalties_are_the_mean_squared_distances() -> None:
    net = Predicts(1.5, 0.0, 0.0)
    layer = SpatialTransformer(net, "attention", (2, 1), outside_penalty=2.0, identity_penalty=10.0)
    transformed = layer(torch.rand(1, 1, 4, 4))  # its points are (0, -0.75) and (0, 0.75): inside, 0.25 from (0, -+0.5)
    torch.testing.assert_close(layer.penalty(transformed), torch.tensor(10 * 0.25**2))
    with torch.no_grad():
        net.theta.copy_(torch.tensor([4.0, 0.0, 0.0]))  # (0, -2) and (0, 2): 1 outside, 1.5 from the identity's
    penalty = layer.penalty(layer(torch.rand(1, 1, 4, 4)))
    torch.testing.assert_close(penalty, torch.tensor(2 * 1.0 + 10 * 1.5**2))
    penalty.backward()
    assert net.theta.grad is not None and net.theta.grad[0] > 0


def test_without_weights_there_is_no_penalty() -> None:
    layer = SpatialTransformer(Predicts(4.0, 0.0, 0.0), "attention", (2, 2))
    assert layer.penalty(layer(torch.rand(1, 1, 4, 4))) == 0


def test_parallel_penalties_add_up() -> None:
    layers = [
        SpatialTransformer(Predicts(s, 0.0, 0.0), "attention", (4, 4), outside_penalty=w)
        for s, w in ((3.0, 1.0), (5.0, 2.0))
    ]
    images = torch.rand(2, 1, 4, 4)
    parallel = ParallelTransformers(layers)
    expected = sum(layer.penalty(layer(images)) for layer in layers)
    torch.testing.assert_close(parallel.penalty(parallel(images)), expected)


def test_parameter_groups_scale_the_learning_rate_of_localization_nets_alone() -> None:
    slow = SpatialTransformer(nn.Linear(4, 3), "attention", (4, 4), localization_rate=0.1)
    plain = SpatialTransformer(nn.Linear(4, 3), "attention", (4, 4))
    model = nn.Sequential(nn.Linear(4, 4), slow, plain)
    groups = parameter_groups(model, 0.5)
    assert {group["lr"]: len(group["params"]) for group in groups} == {0.5: 4, 0.05: 2}
    assert {id(p) for g in groups for p in g["params"]} == {id(p) for p in model.parameters()}
    assert len(parameter_groups(plain, 0.5)) == 1


def test_parallel_transformers_of_different_sizes_are_refused() -> None:
    layers = [SpatialTransformer(nn.Identity(), "affine", size) for size in ((4, 4), (5, 4))]
    with pytest.raises(
        ValueError, match=r"transformers must be one or more of one size, got sizes \[\(4, 4\), \(5, 4\)\]"
    ):
        ParallelTransformers(layers)
    with pytest.raises(ValueError, match="transformers must be one or more"):
        ParallelTransformers([])
