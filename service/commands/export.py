"""`stn export`: a model for other frameworks and runtimes."""

import sys
from pathlib import Path
from typing import Literal

from service.models.folder import find_model_files, name_and_version
from service.settings import Settings
from stn import ModelFileError, load_model, read_model_info
from stn.flux_files import check_suffix
from stn.flux_weights import save_flux_weights

Target = Literal["flux", "onnx"]
SUFFIXES: dict[Target, str] = {"flux": ".flux.safetensors", "onnx": ".onnx"}


def export(model: str, target: Target, output: Path | None, settings: Settings) -> int:
    """Write a model file, or the newest version of a served model, in another format."""
    source = model_path(model, settings.models)
    path = output or Path(_stem(source, settings.models) + SUFFIXES[target])
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


def model_path(model: str, models: Path) -> Path:
    """The model file at this path, or the newest version of the served model of this name."""
    if Path(model).is_file():
        return Path(model)
    versions: dict[int, Path] = {}
    for path in find_model_files(models):
        try:
            name, version = name_and_version(str(path.relative_to(models)))
        except ModelFileError:
            continue
        if name == model:
            versions[version] = path
    if not versions:
        raise ValueError(f"model must be a model file or the name of a served model, got {model!r}")
    return versions[max(versions)]


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


def _stem(source: Path, models: Path) -> str:
    """What the exported file is called: a served model by its name and version, another file by its own name."""
    if source.is_relative_to(models):
        return f"{source.parent.name}-{source.stem}"
    return source.stem
