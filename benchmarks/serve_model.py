"""What every server of `serve.py` serves, and what it is asked: one network, pictures, and requests with them.

The network is that of PyTorch's spatial transformer tutorial at 28x28, layer by layer, with its 27,360 parameters. Its
weights are random, with a theta that depends on the image.
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
CONFIG = ModelConfig(classifier="tutorial", transform="affine")
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
