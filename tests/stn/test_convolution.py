"""The convolutions of grey and coloured images and of few filters against torch's own."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

from stn.convolution import Conv2d
from stn.convolution_cpu import ByColumns, DerivedByNeighbours
from stn.pooling import MaxPool2d


def pair(channels: int = 1, **settings: object) -> tuple[Conv2d, nn.Conv2d]:
    torch.manual_seed(0)
    ours, torchs = Conv2d(channels, 6, (5, 3), **settings), nn.Conv2d(channels, 6, (5, 3), **settings)
    torchs.load_state_dict(ours.state_dict())
    return ours, torchs


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"padding": (1, 2)}, {"stride": 2}, {"padding": "same"}])
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("channels", [1, 3])
def test_values_and_derivatives_are_torchs(settings: dict[str, object], channels_last: bool, channels: int) -> None:
    ours, torchs = pair(channels, **settings)
    images = torch.rand(3, channels, 13, 17)
    if channels_last:
        images = images.to(memory_format=torch.channels_last)
        ours, torchs = ours.to(memory_format=torch.channels_last), torchs.to(memory_format=torch.channels_last)
    results = []
    for conv in (ours, torchs):
        own = images.clone().requires_grad_()
        out = conv(own)
        towards = torch.linspace(-1, 1, out.numel()).view_as(out)
        results.append((out, *torch.autograd.grad(out, (own, *conv.parameters()), towards)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)  # float32 sums in another order


def test_mixed_precision_goes_through_columns_and_is_as_near_as_torchs() -> None:
    ours, torchs = pair()
    found = []
    for conv, precision in ((ours, torch.bfloat16), (torchs, torch.float32)):
        images = torch.linspace(0, 1, 3 * 13 * 17).view(3, 1, 13, 17).requires_grad_()
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            out = conv(images)
        found.append(
            (out.detach().float(), *torch.autograd.grad(out.float().square().sum(), (images, *conv.parameters())))
        )
        assert out.dtype == precision
    assert "ByColumns" in names_of_graph(ours(images))
    for rounded, exact in zip(*found, strict=True):
        assert float((rounded - exact).norm() / exact.norm()) < 0.01  # bfloat16 keeps 8 bits


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_the_derivative_by_the_images_goes_through_columns(channels: int) -> None:
    ours, _ = pair(channels)
    assert "ByColumns" in names_of_graph(ours(torch.rand(1, channels, 9, 9, requires_grad=True)))
    assert "ByColumns" not in names_of_graph(ours(torch.rand(1, channels, 9, 9)))


def names_of_graph(tensor: torch.Tensor) -> str:
    found, nodes = "", [tensor.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is not None:
            found += f" {node.name()}"
            nodes += [following for following, _ in node.next_functions]
    return found


@pytest.mark.parametrize("channels", [1, 3])
def test_the_second_derivative_is_torchs(channels: int) -> None:
    ours, torchs = pair(channels)
    seconds = []
    for conv in (ours, torchs):
        images = torch.linspace(0, 1, channels * 11 * 9).view(1, channels, 11, 9).requires_grad_()
        (slope,) = torch.autograd.grad(conv(images).square().sum(), images, create_graph=True)
        seconds.append(torch.autograd.grad(slope.square().sum(), [images, *conv.parameters()], allow_unused=True)[:2])
    for found, expected in zip(*seconds, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)  # as above, squared twice


def values_and_derivatives(
    layer: nn.Conv2d, forward: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Of the layer computed in this way: the values, their derivatives by images, weight and bias, and a second one."""
    own = images.clone().requires_grad_()
    out = forward(own)
    towards = torch.linspace(-1, 1, out.numel()).view_as(out)
    (slope,) = torch.autograd.grad(out.square().sum(), own, create_graph=True)
    seconds = torch.autograd.grad(slope.square().sum(), layer.weight, retain_graph=True)
    return (out, *torch.autograd.grad(out, (own, *layer.parameters()), towards), *seconds)


@pytest.mark.parametrize("settings", [{}, {"bias": False}, {"padding": (0, 2)}])
def test_few_filters_are_computed_at_neighbouring_places_together(settings: dict[str, object]) -> None:
    images = torch.rand(2, 5, 9, 12).to(memory_format=torch.channels_last)
    torch.manual_seed(1)
    ours = Conv2d(5, 4, (2, 5), **settings).to(memory_format=torch.channels_last)
    forwards = (ours, lambda seen: nn.Conv2d.forward(ours, seen))
    results = [values_and_derivatives(ours, forward, images) for forward in forwards]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)  # float32 sums in another order
    assert results[0][0].is_contiguous(memory_format=torch.channels_last)
    assert "CatBackward" in names_of_graph(results[0][0])


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (1, 4)])
@pytest.mark.parametrize("count", [2, 3, 12])
def test_the_derivative_by_images_of_few_channels_is_computed_at_neighbouring_places(
    count: int, padding: tuple[int, int], bias: bool
) -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(6, 20, (2, 5), padding=padding, bias=bias).to(memory_format=torch.channels_last)
    images = torch.rand(2, 6, 9, 12).to(memory_format=torch.channels_last)
    forwards = (layer, lambda seen: DerivedByNeighbours.apply(seen, layer.weight, layer.bias, padding, count))
    results = [values_and_derivatives(layer, forward, images) for forward in forwards]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("padding", [(0, 0), (1, 2), (6, 1)])
@pytest.mark.parametrize("parts", [1, 2, "all"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_derivative_by_columns_is_computed_at_neighbouring_places(
    channels: int, parts: int | str, padding: tuple[int, int], bias: bool
) -> None:
    torch.manual_seed(1)
    layer = nn.Conv2d(channels, 20, (4, 5), padding=padding, bias=bias).to(memory_format=torch.channels_last)
    images = torch.rand(2, channels, 8, 11).to(memory_format=torch.channels_last)
    count = 8 + 2 * padding[0] if parts == "all" else parts
    forwards = (layer, lambda seen: ByColumns.apply(seen, layer.weight, layer.bias, padding, count))
    results = [values_and_derivatives(layer, forward, images) for forward in forwards]
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("padding", [0, (1, 0), 2])
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_several_derivatives_can_be_taken_at_once(channels: int, padding: int | tuple[int, int]) -> None:
    torch.manual_seed(1)
    layer = Conv2d(channels, 32, 5, padding=padding).to(memory_format=torch.channels_last)
    images = torch.rand(2, channels, 8, 12).to(memory_format=torch.channels_last).requires_grad_()
    out = layer(images)
    towards, by = torch.rand(3, *out.shape), (images, *layer.parameters())
    one_by_one = zip(*(torch.autograd.grad(out, by, each, retain_graph=True) for each in towards), strict=True)
    for found, expected in zip(torch.autograd.grad(out, by, towards, is_grads_batched=True), one_by_one, strict=True):
        torch.testing.assert_close(found, torch.stack(expected), atol=1e-4, rtol=1e-4)


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:FutureWarning")  # torch's own use of it
@pytest.mark.parametrize("channels", [1, 3, 8])
def test_forward_mode_is_torchs(channels: int) -> None:
    layer = nn.Sequential(Conv2d(channels, 10, 5), MaxPool2d(2)).to(memory_format=torch.channels_last)
    images = torch.rand(2, channels, 8, 12, requires_grad=True)
    towards = torch.rand_like(images)
    with forward_ad.dual_level():
        found = forward_ad.unpack_dual(layer(forward_ad.make_dual(images, towards))).tangent
    _, expected = torch.func.jvp(layer, (images.detach(),), (towards,))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("around", ["forward", "backward"])
@pytest.mark.parametrize("channels", [3, 8])
def test_every_kind_of_number_is_computed_and_derived_as_torch_does(
    channels: int, around: str, dtype: torch.dtype
) -> None:
    torch.manual_seed(1)
    layer = Conv2d(channels, 64, 5, dtype=dtype).to(memory_format=torch.channels_last)
    images = torch.rand(2, channels, 8, 8, dtype=dtype).to(memory_format=torch.channels_last)
    results = []
    for forward in (layer, lambda seen: nn.Conv2d.forward(layer, seen)):
        own = images.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=around == "forward"):
            out = forward(own)
        with torch.autocast("cpu", torch.bfloat16, enabled=around == "backward"):
            (slope,) = torch.autograd.grad(out.abs().sum(), own)
        results.append((out, slope))
    tolerance = 2e-2 if around == "forward" and dtype == torch.float32 else 1e-4  # bfloat16 in another order
    for found, expected in zip(*results, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize(
    ("width", "kernel", "padding", "filters"), [(1, 2, 2, 5), (2, 5, 4, 3), (4, 5, 5, 3), (4, 7, 6, 3)]
)
def test_a_margin_as_wide_as_the_image_is_derived_as_torch_does(
    width: int, kernel: int, padding: int, filters: int
) -> None:
    torch.manual_seed(1)
    layer = Conv2d(6, filters, (3, kernel), padding=(1, padding)).to(torch.bfloat16)
    layer = layer.to(memory_format=torch.channels_last)
    images = torch.rand(2, 6, 5, width, dtype=torch.bfloat16).to(memory_format=torch.channels_last).requires_grad_()
    found, expected = (
        torch.autograd.grad(out.float().sum(), layer.weight)[0]
        for out in (layer(images), nn.Conv2d.forward(layer, images))
    )
    torch.testing.assert_close(found, expected)


def test_images_of_few_channels_are_derived_so_where_it_helps() -> None:
    images = torch.rand(2, 8, 8, 8).to(memory_format=torch.channels_last)
    ours = Conv2d(8, 32, 5).to(memory_format=torch.channels_last)
    half_empty = torch.backends.cpu.get_cpu_capability() == "AVX512"  # vectors of 16
    assert ("DerivedByNeighbours" in names_of_graph(ours(images.requires_grad_()))) == half_empty
    assert "DerivedByNeighbours" not in names_of_graph(ours(images.detach()))


@pytest.mark.parametrize("width", range(1, 17))
@pytest.mark.parametrize("channels", [1, 2])
def test_rows_of_every_width_are_computed_together(channels: int, width: int) -> None:
    """Whole rows among them, of which oneDNN takes what lies beyond the image where it is given a step."""
    torch.manual_seed(1)
    images = torch.rand(3, channels, 4, width).to(memory_format=torch.channels_last)
    ours = Conv2d(channels, 1, 3, padding=1).to(memory_format=torch.channels_last)
    expected = nn.functional.conv2d(images.double(), ours.weight.double(), ours.bias.double(), padding=1)
    torch.testing.assert_close(ours(images).double(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("images", [torch.rand(2, 3, 9, 13), torch.rand(2, 3, 9, 4)])
def test_a_row_that_cannot_be_parted_is_convolved_as_torch_does(images: torch.Tensor) -> None:
    """11 places in a row have no parts, and of 2 more are no help."""
    torch.manual_seed(1)
    ours = Conv2d(3, 16, 3).to(memory_format=torch.channels_last)
    assert torch.equal(ours(images), nn.Conv2d.forward(ours, images))


@pytest.mark.parametrize("channels_last", [False, True])
def test_an_image_narrower_than_the_kernel_is_torchs_own_error(channels_last: bool) -> None:
    ours = Conv2d(3, 4, (1, 5))
    if channels_last:
        ours = ours.to(memory_format=torch.channels_last)
    with pytest.raises(RuntimeError, match="Kernel size can't be greater than actual input size"):
        ours(torch.rand(1, 3, 6, 4, requires_grad=True))


def test_a_convolution_of_several_channels_is_torchs() -> None:
    images = torch.rand(2, 5, 9, 9, requires_grad=True)
    torch.manual_seed(1)
    ours = Conv2d(5, 4, 3)
    assert torch.equal(ours(images), nn.Conv2d.forward(ours, images))
