"""The processes of `stn up` and of `stn serve --workers N`: some answer requests on one port, one may run training jobs.

Those that answer have a socket of their own each on the port, among which the kernel shares out new connections. The first
of all answers 503 until its models are loaded; the others get no connection before that and theirs are, so that whoever was
told that the service is ready is not told the contrary by another. One that dies is started again likewise.
"""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from pathlib import Path

from service.observing.exposition import shared_folder
from service.observing.logs import set_up
from service.server import serve_here
from service.settings import Settings, handed_over, taken_over
from training.child import start_module

log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds beyond the drain after which a process that was asked to end is killed."""
_SHORT = 5.0
"""A process that ends within these seconds of its start, is started again that much later."""


def supervise(settings: Settings, with_jobs: bool = False) -> int:
    """Serve in `settings.workers` processes until a signal ends them in good order.

    The exit code: 0 after a signal, 2 where the database of jobs is refused, 3 where a process could not start the service.

    Args:
        settings: what an operator can set.
        with_jobs: run training jobs too, in one more process (`service.commands.worker`).
    """
    with ExitStack() as stack:
        # Another service that shares its port among processes would share it with these, too.
        _bound(settings.host, settings.port, shared=False).close()
        held = stack.enter_context(_bound(settings.host, settings.port))  # keeps the port; it does not listen
        port = held.getsockname()[1]
        stack.enter_context(shared_folder())
        settings = settings.model_copy(update={"port": port})
        first_is_ready = os.pipe()
        servers = [_server(index, settings, first_is_ready) for index in range(settings.workers)]
        others = [_worker(settings)] if with_jobs else []
        stack.callback(_end_all, [*servers, *others])
        stop = _Stop()
        for process in (*servers, *others):
            process.start()
        log.info("serving on http://%s:%d in %s", settings.host, port, _counted(settings.workers))
        while not stop.asked:
            time.sleep(0.2)
            if any(server.code() == 3 for server in servers):
                return 3
            if any(other.code() == 2 and not other.is_another for other in others):
                return 2  # its database is none, or of a newer version: it has said so
            for process in (*servers, *others):
                process.start_again_where_ended()
    return 0


class _Stop:
    """Remembers that a signal asked this process to end."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, *_: object) -> None:
        self.asked = True


@dataclass
class _Process:
    """One of the processes, which may follow each other."""

    name: str
    launch: "Callable[[bool], subprocess.Popen[bytes]]"
    """Starts it; told whether it is the first of its kind."""
    patience: float
    """Seconds after which it is killed, once it was asked to end."""
    process: "subprocess.Popen[bytes] | None" = None
    started: float = field(default=0.0)
    is_another: bool = field(default=False)
    """It is not the first."""

    def start(self) -> None:
        self.started, self.is_another = time.monotonic(), self.process is not None
        self.process = self.launch(not self.is_another)

    def code(self) -> int | None:
        """The exit code of its process, None while it runs."""
        return None if self.process is None else self.process.poll()

    def start_again_where_ended(self) -> None:
        code = self.code()
        if code is None or time.monotonic() < self.started + _SHORT:
            return
        log.error("%s ended with exit code %d; starting another", self.name, code)
        self.start()


def _server(index: int, settings: Settings, first_is_ready: tuple[int, int]) -> _Process:
    """One that answers requests.

    Args:
        index: its number.
        settings: what an operator can set.
        first_is_ready: a pipe, of which the first process has the end to write, and closes it when it is ready or gone.
    """

    def launch(first: bool) -> "subprocess.Popen[bytes]":
        argument, secrets = handed_over(settings)
        environment = {**os.environ, **visible_device(index, os.environ, _device_files()), **secrets}
        leads = index == 0 and first
        end = first_is_ready[leads]
        task = json.dumps({"leads": leads, "end": end})
        process = start_module("service.workers", argument, task, env=environment, pass_fds=(end,))
        if leads:
            os.close(end)
        return process

    patience = settings.drain_seconds + settings.drain_delay + _PATIENCE
    return _Process(f"process {index} of the service", launch, patience)


def _worker(settings: Settings) -> _Process:
    """The one that runs training jobs."""

    def launch(_: bool) -> "subprocess.Popen[bytes]":
        argument, secrets = handed_over(settings)
        return start_module("service.commands.worker", argument, env={**os.environ, **secrets})

    return _Process("the worker of training jobs", launch, settings.stop_seconds + 3 * _PATIENCE)


def _end_all(processes: list[_Process]) -> None:
    """Ask all to end, and wait; whoever is not done in time is killed."""
    running = [(process.process, process.patience) for process in processes if process.process is not None]
    for process, _ in running:
        process.send_signal(signal.SIGTERM)
    now = time.monotonic()
    for process, patience in running:
        try:
            process.wait(max(0.0, now + patience - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _counted(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def visible_device(index: int, environment: Mapping[str, str], files: int) -> dict[str, str]:
    """The variable that shows this process one GPU of its own: of those that are visible, the next in turn."""
    name = "CUDA_VISIBLE_DEVICES"
    visible = [part for part in environment.get(name, ",".join(map(str, range(files)))).split(",") if part]
    return {name: visible[index % len(visible)]} if visible else {}


def _device_files() -> int:
    """NVIDIA GPUs of this machine."""
    return sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in Path("/dev").iterdir())


def _bound(host: str, port: int, shared: bool = True) -> socket.socket:
    """A socket on this address, which other processes may share where it is so."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(shared))
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ValueError(f"port must be free, got {port} ({error.strerror})") from None
    return bound


def main(arguments: list[str]) -> int:
    """One of the processes; the arguments are JSON: its settings, and whether it is the first, and its end of the pipe."""
    settings = taken_over(arguments[0])
    set_up(settings.log_format, settings.log_requests)
    leads, end = itemgetter("leads", "end")(json.loads(arguments[1]))
    try:
        if not leads:
            os.read(end, 1)  # there is nothing to read: it returns when the first has closed the other end
        with _bound(settings.host, settings.port) as bound:
            return serve_here(settings, [bound], not leads, partial(os.close, end) if leads else None)
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
