"""What every server of `serve.py` serves, and what it is asked: one network, pictures, and requests with them.

The network is the layout of PyTorch's spatial transformer tutorial at 28x28, as near to it as a config comes:

    localization  tutorial  conv 7x7 to 8, pool, conv 5x5 to 10, pool, dense 32, theta
                  here      average pool, conv 5x5 to 10, pool, conv 5x5 to 10, dense 32, theta
    classes       tutorial  conv 5x5 to 10, pool, conv 5x5 to 20, pool, dense 50, dense 10
                  here      the same, its convolutions padded

It has 73,520 parameters where the tutorial's has 27,360 and multiplies 1.4 million times for an image where that does 0.8
million times; in eager torch both take about as long. Its weights are random, with a theta that depends on the image.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import nn

from stn import InputConfig, ModelConfig, ModelInfo, build_model, save_model
from training.config import DataConfig
from training.data.digits import read_digits

INPUT = InputConfig(channels=1, height=28, width=28, mean=(0.13,), std=(0.31,))
CONFIG = ModelConfig(
    classifier="convnet",
    filters=(10, 20),
    units=50,
    batch_norm=False,
    transform="affine",
    localization="conv",
    localization_filters=10,
    localization_units=32,
)
BOUNDARY = "----7MA4YWxkTrZu0gW"


def write_model(path: Path, note: str = "") -> None:
    """The network, as a model file; files with different notes are different files."""
    torch.manual_seed(0)
    info = ModelInfo(config=CONFIG, input=INPUT, class_names=tuple("0123456789"), provenance={"note": note})
    model = build_model(CONFIG, INPUT, len(info.class_names)).eval()
    assert model.transformer is not None
    last = [module for module in model.transformer.localization.modules() if isinstance(module, nn.Linear)][-1]
    nn.init.normal_(last.weight, std=0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, model, info)


def pictures(count: int) -> list[bytes]:
    """Handwritten digits, each another one, as PNG files of 28x28 grey pixels."""
    images = read_digits(DataConfig(name="digits")).images[:count, 0]
    return [_png(Image.fromarray(image.numpy())) for image in images]


def multipart_requests(path: str, images: Sequence[bytes]) -> list[bytes]:
    """A form with each of these pictures in the field `image`, as a browser sends it."""
    return [_request(path, *multipart_body(image)) for image in images]


def raw_requests(path: str, images: Sequence[bytes]) -> list[bytes]:
    """Each of these pictures as the body itself."""
    return [_request(path, "image/png", image) for image in images]


def multipart_body(image: bytes) -> tuple[str, bytes]:
    """The type of the form and the form."""
    head = [
        f"--{BOUNDARY}",
        'Content-Disposition: form-data; name="image"; filename="digit.png"',
        "Content-Type: image/png",
    ]
    body = "\r\n".join([*head, "", ""]).encode() + image + f"\r\n--{BOUNDARY}--\r\n".encode()
    return f"multipart/form-data; boundary={BOUNDARY}", body


def _request(path: str, kind: str, body: bytes) -> bytes:
    head = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Accept: */*",
        "User-Agent: benchmark",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*head, "", ""]).encode() + body


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
