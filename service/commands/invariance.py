"""`stn invariance`: a trained network on pictures that are moved, measured by a process of its own."""

import json
import tempfile
from pathlib import Path
from typing import Any

from service.commands.evaluate import trained_source
from service.settings import Settings
from training.child import run_module


def invariance(model: str, request: dict[str, Any], output: Path | None, as_json: bool, settings: Settings) -> int:
    """Measure a run, a model file or a served model; the exit code of the process that does it.

    Args:
        model: its path or name.
        request: what `training.invariance_data.read_invariance_request` reads.
        output: folder for the page.
        as_json: print all numbers as JSON.
        settings: where runs and served models lie.
    """
    source = trained_source(model, settings)
    options = [*(["--output", str(output)] if output else []), *(["--json"] if as_json else [])]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(request, file)
        file.flush()
        return run_module("training.invariance", *options, "--", str(source), file.name)
