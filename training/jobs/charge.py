"""A job that a worker has, and the process that trains it: what can be done for them without the database."""

import contextlib
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from training.attempts import Ask, Watched, ask, ask_nothing, own, owner
from training.jobs.devices import Device, give_back
from training.jobs.executor import Executor
from training.jobs.job import Job
from training.jobs.news import News
from training.jobs.outcome import GONE, MOVED, UNBEGUN, Code, Outcome, closing, judge, last_words, word
from training.jobs.sharing import Sharing
from training.jobs.silence import Silence
from training.storage.runs import seen_checkpoint

MOMENT = 1.0
"""Seconds that everybody has to hear of a signal that ends all."""

PATIENCE = 5.0
"""Seconds that a process may take to pause by itself before it is interrupted."""


class Charge:
    """Whatever is done here is done only as long as the run folder says that this attempt has it."""

    def __init__(self, job: Job, run: Path, executor: Executor, grace: float, stall: float) -> None:
        self.job = job
        """As it was when it was last read."""
        self.run = run
        self.executor = executor
        self.stall = stall
        """Seconds without a sign of life after which it counts as one that hangs."""
        self.grace = grace
        """Seconds from the first word to the kill."""
        self.hangs: str | None = None
        """Why it counts as one that does not get on, once it does."""
        self.process: str | None = None
        self.gpus: list[str] = []
        self.began = job.attempt
        """The number with which the process was started."""
        self.checkpoint: str | None = None
        """By what the one is known that the process began with."""
        self.code: Code | None = None
        """How the process ended."""
        self.ended = 0.0
        """When, or when it was last seen."""
        self.is_recorded = False
        """Its row has the process."""
        self.is_paused = False
        self.is_lost = False
        """Another attempt has it."""
        self.trouble = ""
        """What hinders its being written down."""
        self.sharing: Sharing | None = None
        """With the storage, where there is one that machines share."""
        self.devices: Sequence[Device] = ()
        """That it will have once what it needs is here."""
        self.news = News(run)
        self.beaten = time.monotonic()
        self._control = Watched(run / "control.json")
        self._silence = Silence(run / "progress.json", executor.logs(run), stall)
        self._since: float | None = None
        self._is_interrupted = False

    def start(self, devices: Sequence[Device]) -> None:
        """Start the process.

        Raises:
            OSError: that is not possible.
            Fenced: a later attempt has the run folder.
        """
        ask_nothing(self.run)
        self.checkpoint = known(self.run)
        self._silence = Silence(self.run / "progress.json", self.executor.logs(self.run), self.stall)
        own(self.run, self.job.attempt, checkpoint=self.checkpoint)
        self.process = self.executor.submit(self.run, self.job.attempt, devices)

    def adopt(self, process: str | None, moved: bool) -> None:
        """Take a process over that was started as an earlier attempt, or, where there is none, see to it that there will be
        none: one that comes late finds that it was superseded.

        Args:
            process: if there is one.
            moved: whoever had the job was in another place.

        Raises:
            Fenced: a later attempt has the run folder.
        """
        before = owner(self.run)
        if before is not None:
            self.began, self.checkpoint = before.began, before.checkpoint
        own(self.run, self.job.attempt, None if process is None else self.began, self.checkpoint)
        self.process, self.gpus = process, self.job.gpus
        if process is None:
            self.code = MOVED if moved else GONE if self.job.process is not None else UNBEGUN

    def watch(self, now: float) -> None:
        """See whether the process has ended, and ask it for what is wanted of it."""
        if self.process is None or self.code is not None or self.is_lost:
            return
        self.code = self.executor.poll(self.process)
        self.ended = now
        if self.code is None:
            self._urge(now)

    def has_ended(self, now: float) -> bool:
        """Whether the process has ended, and it is clear why: a signal may be on its way to this worker, too."""
        if self.code in (130, -signal.SIGINT, -signal.SIGTERM) and not (self.is_paused or self._is_interrupted):
            return now >= self.ended + MOMENT
        return self.code is not None

    def waits(self) -> str | None:
        """For what it waits, once it has been handed over to be started."""
        return None if self.process is None or self.code is not None else self.executor.waits(self.process)

    def pause(self) -> None:
        """Let it go on later."""
        self.is_paused = True

    def let_go(self) -> None:
        """Another worker has the job. The process is that one's, too, unless nobody can have adopted it."""
        if self.sharing is not None:
            self.sharing.drop()
        give_back(self.devices)
        if self.process is None or self.code is not None:
            return
        found = owner(self.run)
        if self.sharing is not None and self.sharing.is_far:  # found from everywhere
            self.executor.forget(self.process)
        elif found is None or found.attempt <= self.job.attempt:
            self.executor.stop(self.process, "kill")

    @property
    def has_progressed(self) -> bool:
        """There is another checkpoint than the one that the process began with."""
        return known(self.run) not in (None, self.checkpoint)

    def outcome(self) -> Outcome:
        """What becomes of the job, once its process has ended."""
        found = self._judged()
        hung = self.hangs is not None and found.state is None
        return found._replace(reason=f"{self.hangs} and was ended", crashed=True) if hung else found

    def _judged(self) -> Outcome:
        assert self.code is not None
        record = closing(self.run, self.began, self.job.attempt)
        left = None if isinstance(self.code, int) or record else word(self.run, self.began, self.job.attempt)
        if left is not None:
            return judge(left.code, None, self.is_paused, left.reason)
        return judge(self.code, record, self.is_paused, last_words(self.executor.logs(self.run)))

    @property
    def has_checkpoint(self) -> bool:
        return known(self.run) is not None

    def _urge(self, now: float) -> None:
        """First a word, then an interrupt, then the end; a stop takes as long as its test does, if it gets on."""
        assert self.process is not None
        cancels = self.job.asked == "cancel"
        if self.is_paused and not cancels:
            self._ask("pause")
        elif self.job.asked == "stop":
            self._ask("stop")
        is_seen = self.sharing is None or not self.sharing.is_blind
        if self.hangs is None and is_seen and self._silence.is_due(now):
            self.hangs = self._silence.look(now, self.executor.used(self.process), self.began)
        if not (self.is_paused or cancels or self.hangs) or self._is_superseded():
            return
        if self._since is None:
            self._since = now
        listens = not (cancels or self.hangs) and self.news.progress is not None  # and not still imports
        if not self._is_interrupted and now >= self._since + listens * min(PATIENCE, self.grace / 2):
            self.executor.stop(self.process, "interrupt")
            self._is_interrupted = True
        if now >= self._since + self.grace:
            self.executor.stop(self.process, "kill")

    def _ask(self, what: Ask) -> None:
        wanted = {"ask": what, "attempt": self.job.attempt}
        if self._control.read() != wanted and not self._is_superseded():
            with contextlib.suppress(OSError):  # a full disk; it is tried again
                ask(self.run, what, self.job.attempt)

    def _is_superseded(self) -> bool:
        found = owner(self.run)
        self.is_lost = found is not None and found.attempt > self.job.attempt
        return self.is_lost


def known(run: Path) -> str | None:
    """By what the checkpoint to go on from is known: another one in its place has another inode or time or, where it lies on
    the storage, key. None where there is none."""
    try:
        status = (run / "checkpoints" / "last.ckpt").stat()
    except FileNotFoundError:
        return seen_checkpoint(run)
    return f"{status.st_ino}-{status.st_mtime_ns}"
