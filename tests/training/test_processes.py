"""Several processes share a batch: over gloo, on the CPU, started by Lightning and by torchrun."""

import dataclasses
import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stn import ModelConfig
from tests.training.runs import small, train, trained_apart
from training.config import TrainingConfig
from training.runs import create_run


def config(**trainer: Any) -> TrainingConfig:
    """No batch norm, whose statistics are those of each process's own images."""
    model = ModelConfig(classifier="fcn", units=32, localization="dense")
    return dataclasses.replace(small(**{"max_steps": 12, "validate_every": 6, **trainer}), model=model)


def scores(run: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in lines]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_apart(tmp_path_factory.mktemp("alone"), config())


@pytest.mark.slow
def test_two_processes_give_the_loss_of_one_with_the_whole_batch(alone: Path, tmp_path: Path) -> None:
    run = trained_apart(tmp_path, config(devices=2))
    frames = [path.name for path in (run / "probe").iterdir()]
    assert sorted(frames) == sorted(path.name for path in (alone / "probe").iterdir()) and len(frames) > 1
    for both, one in zip(scores(run), scores(alone), strict=True):
        assert both == pytest.approx(one, rel=1e-4)  # float32 sums in another order, over 12 steps
    assert json.loads((run / "result.json").read_text())["steps"] == 12


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("SLURM_PROCID", "SLURM_NTASKS")])
def test_processes_that_would_train_by_themselves_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    run = create_run(tmp_path, config())
    done = train("--resume", run, **dict(zip(names, ("0", "2"), strict=True)))
    assert done.returncode == 2
    rule = f"trainer.devices x trainer.nodes must be the 2 processes that were started together ({names[1]}), got 1 x 1"
    assert rule in done.stderr
    assert not (run / "checkpoints").exists()


def test_machines_that_nobody_starts_are_not_waited_for(tmp_path: Path) -> None:
    done = train("--resume", create_run(tmp_path, config(nodes=2)))
    assert done.returncode == 2
    assert "trainer.nodes must be 1 where neither torchrun nor SLURM nor Ray starts" in done.stderr


@pytest.mark.slow
def test_torchrun_starts_processes_that_share_a_run_folder(alone: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((alone / "config.json").read_text().replace('"nodes": 1', '"nodes": 2'))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=1", "--nnodes=2"]
    command += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}", "-m", "training"]
    command += [str(tmp_path / "config.json"), "--into", str(tmp_path / "run")]
    machines = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        for machine in machines:
            _, errors = machine.communicate(timeout=300)
            assert machine.returncode == 0, errors
    finally:
        for machine in machines:
            machine.kill()
            machine.communicate()
    for both, one in zip(scores(tmp_path / "run"), scores(alone), strict=True):
        assert both == pytest.approx(one, rel=1e-4)  # as above
