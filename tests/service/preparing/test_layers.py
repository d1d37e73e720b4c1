"""What each unit of a layer looks at is what changes it."""

import numpy as np
import pytest
import torch
from torch import nn

from service.preparing.layers import layers_of
from service.preparing.plan import Layer, Sees
from stn import Classifier, InputConfig, ModelConfig, Normalise, build_model
from stn.networks import Network

SIZE = (24, 30)


def build(shape: tuple[int, int] = SIZE, **fields: object) -> Classifier:
    torch.manual_seed(0)
    images = InputConfig(channels=1, height=shape[0], width=shape[1], mean=(0.4,), std=(0.2,))
    return build_model(ModelConfig(**fields), images, 5).eval()


def layers(model: Classifier, size: tuple[int, int] = SIZE) -> dict[str, Layer]:
    return {layer.name: layer for layer in layers_of(model, torch.rand(1, 1, *size))}


def is_seen(sees: Sees, place: tuple[int, int], pixel: tuple[int, int]) -> bool:
    starts = [sees.start[axis] + place[axis] * sees.stride[axis] for axis in (0, 1)]
    return all(starts[axis] <= pixel[axis] < starts[axis] + sees.size[axis] for axis in (0, 1))


def check(model: Classifier, network: nn.Module, name: str, sees: Sees, size: tuple[int, int]) -> None:
    """Every unit of the layer changes with the pixels that it sees, and with no other.

    With positive weights whatever grows in the image grows in all that sees it: no maximum hides it, and no ReLU.
    """
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(0.01)
    gathered: dict[str, torch.Tensor] = {}
    model.get_submodule(name).register_forward_hook(lambda _m, _i, out: gathered.update(out=out.double()))
    with torch.inference_mode():
        network(torch.zeros(1, 1, *size))
        still = gathered["out"][0, 0]
        for y in range(size[0]):
            for x in range(size[1]):
                images = torch.zeros(1, 1, *size)
                images[0, 0, y, x] = 1000
                network(images)
                changed = gathered["out"][0, 0] != still
                expected = [
                    [is_seen(sees, (i, j), (y, x)) for j in range(changed.shape[1])] for i in range(len(changed))
                ]
                np.testing.assert_array_equal(changed.numpy(), expected, err_msg=f"{name} at {(y, x)}")


@pytest.mark.parametrize(
    "fields",
    [
        {"classifier": "cnn", "filters": (2, 2)},
        {"classifier": "cnn", "filters": (2, 2), "batch_norm": True},
        {"classifier": "convnet", "filters": (2, 2)},
        {"classifier": "tutorial", "filters": (2, 2), "dropout": 0.0},
    ],
)
def test_class_layers_see_what_changes_them(fields: dict[str, object]) -> None:
    model = build(transform="none", **fields)
    found = layers(model)
    maps = [layer for layer in found.values() if layer.kind != "dense"]
    assert len(maps) == 4
    for layer in maps:
        assert (layer.of, layer.sees is None) == ("input", False)
        check(model, model, layer.name, layer.sees, SIZE)
    assert all(layer.sees is None for layer in found.values() if layer.kind == "dense")


def test_the_localization_net_sees_the_input_and_class_layers_what_was_transformed() -> None:
    model = build(transform="affine", classifier="cnn", filters=(2, 2), pool=1, size=(22, 24))
    found = layers(model)
    for name, layer in found.items():
        is_first = name.startswith("transformer.")
        assert layer.of == ("input" if is_first else "transformed")
        if layer.kind != "dense":
            part = model.transformer.localization if is_first else nn.Sequential(model.normalise, model.trunk)
            check(model, part, name, layer.sees, SIZE if is_first else (22, 24))
    kinds = [layer.kind for name, layer in found.items() if name.startswith("transformer.")]
    assert kinds == ["pooling", "convolution", "pooling", "convolution", "dense", "dense"]
    assert next(iter(found)).startswith("transformer.") and list(found)[-1] == "classes.0"


def test_strides_dilation_padding_and_uneven_windows_are_followed() -> None:
    trunk = nn.Sequential(
        nn.Conv2d(1, 2, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2)),
        nn.ReLU(inplace=True),
        nn.AvgPool2d((2, 3), stride=(1, 2), padding=(1, 1)),
        nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    )
    network = Network(trunk, 2, (1, 1), nn.Flatten(), 1)
    model = Classifier(None, Normalise((0.0,), (1.0,)), network, nn.Identity()).eval()
    found = layers(model)
    assert found["trunk.0"].sees == Sees(size=(3, 3), stride=(2, 1), start=(-1, 0))
    for name in ("trunk.2", "trunk.3"):
        check(model, model, name, found[name].sees, SIZE)


class Forked(nn.Module):
    """A sum of two branches, written into one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow, self.wide, self.after = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 5, padding=2), nn.Conv2d(1, 1, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        out = self.narrow(images)
        out += self.wide(images)
        return self.after(out)


def test_what_comes_out_of_branches_is_not_guessed() -> None:
    network = Network(Forked(), 1, (22, 28), nn.Flatten(), 616)
    found = layers(Classifier(None, Normalise((0.0,), (1.0,)), network, nn.Identity()).eval())
    assert found["trunk.narrow"].sees == Sees(size=(1, 1), stride=(1, 1), start=(0, 0))
    assert found["trunk.wide"].sees == Sees(size=(5, 5), stride=(1, 1), start=(-2, -2))
    assert found["trunk.after"].sees is None


def test_a_shared_trunk_is_shown_as_it_sees_the_transformed_image() -> None:
    model = build(transform="affine", localization="shared", classifier="convnet", filters=(2, 2))
    found = layers(model)
    assert list(found)[:2] == [f"transformer.localization.{name}" for name in ("features.2", "theta")]
    assert found["trunk.0"].of == "transformed"
    assert found["trunk.0"].sees == Sees(size=(5, 5), stride=(1, 1), start=(-2, -2))


def test_a_localization_net_that_looks_again_does_not_look_at_the_input() -> None:
    found = layers(build(transform="affine", classifier="convnet", filters=(2, 2), iterations=2))
    assert {layer.sees for name, layer in found.items() if name.startswith("transformer.")} == {None}


@pytest.mark.slow
def test_of_torchvisions_networks_the_stem_is_followed() -> None:
    pytest.importorskip("torchvision")
    found = layers(build((64, 64), transform="none", classifier="resnet18"), (64, 64))
    names = list(found)
    assert found[names[0]].sees == Sees(size=(7, 7), stride=(2, 2), start=(-3, -3))
    assert found[names[1]].sees == Sees(size=(11, 11), stride=(4, 4), start=(-5, -5))
    assert found[names[-1]].kind == "dense"
    assert {
        layer.kind for layer in layers(build((64, 64), transform="none", classifier="convnext_tiny"), (64, 64)).values()
    }
