"""What a request may change in the models folder: add a version, choose the default, delete."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from service.disk_problems import explained
from service.models.catalogue import Catalogue, Entry, Key
from service.models.choice import default_version, servable_versions
from service.models.own_thread import in_own_thread
from service.models.scan import read_entry, read_stamp, reason_of
from service.models.served import Held, read_served
from service.models.store import ModelStore
from service.problems import Problem
from stn import ModelFileError

WATCHED_SECONDS = 0.1
"""For so long nobody may ask a version that is to be deleted: between two turns even a busy one has nothing to answer."""


async def add_model(store: ModelStore, name: str, source: Path) -> tuple[Entry, bool]:
    """The version that this file becomes, and whether it is new: not where a version has the same bytes.

    The network is loaded and checked completely before the file gets its place; a version that is to answer does so, from
    memory, when this returns.

    Args:
        store: where it goes.
        name: of the model.
        source: a file in the models folder that nobody else writes to.

    Raises:
        Problem: 422 where it is not a model file that can be served.
    """
    store.check_ready()
    with explained("models"):
        known = await in_own_thread(store.shelf.find, name, source)
    if known is not None:
        return await _known_version(store, name, known), False
    async with store.preparing:
        served = await _prepare(store, name, source)
    async with store.changing:
        with explained("models"):
            added = await in_own_thread(store.shelf.add, name, source)
        if added.is_new:
            entry = Entry(name, added.version, added.path, added.stamp, served.info)
            store.apply(store.catalogue.with_entry(entry))
            served.version, served.stamp, served.kept = added.version, added.stamp, added.kept
            if store.memory.wants(served.key):
                store.memory.admit(served)
            return entry, True
    return await _known_version(store, name, added.version), False


async def choose_default(store: ModelStore, name: str, version: int | None) -> None:
    """Let this version answer when none is named, from now on; the newest one where it is None.

    Raises:
        Problem: 404 where there is none, 409 where its file is refused.
    """
    store.check_ready()
    await store.locate(name, version)
    if version is not None:
        await store.get(name, version)
    await _warm(store, name, lambda catalogue: catalogue.with_pin(name, version))
    async with store.changing:
        if name not in store.catalogue.models or (version and not store.catalogue.find(name, version)):
            raise Problem(409, f"model {name} was changed at the same time: try again")
        with explained("models"):
            await in_own_thread(store.shelf.choose, name, version)
        store.apply(store.catalogue.with_pin(name, version))


async def delete_version(store: ModelStore, name: str, version: int) -> None:
    """Delete this version; where it is the one that answers, after the next one is in memory.

    Raises:
        Problem: 404 where there is none, 409 where it is in use.
    """
    store.check_ready()
    await store.locate(name, version)
    _check_unused(store, name, version)
    await _watch_idle(store, [(name, version)])
    await _warm(store, name, lambda catalogue: catalogue.without(name, version))
    async with store.changing:
        _check_unused(store, name, version)
        with explained("models"):
            await in_own_thread(store.shelf.remove_version, name, version)
        store.apply(store.catalogue.without(name, version))


async def delete_model(store: ModelStore, name: str) -> None:
    """Delete all versions of this model and what else belongs to it.

    Raises:
        Problem: 404 where there is none, 409 where it is in use.
    """
    store.check_ready()
    await store.locate(name, None)
    if name == store.settings.default_model:
        raise Problem(409, f"{name} is the default model of the service (STN_DEFAULT_MODEL)")
    await _watch_idle(store, [(name, version) for version in store.catalogue.models.get(name, {})])
    async with store.changing:
        versions = sorted(store.catalogue.models.get(name, {}))
        for version in versions:
            _check_idle(store, (name, version))
        last = store.memory.answering.get(name)
        with explained("models"):
            await in_own_thread(store.shelf.remove_model, name, sorted(versions, key=lambda version: version == last))
        catalogue = store.catalogue.with_pin(name, None)
        for version in versions:
            catalogue = catalogue.without(name, version)
        store.apply(catalogue)


async def _known_version(store: ModelStore, name: str, version: int) -> Entry:
    entry = await store.locate(name, version)
    if entry.reason is not None:
        raise Problem(422, f"the model file is refused: {entry.reason}")
    return entry


async def _prepare(store: ModelStore, name: str, source: Path) -> Held:
    try:
        entry = await in_own_thread(read_entry, source, name, 0, read_stamp(source))
        if entry.reason is not None:
            raise ModelFileError(entry.reason)
        return await in_own_thread(read_served, source, name, 0, store.settings, True)
    except ModelFileError as error:
        raise Problem(422, f"the model file is refused: {reason_of(error, source)}") from None


async def _warm(store: ModelStore, name: str, change: Callable[[Catalogue], Catalogue]) -> None:
    """Load what will answer for this model after the change, if what answers now is in memory."""
    while (name, store.memory.answering.get(name)) in store.memory.held:
        version = default_version(change(store.catalogue), name, store.memory.held)
        if version is None or (name, version) in store.memory.held:
            return
        await store.load((name, version))  # where that fails, the version is refused, and the next one is to answer


def _check_unused(store: ModelStore, name: str, version: int) -> None:
    if store.catalogue.pins.get(name) == version:
        raise Problem(
            409, f"version {version} is the default that was chosen for model {name}: choose another one first"
        )
    is_last = servable_versions(store.catalogue, name, store.memory.held) == [version]
    if name == store.settings.default_model and is_last:
        raise Problem(409, f"version {version} is the last one of the default model, {name} (STN_DEFAULT_MODEL)")
    _check_idle(store, (name, version))


async def _watch_idle(store: ModelStore, keys: Sequence[Key]) -> None:
    """A Problem 409 where one of these is predicting, or is asked to while one looks."""
    held = {key: store.memory.held[key].predictor for key in keys if key in store.memory.held}
    for key in held:
        _check_idle(store, key)
    before = {key: predictor.taken for key, predictor in held.items()}
    await asyncio.sleep(WATCHED_SECONDS if held else 0)
    for key, predictor in held.items():
        if predictor.taken != before[key]:
            raise _in_use(key, predictor.taken - before[key])


def _check_idle(store: ModelStore, key: Key) -> None:
    served = store.memory.held.get(key)
    if served is not None and served.predictor.unanswered:
        raise _in_use(key, served.predictor.unanswered)


def _in_use(key: Key, images: int) -> Problem:
    detail = f"version {key[1]} of model {key[0]} is predicting for {images} images: try again"
    return Problem(409, detail, {"Retry-After": "1"})
