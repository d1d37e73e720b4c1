"""Several processes that answer requests on one port: `stn serve --workers N`.

Each has a socket of its own on the port, among which the kernel shares out new connections. One that dies is started again,
and gets no connection before its models are loaded; only the first of all answers 503 until then.
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
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from service.observing.exposition import shared_folder
from service.observing.logs import set_up
from service.server import serve_here
from service.settings import Settings
from training.child import start_module

log = logging.getLogger(__name__)

_PATIENCE = 5.0
"""Seconds beyond the drain after which a process that was asked to end is killed."""
_SHORT = 5.0
"""A process that ends within these seconds of its start, is started again that much later."""


def supervise(settings: Settings) -> int:
    """Serve in `settings.workers` processes until a signal ends them in good order.

    The exit code: 0 after a signal, 3 where a process could not start the service.
    """
    with ExitStack() as stack:
        # Another service that shares its port among processes would share it with these, too.
        _bound(settings.host, settings.port, shared=False).close()
        held = stack.enter_context(_bound(settings.host, settings.port))  # keeps the port; it does not listen
        port = held.getsockname()[1]
        stack.enter_context(shared_folder())
        workers = [_Worker(index, settings.model_copy(update={"port": port})) for index in range(settings.workers)]
        stack.callback(_end_all, workers, settings.drain_seconds + settings.drain_delay + _PATIENCE)
        stop = _Stop()
        for worker in workers:
            worker.start()
        log.info("serving on http://%s:%d in %d processes", settings.host, port, settings.workers)
        while not stop.asked:
            time.sleep(0.2)
            for worker in workers:
                if worker.code() == 3:
                    return 3
                worker.start_again_where_ended()
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
class _Worker:
    """One of the processes, which may follow each other."""

    index: int
    settings: Settings
    process: "subprocess.Popen[bytes] | None" = None
    started: float = field(default=0.0)

    def start(self) -> None:
        self.started = time.monotonic()
        environment = {**os.environ, **visible_device(self.index, os.environ, _device_files())}
        environment["STN_DATABASE"] = self.settings.database  # may hold a password, which arguments would show
        wait_for_models = self.index > 0 or self.process is not None
        arguments = self.settings.model_dump_json(), json.dumps(wait_for_models)
        self.process = start_module("service.workers", *arguments, env=environment)

    def code(self) -> int | None:
        """The exit code of its process, None while it runs."""
        return None if self.process is None else self.process.poll()

    def start_again_where_ended(self) -> None:
        code = self.code()
        if code is None or time.monotonic() < self.started + _SHORT:
            return
        log.error("process %d of the service ended with exit code %d; starting another", self.index, code)
        self.start()


def _end_all(workers: list[_Worker], seconds: float) -> None:
    """Ask all to end, and wait; whoever is not done after these seconds is killed."""
    processes = [worker.process for worker in workers if worker.process is not None]
    for process in processes:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + seconds
    for process in processes:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


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
    """One of the processes; the arguments are its settings and whether it waits for its models, as JSON."""
    settings = Settings.model_validate_json(arguments[0]).model_copy(update={"database": Settings().database})
    set_up(settings.log_format, settings.log_requests)
    try:
        with _bound(settings.host, settings.port) as bound:
            return serve_here(settings, [bound], wait_for_models=json.loads(arguments[1]))
    except (ValueError, OSError) as error:
        log.error("%s", error)
        return 3


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
