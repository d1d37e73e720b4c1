"""torchvision's networks as classifiers."""

import subprocess
import sys

import pytest
import torch

from stn.backbones import BACKBONES
from tests.stn.test_classifiers import build, images_of


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_computes_what_torchvision_computes(name: str) -> None:
    from torchvision.models import get_model

    model = build(images_of(3, 64, 64), 7, classifier=name, transform="none")
    theirs = get_model(name, weights=None, num_classes=7)
    theirs.load_state_dict(dict(zip(theirs.state_dict(), model.state_dict().values(), strict=True)))
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():  # in training mode, dropout and all: fresh weights give next to nothing with fresh statistics
        torch.manual_seed(1)
        expected = theirs(model.normalise(images))
        torch.manual_seed(1)
        assert torch.equal(model(images).logits, expected)


@pytest.mark.parametrize("name", BACKBONES)
def test_a_backbone_takes_the_smallest_images_and_shares_an_eighth_of_their_resolution(name: str) -> None:
    model = build(images_of(2, 32, 40), classifier=name, localization="shared").eval()
    images = torch.rand(1, 2, 32, 40)
    with torch.no_grad():
        assert model(images).logits.shape == (1, 5)
        assert model.trunk(images).shape[2:] == (4, 5)


def test_an_image_that_is_too_small_for_a_backbone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size must be at least \(32, 32\) for classifier resnet18, got \(31, 64\)"):
        build(images_of(3, 31, 64), classifier="resnet18")


@pytest.mark.parametrize("localization", ["conv", "shared"])
def test_the_weights_of_a_backbone_fit_images_of_every_size(localization: str) -> None:
    small = build(images_of(3, 32, 48), classifier="resnet18", localization=localization).eval()
    large = build(images_of(3, 70, 61), classifier="resnet18", localization=localization).eval()
    large.load_state_dict(small.state_dict())
    assert large(torch.rand(1, 3, 70, 61)).logits.shape == (1, 5)


def run(code: str) -> str:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout


BUILD = """
import sys
from stn import InputConfig, ModelConfig, build_model
def build(name):
    images = InputConfig(channels=3, height=32, width=32, mean=(0.5,) * 3, std=(0.2,) * 3)
    return build_model(ModelConfig(classifier=name), images, 3)
"""


def test_torchvision_is_imported_for_its_own_networks_only() -> None:
    code = 'import service.app\nbuild("convnet"), build("cnn"), build("fcn")\nprint("torchvision" in sys.modules)\n'
    assert run(BUILD + code + 'build("resnet18")\nprint("torchvision" in sys.modules)') == "False\nTrue\n"


def test_without_torchvision_its_networks_say_what_to_install() -> None:
    code = 'sys.modules["torchvision"] = None\ntry: build("resnet18")\nexcept ValueError as error: print(error)'
    assert run(BUILD + code) == "classifier resnet18 needs torchvision: pip install torchvision\n"
