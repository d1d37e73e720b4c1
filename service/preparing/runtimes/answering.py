"""The network with everything that an answer is made of as outputs side by side, as graphs and runtimes want it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stn import Classifier, MatrixTransform, outline
from stn.types import Images


class Answering(nn.Module):
    """Images in, one tensor for each of `output_names` out.

    Args:
        model: the network, in evaluation mode.
        layers: where the grid and what layers give are outputs too, the layers' names (`service.preparing.layers`). They
            keep a runtime from merging layers.
        given: whether a theta for each image comes with the images. It is no output then; the localization net is not asked,
            and its layers give nothing.
    """

    def __init__(self, model: Classifier, layers: Sequence[str] | None = None, given: bool = False) -> None:
        super().__init__()
        self.model = model
        self.with_grid, self.given = layers is not None, given
        self.layers = [name for name in layers or () if not (given and name.startswith("transformer."))]
        self._seen: dict[str, Tensor] = {}
        for name in self.layers:
            model.get_submodule(name).register_forward_hook(
                lambda layer, _i, out, name=name: self._seen.update({name: _channels_first(layer, out)})
            )

    def forward(self, images: Images, theta: Tensor | None = None) -> tuple[Tensor, ...]:
        logits, transformed = self.model(images, theta)
        outputs = [logits.softmax(-1)]
        if transformed is not None:
            transform, theta = self.model.transformer.transform, transformed.theta  # type: ignore[union-attr]
            outputs += [transformed.images] if self.given else [transformed.images, theta]
            outputs += [transform.matrix(theta)] if isinstance(transform, MatrixTransform) else []
            outputs += [outline(transform, theta)]
            outputs += [transformed.grid] if self.with_grid else []
        seen, self._seen = self._seen, {}
        return (*outputs, *(seen[name] for name in self.layers))

    @property
    def output_names(self) -> tuple[str, ...]:
        """What `forward` gives, in its order; without a transformer only probabilities, and layers."""
        names = ["probabilities"]
        if self.model.transformer is not None:
            names += ["transformed"] if self.given else ["transformed", "theta"]
            names += ["matrix"] if isinstance(self.model.transformer.transform, MatrixTransform) else []
            names += ["outline"]
            names += ["grid"] if self.with_grid else []
        return (*names, *self.layers)


def example(channels: int, size: tuple[int, int], batch: int) -> Images:
    """Random images, the same every time: with them runtimes are compared and timed."""
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, channels, *size, generator=generator)


def _channels_first(layer: nn.Module, values: Tensor) -> Tensor:
    """What a layer gives, also where it is a dense one that is applied at every place (B, H, W, C), as in ConvNeXt."""
    return values.movedim(-1, 1) if isinstance(layer, nn.Linear) and values.ndim == 4 else values
