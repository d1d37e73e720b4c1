"""Which model and version a request means, and what is said where there is none."""

from collections.abc import Container

from service.models.catalogue import Catalogue, Entry, Key
from service.problems import Problem
from stn.model_info import Task

_MOST_NAMED = 20
"""Names or versions that a message lists."""


def servable_versions(catalogue: Catalogue, name: str, held: Container[Key] = ()) -> list[int]:
    """The versions that can answer, oldest first: those not refused, or held in memory from before they were damaged."""
    versions = catalogue.models.get(name, {}).values()
    return sorted(entry.version for entry in versions if entry.reason is None or entry.key in held)


def default_version(catalogue: Catalogue, name: str, held: Container[Key] = ()) -> int | None:
    """The version that answers when none is asked for: the pinned one, or the newest where that is none or cannot."""
    versions = servable_versions(catalogue, name, held)
    pin = catalogue.pins.get(name)
    return pin if pin in versions else max(versions, default=None)


def task_of(entry: Entry | None) -> Task:
    """What the network of this file does, as far as it is known."""
    return "classify" if entry is None or entry.info is None else entry.info.task


def default_name(
    catalogue: Catalogue, configured: str | None, held: Container[Key] = (), task: Task = "classify"
) -> str | None:
    """The configured default model, or of those that do this the one registered first, so that a new model changes nobody's
    answers."""
    versions = {name: default_version(catalogue, name, held) for name in catalogue.models}
    names = [
        name
        for name, version in versions.items()
        if version is not None and task_of(catalogue.find(name, version)) == task
    ]
    return configured or min(names, key=lambda name: (catalogue.registered[name], name), default=None)


def unknown_problem(catalogue: Catalogue, name: str | None, version: int | None) -> Problem:
    """404, with what there is."""
    if name is None or not catalogue.models:
        return Problem(404, "there is no model yet: start the service with `stn up`, train one or upload one")
    if name not in catalogue.models:
        return Problem(404, f"model must be one of {_listed(sorted(catalogue.models))}, got {name[:64]!r}")
    known = _listed(sorted(map(str, catalogue.models[name]), key=int))
    return Problem(404, f"version must be one of model {name}'s ({known}), got {version}")


def refused_problem(entry: Entry) -> Problem:
    """409, with the reason why its file is not served; 503 where that may pass."""
    detail = f"version {entry.version} of model {entry.name} is not served: {entry.reason}"
    return Problem(409, detail) if entry.retry_at is None else Problem(503, detail, {"Retry-After": "5"})


def _listed(words: list[str]) -> str:
    more = len(words) - _MOST_NAMED
    return (", ".join(words[:_MOST_NAMED]) or "none") + (f" and {more} more" if more > 0 else "")
