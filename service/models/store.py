"""The models of the home folder: those in memory, ready to predict, and those that are loaded when they are asked for."""

import asyncio
import dataclasses
import logging
import time
from typing import Literal

from service.disk_problems import explained
from service.models.catalogue import Catalogue, Entry, Key
from service.models.choice import refused_problem, unknown_problem
from service.models.memory import Memory
from service.models.own_thread import in_own_thread
from service.models.scan import RETRY, STILL, reason_of
from service.models.served import Held, Served
from service.models.shelf import SILENT, open_shelf
from service.problems import Problem
from service.settings import Settings
from stn import ModelFileError
from training.storage.places import StorageUnavailable

__all__ = ["Held", "ModelStore", "Served"]

log = logging.getLogger(__name__)

State = Literal["loaded", "loading", "on disk", "refused"]

_LOADS_AT_A_TIME = 2
_PATIENCE = 5.0
"""Seconds that a request waits for a file that is there and may still be written."""


class ModelStore:
    """All versions of all models of a folder, some of them in memory; to be used on the event loop's thread alone."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.shelf = open_shelf(settings)
        self.catalogue = Catalogue()
        self.memory = Memory(settings.max_models, settings.default_model)
        self.changing = asyncio.Lock()
        """Held by whoever reads or changes the folder."""
        self.preparing = asyncio.Semaphore(1)
        """Held while a file is checked that is to become a version."""
        self.ready = False
        """Whether the models of the start are loaded."""
        self._started = asyncio.Event()
        self._stop = asyncio.Event()
        self._changed = asyncio.Event()
        self._loads: dict[Key, asyncio.Task[Held | Problem]] = {}
        self._loading = asyncio.Semaphore(_LOADS_AT_A_TIME)
        self._tasks: list[asyncio.Task[None]] = []
        self._scanned: float | None = None
        self._trouble = ""

    @property
    def waiting(self) -> int:
        """Images that are taken and not answered yet."""
        return sum(served.predictor.unanswered for served in self.memory.held.values())

    @property
    def loaded(self) -> int:
        """Versions in memory."""
        return len(self.memory.held)

    def start(self) -> None:
        """Begin to load, then to follow the folder."""
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._keep_loaded())]

    async def open(self) -> None:
        """Read the folder and load nothing before it is asked for; instead of `start`, where there is no service."""
        await self.refresh()
        self.ready = True

    async def wait_until_ready(self) -> None:
        """Return when the models of the start are loaded."""
        await self._started.wait()

    async def close(self) -> None:
        """Answer what waits, then end every predictor."""
        self._stop.set()
        for task in [*self._tasks[1:], *self._loads.values()]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._loads.values(), return_exceptions=True)
        held = list(self.memory.held.values())
        self.ready, self.memory = False, Memory(self.settings.max_models, self.settings.default_model)
        self.memory.follow(self.catalogue)
        for served in held:
            await in_own_thread(served.predictor.close)

    def find(self, name: str | None = None, version: int | None = None) -> Held | None:
        """This version of this model where it is in memory; the default model and its default version where none is named.

        Raises:
            Problem: 503 while the models of the start are being loaded.
        """
        self.check_ready()
        return self.memory.find(name, version)

    async def get(self, name: str | None = None, version: int | None = None) -> Held:
        """The same, loaded where it is not in memory yet.

        Raises:
            Problem: 404 where there is none of that name or version, 409 where its file is refused, 503.
        """
        while True:
            served = self.find(name or None, version)
            if served is not None:
                return served
            entry = await self.locate(name or None, version)
            if entry.reason is not None:
                raise refused_problem(entry)
            answer = await self.load(entry.key)
            if isinstance(answer, Held):
                return answer
            if version is not None:
                raise answer
            # Of the versions that may answer when none is named, the next one is tried.

    def check_ready(self) -> None:
        """A Problem, 503, while the models of the start are being loaded."""
        if not self.ready:
            raise Problem(503, "the models are still being loaded", {"Retry-After": "1"})

    async def locate(self, name: str | None, version: int | None) -> Entry:
        """The file that a request means; the folder is read again before there is said to be none.

        Raises:
            Problem: 404 where there is none.
        """
        start = time.monotonic()
        while True:
            asked = time.monotonic()
            entry = self._choose(name, version)
            if entry is not None:
                return entry
            if asked > start + _PATIENCE or not await asyncio.to_thread(self._is_there, name, version):
                raise unknown_problem(self.catalogue, name or self.memory.default_name(), version)
            await self.refresh(asked)

    def state(self, entry: Entry) -> State:
        """What has become of this version; of one that is in memory, the file may have been refused since."""
        if entry.key in self.memory.held:
            return "loaded"
        if entry.reason is not None:
            return "refused"
        return "loading" if entry.key in self._loads else "on disk"

    async def refresh(self, since: float | None = None) -> None:
        """Read the folder again, unless that was done since this time; where it cannot be read, all stays as it is."""
        async with self.changing:
            if self._scanned is not None:
                if since is not None and self._scanned >= since:
                    return
                await asyncio.sleep(self._scanned + STILL / 4 - time.monotonic())
            known = None if self._scanned is None else self.catalogue
            self._scanned = time.monotonic()
            try:
                found = await in_own_thread(self.shelf.scan, known)
            except OSError as error:
                self._say(str(error))
                return
            self._say("")
            found = _with_refusals(found, known, self.catalogue)
            if not self.ready or found != self.catalogue:
                self.apply(found)

    def apply(self, catalogue: Catalogue) -> None:
        """Make this what the folder holds; what is new in it and is to answer is loaded in the background."""
        before, self.catalogue = self.catalogue.refused(), catalogue
        for file, reason in catalogue.refused().items():
            if before.get(file) != reason:
                log.warning("model file %s is refused: %s", file, reason)
        self.memory.follow(catalogue)
        self._changed.set()

    async def load(self, key: Key) -> Held | Problem:
        """This version, read from its file, or the problem with it; who asks at the same time waits for the same load."""
        task = self._loads.get(key)
        if task is None:
            task = self._loads[key] = asyncio.create_task(self._load(key))
            task.add_done_callback(lambda _: self._loads.pop(key))
        return await asyncio.shield(task)

    async def _load(self, key: Key) -> Held | Problem:
        async with self._loading:
            entry = self.catalogue.find(*key)
            if entry is None:
                return unknown_problem(self.catalogue, *key)
            try:
                served = await in_own_thread(self.shelf.read, entry, self.settings, self.ready)
            except Exception as error:  # noqa: BLE001 - whatever it is, the others must go on
                refused = _refuse(entry, error)
                if self.catalogue.find(*key) is entry:
                    self.apply(self.catalogue.with_entry(refused))
                return refused_problem(refused)
        log.info("serving model %s, version %d", *key)
        if self.catalogue.find(*key) is not None:  # otherwise it has gone meanwhile, and answers only who waits
            self.memory.admit(served)
        return served

    def _choose(self, name: str | None, version: int | None) -> Entry | None:
        name = name or self.memory.default_name()
        if name is None:
            return None
        answering = version or self.memory.answering.get(name)
        if answering is not None:
            return self.catalogue.find(name, answering)
        return max(self.catalogue.models.get(name, {}).values(), key=lambda entry: entry.version, default=None)

    def _is_there(self, name: str | None, version: int | None) -> bool:
        """Whether the folder has what the catalogue does not know yet."""
        with explained("models"):
            versions = self.shelf.versions(name)
        return bool(versions) if version is None else version in versions

    def _say(self, trouble: str) -> None:
        """Say when that changes."""
        if trouble and trouble != self._trouble:
            log.warning("the models folder cannot be read: %s", trouble)
        if self._trouble and not trouble:
            log.info("the models folder can be read again")
        self._trouble = trouble

    async def _follow(self) -> None:
        await in_own_thread(self.shelf.remove_abandoned)
        async for _ in self.shelf.changes(self._stop):
            try:
                await self.refresh()
                while self.catalogue.moving and not self._stop.is_set():
                    await asyncio.sleep(STILL / 2)
                    await self.refresh()
            except Exception:  # whatever one look at the folder stumbles over, the next one may not
                log.exception("the models folder could not be followed")

    async def _keep_loaded(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            while (key := self.memory.next_load()) is not None:
                await self.load(key)
            if not self.ready:
                self.memory.find(None, None)  # as if it had been used: the default model is the last to make room
                self.ready = True
                self._started.set()
                log.info("ready: %d model versions are in memory", len(self.memory.held))


def _refuse(entry: Entry, error: Exception) -> Entry:
    """The entry with the reason why it could not be loaded; unless it is the file's fault, that may pass."""
    if isinstance(error, ModelFileError):
        return dataclasses.replace(entry, reason=reason_of(error, entry.path))
    if isinstance(error, StorageUnavailable):
        return dataclasses.replace(entry, reason=SILENT, retry_at=time.monotonic())
    if isinstance(error, OSError):
        reason = reason_of(error, entry.path)
    else:
        log.error("model %s, version %d, could not be loaded", *entry.key, exc_info=error)
        reason = "it could not be loaded; the log of the service has the reason"
    return dataclasses.replace(entry, reason=reason, retry_at=time.monotonic() + RETRY)


def _with_refusals(found: Catalogue, known: Catalogue | None, now: Catalogue) -> Catalogue:
    """What was found, with what has been learnt of the same files while the folder was read."""
    for entry in found.entries():
        learnt = now.find(*entry.key)
        if known and learnt is not None and known.find(*entry.key) is entry and learnt is not entry:
            found = found.with_entry(learnt)
    return found
