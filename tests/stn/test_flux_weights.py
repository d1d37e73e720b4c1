"""Weights to Julia and back: exact for every classifier, right in Flux's layers, and safe to read."""

import copy
import itertools
import typing
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import stn
from stn.flux_weights import (
    THETA_ORDERS,
    from_flux_weights,
    load_flux_weights,
    save_flux_weights,
    to_flux_weights,
)
from stn.transforms import TRANSFORMS
from tests.stn.flux_reference import (
    IMAGES,
    TINY,
    FluxLayers,
    flatten,
    load_safetensors,
    pool,
    random_model,
    relu,
    same,
    straighten,
)

CLASSIFIERS = typing.get_args(typing.get_type_hints(stn.ModelConfig)["classifier"])
SUFFIXES = (".safetensors", ".jld2", ".h5")


@pytest.fixture
def model() -> stn.Classifier:
    return random_model(TINY, IMAGES)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_every_classifier_survives_every_format_to_the_bit(classifier: str, tmp_path: Path) -> None:
    images = stn.InputConfig(channels=2, height=32, width=40, mean=(0.2, 0.3), std=(0.4, 0.5))
    config = stn.ModelConfig(classifier=classifier, batch_norm=True if classifier in ("fcn", "cnn") else None)
    model = random_model(config, images)
    other = copy.deepcopy(model)
    for suffix in SUFFIXES:
        for tensor in other.state_dict().values():
            tensor.zero_()
        save_flux_weights(tmp_path / f"weights{suffix}", model)
        load_flux_weights(tmp_path / f"weights{suffix}", other)
        assert same(other.state_dict(), model.state_dict())


@pytest.mark.parametrize("theta_to_classes", [False, True])
@pytest.mark.parametrize("localization", ["conv", "dense", "shared"])
@pytest.mark.parametrize("transform", [*TRANSFORMS, "none"])
def test_every_transform_and_localization_net_survives_to_the_bit(
    transform: str, localization: str, theta_to_classes: bool
) -> None:
    theta_to_classes = theta_to_classes and transform != "none"
    config = stn.ModelConfig(
        transform=transform, localization=localization, filters=(3,), units=5, theta_to_classes=theta_to_classes
    )
    model, other = random_model(config, IMAGES), random_model(config, IMAGES, seed=1)
    from_flux_weights(other, to_flux_weights(model))
    assert same(other.state_dict(), model.state_dict())


def test_layers_of_ones_own_survive_to_the_bit() -> None:
    def network() -> nn.Module:
        torch.manual_seed(len(made))
        return nn.Sequential(
            nn.Conv1d(4, 6, 3, groups=2),
            nn.BatchNorm1d(6, affine=False),
            nn.Conv3d(2, 3, (1, 2, 3)),
            nn.LayerNorm((2, 5)),
        )

    made: list[nn.Module] = []
    for _ in range(2):
        made.append(network())
    model, other = made
    from_flux_weights(other, to_flux_weights(model))
    assert same(other.state_dict(), model.state_dict())
    shapes = {name: tuple(array.shape) for name, array in to_flux_weights(model).items()}
    assert shapes["0.weight"] == (3, 2, 6)
    assert shapes["2.weight"] == (3, 2, 1, 2, 3)
    assert shapes["3.diag.scale"] == (5, 2)


def test_transformers_beside_each_other_survive_to_the_bit() -> None:
    def layer() -> nn.Module:
        nets = [stn.ConvLocalization(1, (8, 8), stn.Affine()) for _ in range(2)]
        for net in nets:
            nn.init.normal_(net.theta.weight)
        return stn.ParallelTransformers([stn.SpatialTransformer(net, "affine", (4, 4)) for net in nets])

    model, other = layer(), layer()
    from_flux_weights(other, to_flux_weights(model))
    assert same(other.state_dict(), model.state_dict())


def test_what_is_exported_is_a_copy(model: stn.Classifier) -> None:
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for array in to_flux_weights(model).values():
        array.zero_()
    assert same(model.state_dict(), before)


def logits_in_flux(arrays: dict[str, np.ndarray], names: list[str], images: np.ndarray) -> np.ndarray:
    """TINY with `theta_to_classes` as a Flux user writes it, its layers called by these names; images are (W, H, C, N)."""
    layers = FluxLayers(arrays)
    look, look_again, hidden, predict, conv, norm, conv_2, norm_2, dense, classes = names
    x = pool((images - 0.2) / 0.4, "mean")
    x = relu(pool(layers.conv(look, x, pad=2), "max"))
    x = relu(layers.conv(look_again, x, pad=2))
    theta = layers.dense(predict, relu(layers.dense(hidden, flatten(x))))
    x = (straighten(images, theta, width=6, height=8) - 0.2) / 0.4
    x = relu(pool(layers.batch_norm(norm, layers.conv(conv, x, pad=2)), "max"))
    x = relu(pool(layers.batch_norm(norm_2, layers.conv(conv_2, x, pad=2)), "max"))
    vector = relu(layers.dense(dense, flatten(x)))
    return layers.dense(classes, np.concatenate([vector, theta]))


def test_flux_layers_with_the_exported_weights_give_the_same_logits(tmp_path: Path) -> None:
    config = stn.ModelConfig(
        filters=(3, 4), units=5, localization_filters=2, localization_units=4, size=(8, 6), theta_to_classes=True
    )
    model = random_model(config, IMAGES)
    images = torch.rand(2, 1, 10, 12, generator=torch.Generator().manual_seed(0))
    logits, transformed = model(images)
    assert transformed is not None
    assert (transformed.theta - stn.Affine().identity()).abs().max() > 0.1
    assert transformed.theta[0].sort().values.diff().min() > 1e-2  # no two entries could be exchanged unnoticed
    save_flux_weights(tmp_path / "weights.safetensors", model)
    names = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d | nn.Linear | nn.BatchNorm2d)]
    arrays = load_safetensors(tmp_path / "weights.safetensors")
    in_flux = logits_in_flux(arrays, names, images.double().numpy().T)
    # The reference is float64; torch rounds to 2^-24 at each of a dozen layers, on values of about 1.
    np.testing.assert_allclose(in_flux.T, logits.detach().numpy(), rtol=2e-5, atol=2e-5)


def test_a_kernel_is_turned_and_its_axes_reversed() -> None:
    conv = nn.Conv2d(2, 3, (4, 5))
    weight = to_flux_weights(conv)["weight"]
    assert weight.shape == (5, 4, 2, 3)
    for x, y, i, o in itertools.product(range(5), range(4), range(2), range(3)):
        assert weight[x, y, i, o] == conv.weight[o, i, 3 - y, 4 - x]


def test_a_batch_norm_has_fluxs_four_vectors() -> None:
    norm = nn.BatchNorm2d(2)
    for number, tensor in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
        tensor.data.fill_(float(number))
    arrays = to_flux_weights(norm)
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "γ": [0, 0],
        "β": [1, 1],
        "μ": [2, 2],
        "σ²": [3, 3],
        "num_batches_tracked": [0],
    }


def test_affine_and_projective_theta_are_column_major() -> None:
    for transform, shape in ((stn.Affine(), (2, 3)), (stn.Projective(), (3, 3))):
        net = nn.Linear(4, len(transform.parameter_names))
        bias = to_flux_weights(stn.SpatialTransformer(net, transform, (4, 4)))["localization.bias"].detach().numpy()
        entries = np.append(bias, 1.0) if shape == (3, 3) else bias
        in_julia = entries.astype(np.float32).reshape(shape, order="F")
        np.testing.assert_array_equal(in_julia, transform.matrix(net.bias.detach()[None])[0].numpy())


def test_a_similarity_is_what_the_ports_transformer_takes() -> None:
    net = nn.Linear(4, 4)
    bias = to_flux_weights(stn.SpatialTransformer(net, "similarity", (4, 4)))["localization.bias"]
    theta = dict(zip(stn.Similarity().parameter_names, net.bias.tolist(), strict=True))
    assert bias.tolist() == [theta["scale"], theta["x0"], theta["y0"], theta["angle"]]


def test_every_order_of_theta_is_one_of_its_transforms() -> None:
    for transform, order in THETA_ORDERS.items():
        assert sorted(order) == list(range(len(transform().parameter_names)))


def test_a_layer_that_flux_does_not_have_is_named() -> None:
    with pytest.raises(ValueError, match=r"1\.weight must be of a layer that Flux has, got PReLU"):
        to_flux_weights(nn.Sequential(nn.ReLU(), nn.PReLU()))


def test_a_localization_net_that_does_not_end_in_theta_is_named() -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.new_zeros(len(images), 6)

    with pytest.raises(ValueError, match="localization must have a dense layer at its end, got Constant"):
        to_flux_weights(stn.SpatialTransformer(Constant(), "affine", (4, 4)))
    with pytest.raises(ValueError, match=r"localization\.0 must predict theta, 6 numbers, got 5"):
        to_flux_weights(stn.SpatialTransformer(nn.Sequential(nn.Linear(4, 5)), "affine", (4, 4)))
