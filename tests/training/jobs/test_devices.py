"""GPUs and slots: which there are, who has them, and what a training is told of them. `nvidia-smi` is a stand-in here, since
the tests need no GPU: a program of that name on the PATH that prints UUIDs as the real one does."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from training.jobs.devices import Devices, find_gpus, give_back
from training.jobs.environment import clean
from training.jobs.identity import is_alive, named
from training.jobs.local import Local

UUIDS = [f"GPU-{number}a2b3c4d-0000-0000-0000-00000000000{number}" for number in range(4)]


@pytest.fixture
def four_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    lines = "\\n".join(UUIDS)
    program.write_text(f'#!/bin/sh\ntest "$*" = "--query-gpu=uuid --format=csv,noheader" && printf "{lines}\\n"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")


@pytest.mark.parametrize(
    ("visible", "found"),
    [
        ({}, UUIDS),
        ({"CUDA_VISIBLE_DEVICES": ""}, []),
        ({"CUDA_VISIBLE_DEVICES": "2, 0"}, [UUIDS[2], UUIDS[0]]),
        ({"CUDA_VISIBLE_DEVICES": f"GPU-1a2b,{UUIDS[3]},9,none"}, [UUIDS[1], UUIDS[3]]),
    ],
)
def test_gpus_are_known_by_uuid_and_limited_to_the_visible_ones(
    four_gpus: None, visible: dict[str, str], found: list[str]
) -> None:
    assert find_gpus(visible) == found


def test_a_machine_without_gpus_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus({}) == []
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert find_gpus({}) == []


def test_a_device_is_free_when_the_process_that_has_it_has_ended_and_not_before(tmp_path: Path) -> None:
    devices, others = (Devices(tmp_path / "devices", "boot:1", UUIDS, 1) for _ in range(2))
    taken = devices.take_free()
    assert [device.name for device in taken] == UUIDS
    assert others.take_free() == []
    run = tmp_path / "run"
    run.mkdir()
    tell = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); import time; time.sleep(60)"
    local = Local(devices, [sys.executable, "-c", tell])
    process = local.submit(run, 1, taken[1:3])
    give_back(taken)
    free = others.take_free()
    assert [device.name for device in free] == [UUIDS[0], UUIDS[3]]
    give_back(free)
    while not (run / "console.txt").read_text():
        assert local.poll(process) is None
    assert (run / "console.txt").read_text() == f"{UUIDS[1]},{UUIDS[2]}\n"
    local.stop(process, "kill")
    while local.poll(process) is None:
        pass
    known = named(process)
    assert known is not None and not is_alive(known)
    free = others.take_free()
    assert [device.name for device in free] == UUIDS
    give_back(free)


def test_slots_of_a_machine_share_its_cores(tmp_path: Path) -> None:
    devices = Devices(tmp_path, "boot:1", [], 2)
    assert devices.total == 2
    cores = len(os.sched_getaffinity(0))
    assert devices.environment([], {}) == {"OMP_NUM_THREADS": str(max(1, cores // 2))}
    assert devices.environment([], {"OMP_NUM_THREADS": "7", "PATH": "/bin"}) == {"OMP_NUM_THREADS": "7", "PATH": "/bin"}


def test_a_training_knows_no_keys_of_the_service() -> None:
    given = {
        "PATH": "/bin",
        "HOME": "/root",
        "PYTHONPATH": "/code",
        "NCCL_DEBUG": "INFO",
        "STN_DATABASE": "postgresql://user:password@host/jobs",
        "STN_HOME": "/data",
        "PGPASSWORD": "p",
        "AWS_SECRET_ACCESS_KEY": "s",
        "CUDA_API_KEY": "k",
        "GITHUB_TOKEN": "t",
    }
    assert clean(given) == {name: given[name] for name in ("PATH", "HOME", "PYTHONPATH", "NCCL_DEBUG")}


def test_the_group_of_a_process_ends_with_it(tmp_path: Path) -> None:
    """A training over several devices starts further processes, which nobody else would end."""
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '100']).pid, flush=True)"
    local = Local(Devices(tmp_path / "devices", "boot:1", [], 1), [sys.executable, "-c", code])
    process = local.submit(tmp_path, 1, [])
    while local.poll(process) is None:
        pass
    child = (tmp_path / "console.txt").read_text().strip()
    state = subprocess.run(["ps", "-o", "stat=", "-p", child], capture_output=True, text=True).stdout.strip()
    assert state in ("", "Z") or state.startswith("Z")
