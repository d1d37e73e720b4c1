"""`python -m training.ray_train --resume RUN --attempt N`: the training that `python -m training` is, in as many processes
as the run has devices on all its machines, wherever a Ray cluster has room for them.

Ray Train starts them and ends all when one ends; it tries nothing again, since that is for whoever counts attempts. The
first of them has the run folder, writes and asks as any training does; so a worker sees no difference. Where the machines
share a storage alone, `--job ID --storage URL` name the run: each process has a folder of its own then (`training.hosted`).
"""

import argparse
import contextlib
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment
from ray.train.torch import TorchTrainer

from training.__main__ import work
from training.attempts import Attempt, Fenced
from training.failures import leave_word
from training.hosted import LOOK, Far, Hosted, add_places, hosted
from training.jobs.outcome import word
from training.memory import keep_memory
from training.ray_host import finished
from training.storage.places import StorageUnavailable, open_storage
from training.storage.runs import look
from training.trainer import Spread


def main(arguments: list[str] | None = None) -> int:
    """Exit code: as of `python -m training`, 1 where a process or a machine was lost."""
    options = _parse(arguments)
    far = None if options.job is None else Far(options.storage, options.home, options.most_bytes)
    folder = Path(tempfile.mkdtemp(prefix="stn-ray-") if far else options.resume / f".ray-{options.attempt}")
    trainer = TorchTrainer(
        train,
        train_loop_config={"run": options.job or str(options.resume), "attempt": options.attempt, "far": far},
        scaling_config=ScalingConfig(
            num_workers=options.devices,
            use_gpu=options.gpus,
            resources_per_worker={"CPU": options.cpus, "GPU": options.gpus},
            placement_strategy="SPREAD" if options.nodes > 1 else "PACK",
        ),
        run_config=RunConfig(
            name=options.job or options.resume.name,
            storage_path=str(folder),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
        return 0
    except ray.train.TrainingFailedError as error:
        said = word(_seen(far, options, folder), options.attempt, options.attempt)
        last = str(error).strip().rpartition("\n")[2].partition(". ")[0]
        sys.stderr.write(f"error: {said.reason if said else last}\n")
        return said.code if said else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _seen(far: Far | None, options: argparse.Namespace, folder: Path) -> Path:
    """The run folder, or a copy of what was published of it."""
    if far is None:
        run: Path = options.resume
        return run
    with contextlib.suppress(StorageUnavailable):  # then why it failed is not known
        look(open_storage(far.storage), options.job, folder / "seen")
    return folder / "seen"


def train(values: dict[str, Any]) -> None:
    """What each of the processes does."""
    keep_memory()
    os.environ.pop("SLURM_PROCID", None)  # Ray itself may have been started by SLURM
    attempt, rank = int(values["attempt"]), ray.train.get_context().get_world_rank()
    if values["far"] is None:
        code = _train(Path(values["run"]), attempt)
    else:
        with hosted(Far(*values["far"]), values["run"], attempt, threading.Event(), rank) as here:
            code = finished(here, _exchanging) if rank == 0 else _join(here)
    if code:
        raise RuntimeError(f"the training process ended with exit code {code}")


def _train(run: Path, attempt: int) -> int:
    code = 130
    with contextlib.suppress(KeyboardInterrupt):
        code = work(["--resume", str(run), "--attempt", str(attempt)], _spread)
    if code == 130 and ray.train.get_context().get_world_rank() == 0:
        leave_word(Attempt(run, attempt), code, "the training process was interrupted")
    return code


def _exchanging(here: Hosted) -> int:
    """The exit code of the training in the first process, which hears and publishes for all."""
    here.until_it_answers(here.publisher.publish)  # with which the others begin
    over = threading.Event()

    def exchange() -> None:
        with contextlib.suppress(Fenced):  # the training hears it, too
            while not over.wait(LOOK):
                here.exchange()

    thread = threading.Thread(target=exchange, name="exchange")
    thread.start()
    try:
        code = _train(here.run, here.attempt)
        if code and (said := word(here.run, here.attempt, here.attempt)) is not None:
            with (here.run / "console.txt").open("a") as console:
                console.write(f"error: {said.reason}\n")
        return code
    finally:
        over.set()
        thread.join()


def _join(here: Hosted) -> int:
    """The exit code of the training in one of the other processes, which begins with what the first has published."""
    here.join()
    return _train(here.run, here.attempt)


def _spread() -> Spread:
    return Spread(RayDDPStrategy(), RayLightningEnvironment())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.ray_train", description="Train over machines of a Ray cluster."
    )
    run = parser.add_mutually_exclusive_group(required=True)
    run.add_argument("--resume", type=Path, metavar="RUN", help="go on with this run folder")
    run.add_argument("--job", metavar="ID", help="go on with this job, whose run lies on storage")
    parser.add_argument("--attempt", type=int, required=True, metavar="N", help="the number of this start of a job")
    parser.add_argument("--devices", type=int, required=True, metavar="N", help="processes, of all machines together")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="machines, if there are so many (default: 1)")
    add_places(parser)
    parser.add_argument("--cpus", type=float, default=1.0, help="processors for each process (default: 1)")
    parser.add_argument("--gpus", type=int, default=0, choices=(0, 1), help="GPUs for each process (default: 0)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
