"""`stn distort`: a contact sheet of what distortions do, drawn by a process that may read every data set."""

import json
from pathlib import Path

from service.commands.export import check_new_file
from stn.config import to_dict
from training.child import run_module
from training.config import DataConfig, DistortionConfig
from training.presets import PRESETS
from training.recipes import DISTORTIONS


def distort(
    names: tuple[str, ...], data: DataConfig, distortion: DistortionConfig, columns: int, seed: int, output: Path
) -> int:
    """Write the sheet; the exit code of the process that draws it."""
    if not 1 <= columns <= 100:
        raise ValueError(f"columns must be in [1, 100], got {columns}")
    if output.suffix != ".png":
        raise ValueError(f"output must end in .png, got {output.name!r}")
    rows = {name: to_dict(config) for name, config in choose_rows(names, distortion).items()}
    check_new_file(output)
    choices = ["--data", json.dumps(to_dict(data)), "--rows", json.dumps(rows), "--output", str(output)]
    return run_module("training.contact_sheet", *choices, "--columns", str(columns), "--seed", str(seed))


def choose_rows(names: tuple[str, ...], distortion: DistortionConfig) -> dict[str, DistortionConfig]:
    """The pictures as they are, then what is named, then the config of one's own; all recipes where nothing is asked for."""
    own = {} if distortion == DistortionConfig() else {"your own": distortion}
    chosen = names or (() if own else tuple(DISTORTIONS))
    return {"original": DistortionConfig()} | {name: _find(name) for name in chosen} | own


def _find(name: str) -> DistortionConfig:
    if name in DISTORTIONS:
        return DISTORTIONS[name]
    if name in PRESETS:
        return PRESETS[name]().distortion
    raise ValueError(f"recipe must be one of {', '.join([*DISTORTIONS, *PRESETS])}, got {name!r}")
