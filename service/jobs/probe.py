"""What a run has made of its probe pictures, read from its folder. A file that is damaged counts as absent."""

import os
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from service.jobs.files import open_inside
from service.jobs.schemas import Probe, ProbeFrame, ProbePictures
from training.probe_folder import FOLDER, PICTURES, step_of

_LARGEST = 4 * 2**20
"""Bytes of a file."""
_MOST = 500
"""Frames in an answer, the first ones after the step."""

_Schema = TypeVar("_Schema", bound=BaseModel)


def read_probe(run: Path, after: int) -> Probe:
    """The pictures, and the frames after this step in their order."""
    pictures = _read(run, PICTURES, ProbePictures)
    if pictures is None:
        return Probe(pictures=[], frames=[])
    steps = {name: step for name in _names(run) if (step := step_of(name)) is not None and step > after}
    frames = []
    for name in sorted(steps, key=lambda name: steps[name])[:_MOST]:
        frame = _read(run, name, ProbeFrame)
        if frame is not None and len(frame.items) == len(pictures.pictures):
            frames.append(frame)
    return Probe(pictures=pictures.pictures, frames=frames)


def _names(run: Path) -> list[str]:
    try:
        handle = os.open(run / FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.listdir(handle)
    finally:
        os.close(handle)


def _read(run: Path, name: str, schema: type[_Schema]) -> _Schema | None:
    found = open_inside(run, [FOLDER, name])
    if found is None:
        return None
    with found.file:
        data = found.file.read(_LARGEST + 1)
    try:
        return schema.model_validate_json(data) if len(data) <= _LARGEST else None
    except ValidationError:
        return None
