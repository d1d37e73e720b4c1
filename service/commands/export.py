"""`stn export`: a model for other frameworks and runtimes."""

import sys
from pathlib import Path
from typing import Literal

from service.models.shelf import open_shelf
from service.settings import Settings
from stn import load_model, read_model_info
from stn.flux_files import check_suffix
from stn.flux_weights import save_flux_weights

Target = Literal["flux", "onnx"]
SUFFIXES: dict[Target, str] = {"flux": ".flux.safetensors", "onnx": ".onnx"}


def export(model: str, target: Target, output: Path | None, settings: Settings) -> int:
    """Write a model file, or the newest version of a served model, in another format."""
    source, version = model_path(model, settings)
    path = output or Path((source.stem if version is None else f"{model}-{version}") + SUFFIXES[target])
    _check_output(path, target)
    network = load_model(source)
    if target == "flux":
        save_flux_weights(path, network)
    else:
        from stn.export import export_onnx

        try:
            export_onnx(network, read_model_info(source), path)
        except ImportError as error:
            raise ValueError(str(error)) from None
    sys.stdout.write(f"{path}\n")
    return 0


def model_path(model: str, settings: Settings) -> tuple[Path, int | None]:
    """The model file at this path, or the newest version of the served model of this name, with its number."""
    if Path(model).is_file():
        return Path(model), None
    shelf = open_shelf(settings)
    versions = shelf.versions(model)
    if not versions:
        raise ValueError(f"model must be a model file or the name of a served model, got {model!r}")
    return shelf.path(model, max(versions)), max(versions)


def check_new_file(path: Path) -> None:
    """A ValueError where a file would be lost; the folder is made where it is missing."""
    if path.exists():
        raise ValueError(f"output must be a file that does not exist yet, got {str(path)!r}")
    path.parent.mkdir(parents=True, exist_ok=True)


def _check_output(path: Path, target: Target) -> None:
    if target == "flux":
        check_suffix(path)
    elif path.suffix != ".onnx":
        raise ValueError(f"output must end in .onnx, got {path.name!r}")
    check_new_file(path)
