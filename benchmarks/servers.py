"""Servers as processes on a core of their own, and the load generator on another."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

HERE = Path(__file__).parent
PATIENCE = 120.0
"""Seconds that a server may take to answer its first request."""


class Server:
    """A server in a process group of its own, which has answered a first request."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, core: int | None, settings: Mapping[str, str] = {}
    ) -> None:
        """Start this command with `--port`; on this core alone, where one is given."""
        self.name = name
        self.port = _free_port()
        self._log = log
        self._command = [*command, "--port", str(self.port)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **settings}
        with log.open("wb") as output, pinned(core):
            self.process = subprocess.Popen(
                self._command,
                cwd=HERE.parent,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self, request: bytes) -> dict[str, Any]:
        """The first answer to this request."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                status, body = self.ask(request)
                if status == 200:
                    answer: dict[str, Any] = json.loads(body)
                    return answer
            time.sleep(0.1)
        raise SystemExit(f"{self.name} does not answer: {shlex.join(self._command)}\n{self._log.read_text()[-3000:]}")

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to a whole HTTP request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=30) as connection:
            connection.sendall(request)
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status, response.read()

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it run meanwhile, and halt it again, so that what it does while idle disturbs nobody."""
        self.signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.halt()

    def halt(self) -> None:
        """Let it do nothing until it is to run or to stop."""
        self.signal(signal.SIGSTOP)

    def signal(self, number: int) -> None:
        """Send this to all its processes that there still are."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)

    def stop(self) -> None:
        self.signal(signal.SIGCONT)
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        self.signal(signal.SIGKILL)
        self.process.wait()

    def memory(self) -> float:
        """Resident memory of all its processes, in MiB; pages that they share count for each."""
        return sum(_resident(pid) for pid in _group(self.process.pid)) / 2**20

    def used(self) -> float:
        """Seconds that its processes have computed."""
        return sum(_computed(pid) for pid in _group(self.process.pid))


@contextlib.contextmanager
def serving(
    name: str, command: Sequence[str], log: Path, core: int | None, settings: Mapping[str, str] = {}
) -> Iterator[Server]:
    """A server that is stopped in the end."""
    server = Server(name, command, log, core, settings)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Processes that are started meanwhile stay on this core; everywhere where it is None."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if core is None else {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def start_load(
    port: int, files: Sequence[Path], core: int | None, connections: int, seconds: float, rate: float | None = None
) -> "subprocess.Popen[str]":
    """The load generator with these requests, running."""
    options = ["--connections", str(connections), "--seconds", str(seconds)]
    if rate is not None:
        options += ["--rate", str(rate)]
    command = [sys.executable, str(HERE / "load.py"), "127.0.0.1", str(port), *map(str, files), *options]
    with pinned(core):
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def load(
    port: int, files: Sequence[Path], core: int | None, connections: int, seconds: float, rate: float | None = None
) -> dict[str, Any]:
    """What the load generator reports."""
    return finish(start_load(port, files, core, connections, seconds, rate))


def watched(
    process: "subprocess.Popen[str]",
    seconds: float,
    name: str,
    each_second: Callable[[int], object] = bool,
) -> dict[str, Any]:
    """What a load generator reports that runs for so long, with a progress bar; something may be done each second."""
    with tqdm(desc=name, total=round(seconds), unit="s") as progress:
        start = time.monotonic()
        while process.poll() is None:
            if (second := int(time.monotonic() - start)) > progress.n:
                progress.update(second - progress.n)
                each_second(second)
            time.sleep(0.05)
    return finish(process)


def finish(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a load generator reports in the end."""
    output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"{shlex.join(map(str, process.args))} failed")  # type: ignore[arg-type]
    report: dict[str, Any] = json.loads(output)
    return report


def rate_of(report: Mapping[str, Any]) -> float:
    """Accepted requests per second."""
    return float(report["statuses"].get("200", 0.0))


def faults(report: Mapping[str, Any]) -> float:
    """Requests that were refused, lost or answered wrongly."""
    refused = sum(rate for status, rate in report["statuses"].items() if status != "200")
    return round(refused * report["seconds"]) + report["failed"] + report["wrong"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _group(leader: int) -> list[int]:
    """The processes of this process group."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and os.getpgid(int(entry.name)) == leader:
                found.append(int(entry.name))
    return found


def _resident(pid: int) -> int:
    """Bytes; none of a process that has ended meanwhile."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def _computed(pid: int) -> float:
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0
