"""`stn export` and `stn models import`, as a user types them."""

import json
import math
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

import stn
from service.commands.cli import main
from stn.config import to_dict

INFO = stn.ModelInfo(
    config=stn.ModelConfig(transform="similarity", filters=(4,), units=8, size=(12, 14)),
    input=stn.InputConfig(channels=1, height=20, width=16, mean=(0.2,), std=(0.4,)),
    class_names=("cat", "dog", "owl"),
    scores={"test/accuracy": 0.5},
    provenance={"seed": "7"},
)


def write(path: Path, seed: int) -> Path:
    """A model file with random weights."""
    torch.manual_seed(seed)
    model = stn.build_model(INFO.config, INFO.input, len(INFO.class_names)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path.parent.mkdir(parents=True, exist_ok=True)
    stn.save_model(path, model, INFO)
    return path


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a model file and two versions of a served model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STN_HOME", "home")
    write(tmp_path / "model.safetensors", seed=0)
    write(tmp_path / "home/models/tiny/9.safetensors", seed=9)
    write(tmp_path / "home/models/tiny/10.safetensors", seed=10)
    return tmp_path


def logits(path: Path | str) -> torch.Tensor:
    return stn.load_model(path)(torch.linspace(0, 1, 320).view(1, 1, 20, 16)).logits


@pytest.mark.parametrize("suffix", ["safetensors", "jld2", "h5"])
def test_a_model_that_goes_to_flux_and_back_is_the_same_to_the_bit(
    suffix: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = f"new/flux.{suffix}"
    assert main(["export", "model.safetensors", "--to", "flux", "--output", weights]) == 0
    assert main(["models", "import", weights, "--from", "flux", "--like", "home/models/tiny/9.safetensors"]) == 0
    assert capsys.readouterr().out.splitlines() == [weights, "flux.model.safetensors"]
    assert torch.equal(logits("flux.model.safetensors"), logits("model.safetensors"))
    info = stn.read_model_info("flux.model.safetensors")
    assert (info.config, info.input, info.class_names) == (INFO.config, INFO.input, INFO.class_names)
    assert info.scores == {}  # those were measured with other weights
    assert info.provenance == {"command": f"stn models import flux.{suffix} --from flux"}


def test_a_json_file_may_describe_the_network(here: Path) -> None:
    description = {"config": to_dict(INFO.config), "input": to_dict(INFO.input), "class_names": INFO.class_names}
    (here / "model.json").write_text(json.dumps(description))
    assert main(["export", "model.safetensors", "--to", "flux"]) == 0
    imported = ["models", "import", "model.flux.safetensors", "--from", "flux", "--config", "model.json"]
    assert main([*imported, "--output", "home/models/new/1.safetensors"]) == 0
    assert torch.equal(logits("home/models/new/1.safetensors"), logits("model.safetensors"))


def test_of_a_served_model_the_newest_version_is_exported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "tiny", "--to", "flux"]) == 0
    assert capsys.readouterr().out == "tiny-10.flux.safetensors\n"
    like = ["--like", "model.safetensors", "--output", "back.safetensors"]
    assert main(["models", "import", "tiny-10.flux.safetensors", "--from", "flux", *like]) == 0
    assert torch.equal(logits("back.safetensors"), logits("home/models/tiny/10.safetensors"))


def test_onnx_gives_the_same_logits(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "model.safetensors", "--to", "onnx"]) == 0
    assert capsys.readouterr().out == "model.onnx\n"
    images = torch.linspace(0, 1, 320).view(1, 1, 20, 16).numpy()
    (answer,) = onnxruntime.InferenceSession("model.onnx").run(["logits"], {"images": images})
    # Three layers of float32: a few units of 2^-24.
    torch.testing.assert_close(torch.from_numpy(answer), logits("model.safetensors").detach(), rtol=1e-5, atol=1e-5)


def test_what_is_missing_for_onnx_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    assert main(["export", "model.safetensors", "--to", "onnx"]) == 2
    errors = capsys.readouterr().err
    assert "stn[export]" in errors
    assert len(errors.splitlines()) == 1
    assert not (here / "model.onnx").exists()


def test_without_h5py_the_extra_is_named(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    assert main(["export", "model.safetensors", "--to", "flux", "--output", "a.jld2"]) == 2
    assert capsys.readouterr().err == (
        "error: files that end in .jld2, .h5 or .hdf5 need the package h5py: install stn[flux]\n"
    )


IMPORT = ["models", "import", "weights.safetensors", "--from", "flux"]
LIKE = ["--like", "model.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "nope", "--to", "flux"], "model must be a model file or the name of a served model, got 'nope'"),
        (["export", "bad.json", "--to", "flux"], "bad.json: not a complete safetensors file"),
        (["export", "model.safetensors", "--to", "keras"], "invalid choice 'keras' for argument '--to'"),
        (["export", "model.safetensors"], "--to {flux,onnx}"),
        (
            ["export", "model.safetensors", "--to", "flux", "--output", "a.bson"],
            "must end in one of .safetensors, .jld2",
        ),
        (["export", "model.safetensors", "--to", "onnx", "--output", "a.h5"], "output must end in .onnx, got 'a.h5'"),
        (
            ["export", "model.safetensors", "--to", "flux", "--output", "model.safetensors"],
            "output must be a file that does not exist yet, got 'model.safetensors'",
        ),
        (["models"], "Expected one of {list, show, default, delete, import}"),
        (["models", "import", "model.safetensors"], "--from {flux}"),
        (IMPORT, "one of --like MODEL.safetensors and --config MODEL.json must say what the network is"),
        ([*IMPORT, *LIKE, "--config", "bad.json"], "one of --like MODEL.safetensors and --config MODEL.json"),
        ([*IMPORT, "--like", "nope.safetensors"], "nope.safetensors"),
        ([*IMPORT, *LIKE, "--output", "a.h5"], "output must end in .safetensors, got 'a.h5'"),
        ([*IMPORT, *LIKE, "--output", "model.safetensors"], "output must be a file that does not exist yet"),
        ([*IMPORT, "--config", "bad.json"], "bad.json: it must be an object with config, input and class_names"),
        ([*IMPORT, "--config", "nothing.json"], "nothing.json: Expecting value"),
        (["models", "import", "nope.safetensors", "--from", "flux", *LIKE], "nope.safetensors"),
        (
            ["models", "import", "model.safetensors", "--from", "flux", *LIKE],
            "the arrays must be those of the network, got too many or too few",
        ),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "model.safetensors", "--to", "flux", "--output", "weights.safetensors"]) == 0
    (here / "bad.json").write_text('{"config": {}}')
    (here / "nothing.json").touch()
    before = {path: path.read_bytes() for path in here.rglob("*") if path.is_file()}
    capsys.readouterr()
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1
    assert {path: path.read_bytes() for path in here.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"config": {"clasifier": "fcn"}}, "config.clasifier is not a field of ModelConfig"),
        ({"class_names": "abc"}, "class_names must be a list of texts"),
        ({"class_names": ["a"]}, "class_names must be at least 2 names"),
        ({"input": {"channels": 1}}, "input.height is missing"),
        ({"input": {"channels": 1, "height": 20, "width": 16, "mean": [math.nan], "std": [1.0]}}, "input.mean must be"),
    ],
)
def test_a_wrong_description_is_named(
    change: dict[str, object], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    description = {"config": to_dict(INFO.config), "input": to_dict(INFO.input), "class_names": INFO.class_names}
    (here / "model.json").write_text(json.dumps({**description, **change}))
    assert main([*IMPORT, "--config", "model.json"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: model.json: ")
    assert message in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export"], ["--to {flux,onnx}", "docs/flux.md", "--output", "newest version"]),
        (
            ["models", "import"],
            ["--from {flux}", "--like", "--config", "class_names", "STN_HOME/models/NAME/1.safetensors"],
        ),
    ],
)
def test_help_says_what_goes_in_and_what_comes_out(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([*arguments, "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(word in text for word in words)
