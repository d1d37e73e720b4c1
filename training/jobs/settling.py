"""The end of a training process, written down: its job has ended, or is tried again."""

import logging
from collections.abc import Callable
from pathlib import Path

from training.jobs.charge import Charge
from training.jobs.job import Job
from training.jobs.outcome import Outcome, wait_before
from training.jobs.states import Failure
from training.jobs.store import JobStore

log = logging.getLogger(__name__)

Register = Callable[[Job, Path], int]
"""Makes the model of a run folder one that is served, once however often it is called, and returns its version."""


class Settling:
    """Writes ends down.

    Args:
        store: the jobs.
        retries: after so many crashes without a new checkpoint, a job has failed at the next.
        first_wait: seconds before it is tried again after the first of them.
        register: see `Register`; None where nothing is served.
    """

    def __init__(self, store: JobStore, retries: int, first_wait: float, register: Register | None) -> None:
        self.store, self.retries, self.first_wait, self.register = store, retries, first_wait, register

    def settle(self, charge: Charge) -> None:
        """Write down what became of a job whose process has ended; harmless to repeat.

        Raises:
            StoreUnavailable: nothing, or all of it, is written.
            LeaseLost: another worker has the job.
        """
        job = charge.job = self.store.beat(
            charge.job
        )  # nobody else has it, and what was asked of it meanwhile is known
        outcome = charge.outcome()
        if job.asked == "cancel":
            job = self.store.finish(job, "cancelled", "cancelled")
        elif outcome.state == "succeeded":
            job = self._succeed(job, charge.run, outcome)
        elif outcome.state is not None:
            job = self.store.finish(job, outcome.state, outcome.reason, failure=outcome.failure)
        else:
            job = self._try_again(job, outcome, charge.has_progressed)
        log.info("job %s, attempt %d: %s (%s)", job.id, job.attempt, job.state, job.reason)

    def fail(self, job: Job, reason: str, failure: Failure) -> None:
        """Write down that a job cannot even be started."""
        job = self.store.finish(job, "failed", reason, failure=failure)
        log.info("job %s, attempt %d: %s (%s)", job.id, job.attempt, job.state, job.reason)

    def put_off(self, job: Job, reason: str) -> None:
        """Write down that a job cannot be started now."""
        self.store.interrupt(job, reason, wait=self.first_wait, crashed=True)

    def _succeed(self, job: Job, run: Path, outcome: Outcome) -> Job:
        try:
            version = None if self.register is None else self.register(job, run)
        except OSError as error:
            return self.store.finish(job, "failed", f"the model could not be registered: {error}", failure="resources")
        except ValueError as error:
            return self.store.finish(job, "failed", f"the model could not be registered: {error}", failure="crash")
        return self.store.finish(
            job, "succeeded", outcome.reason, stopped=outcome.stopped, scores=outcome.scores, model_version=version
        )

    def _try_again(self, job: Job, outcome: Outcome, progressed: bool) -> Job:
        before = 0 if progressed else job.crashes
        if outcome.crashed and before >= self.retries:
            reason = f"{outcome.reason} (crash {before + 1} without a new checkpoint in between)"
            return self.store.finish(job, "failed", reason, failure="crash")
        wait = wait_before(before, self.first_wait) if outcome.crashed else 0.0
        return self.store.interrupt(job, outcome.reason, wait=wait, crashed=outcome.crashed, progressed=progressed)
