"""`stn evaluate`: the report on a trained network, written by a process of its own."""

import filecmp
import json
import tempfile
from pathlib import Path
from typing import Any

from service.commands.export import model_path
from service.settings import Settings
from training.child import run_module


def evaluate(model: str, request: dict[str, Any], output: Path | None, as_json: bool, settings: Settings) -> int:
    """Evaluate a run, a model file or a served model; the exit code of the process that does it.

    Args:
        model: its path or name.
        request: what `training.evaluation_data.read_request` reads.
        output: folder for the page.
        as_json: print the scores as JSON.
        settings: where runs and served models lie.
    """
    source = trained_source(model, settings)
    options = [*(["--output", str(output)] if output else []), *(["--json"] if as_json else [])]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(request, file)
        file.flush()
        return run_module("training.evaluate", *options, "--", str(source), file.name)


def trained_source(model: str, settings: Settings) -> Path:
    """The run folder or model file; for a served model the run that it was copied from, where that is still there."""
    if Path(model).is_dir():
        return Path(model)
    try:
        path = model_path(model, settings.models)
    except ValueError:
        raise ValueError(
            f"model must be a run folder, a model file or the name of a served model, got {model!r}"
        ) from None
    if path.is_relative_to(settings.models):
        for file in sorted(settings.runs.glob("*/model.safetensors"), reverse=True):
            if filecmp.cmp(path, file, shallow=False):
                return file.parent
    return path
