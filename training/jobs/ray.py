"""Training processes in a Ray cluster: an attempt of a job is a job of Ray's, which runs `python -m training` in the run
folder, a path that every machine has, or, where they share a storage instead, in one of its machine's own (`Far`).

Ray places and starts; what it says is believed only as far as it goes. It forgets all jobs with its head, and lets what runs
on a machine that it lost run on. So a process that it no longer knows counts as running for as long as it shows signs of
life in the run folder, and whatever is given up for lost is first barred from it (`training.attempts.withdraw`).
"""

import contextlib
import json
import logging
import math
import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from training.attempts import own, owner, withdraw
from training.hosted import Far
from training.jobs.devices import Device
from training.jobs.executor import How, Unseen
from training.jobs.job import Job
from training.jobs.ray_api import Api, Machine, Refused, Unanswered, Unreached
from training.jobs.ray_placed import NOT_THERE, Placed, exit_of, lives
from training.jobs.waiting import FOR_CLUSTER

log = logging.getLogger(__name__)

PROGRAM, SPREAD = "python -P -m training", "python -P -m training.ray_train"
"""By the PATH of the machine that runs it; for a job that takes more devices than any machine has."""

HOST = "python -P -m training.ray_host"
"""Around it, on a machine that has what lies on storage."""

DRIVER = 0.01
"""Processors of what only watches over others. With none it would run on the cluster's head."""

TAKEN = "all that it needs is taken, or no machine has it"

LOOK = 0.5
"""Seconds between two looks at what the cluster knows."""

MOMENT = 5.0
"""Seconds that a process takes to begin where there is room."""


class Ray:
    """An `Executor`. A thread of its own asks the cluster; all else looks at what that has heard.

    Args:
        address: of the cluster's dashboard, http://HOST:8265.
        slots: devices that are asked of the cluster at a time, by all jobs of this worker together.
        cpus: processors for each device of a job.
        grace: seconds that a training may take to end before it is killed.
        far: where the machines of the cluster do not have the run folders.
    """

    def __init__(
        self, address: str, *, slots: int, cpus: float = 1.0, grace: float = 20.0, far: Far | None = None
    ) -> None:
        self.api = Api(address)
        self.slots, self.cpus, self.grace, self.far = slots, cpus, grace, far
        self._placed: dict[str, Placed] = {}
        self._unwanted: list[str] = []  # they are given up, and the cluster is yet to be told
        self._trouble: str | None = None
        self._wake = threading.Event()
        threading.Thread(target=self._watch, name="ray", daemon=True).start()

    @property
    def total(self) -> int:
        return self.slots

    @property
    def where(self) -> str:
        return f"Ray at {self.api.address}, {self.slots} devices at a time"

    def free(self) -> Sequence[Device]:
        taken = sum(placed.devices for name, placed in self._placed.items() if not (placed.lacks and self.waits(name)))
        return [Device("")] * max(0, self.slots - taken)

    def submit(self, run: Path, attempt: int, devices: Sequence[Device]) -> str:
        name = _name(run, attempt)
        self._placed[name] = Placed(run, attempt, len(devices), is_sent=False)
        self._wake.set()
        return name

    def find(self, job: Job, run: Path) -> str | None:
        began = self._began(job, run)
        if began is None:
            return None
        name = _name(run, began)
        self._placed.setdefault(name, Placed(run, began, job.devices, is_sent=True))
        self._wake.set()
        return name

    def _began(self, job: Job, run: Path) -> int | None:
        """With which number the process was started that may train this job. Where that is not known, its worker may have
        been gone before it could write it down."""
        found = owner(run)
        if self.far is None:
            if found is None:
                return None
            was_begun = job.process is None and found.attempt == job.attempt - 1
            return found.began if was_begun or job.process == _name(run, found.began) else None
        began = job.attempt - 1 if job.process is None else _number(job.process, run)
        if began and (found is None or found.began != began):  # who began it had another home
            run.mkdir(parents=True, exist_ok=True)
            own(run, job.attempt, adopted=began)
        return began or None

    def poll(self, process: str) -> int | Unseen | None:
        placed = self._placed.get(process)
        if placed is None:
            return "gone"
        code = self._ended(placed)
        if isinstance(code, str):
            withdraw(placed.run, placed.began)
            if placed.is_sent and not placed.is_told:
                self._unwanted.append(process)
        if code is not None:
            del self._placed[process]
        return code

    def _ended(self, placed: Placed) -> int | Unseen | None:
        found = placed.found
        if found is not None and found.ended:
            return exit_of(placed, found)
        if placed.asked is not None and (placed.is_pending or not placed.is_sent):
            return "lost"  # the cluster keeps it until it could begin; then it finds that it may not
        is_unknown = placed.is_forgotten or (self._trouble is not None and placed.is_sent and not placed.is_pending)
        return "lost" if is_unknown and not lives(placed) else None

    def waits(self, process: str) -> str | None:
        placed = self._placed.get(process)
        if placed is None:
            return None
        if placed.found is not None and placed.has_begun:
            return self._waits_inside(process, placed, placed.found.command)
        if not (placed.trouble or self._trouble) and time.monotonic() < placed.submitted + MOMENT:
            return None
        silence = f"Ray at {self.api.address} does not answer" if self._trouble else None
        return f"{FOR_CLUSTER}: {silence or placed.trouble or placed.lacks or TAKEN}"

    def _waits_inside(self, process: str, placed: Placed, command: str) -> str | None:
        """For what one may wait whose command runs, as long as it has said nothing."""
        if SPREAD in command:
            return (
                f"{FOR_CLUSTER}: {placed.lacks or f'{placed.devices} processes are started once there is room for all'}"
            )
        if self.far is not None:
            return f"{FOR_CLUSTER}: its machine has told nothing yet (ray job logs {process})"
        return None

    def stop(self, process: str, how: How) -> None:
        placed = self._placed.get(process)
        if placed is None:
            return
        if placed.asked not in (how, "kill"):
            placed.asked = how
            self._wake.set()
        if (
            how == "kill" and not placed.is_withdrawn
        ):  # by that alone it ends at its next step, where no signal reaches it
            with contextlib.suppress(OSError):  # a full disk; it is tried again
                withdraw(placed.run, placed.began)
                placed.is_withdrawn = True

    def forget(self, process: str) -> None:
        self._placed.pop(process, None)

    def used(self, process: str) -> None:
        return None

    def logs(self, run: Path) -> Path:
        return run / "console.txt"

    def _watch(self) -> None:
        try:
            self.api.machines()
        except (OSError, ValueError, LookupError, TypeError) as error:  # said at once, not with the first job
            log.warning("%s", error)
        while True:
            self._wake.wait(LOOK)
            self._wake.clear()
            trouble = None
            for name, placed in [*self._placed.items()]:
                try:
                    self._look(name, placed)
                    placed.trouble = None
                except Unanswered as error:
                    trouble = str(error)
                    break
                except (OSError, ValueError, LookupError, TypeError) as error:  # of this one alone
                    placed.trouble = str(error)
            else:
                self._dismiss()
            if (trouble is None) != (self._trouble is None):
                log.warning("%s", trouble or f"Ray at {self.api.address} answers again")
            self._trouble = trouble

    def _dismiss(self) -> None:
        """Have the cluster end what was given up."""
        while self._unwanted:
            try:
                self.api.stop(self._unwanted[0])
            except Unanswered:
                return
            except Refused as error:  # which it no longer knows
                log.debug("%s", error)
            self._unwanted.pop(0)

    def _look(self, name: str, placed: Placed) -> None:
        """Hear of a process, and tell the cluster of it what it does not know yet."""
        found = self.api.get(name)
        if found is None and not placed.is_sent and placed.asked is None:
            self._send(name, placed)
            return
        placed.is_sent |= found is not None
        placed.found = found or placed.found
        placed.is_forgotten = found is None and placed.is_sent
        if found is not None:
            placed.since = time.monotonic()
        if placed.asked is not None and not placed.is_told and found is not None and not found.ended:
            self.api.stop(name)
            placed.is_told = True

    def _send(self, name: str, placed: Placed) -> None:
        machines, trainer = self.api.machines(), _trainer(placed)
        gpus = placed.devices if _takes_gpus(trainer, machines) else 0
        cpus, nodes = self.cpus * placed.devices, int(trainer.get("nodes", 1))
        program = PROGRAM if self.far is None else HOST
        fits = any(machine.cpus >= cpus and machine.gpus >= gpus for machine in machines)
        is_spread = nodes > 1 or (placed.devices > 1 and not fits)
        placed.lacks = _lacks(machines, cpus + DRIVER * is_spread, gpus)
        if is_spread:
            program = f"{SPREAD} --devices {placed.devices} --nodes {nodes} --cpus {self.cpus:g} --gpus {int(gpus > 0)}"
            cpus, gpus = DRIVER, 0
        placed.is_sent = True
        try:
            self.api.submit(
                name,
                _command(program, placed) if self.far is None else _far_command(program, self.far, placed),
                environment={
                    "OMP_NUM_THREADS": str(max(1, int(self.cpus))),
                    "RAY_JOB_STOP_WAIT_TIME_S": str(math.ceil(self.grace)),
                },
                cpus=cpus,
                gpus=gpus,
            )
        except (Refused, Unreached):
            placed.is_sent = False
            raise


def _trainer(placed: Placed) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((placed.run / "config.json").read_text()).get("trainer", {})
    return found


def _takes_gpus(trainer: Mapping[str, Any], machines: Sequence[Machine]) -> bool:
    wanted = trainer.get("accelerator", "auto")
    return wanted == "gpu" or (wanted == "auto" and any(machine.gpus for machine in machines))


def _lacks(machines: Sequence[Machine], cpus: float, gpus: int) -> str | None:
    """What all machines together have too little of, which more of them may bring."""
    has_gpus, has_cpus = sum(machine.gpus for machine in machines), sum(machine.cpus for machine in machines)
    if has_gpus < gpus:
        return f"it needs GPUs: {gpus}, and the cluster has {has_gpus}"
    return f"it needs processors: {cpus:g}, and the cluster has {has_cpus:g}" if has_cpus < cpus else None


def _name(run: Path, attempt: int) -> str:
    return f"{run.name}-{attempt}"


def _number(name: str, run: Path) -> int | None:
    """The attempt of a process of this name; None where it is another run's, or another executor's."""
    job, _, number = name.rpartition("-")
    return int(number) if job == run.name and number.isdigit() else None


def _far_command(program: str, far: Far, placed: Placed) -> str:
    words = (
        *("--storage", far.storage, "--home", far.home, "--most-bytes", str(far.most_bytes)),
        *("--job", placed.run.name, "--attempt", str(placed.began)),
    )
    return f"exec {program} {shlex.join(words)}"


def _command(program: str, placed: Placed) -> str:
    """In its run folder, where all that it prints goes, too."""
    run = shlex.quote(str(placed.run))
    return (
        f"touch {run}/console.txt || exit {NOT_THERE}; "
        f"exec {program} --resume {run} --attempt {placed.began} >>{run}/console.txt 2>&1"
    )
