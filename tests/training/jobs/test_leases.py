"""Whose silence is a death."""

import dataclasses
import os
import subprocess
import sys

from tests.training.jobs.rows import claimed
from training.jobs.identity import arguments, find, is_alive, new_worker, place, worker_process
from training.jobs.job import Job
from training.jobs.leases import Leases
from training.jobs.store import JobStore


def looks(leases: Leases, job: Job, times: list[float]) -> list[bool]:
    return [leases.expired([job], now) == [job] for now in times]


def test_a_lease_runs_out_after_silence_that_was_listened_to(store: JobStore) -> None:
    job = claimed(store)
    leases = Leases(15.0, place())
    seconds = [float(second) for second in range(100, 120)]
    assert looks(leases, job, seconds) == [second >= 115 for second in seconds]
    later = dataclasses.replace(job, beat=job.beat + 1)
    assert not any(looks(leases, later, [120.0, 121.0, 125.0]))
    assert looks(leases, later, [160.0, 161.0, 174.0]) == [False] * 3  # nobody listened between 125 and 160
    assert looks(Leases(15.0, place()), later, [1000.0, 1004.0, 1008.0, 1012.0, 1015.0])[-1]


def test_the_worker_of_a_process_that_is_gone_has_no_lease_in_its_own_place(store: JobStore) -> None:
    code = "from training.jobs.identity import new_worker; print(new_worker())"
    name = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    job = dataclasses.replace(claimed(store), worker=name, place=place())
    assert looks(Leases(15.0, place()), job, [100.0]) == [True]
    assert looks(Leases(15.0, "elsewhere"), job, [100.0]) == [False]
    mine = dataclasses.replace(job, worker=new_worker())
    assert looks(Leases(15.0, place()), mine, [100.0]) == [False]


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    me = find(os.getpid())
    assert me is not None and is_alive(me)
    assert "python" in " ".join(arguments(me))
    assert worker_process(new_worker()) == me
    assert worker_process("somebody") is None
    another = me._replace(started="1")
    assert not is_alive(another) and arguments(another) == []
    child = subprocess.Popen(["true"])
    process = find(child.pid)
    assert process is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not is_alive(process)  # a zombie
    child.wait()
    assert find(child.pid) is None
