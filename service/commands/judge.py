"""`stn evaluate` and `stn invariance`: a trained network judged by a process of its own, or measured by a service."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from service.commands.asked import asked
from service.commands.export import model_path
from service.commands.job_arguments import Address
from service.commands.training_jobs import watch
from service.settings import Settings
from training.child import run_module
from training.page import INVARIANCE, check_place
from training.runs import run_of

FILES = ("index.html", "curves.png", "invariance.json")


def judge(
    module: str, model: str, request: dict[str, Any], output: Path | None, as_json: bool, settings: Settings
) -> int:
    """Judge a run, a model file or a served model; the exit code of the process that does it.

    Args:
        module: of `training`, which reads the request.
        model: its path or name.
        request: what is asked for.
        output: folder for the page.
        as_json: print all numbers as JSON.
        settings: where runs and served models lie.
    """
    source = trained_source(model, settings)
    options = [*(["--output", str(output)] if output else []), *(["--json"] if as_json else [])]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(request, file)
        file.flush()
        return run_module(f"training.{module}", *options, "--", str(source), file.name)


def trained_source(model: str, settings: Settings) -> Path:
    """The run folder or model file; for a served model the run that it was copied from, where that is still there."""
    if (Path(model) / "config.json").is_file():  # not any folder that has the name of a served model
        return Path(model)
    try:
        path, version = model_path(model, settings)
    except ValueError:
        raise ValueError(
            f"model must be a run folder, a model file or the name of a served model, got {model!r}"
        ) from None
    found = None if version is None else run_of(path, settings.runs)
    return found or path


def measure_there(
    model: str, request: dict[str, Any], output: Path | None, as_json: bool, address: Address, settings: Settings
) -> int:
    """Let a service measure one of its models by a job, follow that, and copy the page and its files from there.

    Exit code: 0 when they are copied, 1 when the job failed or was cancelled.
    """
    assert address.url is not None
    for field in sorted(request["data"].keys() & {"root", "cache"}):
        rule = "left out: a service knows where its data sets are (stn datasets add)"
        raise ValueError(f"--data.{field} must be {rule}")
    folder = output or Path("invariance")
    check_place(folder, INVARIANCE)
    with asked(address.url, address.key) as client:
        job = client.jobs.invariance(model, request["invariance"], data=request["data"])
        code = watch(job.id, False, address, settings)
        if code:
            return code
        folder.mkdir(parents=True, exist_ok=True)
        there = {file.path for file in client.jobs.artifacts(job.id)}
        for name in FILES:
            if f"report/{name}" in there:
                client.jobs.download(job.id, f"report/{name}", folder / name)
    found = json.loads((folder / "invariance.json").read_text())
    if as_json:
        sys.stdout.write(json.dumps({**found, "page": str(folder / "index.html")}, indent=2) + "\n")
    else:
        sys.stdout.writelines(f"{movement['verdict']}\n" for movement in found["movements"])
        sys.stdout.write(f"{folder / 'index.html'}\n")
    return 0
