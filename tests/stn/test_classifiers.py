import typing

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from stn import Classifier, InputConfig, ModelConfig, build_model, sample
from stn.backbones import BACKBONES
from stn.build import NETWORKS
from stn.networks import cnn, fcn

SMALL = ("fcn", "cnn", "convnet", "tutorial")
LIGHT = (*SMALL, "resnet18", "mobilenet_v3_small")


def images_of(channels: int, height: int, width: int) -> InputConfig:
    return InputConfig(channels=channels, height=height, width=width, mean=(0.4,) * channels, std=(0.2,) * channels)


def build(images: InputConfig, classes: int = 5, **fields: object) -> Classifier:
    torch.manual_seed(0)
    return build_model(ModelConfig(**fields), images, classes)


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def kinds(module: nn.Module, kind: type[nn.Module]) -> list[nn.Module]:
    return [layer for layer in module.modules() if isinstance(layer, kind)]


# The paper's networks


@pytest.mark.parametrize("classifier", ["fcn", "cnn"])
@pytest.mark.parametrize("transform", ["none", "affine", "projective", "thin_plate_spline"])
@pytest.mark.parametrize(("side", "pool"), [(28, 1), (42, 1), (42, 2), (60, 1), (60, 2)])
def test_the_papers_networks_have_400_thousand_parameters(
    classifier: str, transform: str, side: int, pool: int
) -> None:
    model = build(images_of(1, side, side), 10, classifier=classifier, transform=transform, pool=pool)
    assert abs(count(model) - 400_000) < 20_000
    assert model(torch.rand(2, 1, side, side)).logits.shape == (2, 10)


def test_the_fcn_is_two_hidden_dense_layers_and_the_class_layer() -> None:
    model = build(images_of(1, 28, 28), 10, classifier="fcn", units=200, transform="none")
    assert [(layer.in_features, layer.out_features) for layer in kinds(model, nn.Linear)] == [
        (784, 200),
        (200, 200),
        (200, 10),
    ]
    assert not kinds(model, nn.BatchNorm1d) and not kinds(model, nn.Dropout)


def test_the_cnn_computes_what_the_paper_says() -> None:
    model = build(images_of(1, 28, 28), 10, classifier="cnn", filters=(3, 4), transform="none")
    first, second = kinds(model, nn.Conv2d)
    (last,) = kinds(model, nn.Linear)
    images = torch.rand(2, 1, 28, 28)
    seen = F.max_pool2d(F.conv2d((images - 0.4) / 0.2, first.weight, first.bias).relu(), 2)
    seen = F.max_pool2d(F.conv2d(seen, second.weight, second.bias).relu(), 2)  # (2, 4, 2, 2)
    assert (first.kernel_size, second.kernel_size) == ((9, 9), (7, 7))
    torch.testing.assert_close(model(images).logits, seen.flatten(1) @ last.weight.T + last.bias)  # but for rounding


def test_the_st_fcn_has_a_dense_and_the_st_cnn_a_convolutional_localization_net() -> None:
    dense = build(images_of(1, 28, 28), classifier="fcn").transformer.localization
    conv = build(images_of(1, 28, 28), classifier="cnn").transformer.localization
    assert [layer.out_features for layer in kinds(dense, nn.Linear)] == [32, 32, 32, 6]
    assert [layer.out_channels for layer in kinds(conv, nn.Conv2d)] == [20, 20]


def test_the_cnn_takes_42_pixels_halved_as_in_the_paper_and_nothing_smaller() -> None:
    assert cnn(1, (21, 22), filters=(2, 2)).size == (1, 1)
    with pytest.raises(ValueError, match=r"size must be at least \(21, 21\) for classifier cnn, got \(20, 30\)"):
        cnn(1, (20, 30), filters=(2, 2))


def test_a_network_that_cannot_have_400_thousand_parameters_asks_for_a_width() -> None:
    images = images_of(3, 224, 224)
    with pytest.raises(ValueError, match="units must be given: the network .* nearest to 400000 parameters has"):
        build(images, classifier="fcn")
    assert build(images, classifier="fcn", units=8)(torch.rand(1, 3, 224, 224)).logits.shape == (1, 5)


# The tutorial's network


def test_the_tutorials_network_computes_what_the_tutorial_does() -> None:
    model = build(images_of(1, 28, 28), 10, classifier="tutorial").eval()
    assert count(model) == 27_360  # the tutorial's own number
    nn.init.normal_(model.transformer.localization[1].theta.weight, std=0.02)
    images = torch.rand(3, 1, 28, 28)

    def features(images: torch.Tensor, convolutions: list[nn.Conv2d]) -> torch.Tensor:
        images = (images - 0.4) / 0.2
        for conv in convolutions:
            images = F.max_pool2d(F.conv2d(images, conv.weight, conv.bias), 2).relu()
        return images.flatten(1)

    first, second, third, last = kinds(model, nn.Conv2d)
    assert [conv.kernel_size[0] for conv in (first, second, third, last)] == [7, 5, 5, 5]
    assert [conv.out_channels for conv in (first, second, third, last)] == [8, 10, 10, 20]
    to_hidden, to_theta, to_vector, to_classes = kinds(model, nn.Linear)
    theta = to_theta(to_hidden(features(images, [first, second])).relu())
    seen = F.grid_sample(
        images, F.affine_grid(theta.view(-1, 2, 3), list(images.shape), align_corners=False), align_corners=False
    )
    expected = to_classes(to_vector(features(seen, [third, last])).relu())
    logits, transformed = model(images)
    torch.testing.assert_close(transformed.theta, theta)
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)  # but for rounding


def test_the_tutorials_dropout_is_its_default_and_can_be_left_out() -> None:
    for given, share in ((None, 0.5), (0.2, 0.2), (0.0, None)):
        model = build(images_of(1, 28, 28), classifier="tutorial", dropout=given)
        assert [layer.p for layer in kinds(model, nn.Dropout2d)] == ([share] if share else [])
        assert [layer.p for layer in kinds(model, nn.Dropout)] == ([share] if share else [])


def test_an_image_that_is_too_small_for_the_tutorials_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size must be at least \(16, 16\) for classifier tutorial, got \(15, 30\)"):
        build(images_of(1, 15, 30), classifier="tutorial", transform="none")
    with pytest.raises(ValueError, match="filters must be 2 numbers for classifier tutorial, got"):
        build(images_of(1, 28, 28), classifier="tutorial", filters=(1, 2, 3))


# Options of all


@pytest.mark.parametrize("classifier", LIGHT)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_classifier_takes_any_channels_and_images_that_are_not_square(classifier: str, channels: int) -> None:
    model = build(images_of(channels, 33, 46), classifier=classifier).eval()
    prediction = model(torch.rand(2, channels, 33, 46))
    assert prediction.logits.shape == (2, 5)
    assert prediction.transformed.images.shape == (2, channels, 33, 46)


@pytest.mark.parametrize("classifier", LIGHT)
def test_every_classifier_can_learn_one_batch_by_heart(classifier: str) -> None:
    model = build(images_of(1, 32, 32), 4, classifier=classifier, dropout=0.0)
    images, labels = torch.rand(8, 1, 32, 32), torch.arange(8) % 4
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        logits = model(images).logits
        if (logits.argmax(1) == labels).all():
            return
        optimizer.zero_grad()
        F.cross_entropy(logits, labels).backward()
        optimizer.step()
    pytest.fail(f"{classifier} confuses 8 images still")


@pytest.mark.parametrize("classifier", SMALL)
def test_batch_norm_follows_every_layer_or_none(classifier: str) -> None:
    plain, normed = (
        build(images_of(1, 28, 28), classifier=classifier, transform="none", units=8, batch_norm=on)
        for on in (False, True)
    )
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    assert [len(kinds(plain, norm)) for norm in norms] == [0, 0]
    assert [len(kinds(normed, norm)) for norm in norms] == ([2, 0] if classifier == "fcn" else [0, 2])


@pytest.mark.parametrize("classifier", LIGHT)
def test_dropout_takes_a_share_of_the_class_layers_input_in_training_only(classifier: str) -> None:
    layer = build(images_of(1, 32, 32), classifier=classifier, transform="none", dropout=0.5).classes
    dropout, last = layer
    vector = torch.ones(2, last.in_features)
    assert dropout.p == 0.5
    assert not torch.equal(layer(vector)[0], layer(vector)[1])
    assert torch.equal(layer.eval()(vector), last(vector))


def test_pooling_averages_the_transformed_image_before_the_network_sees_it() -> None:
    model = build(images_of(1, 42, 42), classifier="cnn", pool=2)
    seen: list[torch.Tensor] = []
    model.trunk.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    transformed = model(torch.rand(2, 1, 42, 42)).transformed
    assert transformed.images.shape == (2, 1, 42, 42)
    torch.testing.assert_close(seen[0], (F.avg_pool2d(transformed.images, 2) - 0.4) / 0.2)  # but for rounding


def test_a_pool_that_does_not_divide_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="pool must be a factor of both sides of the 28x27 image, got 2"):
        build(images_of(1, 28, 27), pool=2)


@pytest.mark.parametrize("classifier", LIGHT)
def test_theta_goes_to_the_class_layer_where_it_is_asked_for(classifier: str) -> None:
    images = images_of(1, 32, 32)
    plain, fed = (
        build(images, classifier=classifier, units=16, filters=(4, 4), theta_to_classes=on).eval()
        for on in (False, True)
    )
    assert fed.classes[-1].in_features == plain.classes[-1].in_features + 6
    with torch.no_grad():
        fed.classes[-1].weight[:, :-6] = 0  # theta alone decides
        logits, transformed = fed(torch.rand(3, 1, 32, 32))
        last = fed.classes[-1]
        torch.testing.assert_close(logits, transformed.theta @ last.weight[:, -6:].T + last.bias)  # but for rounding


# A localization net on the classifier's own first layers


@pytest.mark.parametrize("classifier", LIGHT)
def test_a_shared_localization_reads_the_trunk_and_the_transformer_samples_the_image(classifier: str) -> None:
    model = build(images_of(3, 32, 32), classifier=classifier, localization="shared").eval()
    with torch.no_grad():
        model.transformer.localization.theta.weight.normal_(std=0.1)
    images = torch.rand(2, 3, 32, 32)
    transformed = model(images).transformed
    expected = model.transformer.localization(model.trunk((images - 0.4) / 0.2))
    torch.testing.assert_close(transformed.theta, expected)  # but for rounding
    assert not torch.equal(transformed.theta[0], transformed.theta[1])
    assert torch.equal(transformed.images, model.transformer(images, model.trunk(model.normalise(images))).images)
    assert transformed.images.shape == images.shape


@pytest.mark.parametrize("classifier", LIGHT)
def test_the_shared_trunk_stands_in_the_state_dict_once(classifier: str) -> None:
    images = images_of(1, 32, 32)
    shared = build(images, classifier=classifier, localization="shared", units=16, filters=(4, 4))
    own = build(images, classifier=classifier, transform="none", units=16, filters=(4, 4))
    extra = set(shared.state_dict()) - set(own.state_dict())
    assert set(own.state_dict()) <= set(shared.state_dict())
    assert sorted(name.removeprefix("transformer.localization.") for name in extra) == [
        "features.2.bias",
        "features.2.weight",
        "theta.bias",
        "theta.weight",
    ]
    storages = [tensor.data_ptr() for tensor in shared.state_dict().values()]
    assert len(set(storages)) == len(storages)


def test_the_shared_trunk_learns_from_both_its_uses() -> None:
    images = torch.rand(4, 1, 28, 28)
    model = build(images_of(1, 28, 28), classifier="cnn", localization="shared")
    with torch.no_grad():
        model.transformer.localization.theta.weight.normal_(std=0.1)
    first = next(model.trunk.parameters())
    whole = torch.autograd.grad(model(images).logits.square().sum(), first)[0]
    theta = model.transformer.localization(model._features(images))
    model.transformer.localization.forward = lambda _: theta.detach()  # the same theta, without its gradient
    classes_only = torch.autograd.grad(model(images).logits.square().sum(), first)[0]
    assert not torch.allclose(whole, classes_only, rtol=1e-3)


def test_a_shared_trunk_of_dense_layers_wants_images_of_one_size() -> None:
    with pytest.raises(ValueError, match="size must be that of the images where a shared localization is not pooled"):
        build(images_of(1, 28, 28), classifier="fcn", localization="shared", size=(14, 14))
    with pytest.raises(ValueError, match="localization_pooled must be left out where a dense trunk is shared"):
        build(images_of(1, 28, 28), classifier="fcn", localization="shared", localization_pooled=(2, 2))
    with pytest.raises(ValueError, match="size must be at most that of the images where the localization is shared"):
        build(images_of(1, 28, 28), classifier="cnn", localization="shared", localization_pooled=(2, 2), size=(40, 28))


def test_a_shared_convolutional_trunk_sees_images_of_both_sizes() -> None:
    model = build(
        images_of(1, 40, 36), classifier="cnn", localization="shared", localization_pooled=(2, 2), size=(24, 24)
    )
    prediction = model(torch.rand(2, 1, 40, 36))
    assert prediction.transformed.images.shape == (2, 1, 24, 24)
    assert prediction.logits.shape == (2, 5)


# Images that a network was not made for


@pytest.mark.parametrize("transform", ["none", "affine"])
@pytest.mark.parametrize("classifier", LIGHT)
@pytest.mark.parametrize(("channels", "other"), [(3, 1), (1, 3)])
def test_images_with_other_channels_are_refused(classifier: str, transform: str, channels: int, other: int) -> None:
    model = build(images_of(channels, 32, 32), classifier=classifier, transform=transform).eval()
    message = rf"images must have shape \(B, {channels}, (H, W|32, 32)\) .*, got \(2, {other}, 32, 32\)"
    with pytest.raises(ValueError, match=message):
        model(torch.rand(2, other, 32, 32))


@pytest.mark.parametrize("localization", ["conv", "dense", "shared"])
@pytest.mark.parametrize("transform", ["none", "affine"])
@pytest.mark.parametrize("classifier", SMALL)
def test_images_of_another_size_are_refused(classifier: str, transform: str, localization: str) -> None:
    fields = {"localization": localization} if transform != "none" else {}
    model = build(images_of(1, 28, 28), classifier=classifier, transform=transform, **fields).eval()
    with pytest.raises(
        ValueError, match=r"images must have shape \(B, 1, 28, 28\) for this network, got \(2, 1, 30, 28\)"
    ):
        model(torch.rand(2, 1, 30, 28))


def test_a_backbone_and_a_pooled_localization_net_take_images_of_other_sizes() -> None:
    images = torch.rand(2, 1, 40, 48)
    plain = build(images_of(1, 32, 32), classifier="resnet18", transform="none").eval()
    assert plain(images).logits.shape == (2, 5)
    pooled = build(images_of(1, 32, 32), classifier="cnn", localization="conv", localization_pooled=(2, 2)).eval()
    assert pooled(images).logits.shape == (2, 5)
    unpooled = build(images_of(1, 32, 32), classifier="resnet18", localization="dense").eval()
    with pytest.raises(ValueError, match=r"images must have shape \(B, 1, 32, 32\) for this localization net"):
        unpooled(images)


# Weights at another size


def test_every_name_of_the_config_is_a_network() -> None:
    names = typing.get_args(typing.get_type_hints(ModelConfig)["classifier"])
    assert set(names) == set(NETWORKS)
    assert set(BACKBONES) < set(NETWORKS)


def test_the_weights_of_a_pooled_localization_fit_larger_images_where_the_transformed_size_stays() -> None:
    fields = {"classifier": "convnet", "size": (24, 24), "localization_pooled": (4, 4)}
    small, large = build(images_of(1, 28, 28), **fields), build(images_of(1, 50, 41), **fields)
    large.load_state_dict(small.state_dict())
    assert large(torch.rand(1, 1, 50, 41).expand(2, -1, -1, -1)).logits.shape == (2, 5)


def test_weights_that_do_not_fit_another_size_say_so() -> None:
    small, large = (build(images_of(1, side, side), classifier="cnn", filters=(4, 4)) for side in (28, 40))
    with pytest.raises(
        RuntimeError, match=r"size mismatch for transformer\.localization(.|\n)*size mismatch for classes"
    ):
        large.load_state_dict(small.state_dict())


def test_the_fcn_can_have_batch_norm_of_its_own() -> None:
    assert len(kinds(fcn(1, (4, 4), units=3, batch_norm=True).head, nn.BatchNorm1d)) == 1


# A theta of the caller's own


@pytest.mark.parametrize("fields", [{}, {"localization": "shared"}, {"theta_to_classes": True}, {"iterations": 3}])
def test_a_given_theta_stands_in_for_the_networks_own(fields: dict[str, object]) -> None:
    model = build(images_of(1, 28, 28), classifier="convnet", **fields).eval()
    images = torch.rand(3, 1, 28, 28)
    own = model(images)
    same = model(images, own.transformed.theta)
    for found, expected in zip((same.logits, *same.transformed), (own.logits, *own.transformed), strict=True):
        torch.testing.assert_close(found, expected)
    turned = torch.tensor([[0.0, -0.5, 0.25, 0.5, 0.0, 0.0]]).expand(3, -1)
    other = model(images, turned)
    assert torch.equal(other.transformed.theta, turned)
    torch.testing.assert_close(other.transformed.images, sample(images, other.transformed.grid))
    assert (other.logits - own.logits).abs().max() > 1e-3


def test_with_a_given_theta_the_localization_net_is_not_asked_and_bounds_are_not_kept() -> None:
    model = build(images_of(1, 28, 28), classifier="convnet", bounds={"x0": (-0.1, 0.1)}).eval()
    model.transformer.localization.register_forward_hook(lambda *_: pytest.fail("it was asked"))
    theta = torch.tensor([[1.0, 0.0, 0.9, 0.0, 1.0, 0.0]])
    assert torch.equal(model(torch.rand(1, 1, 28, 28), theta).transformed.theta, theta)


def test_a_theta_that_does_not_fit_is_refused() -> None:
    images = torch.rand(2, 1, 28, 28)
    model = build(images_of(1, 28, 28), classifier="convnet").eval()
    for theta, reason in [
        (torch.zeros(2, 5), r"shape \(B, 6\) for Affine, got \(2, 5\)"),
        (torch.zeros(1, 6), "one row for each of 2 images, got 1"),
        (torch.full((2, 6), float("nan")), "finite"),
    ]:
        with pytest.raises(ValueError, match=reason):
            model(images, theta)
    plain = build(images_of(1, 28, 28), classifier="convnet", transform="none").eval()
    with pytest.raises(ValueError, match="no transformer"):
        plain(images, torch.zeros(2, 6))
