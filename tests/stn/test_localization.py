import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from stn import LOCALIZATIONS, TRANSFORMS, Affine, ConvLocalization, DenseLocalization, TutorialLocalization
from stn.localization import SharedLocalization, theta_layer
from tests.stn.unchecked import unchecked

NETS = pytest.mark.parametrize("name", LOCALIZATIONS)


def wake(net: torch.nn.Module) -> torch.nn.Module:
    """The net with weights in its last layer, so that theta depends on the image."""
    with torch.no_grad():
        net.theta.weight.normal_()
    return net


@NETS
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_net_starts_at_the_identity_of_every_transform(name: str, transform: str) -> None:
    chosen = TRANSFORMS[transform]()
    theta = LOCALIZATIONS[name](3, (19, 24), chosen)(torch.rand(2, 3, 19, 24))
    assert torch.equal(theta, chosen.identity().expand(2, -1))


@NETS
def test_every_net_can_start_somewhere_else(name: str) -> None:
    start = (0.5, 0.0, -0.5, 0.0, 0.5, 0.25)
    for given in (start, torch.tensor(start)):
        theta = LOCALIZATIONS[name](1, (18, 18), Affine(), start=given)(torch.rand(3, 1, 18, 18))
        assert torch.equal(theta, torch.tensor(start).expand(3, -1))


def test_a_start_of_the_wrong_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"start must have shape \(6,\) for Affine, got \(3,\)"):
        theta_layer(4, Affine(), (1.0, 0.0, 0.0))


@NETS
def test_every_weight_learns_once_the_last_layer_has_left_zero(name: str) -> None:
    torch.manual_seed(0)
    net = wake(LOCALIZATIONS[name](2, (22, 26), Affine()))
    net(torch.rand(8, 2, 22, 26)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in net.parameters())


def test_the_recipes_of_the_paper() -> None:
    dense = [
        layer for layer in DenseLocalization(1, (28, 28), Affine()).modules() if isinstance(layer, torch.nn.Linear)
    ]
    assert [layer.out_features for layer in dense] == [32, 32, 32, 6]
    conv = ConvLocalization(1, (28, 28), Affine())
    assert [layer.out_channels for layer in conv.modules() if isinstance(layer, torch.nn.Conv2d)] == [20, 20]
    assert [layer.out_features for layer in conv.modules() if isinstance(layer, torch.nn.Linear)] == [20, 6]


@NETS
def test_a_pooled_net_of_one_image_size_loads_at_another(name: str) -> None:
    small = wake(LOCALIZATIONS[name](1, (18, 24), Affine(), pooled=(2, 3)))
    large = LOCALIZATIONS[name](1, (40, 33), Affine(), pooled=(2, 3))
    large.load_state_dict(small.state_dict())
    assert large(torch.rand(2, 1, 40, 33)).shape == (2, 6)


@NETS
def test_a_net_that_is_not_pooled_says_that_it_does_not_load_at_another_image_size(name: str) -> None:
    small, large = (LOCALIZATIONS[name](1, size, Affine()) for size in ((18, 24), (40, 33)))
    with pytest.raises(RuntimeError, match="size mismatch for features"):
        large.load_state_dict(small.state_dict())


@pytest.mark.parametrize("net", [DenseLocalization, SharedLocalization])
def test_a_pooled_net_sees_the_means_of_the_image(net: type[DenseLocalization] | type[SharedLocalization]) -> None:
    torch.manual_seed(0)
    pooled, images = wake(net(2, (8, 12), Affine(), pooled=(4, 6))), torch.rand(3, 2, 8, 12)
    plain = net(2, (4, 6), Affine())
    plain.load_state_dict(pooled.state_dict())
    torch.testing.assert_close(pooled(images), plain(F.avg_pool2d(images, 2)))  # the same but for rounding


@pytest.mark.parametrize(("net", "least"), [(ConvLocalization, 4), (TutorialLocalization, 18)])
def test_an_image_that_is_too_small_for_two_poolings_is_refused(net: type[torch.nn.Module], least: int) -> None:
    assert net(1, (least, least), Affine())(torch.rand(1, 1, least, least)).shape == (1, 6)
    rule = rf"size must be \(height, width\) of at least \({least}, {least}\), got \({least - 1}, 40\)"
    with pytest.raises(ValueError, match=rule):
        net(1, (least - 1, 40), Affine())


@NETS
def test_pooling_to_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"pooled must be \(height, width\) of at least \(1, 1\), got \(0, 2\)"):
        LOCALIZATIONS[name](1, (18, 18), Affine(), pooled=(0, 2))


@NETS
@pytest.mark.parametrize("shape", [(2, 3, 18, 22), (2, 1, 19, 22), (2, 1, 22, 18)])
def test_images_that_the_net_was_not_made_for_are_refused(name: str, shape: tuple[int, ...]) -> None:
    seen = "features" if name == "shared" else "images"
    with pytest.raises(ValueError, match=rf"{seen} must have shape \(B, 1, 18, 22\) .*, got \({str(shape)[1:-1]}\)"):
        LOCALIZATIONS[name](1, (18, 22), Affine())(torch.rand(shape))
    pooled = LOCALIZATIONS[name](1, (18, 22), Affine(), pooled=(2, 2))
    if shape[1] == 1:
        assert pooled(torch.rand(shape)).shape == (2, 6)
    else:
        with pytest.raises(ValueError, match=rf"{seen} must have shape \(B, 1, H, W\) .*, got \(2, 3, 18, 22\)"):
            pooled(torch.rand(shape))


def test_a_shared_net_sees_vectors_where_its_features_have_no_places() -> None:
    assert SharedLocalization(5, (1, 1), Affine())(torch.rand(2, 5)).shape == (2, 6)
    with pytest.raises(ValueError, match=r"features must have shape \(B, 5, 1, 1\) .*, got \(2, 4\)"):
        SharedLocalization(5, (1, 1), Affine())(torch.rand(2, 4))


@NETS
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": (0, 5)}, r"size must be \(height, width\) of at least \(\d+, \d+\), got \(0, 5\)"),
        ({"size": (64,)}, r"size must be \(height, width\) of at least \(\d+, \d+\), got \(64,\)"),
        ({"size": 64}, r"size must be \(height, width\) of at least \(\d+, \d+\), got 64"),
        ({"channels": 0}, "channels must be a whole number of at least 1, got 0"),
        ({"units": 0}, "units must be a whole number of at least 1, got 0"),
    ],
)
def test_nets_that_cannot_be_are_refused(name: str, arguments: dict[str, Any], message: str) -> None:
    arguments = {"channels": 1, "size": (18, 18), "transform": Affine(), **arguments}
    with unchecked(), pytest.raises(ValueError, match=message):
        LOCALIZATIONS[name](**arguments)


@pytest.mark.parametrize(
    ("features", "transform", "start", "message"),
    [
        (0, Affine(), None, "features must be a whole number of at least 1, got 0"),
        (4, Affine(), [math.nan] * 6, r"start must be finite, got \[nan, "),
        (4, "affine", None, r"transform must be a Transform, such as stn.Affine\(\), got 'affine'"),
    ],
)
def test_a_last_layer_that_cannot_be_is_refused(features: int, transform: Any, start: Any, message: str) -> None:
    with unchecked(), pytest.raises(ValueError, match=message):
        theta_layer(features, transform, start)
