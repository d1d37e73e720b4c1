"""The process that runs training jobs: claims them, starts their trainings, watches over them, and writes down what comes.

It never compares times of day. What it does to a job it does as an attempt, which the database and the run folder check; so
a worker that was taken for gone, and wakes, changes nothing. A training outlives its worker, and the next one adopts it.
"""

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from training.attempts import Fenced
from training.jobs.charge import Charge
from training.jobs.deletion import sweep
from training.jobs.devices import Device, give_back
from training.jobs.executor import Executor
from training.jobs.folders import run_folder
from training.jobs.identity import new_worker, place
from training.jobs.job import Job, LeaseLost, NewerDatabase, StoreUnavailable
from training.jobs.leases import Leases
from training.jobs.ledger import Ledger, Register
from training.jobs.moments import Every, Pulse, ended_by_signals
from training.jobs.outcome import UNBEGUN
from training.jobs.sharing import Shared, Sharing, adopted
from training.jobs.store import JobStore
from training.jobs.waiting import SIGN
from training.runs import place_run, prepare_run, work_of

log = logging.getLogger(__name__)

TICK, CLAIM, LOOK = 0.1, 0.2, 0.5
"""Seconds between two looks at the processes, for jobs that wait, and at the jobs that workers have."""

REST = 0.5
"""Seconds until a database is asked again that did not answer."""

FAREWELL = 5.0
"""Seconds for which a worker that ends tries to write down that it did, where the database does not answer."""


class Worker:
    """Runs jobs until a signal ends it.

    Args:
        store: the jobs.
        home: has the run folders, in `runs/`.
        executor: runs the trainings.
        lease: seconds of silence after which another worker's job is taken over.
        retries: after so many crashes without a new checkpoint, a job has failed at the next.
        first_wait: seconds before it is tried again after the first crash; twice as many after the next.
        grace: seconds that a training may take to end before it is killed.
        stall: seconds without a sign of life after which a training counts as one that hangs; see `Silence`.
        register: makes the model of a run folder one that is served, and returns its version.
        shared: storage where other machines find the run folders, and this one what jobs read; see `Sharing`.
        pulse: beats as long as the loop goes round, whether or not the database answers.
    """

    def __init__(
        self,
        store: JobStore,
        home: Path,
        executor: Executor,
        *,
        lease: float = 15.0,
        retries: int = 5,
        first_wait: float = 1.0,
        grace: float = 20.0,
        stall: float = 300.0,
        register: Register | None = None,
        shared: Shared | None = None,
        pulse: Pulse | None = None,
    ) -> None:
        self.store, self.shared, self.pulse = store, shared, pulse or Pulse(None)
        self.runs = home.absolute() / "runs"
        self.grace, self.stall = grace, stall
        self.name, self.place = new_worker(), place()
        self.executor = executor
        self.leases = Leases(lease, self.place)
        self.ledger = Ledger(store, lease / 7.5, retries, first_wait, register)
        self.charges: dict[str, Charge] = {}
        self._unadopted: dict[str, str | None] = {}  # jobs that are ours, whose processes go on by themselves
        self._end = threading.Event()
        self._left: list[str] = []  # our children all the same: somebody has to see them end
        self._claim, self._look, self._sign, self._rest = Every(CLAIM), Every(LOOK), Every(SIGN), 0.0
        self._answers = True

    def run(self) -> int:
        """The exit code: 0 after a signal, when what it trained is paused and waits for the next worker."""
        log.info("worker %s runs the jobs in %s, %s", self.name, self.runs, self.executor.where)
        with contextlib.suppress(StoreUnavailable):  # then the next worker does it
            sweep(self.store, self.runs)
        with ended_by_signals(self._end):
            while not self._end.wait(TICK):
                self.pulse.beat()
                self._tick()
            self._pause_all()
        with contextlib.suppress(StoreUnavailable):
            self.store.sign_off(self.name)
        return 0

    def _pause_all(self) -> None:
        """Returns when nothing runs any more and all of it is written down, where the database answers."""
        ended = time.monotonic()
        while self.charges and time.monotonic() < ended + FAREWELL:
            for charge in self.charges.values():
                charge.pause()
            self._tick()
            if any(charge.code is None for charge in self.charges.values()):
                ended = time.monotonic()
            time.sleep(TICK)

    def _tick(self) -> None:
        now = time.monotonic()
        for charge in [*self.charges.values()]:
            with self._still_ours(charge):
                charge.watch(now)
        self._left = [process for process in self._left if self.executor.poll(process) is None]
        if now < self._rest:
            return
        try:
            self._with_store(now)
            self._answered(None)
        except StoreUnavailable as error:
            self._answered(error)
            self._rest = time.monotonic() + REST

    def _answered(self, error: StoreUnavailable | None) -> None:
        """Say when that changes."""
        if self._answers and error is not None:
            log.warning("%s; what is trained goes on", error)
        if not self._answers and error is None:
            log.info("the database of jobs answers again")
        self._answers = error is None

    def _with_store(self, now: float) -> None:
        if self._sign.is_due(now):
            self.store.sign(self.name, self.place, self.executor.total)
        # Where it did not answer, something has to ask it.
        others = self._look_at_all() if self._look.is_due(now) or not self._answers else None
        for charge in [*self.charges.values()]:
            with self._still_ours(charge):
                if charge.devices:
                    self._begin_where_brought(charge)
                if charge.job.id in self.charges and self.ledger.write(charge, now):
                    del self.charges[charge.job.id]
        if self._end.is_set():
            return
        if others is not None:
            self._take_over(others)
        if self._claim.is_due(now):
            while self._claim_one():
                pass

    @contextlib.contextmanager
    def _still_ours(self, charge: Charge) -> Iterator[None]:
        try:
            yield
        except LeaseLost as error:
            log.warning("job %s is no longer this worker's: %s", charge.job.id, error)
            charge.let_go()
            self._left += [] if charge.process is None else [charge.process]
            del self.charges[charge.job.id]
        except NewerDatabase:
            raise
        except (OSError, ValueError) as error:  # of its run folder; the other jobs go on
            if str(error) != charge.trouble:
                charge.trouble = str(error)
                log.warning("job %s: %s", charge.job.id, error)

    def _look_at_all(self) -> list[Job]:
        """See what was asked of our jobs; those of other workers."""
        others = []
        for job in self.store.held():
            if job.worker != self.name:
                others.append(job)
            elif job.id not in self.charges:  # claimed or taken over, but the answer was lost
                self._adopt(job)
            elif job.attempt == self.charges[job.id].job.attempt:
                self.charges[job.id].job = job
        return others

    def _take_over(self, others: list[Job]) -> None:
        """What workers had that are gone."""
        for job in self.leases.expired(others, time.monotonic()):
            try:
                mine = self.store.take_over(job, self.name, self.place)
            except LeaseLost:  # another worker was first, or the silence is over
                continue
            except StoreUnavailable:
                self.leases.forget()
                raise
            self._adopt(mine, job.place)

    def _adopt(self, job: Job, where: str | None = None) -> None:
        """Go on with a job that somebody else began, or see that it is begun again.

        Args:
            where: the place of who had it, if that is known.
        """
        run = run_folder(self.runs, job.id)
        charge = Charge(job, run, self.executor, self.grace, self.stall)
        where = self._unadopted.get(job.id, where)
        process = None
        try:
            process = self.executor.find(job, run)
            run.mkdir(parents=True, exist_ok=True)
            charge.adopt(process, moved=where not in (None, self.place))
            if self.shared is not None:
                charge.sharing = adopted(self.shared, job, run, process is not None)
        except OSError as error:
            if process is None:
                self.ledger.put_off(job, str(error), "resources")
            else:
                self._leave(job, process, where, error)
        except Fenced as error:
            self.ledger.put_off(job, str(error), "crash")
        else:
            self.charges[job.id] = charge
            self._unadopted.pop(job.id, None)
            found = f"adopted process {process}" if process else "found no process"
            log.info("job %s, attempt %d: %s", job.id, job.attempt, found)

    def _leave(self, job: Job, process: str, where: str | None, error: OSError) -> None:
        """Let a process train on that cannot be adopted now, since its run folder cannot be written; look at it again."""
        if job.id not in self._unadopted:
            log.warning("job %s: process %s cannot be adopted yet and goes on: %s", job.id, process, error)
        self._unadopted[job.id] = where
        if job.asked == "cancel":
            self.executor.stop(process, "kill")
        with contextlib.suppress(LeaseLost):
            self.store.beat(job)

    def _claim_one(self) -> bool:
        free = self.executor.free()
        waiting: Sequence[Device] = ()
        try:
            job = self.store.claim(self.name, self.place, len(free), self.executor.total) if free else None
            if job is not None:
                waiting = self._start(job, free[: job.devices])
            return job is not None
        finally:
            give_back(device for device in free if device not in waiting)  # the training process has inherited its own

    def _start(self, job: Job, devices: Sequence[Device]) -> Sequence[Device]:
        """The devices that it is to keep for a process that begins later."""
        run = run_folder(self.runs, job.id)
        charge = Charge(job, run, self.executor, self.grace, self.stall)
        charge.gpus = [device.name for device in devices if device.is_gpu]
        if self.shared is not None:
            charge.devices, charge.sharing = devices, Sharing(self.shared, job, run)
            self.charges[job.id] = charge
            return devices
        if self._begin(charge, devices):
            self.charges[job.id] = charge
        return ()

    def _begin_where_brought(self, charge: Charge) -> None:
        """Start the process once what it needs is here; nothing is started that was asked to end meanwhile."""
        assert charge.sharing is not None
        ends = charge.is_paused or charge.job.asked == "cancel"
        if not (charge.sharing.is_brought or ends):
            return
        devices, charge.devices = charge.devices, ()
        try:
            if ends:
                charge.code = UNBEGUN
                charge.sharing.drop()
                charge.sharing = None
            else:
                del self.charges[charge.job.id]  # where the database does not answer, the job is found again
                if self._begin(charge, devices):
                    self.charges[charge.job.id] = charge
        finally:
            give_back(devices)

    def _begin(self, charge: Charge, devices: Sequence[Device]) -> bool:
        """Whether its process was started; why not is written down."""
        job, run, sharing = charge.job, charge.run, charge.sharing
        is_begun = False
        try:
            if sharing is not None and sharing.error is not None:
                raise sharing.error
            if sharing is None or sharing.placed is None:
                prepare_run(run, work_of(job.config))
            else:
                place_run(run, sharing.placed.work)
            charge.start(devices)
        except Fenced as error:
            self.ledger.put_off(job, str(error), "crash")
        except ValueError as error:
            self.ledger.fail(job, str(error), "mistake")
        except OSError as error:
            self.ledger.fail(job, str(error), "resources")
        else:
            log.info("job %s, attempt %d: process %s", job.id, job.attempt, charge.process)
            is_begun = True
        finally:  # also where the database does not answer: whoever finds the job again shares it anew
            if sharing is not None and not is_begun:
                sharing.drop()
        return is_begun
