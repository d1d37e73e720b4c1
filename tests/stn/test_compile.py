"""`torch.compile` and `torch.export` of the layer.

The quick tests trace, functionalise and differentiate the layer, which is where graphs break and shapes are fixed; the
exhaustive ones (`pytest -m exhaustive`) also have machine code made of it.
"""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from torch import Tensor, nn

from stn import (
    KERNELS,
    TRANSFORMS,
    GridGenerator,
    MatrixTransform,
    Normalise,
    SpatialTransformer,
    outline,
    sampling_grid,
    warp,
)

PADDINGS = ("zeros", "border", "reflection", "constant")
QUICK = [
    ("integer", "zeros"),
    ("bilinear", "constant"),
    ("bicubic", "reflection"),
]
OF_A_KIND = [
    name if name in ("affine", "thin_plate_spline") else pytest.param(name, marks=pytest.mark.exhaustive)
    for name in TRANSFORMS
]
"""Transforms: one that is a matrix and one that is none; the others in exhaustive tests."""

# Compiled code adds and multiplies in another order; theta then differs in its last bits, the grid by some units of
# 2^-24, and white noise between neighbouring pixels (14 x 10, a steep kernel) turns these into 1e-5 at most.
TOLERANCE = 1e-5

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")),
    reason="torch.compile makes machine code with a C++ compiler, and none is installed; the other tests here need none",
)


@pytest.fixture(autouse=True)
def _fresh_compiler(pytestconfig: pytest.Config) -> Iterator[None]:
    """No graphs of other tests, and no shape checks: the test run puts them around every function of the library."""
    import jaxtyping

    torch._dynamo.reset()
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
    torch._dynamo.reset()


def layer_of(transform: str = "affine", size: tuple[int, int] = (9, 12), **settings: Any) -> SpatialTransformer:
    """A layer for (B, 2, 14, 10) whose theta depends on the image."""
    torch.manual_seed(0)
    identity = TRANSFORMS[transform]().identity()
    linear = nn.Linear(2 * 14 * 10, len(identity))
    with torch.no_grad():
        linear.weight.normal_(0, 0.02)
        linear.bias.copy_(identity)
    if settings.get("padding") == "constant":
        settings["background"] = (0.2, 0.3)
    return SpatialTransformer(nn.Sequential(nn.Flatten(), linear), transform, size, **settings)


def gradients(layer: nn.Module, module: SpatialTransformer, images: Tensor) -> tuple[Tensor, ...]:
    out = layer(images)
    weights = torch.linspace(-1, 1, out.images.numel()).view_as(out.images)
    # The nearest pixel does not depend on theta: its gradient is zero, or there is none.
    found = torch.autograd.grad((out.images * weights).sum(), [images, *module.parameters()], materialize_grads=True)
    return (*(tensor.detach() for tensor in out), *found)


def check_compiled(layer: SpatialTransformer, backend: str) -> None:
    """One graph, for batches of two sizes, that gives what eager gives, forward and backward."""
    graphs = torch._dynamo.testing.CompileCounterWithBackend(backend)
    compiled = torch.compile(layer, fullgraph=True, backend=graphs)
    for batch in (3, 5):
        images = torch.rand(batch, 2, 14, 10, requires_grad=True)
        torch._dynamo.mark_dynamic(images, 0)
        found, wanted = gradients(compiled, layer, images), gradients(layer, layer, images)
        for tensor, reference in zip(found, wanted, strict=True):
            scale = max(1.0, float(reference.abs().max()))
            torch.testing.assert_close(tensor, reference, rtol=0, atol=TOLERANCE * scale)
    assert graphs.frame_count == 1


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_transform_is_one_graph_for_every_batch_size(transform: str) -> None:
    check_compiled(layer_of(transform), "aot_eager")


@pytest.mark.parametrize(("kernel", "padding"), QUICK)
def test_kernels_and_paddings_are_one_graph(kernel: str, padding: str) -> None:
    check_compiled(layer_of(kernel=kernel, padding=padding), "aot_eager")


@pytest.mark.parametrize(
    "settings",
    [
        {"bounds": {"x*": (-1.5, 1.5)}, "gradient_factor": 0.5, "antialias": 2, "size": (5, 6)},
        {"transform": "similarity", "iterations": 2, "size": (14, 10)},
    ],
    ids=str,
)
def test_the_options_of_the_layer_are_one_graph(settings: dict[str, Any]) -> None:
    check_compiled(layer_of(**settings), "aot_eager")


class _Wide(nn.Module):
    """A localization net that calculates in float64, whatever its images are."""

    def __init__(self, parameters: int) -> None:
        super().__init__()
        self.linear = nn.Linear(2 * 14 * 10, parameters).double()

    def forward(self, images: Tensor) -> Tensor:
        return self.linear(images.flatten(1).double())


def check_function(function: Callable[..., Tensor], *arguments: Tensor) -> None:
    """One graph that gives what eager gives."""
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments), function(*arguments), rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("name", OF_A_KIND)
def test_other_precisions_than_the_modules_are_one_graph(name: str) -> None:
    transform, images = TRANSFORMS[name](), torch.rand(2, 2, 14, 10)
    theta, generator = transform.identity().expand(2, -1) + 0.01, GridGenerator(transform, (5, 6))
    layer = SpatialTransformer(_Wide(theta.shape[1]), transform, (5, 6), bounds={"x0*": 0.5})
    check_function(lambda images: layer(images).images, images)
    check_function(lambda images, theta: warp(images.double(), theta, generator), images, theta)
    check_function(Normalise((0.5,), (0.5,)), images.double())


@pytest.mark.parametrize("name", TRANSFORMS)
def test_the_functions_of_a_transform_are_one_graph(name: str) -> None:
    transform = TRANSFORMS[name]()
    theta = transform.identity().expand(2, -1) + 0.01
    check_function(lambda theta: sampling_grid(transform, theta, (5, 6)), theta)
    check_function(lambda theta: outline(transform, theta), theta)
    if isinstance(transform, MatrixTransform):
        check_function(transform.inverse, theta)
        check_function(transform.compose, theta, theta)


@pytest.mark.slow
@needs_compiler
def test_compiled_code_gives_what_eager_gives() -> None:
    check_compiled(layer_of(), "inductor")


@needs_compiler
@pytest.mark.exhaustive
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_compiled_code_of_every_transform_gives_what_eager_gives(transform: str) -> None:
    check_compiled(layer_of(transform), "inductor")


@needs_compiler
@pytest.mark.exhaustive
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_compiled_code_of_every_kernel_and_padding_gives_what_eager_gives(kernel: str, padding: str) -> None:
    check_compiled(layer_of(kernel=kernel, padding=padding), "inductor")


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_an_exported_program_takes_every_batch_size_and_gives_what_eager_gives(transform: str) -> None:
    layer = layer_of(transform).eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(layer, (torch.rand(2, 2, 14, 10),), dynamic_shapes=({0: batch},))
    for count in (1, 2, 5):
        images = torch.rand(count, 2, 14, 10)
        for found, wanted in zip(program.module()(images), layer(images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE)
