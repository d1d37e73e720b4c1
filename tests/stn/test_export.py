import dataclasses
import math
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import openvino
import pytest
import torch

from stn import KERNELS, TRANSFORMS, Classified, Classifier, InputConfig, ModelConfig, ModelInfo, build_model
from stn.export import OPSET, export_onnx
from stn.model_info import from_metadata

IMAGES = InputConfig(channels=3, height=28, width=20, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
SMALL = {"classifier": "fcn", "units": 4, "localization": "dense", "localization_units": 8, "size": (18, 22)}

# One unit in the last place of a coordinate near 1 is 28 / 2 * 2^-24 pixels, 8e-7, and a step of several roundings takes
# the grids of two programs some of them apart; neighbouring pixels of noise differ by up to 1.
TOLERANCE = 1e-5
# Cubic and Lanczos kernels are steeper, and white noise is amplified by them.
STEEP = 3e-5


def info_of(images: InputConfig = IMAGES, **settings: Any) -> ModelInfo:
    return ModelInfo(
        config=ModelConfig(**{**SMALL, **settings}),
        input=images,
        class_names=("cat", "dog", "owl"),
        scores={"test/accuracy": 0.5},
        provenance={"seed": "7"},
    )


def restless_model(info: ModelInfo) -> Classifier:
    """A network whose theta depends on the image: the last layer of a fresh localization net is zero."""
    torch.manual_seed(0)
    model = build_model(info.config, info.input, len(info.class_names)).eval()
    if model.transformer is not None:
        count = len(model.transformer.transform.parameter_names)
        last = [m for m in model.transformer.localization.modules() if isinstance(m, torch.nn.Linear)][-1]
        assert last.out_features == count
        with torch.no_grad():
            last.weight.normal_(0, 0.1)
    return model


def run(session: onnxruntime.InferenceSession, images: torch.Tensor) -> list[torch.Tensor]:
    return [torch.from_numpy(np.asarray(values)) for values in session.run(None, {"images": images.numpy()})]


def expected(model: Classifier, images: torch.Tensor) -> list[torch.Tensor]:
    with torch.no_grad():
        logits, transformed = model(images)
    return [logits, transformed.theta, transformed.images]


Exporter = Callable[[ModelInfo], Path]


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exporter:
    """Writes `restless_model` of an info to a file, once."""

    @cache
    def write(key: str) -> Path:
        path = tmp_path_factory.mktemp("export") / "model.onnx"
        export_onnx(restless_model(infos[key]), infos[key], path)
        return path

    infos: dict[str, ModelInfo] = {}

    def of(info: ModelInfo) -> Path:
        infos[repr(info)] = info
        return write(repr(info))

    return of


def check_against_torch(path: Path, info: ModelInfo, tolerance: float = TOLERANCE) -> None:
    model, session = restless_model(info), onnxruntime.InferenceSession(path)
    height, width = info.input.size
    for batch in (1, 5):
        images = torch.rand(batch, info.input.channels, height, width)
        wanted = expected(model, images)
        for found, tensor in zip(run(session, images), wanted, strict=True):
            torch.testing.assert_close(found, tensor, rtol=0, atol=tolerance)
        assert (wanted[1] - model.transformer.transform.identity()).abs().max() > 0.02


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_onnx_runtime_gives_what_torch_gives(exported: Exporter, transform: str) -> None:
    info = info_of(transform=transform)
    check_against_torch(exported(info), info)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_openvino_gives_what_torch_gives(exported: Exporter, transform: str) -> None:
    info = info_of(transform=transform)
    network = openvino.Core().compile_model(exported(info), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    model = restless_model(info)
    for batch in (1, 5):
        images = torch.rand(batch, 3, 28, 20)
        found = network({"images": images.numpy()})
        for name, tensor in zip(("logits", "theta", "transformed"), expected(model, images), strict=True):
            torch.testing.assert_close(torch.from_numpy(found[name]), tensor, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_grid_is_one_matrix_product_with_a_constant(exported: Exporter, transform: str) -> None:
    graph = onnx.load(exported(info_of(transform=transform))).graph
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("GridSample") == kinds.count("MatMul") == 1
    assert not {"Loop", "If", "Range", "Scan"} & set(kinds)
    constants = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    product = next(node for node in graph.node if node.op_type == "MatMul")
    assert constants[product.input[1]] == [19 if transform == "thin_plate_spline" else 3, 18 * 22]
    between = kinds[kinds.index("MatMul") + 1 : kinds.index("GridSample")]
    assert sorted(between[-2:]) == ["Reshape", "Transpose"]
    assert transform == "projective" or len(between) == 2
    sampled = next(node for node in graph.node if node.op_type == "GridSample")
    assert sampled.input[0] == "images"  # neither padded nor copied


@pytest.mark.parametrize(
    ("kernel", "padding"),
    [("integer", "border"), ("bilinear", "constant"), ("bicubic", "reflection"), ("catmull_rom", "zeros")],
)
def test_kernels_and_paddings_are_exported(exported: Exporter, kernel: str, padding: str) -> None:
    check_sampling(exported, kernel, padding)


@pytest.mark.exhaustive
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "constant"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_exported_with_every_padding(exported: Exporter, kernel: str, padding: str) -> None:
    check_sampling(exported, kernel, padding)


def check_sampling(exported: Exporter, kernel: str, padding: str) -> None:
    background = (0.2, 0.3, 0.4) if padding == "constant" else None
    info = info_of(kernel=kernel, padding=padding, background=background)
    check_against_torch(exported(info), info, TOLERANCE if kernel in ("integer", "bilinear") else STEEP)


class Zooms(torch.nn.Module):
    """A localization net whose affine theta is as large as the image's first pixel says: 10 to the power of 10 times it."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scale = torch.exp(images[:, 0, 0, :1] * math.log(1e10))
        return scale * torch.tensor([[1.0, 0.3, 0.1, -0.3, 1.0, 0.2]])


@pytest.mark.parametrize(
    ("kernel", "padding", "side"),
    [
        ("integer", "constant", 28),
        ("bilinear", "zeros", 224),
        ("bilinear", "border", 28),
        ("bilinear", "reflection", 224),
    ],
)
def test_a_large_theta_gives_values_of_the_image(tmp_path: Path, kernel: str, padding: str, side: int) -> None:
    check_large_theta(tmp_path, kernel, padding, side)


@pytest.mark.exhaustive
@pytest.mark.parametrize("side", [28, 224])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection", "constant"])
@pytest.mark.parametrize("kernel", ["integer", "bilinear"])
def test_a_large_theta_gives_values_of_the_image_with_every_padding(
    tmp_path: Path, kernel: str, padding: str, side: int
) -> None:
    check_large_theta(tmp_path, kernel, padding, side)


def check_large_theta(tmp_path: Path, kernel: str, padding: str, side: int) -> None:
    images = dataclasses.replace(IMAGES, height=side, width=side)
    background = (0.4, 0.4, 0.4) if padding == "constant" else None
    info = info_of(images, kernel=kernel, padding=padding, background=background)
    model = build_model(info.config, images, 3)
    model.transformer.localization = Zooms()
    export_onnx(model, info, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    seen = 0.4 + 0.2 * torch.rand(8, 3, side, side)
    least = 0.0 if padding == "zeros" else 0.4
    seen[:, 0, 0, 0] = torch.arange(2, 10) / 10  # scales 1e2 to 1e9
    transformed = run(session, seen)[2][:, 1:]  # the first channel holds the scales
    assert least - 1e-6 <= transformed.min() and transformed.max() <= 0.6 + 1e-6


@pytest.mark.parametrize(
    "settings",
    [
        {"bounds": {"x*": (-1.5, 1.5)}, "theta_to_classes": True, "pool": 2},
        {"transform": "similarity", "iterations": 2, "size": (28, 20)},
        {"antialias": 2, "size": (9, 11)},
        {"classifier": "convnet", "units": None, "localization": "conv", "localization_units": None},
        {"classifier": "tutorial", "units": None, "localization": None, "localization_units": None},
    ],
    ids=str,
)
def test_the_options_of_a_network_are_exported(exported: Exporter, settings: dict[str, Any]) -> None:
    info = info_of(**settings)
    check_against_torch(exported(info), info)


def test_a_fresh_network_returns_its_input(tmp_path: Path) -> None:
    info = info_of(size=(28, 20))
    export_onnx(build_model(info.config, info.input, 3), info, tmp_path / "model.onnx")
    images = torch.rand(2, 3, 28, 20)
    transformed = run(onnxruntime.InferenceSession(tmp_path / "model.onnx"), images)[2]
    torch.testing.assert_close(transformed, images, rtol=0, atol=TOLERANCE)


def test_a_network_without_a_transformer_gives_logits(tmp_path: Path) -> None:
    info = info_of(transform="none", size=None, localization=None, localization_units=None)
    model = restless_model(info)
    export_onnx(model, info, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert [output.name for output in session.get_outputs()] == ["logits"]
    images = torch.rand(3, 3, 28, 20)
    with torch.no_grad():
        wanted: Classified = model(images)
    torch.testing.assert_close(run(session, images)[0], wanted.logits, rtol=0, atol=TOLERANCE)


def test_the_file_is_valid_and_names_what_goes_in_and_out(exported: Exporter) -> None:
    path = exported(info_of())
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    assert [entry.version for entry in model.opset_import] == [OPSET]
    session = onnxruntime.InferenceSession(path)
    (images,) = session.get_inputs()
    assert (images.name, images.shape) == ("images", ["batch", 3, 28, 20])
    outputs = {output.name: output.shape for output in session.get_outputs()}
    assert outputs == {"logits": ["batch", 3], "theta": ["batch", 6], "transformed": ["batch", 3, 18, 22]}


def test_the_file_says_of_the_network_what_a_model_file_says(exported: Exporter) -> None:
    info = info_of()
    metadata = onnxruntime.InferenceSession(exported(info)).get_modelmeta().custom_metadata_map
    assert from_metadata("model.onnx", metadata) == info


def test_the_file_says_nothing_of_the_machine(exported: Exporter) -> None:
    data = exported(info_of()).read_bytes()
    assert b"stack_trace" not in data
    assert b".py" not in data


def test_nothing_but_the_file_is_left_in_its_folder(exported: Exporter) -> None:
    path = exported(info_of())
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_write_that_fails_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, info = tmp_path / "model.onnx", info_of()
    path.write_text("old")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        export_onnx(restless_model(info), info, path)
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("model.onnx", "old")]


def test_the_model_is_left_as_it_is(tmp_path: Path) -> None:
    info = info_of()
    model = build_model(info.config, info.input, 3).double().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    export_onnx(model, info, tmp_path / "model.onnx")
    assert model.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "onnxscript" else object())
    with pytest.raises(ImportError, match=r"onnxscript must be installed: pip install 'stn\[export\]'"):
        export_onnx(restless_model(info_of()), info_of(), tmp_path / "model.onnx")


def test_the_example_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "export.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    export_onnx(restless_model(info_of()), info_of(), tmp_path / "model.onnx")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["theta"].shape == (5, 6)
    assert set(names["classes"]) <= {"cat", "dog", "owl"}
