"""What comes of the jobs that a worker has, written down: signs of life, numbers, ends."""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from training.attempts import Fenced, owner
from training.jobs.charge import Charge
from training.jobs.job import Job, LeaseLost
from training.jobs.outcome import Outcome, wait_before
from training.jobs.states import Failure
from training.jobs.store import JobStore

log = logging.getLogger(__name__)

Register = Callable[[Job, Path], int]
"""Makes the model of a run folder one that is served, once however often it is called, and returns its version."""


class Ledger:
    """Writes into the store what a worker knows of its jobs.

    Every method may raise StoreUnavailable, and is then repeated; `write` also LeaseLost, where another worker has the job.

    Args:
        store: the jobs.
        beat: seconds between two signs of life.
        retries: after so many crashes without a new checkpoint, a job has failed at the next.
        first_wait: seconds before it is tried again after the first of them.
        register: see `Register`; None where nothing is served.
    """

    def __init__(
        self, store: JobStore, beat: float, retries: int, first_wait: float, register: Register | None
    ) -> None:
        self.store, self.beat = store, beat
        self.retries, self.first_wait, self.register = retries, first_wait, register

    def write(self, charge: Charge, now: float) -> bool:
        """Write down what has come of a job since the last time; whether it is no longer the worker's, since it has ended or
        is tried again."""
        if charge.is_lost:
            raise LeaseLost(f"a later attempt has the run folder {charge.run}")
        if charge.process is not None and not charge.is_recorded:
            charge.job = self.store.begun(charge.job, charge.process, charge.gpus)
            charge.is_recorded = True
        if charge.sharing is not None and isinstance(charge.sharing.error, Fenced):
            charge.is_lost = True
            raise LeaseLost(str(charge.sharing.error))
        if charge.job.state == "starting" and (reason := charge.waits()) not in (None, charge.job.reason):
            charge.job = self.store.wait(charge.job, reason)
        is_over = has_ended = charge.has_ended(now)
        if is_over and charge.sharing is not None:
            has_ended = charge.sharing.close(lambda: self._last(charge))
        charge.news.look(charge.began, charge.job.attempt, at_once=is_over)
        if charge.news.events:
            progress = charge.news.progress or {}
            numbers = {name: progress.get(name) for name in ("step", "steps", "eta_seconds")}
            charge.job = self.store.record(charge.job, charge.news.events, **numbers, state="running")
            charge.news.events.clear()
        if has_ended:
            self._settle(charge)
        elif now >= charge.beaten + self.beat:
            charge.job = self.store.beat(charge.job)
            charge.beaten = now
        return has_ended

    def fail(self, job: Job, reason: str, failure: Failure) -> None:
        """Write down that a job cannot even be started; nothing, where another worker has it."""
        with contextlib.suppress(LeaseLost):
            _log(self.store.finish(job, "failed", reason, failure=failure))

    def put_off(self, job: Job, reason: str, failure: Failure) -> None:
        """Write down that a job cannot be started now, as a crash that ends as this failure; nothing, where another worker
        has it."""
        with contextlib.suppress(LeaseLost):
            _log(self._try_again(job, Outcome(None, reason, failure, crashed=True), progressed=False))

    def _settle(self, charge: Charge) -> None:
        job = charge.job = self.store.beat(
            charge.job
        )  # nobody else has it, and what was asked of it meanwhile is known
        outcome = charge.outcome()
        if job.asked == "cancel":
            _log(self.store.finish(job, "cancelled", "cancelled"))
        elif outcome.state == "succeeded":
            _log(self._succeed(job, charge, outcome))
        elif outcome.state is not None:
            _log(self.store.finish(job, outcome.state, outcome.reason, failure=outcome.failure))
        elif job.asked == "stop" and outcome.crashed and not charge.has_checkpoint:
            reason = f"{outcome.reason}; asked to stop, and there is no checkpoint from which to keep weights"
            _log(self.store.finish(job, "failed", reason, failure=outcome.failure or "crash"))
        else:
            _log(self._try_again(job, outcome, charge.has_progressed))

    def _last(self, charge: Charge) -> tuple[bool, Callable[[], int | None]]:
        """Of a job whose process has ended: whether what it leaves must be published, and what registers its model."""
        outcome, job = charge.outcome(), charge.job
        is_wanted = job.asked != "cancel" and outcome.state in (None, "succeeded")
        if not is_wanted or outcome.state is None:
            return is_wanted, lambda: None
        return True, lambda: self._registered(job, charge.run)

    def _registered(self, job: Job, run: Path) -> int | None:
        return None if self.register is None or job.measures else self.register(job, run)

    def _succeed(self, job: Job, charge: Charge, outcome: Outcome) -> Job:
        run = charge.run
        found = owner(run)
        if found is not None and found.attempt > job.attempt:  # this worker stood still since it looked
            raise LeaseLost(f"attempt {found.attempt} has the run folder {run}")
        try:
            version = self._registered(job, run) if charge.sharing is None else charge.sharing.version()
        except OSError as error:
            return self.store.finish(job, "failed", f"the model could not be registered: {error}", failure="resources")
        except ValueError as error:
            return self.store.finish(job, "failed", f"the model could not be registered: {error}", failure="crash")
        reason = "measured to its end" if job.measures else outcome.reason
        return self.store.finish(
            job, "succeeded", reason, stopped=outcome.stopped, scores=outcome.scores, model_version=version
        )

    def _try_again(self, job: Job, outcome: Outcome, progressed: bool) -> Job:
        before = 0 if progressed else job.crashes
        if outcome.crashed and before >= self.retries:
            reason = f"{outcome.reason} (crash {before + 1} without a new checkpoint in between)"
            return self.store.finish(job, "failed", reason, failure=outcome.failure or "crash", crashes=before + 1)
        wait = wait_before(before, self.first_wait) if outcome.crashed else 0.0
        return self.store.interrupt(job, outcome.reason, wait=wait, crashed=outcome.crashed, progressed=progressed)


def _log(job: Job) -> None:
    log.info("job %s, attempt %d: %s (%s)", job.id, job.attempt, job.state, job.reason)
