"""The layer: localize, make the grid, sample."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from stn.bounds import Bounds
from stn.finite import check_finite
from stn.grid import GridGenerator
from stn.kernels import Kernel
from stn.places import Places, predicted
from stn.sampler import check_images, check_sampling, sample_at
from stn.transforms import MatrixTransform, Transform
from stn.transforms.transform import check_theta
from stn.types import Grid, Images, Sampled, Theta


class Transformed(NamedTuple):
    """What a spatial transformer gives."""

    images: Sampled
    """The images, sampled at the grid."""
    theta: Theta
    """The parameters that placed the grid, float32 or wider."""
    grid: Grid
    """The input point of every output pixel.

    It is made from theta beside the images, which do not depend on it: for gradients by the grid, or hooks that the images
    should feel, take `stn.sample(images, grid)`.
    """


class SpatialTransformer(nn.Module):
    """Straightens its input: `localization` predicts theta, theta places the grid, the images are sampled there.

    It stands anywhere in a network, on any channel count. theta and the grid are float32 under any autocast. The state
    dict holds the localization net's weights alone.

    Args:
        localization: any module that maps (B, C, H, W), or the features given to `forward`, to theta (B, P).
        transform: a transform, or its name in `stn.TRANSFORMS`.
        size: (height, width) of the output.
        kernel: how to interpolate, padding: what lies outside, background, antialias: see `stn.sample`.
        bounds: ranges of theta's entries by name, see `stn.Bounds`; each predicted theta is bent to stay within, and so is
            what iterations compose of them.
        iterations: look again this many times. The same localization net sees what the last theta made of the images, and
            its theta is composed with that one; the result is always sampled from the original images, once. Not for
            the thin-plate spline, which does not compose.
        gradient_factor: factor on the gradient that reaches the localization net.
        localization_rate: factor on the learning rate of the localization net, for `stn.parameter_groups`.
        outside_penalty: weight of the mean squared distance of the grid's points from the image, for `penalty`.
        identity_penalty: weight of the mean squared distance of the grid's points from the identity's.
        check: raise a ValueError where theta, predicted or composed, is not finite. It makes a GPU wait for the
            localization net; without it such a theta gives images that are not finite or black, and with other paddings
            than zeros one colour: the background, or a pixel of the image (border: the one in its corner).
            Never done while a graph is compiled or exported, nor in a transform of `torch.func`.

    Source: Jaderberg et al. 2015.

    >>> localization = stn.ConvLocalization(1, (28, 28), stn.Affine())
    >>> layer = stn.SpatialTransformer(localization, "affine", size=(20, 20))
    >>> images, theta, grid = layer(torch.rand(3, 1, 28, 28))
    >>> images.shape, theta.shape, grid.shape
    (torch.Size([3, 1, 20, 20]), torch.Size([3, 6]), torch.Size([3, 20, 20, 2]))
    """

    def __init__(
        self,
        localization: nn.Module,
        transform: str | Transform,
        size: tuple[int, int],
        *,
        kernel: str | Kernel = "bilinear",
        padding: str = "zeros",
        background: Sequence[float] | None = None,
        antialias: int = 1,
        bounds: Mapping[str, float | tuple[float, float]] | None = None,
        iterations: int = 1,
        gradient_factor: float = 1.0,
        localization_rate: float = 1.0,
        outside_penalty: float = 0.0,
        identity_penalty: float = 0.0,
        check: bool = True,
    ) -> None:
        super().__init__()
        check_sampling(kernel, padding, background, antialias)
        self.localization = localization
        self.generator = GridGenerator(transform, size)
        self.bounds = Bounds(self.transform, bounds) if bounds else None
        self.kernel, self.padding, self.background, self.antialias = kernel, padding, background, antialias
        self.iterations = iterations
        self.gradient_factor, self.localization_rate = gradient_factor, localization_rate
        self.outside_penalty, self.identity_penalty = outside_penalty, identity_penalty
        self.check = check
        if type(iterations) is not int or not 1 <= iterations <= 64:
            raise ValueError(f"iterations must be a whole number in [1, 64], got {iterations}")
        if iterations > 1 and not isinstance(self.transform, MatrixTransform):
            raise ValueError(f"iterations must be 1 for {type(self.transform).__name__}, got {iterations}")
        for name in ("gradient_factor", "localization_rate", "outside_penalty", "identity_penalty"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be finite and not negative, got {getattr(self, name)}")

    @property
    def transform(self) -> Transform:
        return self.generator.transform

    @property
    def size(self) -> tuple[int, int]:
        return self.generator.size

    def forward(self, images: Images, features: Tensor | None = None) -> Transformed:
        """The images straightened.

        Args:
            images: (B, C, H, W), what is sampled.
            features: what the localization net sees instead of the images, for a net that shares its first layers with
                others (Finnveden et al. 2020: predict from deep features, but transform the input).
        """
        if features is not None and self.iterations > 1:
            raise ValueError(f"features must be None for iterations above 1, got {self.iterations} iterations")
        check_images(images, self.background)
        theta = self._for_each(images, self._localize(images if features is None else features))
        for _ in range(self.iterations - 1):
            theta = self._compose(theta, self._localize(self._sample(images, predicted(self.generator, theta))))
        return self._place(images, theta)

    def place(self, images: Images, theta: Tensor) -> Transformed:
        """The images sampled where this theta (B, P) says; the localization net is not asked, and nothing is bounded.

        >>> layer = stn.SpatialTransformer(nn.Flatten(), "translation", (2, 2))
        >>> layer.place(torch.eye(2)[None, None], torch.tensor([[1.0, 0.0]])).images  # a shift of half the width
        tensor([[[[0., 0.],
                  [1., 0.]]]])
        """
        check_images(images, self.background)
        theta = self._checked(theta.to(torch.promote_types(theta.dtype, torch.float32)))
        return self._place(images, self._for_each(images, theta))

    def penalty(self, transformed: Transformed) -> Float[Tensor, ""]:
        """What to add to the loss: the weighted penalties, 0 where none is asked for."""
        grid = transformed.grid
        total = grid.new_zeros(())
        if self.outside_penalty:
            total = total + self.outside_penalty * (grid.abs() - 1).clamp(min=0).square().sum(-1).mean()
        if self.identity_penalty:
            total = total + self.identity_penalty * (grid - self.generator.identity(grid)).square().sum(-1).mean()
        return total

    def _place(self, images: Images, theta: Theta) -> Transformed:
        grid = self.generator(theta)
        return Transformed(self._sample(images, predicted(self.generator, theta, grid)), theta, grid)

    def _for_each(self, images: Images, theta: Tensor) -> Theta:
        """theta itself, or a ValueError where it does not have one row for each image."""
        if theta.shape[:1] != images.shape[:1]:
            check_theta(self.transform, theta)
            raise ValueError(f"theta must have one row for each of {images.shape[0]} images, got {theta.shape[0]}")
        return theta

    def _localize(self, seen: Tensor) -> Theta:
        theta = self.localization(seen)
        theta = self._checked(theta.to(torch.promote_types(theta.dtype, torch.float32)))
        if self.gradient_factor != 1:
            constant = theta.detach()
            theta = constant + self.gradient_factor * (theta - constant)
        return self.bounds(theta) if self.bounds else theta

    def _compose(self, theta: Theta, step: Theta) -> Theta:
        assert isinstance(self.transform, MatrixTransform)  # as checked at construction
        theta = self._checked(self.transform.compose(theta, step))
        return self.bounds(theta) if self.bounds else theta

    def _checked(self, theta: Theta) -> Theta:
        return check_finite(theta, "theta") if self.check else theta

    def _sample(self, images: Images, places: Places) -> Sampled:
        return sample_at(images, places, self.kernel, self.padding, self.background, self.antialias)


class ParallelTransformers(nn.Module):
    """Several transformers on the same images, each with a localization net and a first region of its own.

    The results stand beside each other: images (B, sum of C, h, w), theta (B, sum of P), grid (B, n h, w, 2).

    Args:
        transformers: layers with one output size; see `theta_layer` for starting each at a region of its own.

    >>> left, right = ([0.5, 0.0, shift, 0.0, 0.5, 0.0] for shift in (-0.5, 0.5))
    >>> nets = [stn.ConvLocalization(1, (28, 28), stn.Affine(), start=start) for start in (left, right)]
    >>> layer = stn.ParallelTransformers([stn.SpatialTransformer(net, "affine", (14, 14)) for net in nets])
    >>> layer(torch.rand(3, 1, 28, 28)).images.shape
    torch.Size([3, 2, 14, 14])
    """

    def __init__(self, transformers: Sequence[SpatialTransformer]) -> None:
        super().__init__()
        sizes = {layer.size for layer in transformers}
        if len(sizes) != 1:
            raise ValueError(f"transformers must be one or more of one size, got sizes {sorted(sizes)}")
        self.transformers = nn.ModuleList(transformers)

    def forward(self, images: Images, features: Tensor | None = None) -> Transformed:
        """The images straightened by each; the arguments are those of `SpatialTransformer.forward`."""
        parts = [layer(images, features) for layer in self.transformers]
        return Transformed(*(torch.cat(values, dim=1) for values in zip(*parts, strict=True)))

    def penalty(self, transformed: Transformed) -> Float[Tensor, ""]:
        """The sum of the transformers' penalties."""
        grids = transformed.grid.chunk(len(self.transformers), dim=1)
        return torch.stack(
            [
                layer.penalty(transformed._replace(grid=grid))  # type: ignore[operator]
                for layer, grid in zip(self.transformers, grids, strict=True)
            ]
        ).sum()


def parameter_groups(model: nn.Module, learning_rate: float) -> list[dict[str, Any]]:
    """The parameters as a torch optimiser takes them, with the learning rate of each localization net times its factor.

    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> layer = stn.SpatialTransformer(net, "translation", (4, 4), localization_rate=0.1)
    >>> [(len(group["params"]), group["lr"]) for group in parameter_groups(layer, 0.5)]
    [(2, 0.05)]
    """
    factors = {
        parameter: module.localization_rate
        for module in model.modules()
        if isinstance(module, SpatialTransformer)
        for parameter in module.localization.parameters()
    }
    groups: dict[float, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        groups.setdefault(factors.get(parameter, 1.0), []).append(parameter)
    return [{"params": parameters, "lr": learning_rate * factor} for factor, parameters in groups.items()]
