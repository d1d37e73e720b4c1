"""Why a run ended: what is told to whoever started it, and to who did not."""

import errno
import json
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from stn.config import to_dict
from tests.training.runs import small, train
from training.config import DataConfig
from training.failures import OutOfMemory, Unreachable, exit_code, memory_told
from training.runs import create_run, remove_bare

RUN = Path("/runs/one")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ValueError("trainer.devices must be 1"), 2),
        (OSError(errno.ENOSPC, "No space left on device", "last.ckpt"), 3),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), 3),
        (PermissionError(errno.EACCES, "Permission denied", "/data"), 3),
        (OSError(errno.EROFS, "Read-only file system"), 3),
        (OSError("something"), 3),
        (FileNotFoundError(errno.ENOENT, "No such file", "/data/x.png"), 2),
        (FileNotFoundError(errno.ENOENT, "No such file", str(RUN / "checkpoints" / "last.ckpt")), 3),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "/data"), 2),
        (ConnectionResetError(errno.ECONNRESET, "reset"), 5),
        (TimeoutError("timed out"), 5),
        (socket.gaierror(-3, "Temporary failure in name resolution"), 5),
        (URLError(socket.gaierror(-3, "Temporary failure in name resolution")), 5),
        (URLError(OSError(errno.ENOSPC, "No space left on device")), 3),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), 5),
        (Unreachable("the data set mnist could not be downloaded"), 5),
        (OutOfMemory("memory ran out"), 6),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 6),
    ],
)
def test_a_disk_the_network_and_a_missing_file_are_told_apart(error: ValueError | OSError, code: int) -> None:
    assert exit_code(error, RUN) == code


CPU = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to allocate 144 bytes."
GPU = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB of which 1.12 GiB is free."
)


@pytest.mark.parametrize(
    ("error", "size"),
    [
        (RuntimeError(CPU), " when 144 bytes more were asked for"),
        (torch.OutOfMemoryError(GPU), " when 2.00 GiB more were asked for"),
        (MemoryError("Unable to allocate 1.5 GiB for an array"), " when 1.5 GiB more were asked for"),
        (MemoryError(), ""),
        (RuntimeError("CUDA error: out of memory"), ""),
    ],
)
def test_memory_that_ran_out_is_told_with_what_was_asked_for(error: Exception, size: str) -> None:
    with pytest.raises(OutOfMemory) as told, memory_told("less is needed"):
        raise error
    assert str(told.value) == f"memory ran out{size}; less is needed"


def test_other_errors_stay_what_they_are() -> None:
    for error in (RuntimeError("shapes differ"), ValueError("cannot allocate"), KeyError("memory")):
        with pytest.raises(type(error)) as raised, memory_told("less is needed"):
            raise error
        assert raised.value is error


@pytest.mark.slow
def test_a_batch_that_memory_does_not_hold_ends_the_run_with_the_reason(tmp_path: Path) -> None:
    run = create_run(tmp_path, small(batch_size=10**6))
    limit = ["bash", "-c", 'ulimit -v 12000000 && exec "$@"', "bash"]  # in KiB
    command = [*limit, sys.executable, "-m", "training", "--resume", str(run), "--attempt", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 6, done.stderr
    word = json.loads((run / "failure.json").read_text())
    assert word["code"] == 6 and done.stderr.endswith(f"error: {word['reason']}\n")
    assert word["reason"].startswith("memory ran out when ")
    assert "a trainer.batch_size below 1000000 or smaller pictures" in word["reason"]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_data_set_that_cannot_be_downloaded_is_of_the_network(tmp_path: Path) -> None:
    data = DataConfig(name="mnist", root=str(tmp_path / "data"), download=True)
    run = create_run(tmp_path / "runs", replace(small(), data=data))
    nowhere = dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9")
    done = train("--resume", run, "--attempt", "3", **nowhere)
    assert done.returncode == 5, done.stderr
    word = json.loads((run / "failure.json").read_text())
    assert (word["attempt"], word["code"]) == (3, 5)
    assert word["reason"].startswith(f"the data set mnist could not be downloaded to {tmp_path / 'data'} (")
    assert done.stderr.endswith(f"error: {word['reason']}\n")


@pytest.mark.slow
def test_a_mistake_leaves_a_word_where_a_worker_started_the_run_and_only_there(tmp_path: Path) -> None:
    data = DataConfig(name="folder", root=str(tmp_path / "none"))
    run = create_run(tmp_path / "runs", replace(small(), data=data))
    assert train("--resume", run).returncode == 2
    assert not (run / "failure.json").exists()
    assert train("--resume", run, "--attempt", "1").returncode == 2
    assert json.loads((run / "failure.json").read_text())["code"] == 2


@pytest.mark.slow
def test_of_a_config_that_is_refused_no_new_run_folder_is_left(tmp_path: Path) -> None:
    config = to_dict(replace(small(), data=DataConfig(name="folder", root=str(tmp_path / "none"))))
    (tmp_path / "config.json").write_text(json.dumps(config))
    refused = train(tmp_path / "config.json", "--runs", tmp_path / "runs")
    assert refused.returncode == 2 and "data.root" in refused.stderr
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_has_begun_in_a_run_folder_is_kept(tmp_path: Path) -> None:
    run = create_run(tmp_path, small())
    (run / "data.json").write_text("{}")
    remove_bare(run)
    assert {file.name for file in run.iterdir()} == {"config.json", "data.json"}
