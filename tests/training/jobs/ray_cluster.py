"""A Ray cluster of machines that are groups of processes here, with a token, on the loopback interface."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import end_with_parent
from training.jobs.ray_api import Api

TOKEN = "0123456789abcdef0123456789abcdef"
ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": TOKEN,
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_JOB_START_TIMEOUT_SECONDS": "86400",
}
PROGRAMS = Path(sys.executable).parent


def environment(**more: str) -> dict[str, str]:
    """Of Ray's programs, which find this Python's by their path."""
    path = f"{PROGRAMS}:{os.environ['PATH']}"
    return {**os.environ, **ENVIRONMENT, "PATH": path, "OMP_NUM_THREADS": "1", **more}


class Head:
    """The head of a cluster, which is a machine of it, too.

    Args:
        cpus: that it has.
    """

    def __init__(self, cpus: int) -> None:
        self.cpus = cpus
        self.folder = Path(tempfile.mkdtemp(prefix="stn-ray-"))  # a short name: of sockets it may have 107 letters
        self.ports = _free_ports(3)
        self.address = f"http://127.0.0.1:{self.ports[1]}"

    def start(self) -> None:
        """Returns when it answers."""
        with (self.folder / "head.txt").open("ab") as log:
            self.process = subprocess.Popen(
                [PROGRAMS / "ray", *self._arguments()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment(STN_TEST_CLUSTER=str(self.folder)),
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        end = time.monotonic() + 120
        while not self._answers():
            assert self.process.poll() is None and time.monotonic() < end, (self.folder / "head.txt").read_text()
            time.sleep(0.1)

    def _arguments(self) -> list[str]:
        port, dashboard, agent = map(str, self.ports)
        return [
            *("start", "--head", "--block", "--disable-usage-stats", "--include-log-monitor", "False"),
            *("--node-ip-address", "127.0.0.1", "--port", port, "--num-cpus", str(self.cpus)),
            *("--dashboard-host", "127.0.0.1", "--dashboard-port", dashboard, "--dashboard-agent-listen-port", agent),
            *("--object-store-memory", str(80 * 2**20), "--temp-dir", str(self.folder / "ray")),
        ]

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(Api(self.address).machines())
        return False

    def kill(self) -> None:
        """As by a power cut: all that belongs to it, with what it runs."""
        for pid in _of_session(self.folder):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextlib.contextmanager
def ray_head(cpus: int = 1) -> Iterator[Head]:
    """A cluster of so many processors that has started, whose token this process has, too."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        head = Head(cpus)
        try:
            head.start()
            yield head
        finally:
            head.end()


def _of_session(folder: Path) -> list[int]:
    """Processes whose environment names this folder: all of Ray's own, and all that its jobs run."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (
                f"STN_TEST_CLUSTER={folder}".encode() in (path / "environ").read_bytes()
                and int(path.name) != os.getpid()
            ):
                found.append(int(path.name))
    return found


def _free_ports(count: int) -> list[int]:
    """Ports below those that the kernel gives away by itself, which others might have taken in the meantime."""
    with contextlib.ExitStack() as stack:
        taken = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in taken:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in taken]
