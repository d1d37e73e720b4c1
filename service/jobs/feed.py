"""The events of jobs as they come, to any number of watchers: each job that is watched is looked at by one poller."""

import asyncio
import functools
import logging
from collections import deque
from collections.abc import AsyncIterator

import anyio

from service.jobs.database import JobDatabase
from service.problems import Problem
from training.jobs.job import Event, Job
from training.jobs.states import ENDED, State

log = logging.getLogger(__name__)

PAGE = 500
"""Events that are read at a time."""
MEMORY = 1000
"""Events of a job that are kept for its watchers; who is further behind reads them from the database."""
TICK = 0.25
"""Seconds between two looks at a job."""
JOBS_PER_SECOND = 200
"""Looks at all jobs together; where more are watched, each is looked at less often."""


class Tail:
    """The newest events of one job, and what is known of its state."""

    def __init__(self, job: Job, last: int) -> None:
        self.job_id = job.id
        self.state: State | None = job.state
        """None where the job is gone."""
        self.reason = job.reason
        self.last = last
        """Id of the last event that was looked at; those before it may lie in the database alone."""
        self.ended = False
        """The job has ended, or is gone, and all its events were looked at."""
        self.watchers = 0
        self.poller: asyncio.Task[None] | None = None
        self._events: deque[Event] = deque(maxlen=MEMORY)
        self._changed = asyncio.Event()

    def since(self, position: int) -> list[Event] | None:
        """The events after this one, or None where some are no longer in memory."""
        if position >= self.last:
            return []
        count = self.last - position
        return list(self._events)[-count:] if count <= len(self._events) else None

    def add(self, job: Job, events: list[Event], is_all: bool) -> None:
        """What a look at the job found."""
        self.state, self.reason = job.state, job.reason
        for event in events:
            self._events.append(event)
            self.last = event.id
            if event.kind == "state":  # may be newer than the row, which was read first
                self.state, self.reason = event.data["state"], event.data["reason"]
        self.ended = is_all and self.state in ENDED
        if events or self.ended:
            self.notify()

    def give_up(self) -> None:
        """There is nothing more to be had: the job was deleted."""
        self.state, self.ended = None, True
        self.notify()

    def notify(self) -> None:
        """Wake everybody who waits."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self, seconds: float) -> bool:
        """Whether there was something new within these seconds."""
        changed = self._changed
        with anyio.move_on_after(seconds):
            await changed.wait()
        return changed.is_set()


class Feed:
    """The tails of all jobs that are watched."""

    def __init__(self, database: JobDatabase) -> None:
        self.database = database
        self.ending = False
        """Streams are to close, because the server is about to end."""
        self._tails: dict[str, Tail] = {}

    async def attach(self, job_id: str) -> Tail:
        """The job's tail for one more watcher; to be given back with `detach`.

        Raises:
            Problem: 404 where there is no such job, 503 where the database does not answer.
        """
        found = self._tails.get(job_id)
        if found is None or found.ended:
            job, last = await self.database.ask(lambda store: (store.get(job_id), store.last_event(job_id)))
            found = self._tails.get(job_id)  # another watcher may have come first
            if found is None or found.ended:
                found = self._tails[job_id] = Tail(job, last)
                found.poller = asyncio.create_task(self._poll(found))
                found.poller.add_done_callback(functools.partial(_let_go, found))
        found.watchers += 1
        return found

    def detach(self, tail: Tail) -> None:
        """One watcher less; the last one ends the poller."""
        tail.watchers -= 1
        if not tail.watchers:
            if tail.poller is not None:
                tail.poller.cancel()
            if self._tails.get(tail.job_id) is tail:
                del self._tails[tail.job_id]

    async def follow(self, tail: Tail, after: int, heartbeat: float) -> AsyncIterator[list[Event]]:
        """The events after this one, in lists, until the job has ended and all were given, or the server ends.

        Whenever there was none for `heartbeat` seconds, an empty list.
        """
        position = after
        while not self.ending:
            events = tail.since(position)
            if events is None:
                events = await self._page(tail, position)
            if events:
                position = events[-1].id
                yield events
            elif tail.ended and (tail.state is None or position >= tail.last):
                return
            elif not await tail.wait(heartbeat) and not self.ending:
                yield []

    def end(self) -> None:
        """Close all streams at once."""
        self.ending = True
        for tail in self._tails.values():
            tail.notify()

    async def _page(self, tail: Tail, position: int) -> list[Event]:
        """The next events from the database; none where it does not answer, or the job is gone."""
        try:
            return await self.database.ask(lambda store: store.events(tail.job_id, position, PAGE))
        except Problem as problem:
            if problem.status == 404:
                tail.give_up()
            else:
                await anyio.sleep(TICK)
            return []

    async def _poll(self, tail: Tail) -> None:
        while not tail.ended:
            try:
                # The row first: what it says has then happened in the events, too.
                job, events = await self.database.ask(
                    lambda store: (store.get(tail.job_id), store.events(tail.job_id, tail.last, PAGE))
                )
            except Problem as problem:
                if problem.status == 404:
                    tail.give_up()
                    return
            else:
                tail.add(job, events, is_all=len(events) < PAGE)
                if len(events) == PAGE:
                    continue
            await anyio.sleep(max(TICK, len(self._tails) / JOBS_PER_SECOND))


def _let_go(tail: Tail, poller: "asyncio.Task[None]") -> None:
    """Where the poller failed, streams close, and whoever comes back has another one."""
    if not poller.cancelled() and (error := poller.exception()) is not None:
        log.error("the events of job %s cannot be followed", tail.job_id, exc_info=error)
        tail.give_up()
