"""The jobs of the home folder, for `stn jobs` without a service."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from service.jobs.console import NAME, start_of_tail
from service.jobs.shown import shown_event, shown_job
from service.jobs.wanted import resolved
from service.settings import Settings
from training.jobs.states import ENDED
from training.jobs.store import JobStore

_TICK = 0.3
"""Seconds between two looks at the database."""


class LocalJobs:
    """Jobs as `/v1/jobs` shows them; `stn worker` or `stn up` runs them."""

    def __init__(self, settings: Settings) -> None:
        settings.home.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._store = JobStore(settings.job_database)

    def create(
        self, config: dict[str, Any], dataset: str | None, folders: Sequence[str], idempotency_key: str | None
    ) -> dict[str, Any]:
        data = config["data"]
        given = {name: os.path.abspath(data.pop(name)) for name in ("root", "cache") if data.get(name) is not None}
        if dataset is None and folders:  # of this machine, which only somebody on it may name
            data |= {name: given[name] for name in ("root", *folders) if name in given}
            return self._shown(self._store.create(config, key=idempotency_key)[0].id)
        data.pop("root", None), data.pop("cache", None)
        with resolved(_named(config, dataset), self._settings) as wanted:
            job, _ = self._store.create(wanted.config, key=idempotency_key, dataset=wanted.dataset)
        return self._shown(job.id)

    def list(self, states: Sequence[str], limit: int) -> dict[str, Any]:
        jobs = self._store.list(limit=limit + 1, states=states)  # type: ignore[arg-type]
        shown = [shown_job(job, self._settings.runs, "").model_dump(mode="json") for job in jobs[:limit]]
        return {"jobs": shown, "next": shown[-1]["id"] if len(jobs) > limit else None}

    def get(self, job: str) -> dict[str, Any]:
        return self._shown(job)

    def change(self, verb: str, job: str) -> dict[str, Any] | None:
        if verb == "delete":
            delete_job(self._store, self._settings.runs, job)
            return None
        {"stop": self._store.stop, "cancel": self._store.cancel, "resume": self._store.resume}[verb](job)
        return self._shown(job)

    def events(self, job: str) -> Iterator[dict[str, Any]]:
        after = 0
        while True:
            has_ended = self._store.get(job).state in ENDED  # before the last look: there is nothing afterwards
            while found := self._store.events(job, after):
                for event in found:
                    yield shown_event(event).model_dump(mode="json")
                after = found[-1].id
            if has_ended:
                return
            time.sleep(_TICK)

    def logs(self, job: str, follow: bool, tail: int | None) -> Iterator[bytes]:
        path = self._settings.runs / self._store.get(job).id / NAME
        place = 0 if tail is None else start_of_tail(path, tail)
        while True:
            has_ended = not follow or self._store.get(job).state in ENDED
            while chunk := _read(path, place):
                yield chunk
                place += len(chunk)
            if has_ended:
                return
            time.sleep(_TICK)

    def close(self) -> None:
        self._store.close()

    def _shown(self, job: str) -> dict[str, Any]:
        return shown_job(self._store.get(job), self._settings.runs, "").model_dump(mode="json")


def _named(config: dict[str, Any], dataset: str | None) -> dict[str, Any]:
    return config if dataset is None else {**config, "data": {**config["data"], "name": dataset}}


def _read(path: Path, place: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(2**16)
    except FileNotFoundError:  # not started yet
        return b""
