"""A service with a small real model, without a network."""

import functools
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

from service.access.keys import create_key
from service.app import create_app
from service.settings import Settings
from stn import InputConfig, ModelConfig, ModelInfo, build_model, save_model
from tests.databases import postgresql

__all__ = ["postgresql"]

CLASSES = ("cat", "dog", "owl")


def write_model(path: Path, channels: int = 1, transform: str = "affine", seed: int = 0) -> None:
    """A model of 20x16 images with random weights, whose theta is not the identity and depends on the image.

    The same arguments give the same bytes, which are then prepared once.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_model_bytes(channels, transform, seed))


@functools.cache
def _model_bytes(channels: int, transform: str, seed: int) -> bytes:
    torch.manual_seed(seed)
    config = ModelConfig(transform=transform, size=(12, 14), filters=(4,), units=8)
    images = InputConfig(channels=channels, height=20, width=16, mean=(0.2,) * channels, std=(0.4,) * channels)
    model = build_model(config, images, len(CLASSES)).eval()
    if model.transformer is not None:
        theta = model.transformer.localization[1].theta
        with torch.no_grad():
            theta.weight.normal_(std=0.1)
            theta.bias += 0.1
    provenance = {"command": "python -m training tiny", "seed": str(seed)}
    info = ModelInfo(config=config, input=images, class_names=CLASSES, provenance=provenance)
    with tempfile.TemporaryDirectory() as folder:
        save_model(Path(folder) / "model.safetensors", model, info)
        return (Path(folder) / "model.safetensors").read_bytes()


@pytest.fixture(scope="session", autouse=True)
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is prepared of a model is prepared once for all tests, and for the runtime that takes least preparation."""
    folder = tmp_path_factory.getbasetemp()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STN_CACHE", str((folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "prepared"))
        patch.setenv("STN_RUNTIMES", "eager")
        patch.setattr("training.child.STEPS_BACK", 0)  # tests keep all processors busy
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_model(tmp_path / "models" / "tiny" / "1.safetensors")
    return tmp_path


@pytest.fixture
def beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks work in threads, as slow ones do, whose tests let them wait."""
    monkeypatch.setattr("service.preparing.loading._SHORT", 0.0)


@pytest.fixture
def client(home: Path) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home))) as client:
        yield client


@pytest.fixture(scope="module")
def locked_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("locked")
    write_model(home / "models" / "tiny" / "1.safetensors")
    return home


@pytest.fixture(scope="module")
def keys(locked_home: Path) -> dict[str, str]:
    """A key for each scope, by its name."""
    path = locked_home / "keys.json"
    return {scope: create_key(path, f"the-{scope}", (scope,)) for scope in ("predict", "jobs", "models", "admin")}


@pytest.fixture(scope="module")
def locked(locked_home: Path, keys: dict[str, str]) -> Iterator[TestClient]:
    """The service, which asks for keys."""
    with serving(locked_home) as client:
        yield client


@contextmanager
def serving(home: Path, **settings: Any) -> Iterator[TestClient]:
    with TestClient(create_app(Settings(home=home, **settings))) as client:
        yield client


def bearer(key: str) -> dict[str, str]:
    """The header that a key is sent in."""
    return {"Authorization": f"Bearer {key}"}


def picture(width: int = 16, height: int = 20, mode: str = "L", seed: int = 0) -> Image.Image:
    """A picture of random pixels."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    values = np.random.default_rng(seed).integers(0, 256, (height, width, bands), dtype=np.uint8)
    return Image.frombytes(mode, (width, height), values.tobytes())


def encode(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()
