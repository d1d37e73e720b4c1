"""Faults of a real Ray cluster, by hand: `python -m tests.cluster.faults [FAULT...]`, as root, with the extra `cluster`.

Three namespaces of network and processes, joined by a bridge, stand for hosts: one has Ray's head, the two others train.
Each starts its Ray again when that ends, as systemd does. They share the folder of runs, also while the network between
them is cut: whatever is lost can still write, and must be kept from it by its fencing number alone. With `--storage` each
has a disk of its own, which it loses with its processes, and shares with the worker an object store alone.

Of each fault it is written down how long it took until the job's next attempt had taken a step, and checked that the weights
are, to the bit, those of an undisturbed run, that no step was told twice, and that nothing trains afterwards.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stn.config import to_dict
from tests.objects import Store, object_store
from tests.training.jobs.ray_cluster import ENVIRONMENT, PROGRAMS, environment
from tests.training.jobs.workers import ended, trainings, wait_for, worker
from tests.training.runs import numbers, restless, same_weights, small, trained_apart
from training.config import TrainingConfig
from training.jobs.job import Job
from training.jobs.ray_api import Api
from training.jobs.store import JobStore

NETWORK = "10.77.0"
BRIDGE = "stn-bridge"
HOSTS = {"head": 10, "one": 11, "two": 12}
EPOCHS = 60
CPUS = 0.9
"""For each process, so that what watches over two of them has room beside one."""


class Cluster:
    """The hosts.

    Args:
        folder: of this machine.
        runs: has the run folders of what trains on them.
        has_store: they share a store and no folder.
    """

    def __init__(self, folder: Path, runs: Path, has_store: bool) -> None:
        self.folder, self.runs, self.has_store = folder, runs, has_store
        self.store: Store | None = None
        self.address = f"http://{_ip('head')}:8265"
        self._keepers: dict[str, subprocess.Popen[bytes]] = {}

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        try:
            _run("ip", "link", "add", BRIDGE, "type", "bridge")
            _run("ip", "addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
            _run("ip", "link", "set", BRIDGE, "up")
            with object_store(f"{NETWORK}.1") if self.has_store else contextlib.nullcontext() as self.store:
                for host in HOSTS:
                    self._join(host)
                    self.start(host)
                wait_for(lambda: len(self.machines()) == len(HOSTS))
                yield
        finally:
            for host in HOSTS:
                self.kill(host)
                subprocess.run(["ip", "link", "del", f"stn-o-{host}"], check=False)
                subprocess.run(["ip", "netns", "del", f"stn-{host}"], check=False)
            subprocess.run(["ip", "link", "del", BRIDGE], check=False)

    def _join(self, host: str) -> None:
        space, outside, inside = f"stn-{host}", f"stn-o-{host}", f"stn-i-{host}"
        _run("ip", "netns", "add", space)
        _run("ip", "link", "add", outside, "type", "veth", "peer", "name", inside)
        _run("ip", "link", "set", inside, "netns", space)
        _run("ip", "link", "set", outside, "master", BRIDGE, "up")
        _run("ip", "-n", space, "link", "set", inside, "name", "eth0")
        for command in (f"addr add {_ip(host)}/24 dev eth0", "link set eth0 up", "link set lo up"):
            _run("ip", "-n", space, *command.split())

    def start(self, host: str) -> None:
        """Its Ray, which is started again when it ends."""
        what = ["--address", f"{_ip('head')}:6379", "--num-cpus", "1"]
        if host == "head":
            what = ["--head", "--port", "6379", "--dashboard-host", "0.0.0.0", "--num-cpus", "0"]
        command = [
            *(
                str(PROGRAMS / "ray"),
                "start",
                "--block",
                "--node-ip-address",
                _ip(host),
                *what,
                "--disable-usage-stats",
            ),
            *("--object-store-memory", str(80 * 2**20), "--temp-dir", str(self.folder / host)),
            *("--include-log-monitor", "False"),
        ]
        disk = f"mkdir -p {self.runs}; mount -t tmpfs none {self.runs};" if self.has_store else ""
        with (self.folder / f"{host}.txt").open("ab") as log:
            self._keepers[host] = subprocess.Popen(
                [
                    *(
                        "ip",
                        "netns",
                        "exec",
                        f"stn-{host}",
                        "unshare",
                        "--pid",
                        "--fork",
                        "--kill-child",
                        "--mount-proc",
                    ),
                    *("sh", "-c", f'{disk} while true; do "$@"; sleep 1; done', "sh", *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # The name of this machine is that of the loopback interface on all.
                env=environment(GLOO_SOCKET_IFNAME="eth0"),
                start_new_session=True,
            )

    def kill(self, host: str) -> None:
        """All that runs on it, as by a power cut."""
        if host in self._keepers:
            keeper = self._keepers.pop(host)
            keeper.kill()  # and with it the first of its processes, and with that all others
            keeper.wait()

    def cut(self, host: str) -> None:
        _run("ip", "link", "set", f"stn-o-{host}", "down")

    def heal(self, host: str) -> None:
        _run("ip", "link", "set", f"stn-o-{host}", "up")

    def machines(self) -> list[Any]:
        with contextlib.suppress(OSError):
            return Api(self.address).machines()
        return []

    def host_of(self, pid: int) -> str:
        space = os.stat(f"/proc/{pid}/ns/net").st_ino
        (found,) = [host for host in HOSTS if os.stat(f"/run/netns/stn-{host}").st_ino == space]
        return found


class Trial:
    """A job that a fault befalls."""

    def __init__(self, cluster: Cluster, store: JobStore, home: Path, config: TrainingConfig) -> None:
        self.cluster, self.store = cluster, store
        self.job: Job = store.create(to_dict(config))[0]
        self.run = home / "runs" / self.job.id
        self.reached: int | None = None
        """The step that was known when the fault was over, where the same attempt goes on."""

    def progress(self) -> dict[str, Any]:
        with contextlib.suppress(OSError, ValueError):
            found: dict[str, Any] = json.loads((self.run / "progress.json").read_text())
            return found
        return {}

    def trains(self, attempt: int, step: int = 1) -> bool:
        found = self.progress()
        return found.get("attempt", 0) >= attempt and (found.get("step") or 0) >= step

    def pids(self) -> list[int]:
        """Of the processes that train for it."""
        return [pid for pid in trainings(self.cluster.runs.parent) if _names(pid, self.job.id)]


def head_restarted(trial: Trial) -> None:
    trial.cluster.kill("head")
    time.sleep(5)
    trial.cluster.start("head")


def host_killed(trial: Trial) -> None:
    host = trial.cluster.host_of(trial.pids()[0])
    trial.cluster.kill(host)
    time.sleep(5)
    trial.cluster.start(host)


def network_cut(trial: Trial, seconds: float = 60.0) -> None:
    host = trial.cluster.host_of(trial.pids()[0])
    trial.cluster.cut(host)
    time.sleep(seconds)
    trial.cluster.heal(host)


def network_cut_for_long(trial: Trial) -> None:
    """Ray gives the host up in the meantime, and the next attempt begins while the training there goes on."""
    network_cut(trial, 120.0)


def process_killed(trial: Trial) -> None:
    os.kill(trial.pids()[0], signal.SIGKILL)


def rank_killed(trial: Trial) -> None:
    """One of two, over two hosts; the other waits for it in the middle of a step."""
    held = trial.progress()["step"]
    wait_for(lambda: trial.progress()["step"] > held)
    ranks = _processes(lambda path: b"RayTrainWorker" in (path / "cmdline").read_bytes())
    assert len({trial.cluster.host_of(pid) for pid in ranks}) == 2, ranks
    os.kill(ranks[-1], signal.SIGKILL)


def store_gone(trial: Trial) -> None:
    """For all: the worker and the hosts."""
    assert trial.cluster.store is not None
    trial.cluster.store.door.shut()
    time.sleep(30)
    trial.reached = trial.progress()["step"]
    trial.cluster.store.door.open()


FAULTS: dict[str, Callable[[Trial], None]] = {
    "process-killed": process_killed,
    "head-restarted": head_restarted,
    "host-killed": host_killed,
    "network-cut": network_cut,
    "network-cut-for-long": network_cut_for_long,
    "rank-killed": rank_killed,
    "store-gone": store_gone,
}
OF_STORES = ("store-gone",)
"""Where there is one alone."""
OF_FOLDERS = ("rank-killed",)
"""Where there is none."""


def main(names: list[str], has_store: bool) -> int:
    os.environ.update(ENVIRONMENT)
    folder = Path(tempfile.mkdtemp(prefix="stn-f-", dir="/tmp"))
    store = JobStore(store_url(folder))
    home = folder / "home"
    cluster = Cluster(folder, (folder / "host" if has_store else home) / "runs", has_store)
    single = restless(EPOCHS)
    both = small(EPOCHS // 3, devices=2, checkpoint_every=3)
    whole: dict[int, Path] = {}
    try:
        with contextlib.ExitStack() as stack:
            stack.enter_context(cluster.up())
            options: dict[str, Any] = {"ray": {"address": cluster.address, "slots": 8, "cpus": CPUS}}
            if cluster.store is not None:
                options["far"] = cluster.store.url, str(cluster.runs.parent), 2**30
            running = stack.enter_context(worker(store_url(folder), home, **options))
            for name in names:
                config = both if name == "rank-killed" else single
                if config.trainer.devices not in whole:
                    whole[config.trainer.devices] = trained_apart(folder / "whole", config)
                wait_for(lambda: len(cluster.machines()) == len(HOSTS), 300)
                say(name, **trial_of(FAULTS[name], Trial(cluster, store, home, config), whole[config.trainer.devices]))
            if "--log" in sys.argv:
                sys.stderr.write(running.log.read_text())
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def trial_of(fault: Callable[[Trial], None], trial: Trial, whole: Path) -> dict[str, Any]:
    store, job = trial.store, trial.job
    began = time.monotonic()
    wait_for(lambda: trial.trains(1, 20))
    first = time.monotonic() - began
    attempt, began = store.get(job.id).attempt, time.monotonic()
    most, seconds = 1, None

    def look() -> None:
        nonlocal most, seconds
        most = max(most, len(trial.pids()))
        next_one = (attempt + 1, 1) if trial.reached is None else (attempt, trial.reached + 1)
        if seconds is None and trial.trains(*next_one):
            seconds = time.monotonic() - began

    doing = threading.Thread(target=fault, args=(trial,))
    doing.start()
    while doing.is_alive() or not store.get(job.id).ended:
        look()
        time.sleep(0.2)
        assert time.monotonic() < began + 900, store.get(job.id)
    done = ended(store, job)
    events = store.events(job.id, limit=100_000)
    steps = [event.data["step"] for event in events if event.kind == "metrics"]
    wait_for(lambda: not trial.pids(), 120)
    return {
        "started_after": round(first, 1),
        "recovered_after": seconds and round(seconds, 1),
        "ended_after": round(time.monotonic() - began, 1),
        "state": done.state,
        "attempts": done.attempt,
        "same_weights": same_weights(whole, trial.run),
        "same_numbers": numbers(whole) == numbers(trial.run),
        "each_step_once": steps == sorted(set(steps)),
        "processes_at_a_time": most,
        "reasons": [event.data["reason"] for event in events if event.data.get("state") == "interrupted"],
    }


def store_url(folder: Path) -> str:
    return f"sqlite:///{folder / 'jobs.sqlite'}"


def say(name: str, **found: Any) -> None:
    sys.stdout.write(json.dumps({"fault": name, **found}) + "\n")
    sys.stdout.flush()


def _ip(host: str) -> str:
    return f"{NETWORK}.{HOSTS[host]}"


def _run(*command: str) -> None:
    subprocess.run(command, check=True)


def _processes(matches: Callable[[Path], bool]) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int(path.name) != os.getpid() and matches(path):
                found.append(int(path.name))
    return found


def _names(pid: int, job_id: str) -> bool:
    """Whether a training is of this job, in whose run folder it is."""
    with contextlib.suppress(OSError):
        return any(
            word.endswith(f"/{job_id}".encode()) for word in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        )
    return False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Faults of a real Ray cluster; see docs/cluster.md.")
    parser.add_argument("faults", nargs="*", choices=[[], *FAULTS], help="default: all")
    parser.add_argument("--storage", action="store_true", help="the hosts share an object store and no folder")
    parser.add_argument("--log", action="store_true", help="also what the worker has logged")
    options = parser.parse_args()
    known = [name for name in FAULTS if name not in (OF_FOLDERS if options.storage else OF_STORES)]
    sys.exit(main(options.faults or known, options.storage))
