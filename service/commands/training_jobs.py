"""`stn jobs`: jobs of a service or, without one, of the home folder."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from tqdm import tqdm

from service.commands.job_source import Address, JobSource, job_source
from service.settings import Settings
from stn.config import to_dict
from training.config import TrainingConfig
from training.jobs.states import ENDED


def create(
    config: TrainingConfig,
    dataset: str | None,
    folders: Sequence[str],
    idempotency_key: str | None,
    watched: bool,
    as_json: bool,
    address: Address,
    settings: Settings,
) -> int:
    """Launch a job and print its id; follow it where that is wanted.

    Args:
        config: of a preset, with what was given beside it.
        dataset: of the service's own.
        folders: those of the fields `root` and `cache` of the data that were given.
        idempotency_key: see `POST /v1/jobs`.
        watched: follow it until it ends.
        as_json: print all of it.
        address: of the service and key.
        settings: where the home folder is.
    """
    with closing(job_source(address, settings)) as source:
        job = source.create(to_dict(config), dataset, folders, idempotency_key)
        sys.stdout.write(_pretty(job) if as_json else f"{job['id']}\n")
        sys.stdout.flush()
        return _watch(source, job["id"], False) if watched else 0


def list_jobs(states: Sequence[str], limit: int, as_json: bool, address: Address, settings: Settings) -> int:
    """Print a line for each job."""
    with closing(job_source(address, settings)) as source:
        jobs = source.list(states, limit)
    if as_json:
        sys.stdout.write(_pretty(jobs))
        return 0
    for job in jobs["jobs"]:
        sys.stdout.write(_line(job) + "\n")
    if jobs["next"]:
        sys.stdout.write(f"... and older ones: --limit {2 * limit}\n")
    return 0


def show(job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Print what there is about a job."""
    with closing(job_source(address, settings)) as source:
        found = source.get(source.find(job))
    sys.stdout.write(_pretty(found) if as_json else _described(found))
    return 0


def change(verb: str, job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Stop, cancel, resume or delete a job, and print what it is then."""
    with closing(job_source(address, settings)) as source:
        changed = source.change(verb, source.find(job))
    if changed is not None:
        sys.stdout.write(_pretty(changed) if as_json else _line(changed) + "\n")
    return 0


def logs(job: str, follow: bool, tail: int | None, address: Address, settings: Settings) -> int:
    """Print what a job's processes have written."""
    with closing(job_source(address, settings)) as source:
        for chunk in source.logs(source.find(job), follow, tail):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
    return 0


def watch(job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Follow a job until it ends: 0 when it has succeeded, otherwise 1."""
    with closing(job_source(address, settings)) as source:
        return _watch(source, source.find(job), as_json)


def _watch(source: JobSource, job: str, as_json: bool) -> int:
    shown = _Events() if as_json else _Bar(source.get(job)) if sys.stderr.isatty() else _Lines()
    try:
        for event in source.events(job):
            shown.show(event)
    except KeyboardInterrupt:
        sys.stderr.write(f"the job goes on; watch it again: stn jobs watch {job}\n")
        raise
    finally:
        shown.close()
    ended = source.get(job)
    if not as_json:
        sys.stderr.write(_described(ended))
    return 0 if ended["state"] == "succeeded" else 1


class _Events:
    """One event a line, as JSON."""

    def show(self, event: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(event) + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        sys.stdout.flush()


class _Lines:
    """A line for each change of state and each validation."""

    def show(self, event: dict[str, Any]) -> None:
        text = _text(event)
        if text:
            sys.stderr.write(text + "\n")

    def close(self) -> None:
        sys.stderr.flush()


class _Bar:
    """A bar over all steps of a job, with the lines above it."""

    def __init__(self, job: dict[str, Any]) -> None:
        self.bar = tqdm(desc=job["name"], total=job["steps"], initial=job["step"], unit="step", dynamic_ncols=True)

    def show(self, event: dict[str, Any]) -> None:
        data = event["data"]
        if event["kind"] == "progress":
            self.bar.total = data.get("steps") or self.bar.total
            self.bar.update((data.get("step") or 0) - self.bar.n)
        if event["kind"] == "metrics":
            self.bar.set_postfix_str(_scores(data))
        if event["kind"] == "state":
            tqdm.write(_text(event), file=sys.stderr)

    def close(self) -> None:
        self.bar.close()


def _text(event: dict[str, Any]) -> str:
    data = event["data"]
    if event["kind"] == "state":
        return f"{data['state']}: {data['reason']}"
    return f"step {data['step']:.0f}: {_scores(data)}" if event["kind"] == "metrics" else ""


def _scores(metrics: dict[str, Any]) -> str:
    names = {"train/loss": "loss {:.4f}", "val/loss": "validation loss {:.4f}", "val/accuracy": "{:.1%} right"}
    return ", ".join(text.format(metrics[name]) for name, text in names.items() if name in metrics)


def _line(job: dict[str, Any]) -> str:
    done = f"step {job['step']}" + (f"/{job['steps']}" if job["steps"] else "")
    left = f", {_duration(job['eta_seconds'])} left" if job["eta_seconds"] and job["state"] not in ENDED else ""
    model = f", model {job['model']['name']} version {job['model']['version']}" if job["model"] else ""
    return f"{job['id']}  {job['name']}  {job['state']}  {done}{left}{model}  {job['reason']}"


def _described(job: dict[str, Any]) -> str:
    lines = [_line(job), f"created {job['created']}, started {job['started'] or '-'}, ended {job['finished'] or '-'}"]
    if job["scores"]:
        lines.append(", ".join(f"{name} {value:.4f}" for name, value in job["scores"].items()))
    return os.linesep.join(lines) + "\n"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _pretty(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2) + "\n"
