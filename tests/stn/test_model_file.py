import json
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stn import (
    Classifier,
    InputConfig,
    ModelConfig,
    ModelFileError,
    ModelInfo,
    build_model,
    load_model,
    read_model_info,
    save_model,
)

INFO = ModelInfo(
    config=ModelConfig(transform="similarity", filters=(4,), units=8),
    input=InputConfig(channels=1, height=12, width=10, mean=(0.1,), std=(0.3,)),
    class_names=("cat", "dog"),
    scores={"test/accuracy": 0.5},
    provenance={"seed": "7"},
)


def tiny_model() -> Classifier:
    return build_model(INFO.config, INFO.input, len(INFO.class_names)).eval()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "model.safetensors"
    save_model(file, tiny_model(), INFO)
    return file


def rewrite(path: Path, **metadata: str) -> None:
    """The same weights with other metadata."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        kept = file.metadata()
    save_file(load_file(path), path, {**kept, **{name.replace("__", "."): text for name, text in metadata.items()}})


def test_a_model_survives_its_file_to_the_bit(tmp_path: Path) -> None:
    model, file = tiny_model(), tmp_path / "model.safetensors"
    save_model(file, model, INFO)
    images = torch.rand(3, 1, 12, 10)
    assert torch.equal(load_model(file)(images).logits, model(images).logits)
    assert read_model_info(file) == INFO


def test_nothing_but_the_model_file_is_left_in_its_folder(path: Path) -> None:
    assert [entry.name for entry in path.parent.iterdir()] == ["model.safetensors"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setattr("stn.whole_file.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_model(path, tiny_model(), INFO)
    assert path.read_bytes() == before
    assert len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_truncated_file_is_refused(path: Path, share: float) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(ModelFileError, match="not a complete safetensors file"):
        load_model(path)


def test_a_pickle_is_refused_and_never_run(path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (Path(path.parent / "ran"),)

    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(ModelFileError, match="pickle .*can run code"):
        load_model(path)
    torch.save({"weights": Evil()}, path)
    with pytest.raises(ModelFileError, match="pickle .*can run code"):
        load_model(path)
    assert not (path.parent / "ran").exists()


@pytest.mark.parametrize("start", [0x80, 0x4B50])
def test_a_file_whose_header_length_looks_like_a_pickles_first_bytes_is_read(path: Path, start: int) -> None:
    """The first bytes of a safetensors file are the length of its header, the lowest byte first."""
    length = int.from_bytes(path.read_bytes()[:8], "little")
    modulus = 0x100 if start < 0x100 else 0x10000
    filler = (start - length) % modulus
    data = path.read_bytes()
    header = data[8 : 8 + length] + b" " * filler
    path.write_bytes(len(header).to_bytes(8, "little") + header + data[8 + length :])
    assert path.read_bytes()[:2] in (b"PK", bytes([0x80, path.read_bytes()[1]]))
    assert read_model_info(path) == INFO
    load_model(path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="not a complete safetensors file"):
        load_model(path)


def test_another_format_version_is_refused(path: Path) -> None:
    rewrite(path, stn__version="1")
    with pytest.raises(ModelFileError, match="format version must be 3, got 1"):
        load_model(path)


def test_a_safetensors_file_of_another_program_is_refused(path: Path) -> None:
    save_file({"weight": torch.zeros(3)}, path)
    with pytest.raises(ModelFileError, match="not one of ours"):
        load_model(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"stn__config": json.dumps({"filters": [4], "units": 8, "surprise": 1})}, "config.surprise is not a field"),
        ({"stn__config": "{"}, "Expecting property name"),
        ({"stn__config": json.dumps({"filters": [9], "units": 8})}, "must have shape"),
        ({"stn__config": json.dumps({"filters": [4096] * 8, "units": 65536})}, "few enough|not those of the network"),
        ({"stn__class_names": '["cat", "cat"]'}, "class_names must be all different"),
        ({"stn__class_names": '{"cat": 1}'}, "class_names must be a list of texts"),
        ({"stn__class_names": '["cat", "dog", "owl"]'}, "must have shape"),
        ({"stn__class_names": '["cat", "\\ud800"]'}, "class_names must be printable"),
        ({"stn__scores": "[]"}, "items"),
        ({"stn__scores": '{"test/accuracy": NaN}'}, "scores.test/accuracy must be finite"),
        ({"stn__scores": '{"test/accuracy": %s}' % ("9" * 400)}, "too large"),
        (
            {"stn__input": '{"channels":1,"height":12,"width":10,"mean":[%s],"std":[1]}' % ("9" * 400)},
            "input.mean must",
        ),
    ],
)
def test_metadata_that_do_not_fit_are_refused_with_the_reason(
    path: Path, metadata: dict[str, str], message: str
) -> None:
    rewrite(path, **metadata)
    with pytest.raises(ModelFileError, match=message):
        load_model(path)


def test_a_huge_network_is_refused_before_memory_is_taken_for_it(path: Path) -> None:
    huge = {"filters": [4096, 4096], "units": 65536}  # 3 x 10^9 weights
    rewrite(path, stn__config=json.dumps(huge))
    with pytest.raises(ModelFileError, match="must have shape|not those of the network"):
        load_model(path)


HUGE = (
    {"classifier": "fcn", "units": 65536},
    {"classifier": "cnn", "filters": [4096, 4096]},
    {"classifier": "resnet50", "localization_filters": 4096, "localization_units": 65536},
    {"classifier": "convnet", "localization": "shared", "localization_units": 65536},
)
LOAD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (2 << 30, 2 << 30))
import stn
for file in sys.argv[1:]:
    try:
        stn.load_model(file)
    except stn.ModelFileError as error:
        print(error)
"""


def test_a_huge_network_of_any_kind_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    images = InputConfig(channels=1, height=64, width=64, mean=(0.1,), std=(0.3,))
    info = ModelInfo(config=ModelConfig(filters=(4,), units=8), input=images, class_names=("cat", "dog"))
    files = [tmp_path / f"{number}.safetensors" for number in range(len(HUGE))]
    for file, huge in zip(files, HUGE, strict=True):
        save_model(file, build_model(info.config, images, 2), info)
        rewrite(file, stn__config=json.dumps(huge))
    done = subprocess.run([sys.executable, "-c", LOAD, *files], capture_output=True, text=True, timeout=120)
    told = done.stdout.splitlines()
    assert len(told) == len(HUGE), done.stderr
    assert all(re.search("must have shape|not those of the network", line) for line in told)


def test_a_network_whose_width_is_left_open_is_refused_in_time_where_none_fits(path: Path) -> None:
    images = {"channels": 4096, "height": 4096, "width": 4096, "mean": [0.5] * 4096, "std": [1.0] * 4096}
    for classifier in ("fcn", "cnn"):
        rewrite(path, stn__config=json.dumps({"classifier": classifier}), stn__input=json.dumps(images))
        began = time.monotonic()
        with pytest.raises(ModelFileError, match="must be given"):
            load_model(path)
        assert time.monotonic() - began < 30  # some dozen networks without memory; far less on an idle machine


@pytest.mark.parametrize(
    "fields",
    [
        {"classifier": "fcn", "transform": "projective"},
        {"classifier": "cnn", "transform": "thin_plate_spline", "pool": 2},
        {"classifier": "convnet", "localization": "shared", "theta_to_classes": True},
        {"classifier": "convnet", "transform": "similarity", "bounds": {"scale": (0.5, 2.0)}, "iterations": 2},
        {"classifier": "convnet", "transform": "none", "batch_norm": False, "dropout": 0.5},
        {"classifier": "tutorial", "transform": "affine"},
        {"classifier": "convnet", "padding": "constant", "background": (0.5,), "kernel": "bicubic", "antialias": 2},
        {"classifier": "mobilenet_v3_small", "localization": "shared"},
    ],
)
def test_every_kind_of_network_survives_its_file(tmp_path: Path, fields: dict[str, object]) -> None:
    images = InputConfig(channels=1, height=42, width=44, mean=(0.1,), std=(0.3,))
    info = ModelInfo(config=ModelConfig(**fields), input=images, class_names=("cat", "dog"))
    model, file = build_model(info.config, images, 2).eval(), tmp_path / "model.safetensors"
    save_model(file, model, info)
    batch = torch.rand(2, 1, 42, 44)
    assert read_model_info(file) == info
    assert torch.equal(load_model(file)(batch).logits, model(batch).logits)


def test_weights_that_are_not_finite_are_refused(path: Path) -> None:
    model = tiny_model()
    with torch.no_grad():
        next(model.trunk.parameters()).fill_(float("nan"))
    save_model(path, model, INFO)
    with pytest.raises(ModelFileError, match="not finite"):
        load_model(path)


def test_weights_of_another_type_are_refused(path: Path) -> None:
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        kept = file.metadata()
    save_file({name: tensor.double() for name, tensor in load_file(path).items()}, path, kept)
    with pytest.raises(ModelFileError, match="must be F32, got F64"):
        load_model(path)
