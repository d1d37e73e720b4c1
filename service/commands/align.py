"""`stn align`: one picture laid on another, by a model of this machine or by a service."""

import json
import sys
from pathlib import Path
from typing import NamedTuple

import torch

import stn
from service.client.predictions import bytes_of
from service.commands.asked import asked
from service.models.folder import SHIPPED_ALIGNER
from service.models.shelf import open_shelf
from service.predicting.images import png
from service.predicting.outputs import to_bytes
from service.settings import Settings
from stn.align_pair import LONGEST
from stn.config import require
from stn.model_info import DOES, OtherTask
from stn.whole_file import written_beside
from training.decoding import UnreadablePicture, convert
from training.decoding import to_bytes as bytes_of_picture
from training.own_pictures import GREY_MODES, OWN_FORMATS, read_picture


class Found(NamedTuple):
    """What is said and written, whoever found it."""

    transform: str
    theta: dict[str, float]
    inverse: dict[str, float] | None
    confidence: float
    refined: bool
    notes: list[str]
    png: bytes
    """The moving picture laid on the fixed one."""


def align(
    moving: Path,
    fixed: Path,
    output: Path | None,
    model: str | None,
    url: str | None,
    key: str | None,
    seconds: float,
    as_json: bool,
    settings: Settings,
) -> int:
    """Lay the moving picture on the fixed one; write it, and say where it lies."""
    if output is not None and output.suffix.lower() != ".png":
        raise ValueError(f"output must end in .png, got {output.name!r}")
    if output is not None and output.exists():
        raise ValueError(f"output must be a new file, got {str(output)!r}")
    if output is not None and not output.parent.is_dir():
        raise ValueError(f"output must be in a folder that is there, got {str(output)!r}")
    require(0 <= seconds <= LONGEST, "refine", f"seconds in [0, {LONGEST}]", seconds)
    pair = _bytes("moving", moving), _bytes("fixed", fixed)
    found = _ask(pair, model, url, key, seconds) if url else _align_here(pair, model, seconds, settings)
    if output is not None:
        with written_beside(output) as beside:
            beside.write_bytes(found.png)
    sys.stdout.write(_as_json(found) if as_json else _in_words(found))
    return 0


def _ask(pair: tuple[bytes, bytes], model: str | None, url: str, key: str | None, seconds: float) -> Found:
    with asked(url, key) as client:
        found = client.align(*pair, model=model, refine=seconds, include="warped")
    return Found(
        transform=found.theta.transform,
        theta=found.theta.parameters,
        inverse=None if found.inverse is None else found.inverse.parameters,
        confidence=found.confidence,
        refined=found.refined,
        notes=found.notes,
        png=bytes_of(found.answer.warped) or b"",
    )


def _align_here(pair: tuple[bytes, bytes], model: str | None, seconds: float, settings: Settings) -> Found:
    aligner = stn.load_aligner(find_aligner(model, settings))
    first, second = (_values(name, data) for name, data in zip(("moving", "fixed"), pair, strict=True))
    found = stn.align(aligner, first, second, seconds=seconds)
    names = aligner.transform.parameter_names
    return Found(
        transform=aligner.config.transforms[-1],
        theta=dict(zip(names, found.theta.tolist(), strict=True)),
        inverse=None if found.inverse is None else dict(zip(names, found.inverse.tolist(), strict=True)),
        confidence=found.confidence,
        refined=found.refined,
        notes=list(found.notes),
        png=png(to_bytes(found.image[None].numpy())[0]),
    )


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


def _bytes(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"{name} must be a picture that can be read, got {str(path)!r} ({error.strerror})") from None


def _values(name: str, data: bytes) -> torch.Tensor:
    """(1 or 3, H, W) in [0, 1]."""
    try:
        picture = read_picture(data, OWN_FORMATS)
    except (OSError, UnreadablePicture) as error:
        raise ValueError(f"{name} must be a picture that can be read ({error})") from None
    values = bytes_of_picture(convert(picture, 1 if picture.mode in GREY_MODES else 3))
    return torch.from_numpy(values.copy()).float() / 255


def _as_json(found: Found) -> str:
    answer = {
        "transform": found.transform,
        "theta": _rounded(found.theta),
        "inverse": found.inverse and _rounded(found.inverse),
        "confidence": round(found.confidence, 4),
        "refined": found.refined,
        "notes": found.notes,
    }
    return json.dumps(answer, indent=2) + "\n"


def _in_words(found: Found) -> str:
    values = " ".join(f"{name}={value:+.3f}" for name, value in found.theta.items())
    return "\n".join([f"{found.transform} {values}  confidence {found.confidence:.0%}", *found.notes]) + "\n"


def _rounded(theta: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 5) for name, value in theta.items()}
