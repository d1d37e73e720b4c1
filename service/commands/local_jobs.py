"""The jobs of the home folder, for `stn jobs` without a service."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from service.commands.job_arguments import Launch
from service.jobs.console import NAME, start_of_tail
from service.jobs.deleting import delete
from service.jobs.resuming import resume
from service.jobs.schemas import Job, JobEvent, Jobs
from service.jobs.shown import shown_event, shown_job, shown_jobs
from service.jobs.views import view
from service.jobs.wanted import resolved
from service.settings import Settings
from stn.config import to_dict
from training.jobs.folders import remove_run
from training.jobs.job import Job as Row
from training.jobs.job import JobNotFound
from training.jobs.states import ENDED, State
from training.jobs.store import JobStore

_TICK = 0.3
"""Seconds between two looks at the database."""
_CHUNK = 2**16


class LocalJobs:
    """Jobs as a service would show them; `stn worker`, or the one of `stn up`, runs them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._store = JobStore(settings.job_database)

    def create(self, launch: Launch) -> Job:
        values = to_dict(launch.config)
        posted = [to_dict(launch.config), launch.dataset]
        made = None if launch.idempotency_key is None else self._store.known(None, launch.idempotency_key, posted)
        if made is not None:  # also where its data set is gone
            return self._shown(made)
        folders = {name: os.path.abspath(values["data"].pop(name) or ".") for name in ("root", "cache")}
        if launch.folders and launch.dataset is None:  # of this machine, which whoever is at it may name
            values["data"] |= {name: folders[name] for name in launch.folders}
            return self._shown(self._store.create(values, key=launch.idempotency_key, posted=posted)[0])
        if launch.dataset is not None:
            values["data"]["name"] = launch.dataset
        with resolved(values, self._settings) as wanted:
            job, _ = self._store.create(
                wanted.config, key=launch.idempotency_key, dataset=wanted.dataset, posted=posted
            )
        return self._shown(job)

    def list(self, states: Sequence[State], limit: int) -> Jobs:
        found = self._store.list(limit=limit + 1, states=states)
        shown = shown_jobs(self._store, found[:limit], self._settings.runs, "")
        return Jobs(jobs=shown, next=shown[-1].id if len(found) > limit else None)

    def get(self, job: str) -> Job:
        return self._shown(self._row(job))

    def change(self, verb: str, job: str) -> Job | None:
        self._row(job)
        if verb == "delete":
            delete(self._store, job, self._settings)
            remove_run(self._settings.runs, job)
            return None
        if verb == "resume":
            return self._shown(resume(self._store, job, self._settings))
        return self._shown({"stop": self._store.stop, "cancel": self._store.cancel}[verb](job))

    def events(self, job: str) -> Iterator[JobEvent]:
        after = 0
        while True:
            has_ended = self._row(job).state in ENDED  # before the last look: nothing comes afterwards
            while found := self._store.events(job, after):
                yield from map(shown_event, found)
                after = found[-1].id
            if has_ended:
                return
            time.sleep(_TICK)

    def logs(self, job: str, follow: bool, tail: int | None) -> Iterator[str]:
        path = view(self._settings, self._row(job)) / NAME
        place = 0 if tail is None else start_of_tail(path, tail)
        rest = b""
        while True:
            row = self._row(job)
            has_ended = not follow or row.state in ENDED
            view(self._settings, row)
            while chunk := _read(path, place):
                place += len(chunk)
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line.decode(errors="replace") for line in lines)
            if has_ended:
                yield from [rest.decode(errors="replace")] if rest else []
                return
            time.sleep(_TICK)

    def close(self) -> None:
        self._store.close()

    def _row(self, job: str) -> Row:
        try:
            return self._store.get(job)
        except JobNotFound:
            raise ValueError(f"JOB must be the id of a job of {self._settings.home}, got {job!r}") from None

    def _shown(self, job: Row) -> Job:
        return shown_job(self._store, job, self._settings.runs, "")


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(_CHUNK)
    except FileNotFoundError:  # not started yet
        return b""
