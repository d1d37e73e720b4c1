"""`stn jobs`: jobs of a service or, without one, of the home folder."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from pydantic import BaseModel
from tqdm import tqdm

from service.client import ServiceError
from service.commands.job_arguments import Address, Launch
from service.commands.job_source import JobSource, job_source
from service.jobs.schemas import Job, JobEvent
from service.problems import Problem
from service.settings import Settings
from training.jobs.job import StoreUnavailable
from training.jobs.states import ENDED, State


def create(launch: Launch, watched: bool, as_json: bool, address: Address, settings: Settings) -> int:
    """Launch a job and print its id, or all of it; follow it where that is wanted."""
    with _jobs(address, settings) as source:
        job = source.create(launch)
        sys.stdout.write(_pretty(job) if as_json else f"{job.id}\n")
        sys.stdout.flush()
        return _watch(source, job.id, False) if watched else 0


def list_jobs(states: Sequence[State], limit: int, as_json: bool, address: Address, settings: Settings) -> int:
    """Print a line for each job."""
    with _jobs(address, settings) as source:
        jobs = source.list(states, limit)
    if as_json:
        sys.stdout.write(_pretty(jobs))
        return 0
    for job in jobs.jobs:
        sys.stdout.write(_line(job) + "\n")
    if jobs.next:
        sys.stdout.write(f"... and older ones: --limit {2 * limit}\n")
    return 0


def show(job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Print what there is about a job."""
    with _jobs(address, settings) as source:
        found = source.get(job)
    sys.stdout.write(_pretty(found) if as_json else _described(found))
    return 0


def change(verb: str, job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Stop, cancel, resume or delete a job, and print what it is then."""
    with _jobs(address, settings) as source:
        changed = source.change(verb, job)
    if changed is not None:
        sys.stdout.write(_pretty(changed) if as_json else _line(changed) + "\n")
    return 0


def logs(job: str, follow: bool, tail: int | None, address: Address, settings: Settings) -> int:
    """Print what a job's processes have written."""
    with _jobs(address, settings) as source:
        for line in source.logs(job, follow, tail):
            sys.stdout.write(line + "\n")
            sys.stdout.flush()
    return 0


def watch(job: str, as_json: bool, address: Address, settings: Settings) -> int:
    """Follow a job until it ends: 0 when it has succeeded, otherwise 1."""
    with _jobs(address, settings) as source:
        return _watch(source, job, as_json)


@contextmanager
def _jobs(address: Address, settings: Settings) -> Iterator[JobSource]:
    """Where they are; what goes wrong there becomes a ValueError of one line."""
    try:
        with closing(job_source(address, settings)) as source:
            yield source
    except (ServiceError, StoreUnavailable, Problem) as error:
        raise ValueError(str(error)) from None


def _watch(source: JobSource, job: str, as_json: bool) -> int:
    shown = _Events() if as_json else _Bar(source.get(job)) if _is_drawn_on() else _Lines()
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
    return 0 if ended.state == "succeeded" else 1


def _is_drawn_on() -> bool:
    """Whether errors go to a terminal whose width is known, which not all say."""
    return sys.stderr.isatty() and os.get_terminal_size(sys.stderr.fileno()).columns > 0


class _Events:
    """One event a line, as JSON."""

    def show(self, event: JobEvent) -> None:
        sys.stdout.write(event.model_dump_json() + "\n")
        sys.stdout.flush()

    def close(self) -> None:
        sys.stdout.flush()


class _Lines:
    """A line for each change of state and each validation."""

    def show(self, event: JobEvent) -> None:
        if text := _text(event):
            sys.stderr.write(text + "\n")

    def close(self) -> None:
        sys.stderr.flush()


class _Bar:
    """A bar over all steps of a job, with its changes of state above it. What is left the job says: whoever watches has
    not seen its beginning.
    """

    def __init__(self, job: Job) -> None:
        form = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
        self.bar: tqdm[Any] = tqdm(desc=job.name, total=job.steps, bar_format=form, dynamic_ncols=True)
        self.left = self.scores = ""

    def show(self, event: JobEvent) -> None:
        if event.kind == "progress":
            self.bar.total = event.data.get("steps") or self.bar.total
            self.bar.n = event.data.get("step") or self.bar.n  # not known where an attempt begins
            self.left = _left(event.data)
        if event.kind == "metrics":
            self.scores = _scores(event.data)
        if event.kind == "state":
            self.left = ""
            tqdm.write(_text(event), file=sys.stderr)
        self.bar.set_postfix_str(", ".join(filter(None, (self.left, self.scores))))

    def close(self) -> None:
        self.bar.close()


def _text(event: JobEvent) -> str:
    if event.kind == "state":
        return f"{event.data['state']}: {event.data['reason']}"
    return f"step {event.data['step']:.0f}: {_scores(event.data)}" if event.kind == "metrics" else ""


def _left(progress: dict[str, Any]) -> str:
    seconds = progress.get("eta_seconds")
    return f"{_duration(seconds)} left" if seconds else ""


def _scores(metrics: dict[str, Any]) -> str:
    names = {"train/loss": "loss {:.4f}", "val/loss": "validation loss {:.4f}", "val/accuracy": "{:.1%} right"}
    return ", ".join(text.format(metrics[name]) for name, text in names.items() if metrics.get(name) is not None)


def _line(job: Job) -> str:
    done = f"step {job.step}" + (f"/{job.steps}" if job.steps else "")
    left = f", {_duration(job.eta_seconds)} left" if job.eta_seconds and job.state not in ENDED else ""
    model = f", model {job.model.name} version {job.model.version}" if job.model else ""
    return f"{job.id}  {job.name}  {job.state}  {done}{left}{model}  {job.waiting or job.reason}"


def _described(job: Job) -> str:
    times = {"created": job.created, "started": job.started, "ended": job.finished}
    lines = [_line(job), ", ".join(f"{name} {time:%Y-%m-%d %H:%M:%S}" for name, time in times.items() if time)]
    if job.waiting and job.attempt:
        lines.append(f"{job.state}: {job.reason}")  # that of a crash, say
    if job.scores:
        lines.append(", ".join(f"{name} {value:.4f}" for name, value in job.scores.items()))
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _pretty(values: BaseModel) -> str:
    return values.model_dump_json(indent=2) + "\n"
