"""torchvision's networks without their last layer, for any number of channels and any image of at least 32x32.

torchvision is imported when one of them is built, and only then.
"""

from typing import Any

from torch import nn

from stn.choice import choose
from stn.networks import Network

BACKBONES: dict[str, int] = {
    "resnet18": 3,
    "resnet34": 3,
    "resnet50": 3,
    "mobilenet_v3_small": 4,
    "mobilenet_v3_large": 7,
    "efficientnet_b0": 4,
    "convnext_tiny": 4,
}
"""How many of its stages are the trunk: those up to an eighth of the image's height and width."""


def backbone(name: str, channels: int, size: tuple[int, int]) -> Network:
    """A network of torchvision with fresh weights, up to the vector that its own class layer reads.

    Args:
        name: one of `BACKBONES`.
        channels: of the images; the first convolution is made anew for any number but 3.
        size: (height, width) of the images, at least (32, 32); the weights are the same for every size.

    Raises:
        ValueError: torchvision is not installed, or the image is too small.
    """
    cut = choose(BACKBONES, name, "name")
    if min(size) < 32:
        raise ValueError(f"size must be at least (32, 32) for classifier {name}, got {size}")
    network = _from_torchvision(name)
    resnet = name.startswith("resnet")
    classifier = [network.fc] if resnet else list(network.classifier)
    stages = _resnet_stages(network) if resnet else list(network.features)
    stages[0][0] = _for_channels(stages[0][0], channels)
    trunk, rest = nn.Sequential(*stages[:cut]), stages[cut:]
    return Network(
        trunk=trunk,
        channels=[layer for layer in trunk.modules() if isinstance(layer, nn.Conv2d)][-1].out_channels,
        size=(size[0] // 8, size[1] // 8),
        head=nn.Sequential(*rest, network.avgpool, *_tail(classifier)),
        features=classifier[-1].in_features,
        dropout=sum((layer.p for layer in classifier if isinstance(layer, nn.Dropout)), 0.0),
    )


def _from_torchvision(name: str) -> Any:
    try:
        from torchvision.models import get_model
    except ModuleNotFoundError:
        raise ValueError(f"classifier {name} needs torchvision: pip install torchvision") from None
    return get_model(name, weights=None)


def _resnet_stages(network: Any) -> list[Any]:
    stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
    return [stem, network.layer1, network.layer2, network.layer3, network.layer4]


def _tail(classifier: list[nn.Module]) -> list[nn.Module]:
    """What stands between pooling and the last layer: the flattening, and a norm or a dense layer where there is one."""
    layers = [layer for layer in classifier[:-1] if not isinstance(layer, nn.Dropout)]
    return layers if any(isinstance(layer, nn.Flatten) for layer in layers) else [nn.Flatten(), *layers]


def _for_channels(conv: nn.Conv2d, channels: int) -> nn.Conv2d:
    """The first convolution for this many channels: itself, or a fresh one."""
    if channels == conv.in_channels:
        return conv
    fresh = nn.Conv2d(
        channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        bias=conv.bias is not None,
    )
    nn.init.kaiming_normal_(fresh.weight, mode="fan_out", nonlinearity="relu")
    return fresh
