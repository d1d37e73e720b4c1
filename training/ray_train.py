"""`python -m training.ray_train --resume RUN --attempt N`: the training that `python -m training` is, in as many processes
as the run has devices, wherever a Ray cluster has room for them.

Ray Train starts them and ends all when one ends; it tries nothing again, since that is for whoever counts attempts. The
first of them has the run folder, writes and asks as any training does; so a worker sees no difference.
"""

import argparse
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import ray.train
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.lightning import RayDDPStrategy, RayLightningEnvironment
from ray.train.torch import TorchTrainer

from training.__main__ import work
from training.attempts import Attempt
from training.failures import leave_word
from training.jobs.outcome import word
from training.memory import keep_memory
from training.runs import read_config
from training.trainer import Spread


def main(arguments: list[str] | None = None) -> int:
    """Exit code: as of `python -m training`, 1 where a process or a machine was lost."""
    options = _parse(arguments)
    run: Path = options.resume
    devices = read_config(run / "config.json").trainer.devices
    storage = run / f".ray-{options.attempt}"
    trainer = TorchTrainer(
        train,
        train_loop_config={"run": str(run), "attempt": options.attempt},
        scaling_config=ScalingConfig(
            num_workers=devices, use_gpu=options.gpus, resources_per_worker={"CPU": options.cpus, "GPU": options.gpus}
        ),
        run_config=RunConfig(
            name=run.name,
            storage_path=str(storage),
            failure_config=FailureConfig(max_failures=0, controller_failure_limit=0, max_preemption_failures=0),
        ),
    )
    try:
        trainer.fit()
        return 0
    except ray.train.TrainingFailedError as error:
        said = word(run, options.attempt, options.attempt)
        last = str(error).strip().rpartition("\n")[2].partition(". ")[0]
        sys.stderr.write(f"error: {said.reason if said else last}\n")
        return said.code if said else 1
    finally:
        shutil.rmtree(storage, ignore_errors=True)


def train(values: dict[str, Any]) -> None:
    """What each of the processes does."""
    keep_memory()
    run, attempt = Path(values["run"]), int(values["attempt"])
    os.environ.pop("SLURM_PROCID", None)  # Ray itself may have been started by SLURM
    code = 130
    with contextlib.suppress(KeyboardInterrupt):
        code = work(["--resume", str(run), "--attempt", str(attempt)], _spread)
    if code == 130 and ray.train.get_context().get_world_rank() == 0:
        leave_word(Attempt(run, attempt), code, "the training process was interrupted")
    if code:
        raise RuntimeError(f"the training process ended with exit code {code}")


def _spread() -> Spread:
    return Spread(RayDDPStrategy(), RayLightningEnvironment())


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.ray_train", description="Train over machines of a Ray cluster."
    )
    parser.add_argument("--resume", type=Path, required=True, metavar="RUN", help="go on with this run folder")
    parser.add_argument("--attempt", type=int, required=True, metavar="N", help="the number of this start of a job")
    parser.add_argument("--cpus", type=float, default=1.0, help="processors for each process (default: 1)")
    parser.add_argument("--gpus", type=int, default=0, choices=(0, 1), help="GPUs for each process (default: 0)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
