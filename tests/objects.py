"""An object store that speaks S3, in a process of its own behind a door that a test can shut: it is gone then, with what it
holds, for whoever asks it."""

import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

import pytest

from tests.training.test_processes import free_port

needs_store = pytest.mark.skipif(
    find_spec("moto") is None or find_spec("s3fs") is None, reason="s3fs and moto are not installed"
)


class Door:
    """A port of an address of this machine that leads to another one, or, while it is shut, refuses."""

    def __init__(self, to: int, host: str) -> None:
        self._to, self._host = to, host
        self.port = free_port()
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self.open()

    def open(self) -> None:
        self._stop = threading.Event()
        listener = socket.create_server((self._host, self.port))
        self._start(self._listen, listener, self._stop)

    def shut(self) -> None:
        """Returns when nothing goes through any more, also of what had begun."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        self._threads.clear()

    def _start(self, work, *arguments) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self, listener: socket.socket, stop: threading.Event) -> None:
        with listener:
            listener.settimeout(0.05)
            while not stop.is_set():
                try:
                    caller = listener.accept()[0]
                except TimeoutError:
                    continue
                self._start(self._carry, caller, stop)

    def _carry(self, caller: socket.socket, stop: threading.Event) -> None:
        with caller, socket.create_connection(("127.0.0.1", self._to)) as store:
            other = {caller: store, store: caller}
            while not stop.is_set():
                for one in select.select([caller, store], [], [], 0.05)[0]:
                    try:
                        data = one.recv(2**16)
                        other[one].sendall(data)
                    except OSError:
                        return
                    if not data:
                        return


class Store:
    """A bucket, and the environment in which its address is known.

    Attributes:
        url: of a folder in it that nobody else uses.
    """

    def __init__(self, door: Door, environment: dict[str, str], url: str) -> None:
        self.door, self.environment, self.url = door, environment, url


@contextmanager
def object_store(host: str = "127.0.0.1") -> Iterator[Store]:
    """A store of its own at this address, empty but for a bucket; the environment of this process names it."""
    from s3fs import S3FileSystem

    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _wait_for(port, process)
            door = Door(port, host)
            environment = {
                "AWS_ENDPOINT_URL": f"http://{host}:{door.port}",
                "AWS_ACCESS_KEY_ID": "one",
                "AWS_SECRET_ACCESS_KEY": "two",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
            with pytest.MonkeyPatch.context() as patch:
                for name, value in environment.items():
                    patch.setenv(name, value)
                S3FileSystem(skip_instance_cache=True).mkdir("shared")
                yield Store(door, environment, f"s3://shared/{os.getpid()}-{port}")
            door.shut()
        finally:
            process.kill()
            process.wait()


def _wait_for(port: int, process: subprocess.Popen) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    raise AssertionError("the object store did not start")
