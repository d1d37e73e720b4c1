"""`stn align`: one picture laid on another, by a model of this machine."""

import json
import math
import sys
from pathlib import Path

import torch
from PIL import Image

import stn
from service.models.folder import SHIPPED_ALIGNER
from service.models.shelf import open_shelf
from service.settings import Settings
from stn.model_info import DOES, OtherTask
from stn.whole_file import written_beside
from training.decoding import UnreadablePicture, convert, to_bytes
from training.own_pictures import GREY_MODES, OWN_FORMATS, read_picture


def align(
    moving: Path, fixed: Path, output: Path | None, model: str | None, seconds: float, as_json: bool, settings: Settings
) -> int:
    """Lay the moving picture on the fixed one; write it, and say where it lies."""
    if output is not None and output.suffix.lower() != ".png":
        raise ValueError(f"output must end in .png, got {output.name!r}")
    if output is not None and output.exists():
        raise ValueError(f"output must be a new file, got {str(output)!r}")
    aligner = stn.load_aligner(find_aligner(model, settings))
    pictures = [_read(path, name) for path, name in ((moving, "moving"), (fixed, "fixed"))]
    found = stn.align(aligner, *pictures, seconds=seconds)
    if output is not None:
        with written_beside(output) as beside:
            _picture(found.image).save(beside, "PNG")
    sys.stdout.write(_as_json(aligner, found) if as_json else _in_words(aligner, found))
    return 0


def find_aligner(model: str | None, settings: Settings) -> Path:
    """The file of this aligner: a path, or the name of a model that is served, whose newest version is taken.

    Where none is named, the one that comes with the package.
    """
    if model is None:
        return SHIPPED_ALIGNER
    if Path(model).is_file():
        return Path(model)
    shelf = open_shelf(settings)
    versions = shelf.versions(model)
    if not versions:
        place = settings.storage or str(settings.models)
        raise ValueError(f"model must be a model file or the name of a model in {place!r}, got {model!r}")
    path = shelf.path(model, max(versions))
    try:
        stn.read_aligner_info(path)
    except OtherTask as error:
        raise ValueError(f"model must be an aligner, got {model!r}: {DOES[error.task]}") from None
    return path


def _read(path: Path, name: str) -> torch.Tensor:
    """(1 or 3, H, W) in [0, 1]."""
    try:
        picture = read_picture(path.read_bytes(), OWN_FORMATS)
    except (OSError, UnreadablePicture) as error:
        raise ValueError(f"{name} must be a picture that can be read, got {str(path)!r} ({error})") from None
    grey = picture.mode in GREY_MODES
    values = to_bytes(convert(picture, 1 if grey else 3))
    return torch.from_numpy(values.copy()).float() / 255


def _picture(image: torch.Tensor) -> Image.Image:
    values = (image.clamp(0, 1) * 255).round().byte().numpy()
    return Image.fromarray(values[0] if len(values) == 1 else values.transpose(1, 2, 0))


def _named(aligner: stn.Aligner, theta: torch.Tensor) -> dict[str, float]:
    return {
        name: round(value, 5)
        for name, value in zip(aligner.transform.parameter_names, theta.tolist(), strict=True)
        if math.isfinite(value)
    }


def _as_json(aligner: stn.Aligner, found: stn.Alignment) -> str:
    answer = {
        "transform": aligner.config.transforms[-1],
        "theta": _named(aligner, found.theta),
        "inverse": None if found.inverse is None else _named(aligner, found.inverse),
        "confidence": round(found.confidence, 4),
        "refined": found.refined,
        "notes": list(found.notes),
    }
    return json.dumps(answer, indent=2) + "\n"


def _in_words(aligner: stn.Aligner, found: stn.Alignment) -> str:
    values = " ".join(f"{name}={value:+.3f}" for name, value in _named(aligner, found.theta).items())
    lines = [f"{aligner.config.transforms[-1]} {values}  confidence {found.confidence:.0%}", *found.notes]
    return "\n".join(lines) + "\n"
