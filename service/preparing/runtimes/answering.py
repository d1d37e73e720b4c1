"""The network with everything that an answer is made of as outputs side by side, as graphs and runtimes want it."""

import torch
from torch import Tensor, nn

from stn import Classifier, MatrixTransform, outline
from stn.types import Images

_LAYERS = (nn.Conv2d, nn.Linear, nn.MaxPool2d, nn.AvgPool2d)
"""Layers whose outputs are worth looking at; batch norm and ReLU follow them."""


class Answering(nn.Module):
    """Images in, one tensor for each of `output_names` out.

    Args:
        model: the network, in evaluation mode.
        details: whether the grid and what each layer gives are outputs too. They keep a runtime from merging layers.
    """

    def __init__(self, model: Classifier, details: bool = False) -> None:
        super().__init__()
        self.model = model
        self.layers = _layers(model) if details else []
        self._seen: dict[str, Tensor] = {}
        for name in self.layers:
            model.get_submodule(name).register_forward_hook(
                lambda _m, _i, out, name=name: self._seen.update({name: out})
            )
        self.details = details

    def forward(self, images: Images) -> tuple[Tensor, ...]:
        logits, transformed = self.model(images)
        outputs = [logits.softmax(-1)]
        if transformed is not None:
            transform, theta = self.model.transformer.transform, transformed.theta  # type: ignore[union-attr]
            outputs += [transformed.images, theta]
            outputs += [transform.matrix(theta)] if isinstance(transform, MatrixTransform) else []
            outputs += [outline(transform, theta)]
            outputs += [transformed.grid] if self.details else []
        seen, self._seen = self._seen, {}
        return (*outputs, *(seen[name] for name in self.layers))

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `forward` gives, in its order; without a transformer only probabilities, and layers."""
        names = ["probabilities"]
        if self.model.transformer is not None:
            names += ["transformed", "theta"]
            names += ["matrix"] if isinstance(self.model.transformer.transform, MatrixTransform) else []
            names += ["outline"]
            names += ["grid"] if self.details else []
        return (*names, *self.layers)


def example(channels: int, size: tuple[int, int], batch: int) -> Images:
    """Random images, the same every time: with them runtimes are compared and timed."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, channels, *size, generator=generator)


def _layers(model: Classifier) -> list[str]:
    return [name for name, module in model.named_modules() if isinstance(module, _LAYERS)]
