import pytest
import torch

from stn import InputConfig, ModelConfig, build_model


def images_of(channels: int, height: int, width: int) -> InputConfig:
    return InputConfig(channels=channels, height=height, width=width, mean=(0.4,) * channels, std=(0.2,) * channels)


@pytest.mark.parametrize(("channels", "height", "width"), [(1, 28, 28), (3, 40, 23), (1, 7, 64)])
def test_the_classifier_takes_any_channels_height_and_width(channels: int, height: int, width: int) -> None:
    model = build_model(ModelConfig(), images_of(channels, height, width), classes=5)
    prediction = model(torch.rand(2, channels, height, width))
    assert prediction.logits.shape == (2, 5)
    assert prediction.transformed.images.shape == (2, channels, height, width)


def test_normalisation_stands_after_the_transformer() -> None:
    images = images_of(1, 28, 28)
    model = build_model(ModelConfig(filters=(4,)), images, classes=3).eval()
    with torch.no_grad():  # zoom out, so that most of the output lies outside the image
        model.transformer.localization[1].theta.bias.copy_(torch.tensor([9.0, 0, 0, 0, 9, 0]))
        seen: list[torch.Tensor] = []
        model.features.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
        transformed = model(torch.ones(1, 1, 28, 28)).transformed
    assert transformed.images[0, 0, 0, 0] == 0
    torch.testing.assert_close(seen[0][0, 0, 0, 0], torch.tensor((0 - 0.4) / 0.2))


def test_the_plain_network_is_the_same_one_without_the_transformer() -> None:
    images = images_of(1, 28, 28)
    plain = build_model(ModelConfig(classifier="cnn"), images, classes=3)
    whole = build_model(ModelConfig(), images, classes=3)
    assert plain(torch.rand(2, 1, 28, 28)).transformed is None
    assert [p.shape for p in plain.features.parameters()] == [p.shape for p in whole.features.parameters()]


def test_the_model_can_learn_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(filters=(8,), units=32), images_of(1, 12, 12), classes=4)
    images, labels = torch.rand(16, 1, 12, 12), torch.arange(16) % 4
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(model(images).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(images).logits.argmax(1) == labels).all()


def test_more_poolings_than_the_image_has_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="filters must be few enough for a 8x8 image to be halved"):
        build_model(ModelConfig(filters=(4, 4, 4, 4)), images_of(1, 8, 8), classes=3)


def test_one_class_is_refused() -> None:
    with pytest.raises(ValueError, match=r"classes must be in \[2, 65536\], got 1"):
        build_model(ModelConfig(), images_of(1, 28, 28), classes=1)
