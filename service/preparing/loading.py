"""From a model file to a predictor: prepared once in a process of its own, kept in a cache, opened in a moment."""

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from service.predicting.predictor import Predictor
from service.preparing.network import ServedNetwork
from service.preparing.plan import FORMAT, Plan, read_plan
from service.settings import Settings
from stn import ModelFileError, ModelInfo, read_model_info
from training.child import start_module

log = logging.getLogger(__name__)

_PACKAGES = ("stn", "torch", "onnx", "onnxscript", "onnxruntime")
"""A change of any of their versions makes what was prepared before worthless."""
_MODEL = "model.safetensors"
"""The model file itself, in its prepared folder."""
_SHORT = 0.02
"""Seconds for which the largest batch may keep the event loop from all else; see `service.predicting.turns`."""
_KEPT_SECONDS = 30 * 24 * 3600
"""After these without use a prepared folder is deleted."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is ready to predict."""

    info: ModelInfo
    plan: Plan
    digest: str
    """SHA-256 of the model file."""
    predictor: Predictor = field(repr=False)


def load(path: Path, settings: Settings, name: str = "", gives_way: bool = False) -> Loaded:
    """The model of this file, warmed up; it takes seconds where the file was never prepared here, so not on an event loop.

    Its images are counted under the name. Preparing it gives way to whoever is being served, where that is asked for.
    Afterwards the file may change or go: what is served lies in the prepared folder.

    Raises:
        ModelFileError: it is no model file, or cannot be served.
        OSError: it cannot be read, was changed while it was, or the process that prepares it broke down.
    """
    info = read_model_info(path)
    if info.input.channels not in (1, 3):
        raise ModelFileError(f"only grey and RGB pictures can be posted, not {info.input.channels} channels")
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    folder = _prepared(path, digest, settings, gives_way)
    plan = read_plan(folder)
    info = read_model_info(folder / _MODEL)
    network = ServedNetwork(folder / _MODEL, folder, plan)
    _warm_up(network, info, settings.max_batch)
    on_loop = plan.device == "cpu" and _seconds(plan, settings.max_batch) < _SHORT
    predictor = Predictor(network, settings.max_batch, settings.max_waiting, name, on_loop)
    return Loaded(info, plan, digest, predictor)


def _seconds(plan: Plan, images: int) -> float:
    """About how long a batch of so many takes."""
    size = max(plan.runtimes)
    return plan.milliseconds[plan.runtimes[size]][size] / 1e3 * images / size


def _prepared(path: Path, digest: str, settings: Settings, gives_way: bool) -> Path:
    """The prepared folder of this file; where there is none, it is made, by one process at a time."""
    task = {"runtimes": settings.runtimes, "device": settings.device, "threads": settings.runtime_threads()}
    key = hashlib.sha256(json.dumps([FORMAT, digest, task, _versions()]).encode()).hexdigest()[:32]
    folder = settings.prepared / key
    settings.prepared.mkdir(parents=True, exist_ok=True)
    with _locked(settings.prepared / f"{key}.lock"):
        if not all((folder / name).exists() for name in ("plan.json", _MODEL)):
            _forget_unused(settings.prepared)
            _prepare(path, digest, folder, task, gives_way)
        os.utime(folder)
    return folder


def _prepare(path: Path, digest: str, folder: Path, task: dict[str, object], gives_way: bool) -> None:
    """Have the folder made from a copy, which is kept in it: the file itself may be replaced at any moment."""
    log.info("preparing %s", path.name if path.parent.name == "" else f"{path.parent.name}/{path.name}")
    started = time.monotonic()
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".new."))
    try:
        shutil.copyfile(path, beside / _MODEL)
        with (beside / _MODEL).open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise BlockingIOError(None, "it was changed while it was read")
        with tempfile.TemporaryFile() as complaints:
            request = json.dumps({"model": str(beside / _MODEL), "folder": str(beside), **task})
            process = start_module("service.preparing.prepare", request, stderr=complaints, gives_way=gives_way)
            code = process.wait()
            complaints.seek(0)
            said = complaints.read().decode(errors="replace").strip()
        if code == 2:
            raise ModelFileError(said.rpartition("\n")[2].removeprefix(f"{beside / _MODEL}: "))
        if code:
            log.error("preparing %s failed with exit code %d: %s", path.name, code, said)
            raise ChildProcessError("it could not be prepared; the log of the service has the reason")
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(beside, folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    log.info("prepared in %.1f s", time.monotonic() - started)


def _warm_up(network: ServedNetwork, info: ModelInfo, max_batch: int) -> None:
    """Run every size of batch once for which memory or code is made at the first call."""
    size = 1
    while True:
        network(np.zeros((size, info.input.channels, *info.input.size), np.float32))
        if size == max_batch:
            return
        size = min(2 * size, max_batch)


def _forget_unused(folder: Path) -> None:
    for prepared in folder.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - prepared.stat().st_mtime > _KEPT_SECONDS:
                shutil.rmtree(prepared) if prepared.is_dir() else prepared.unlink()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among all processes that use this file."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def _versions() -> dict[str, str]:
    return {name: _version(name) for name in _PACKAGES}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
