"""The `stn` command as a real process, for tests of what happens between processes."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.service.conftest import encode, picture
from tests.service.exposition import Samples, read

IMAGE = encode(picture())


class Service(NamedTuple):
    """A service that runs, ready or not."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body."""
        return self._ask(urllib.request.Request(self.url + path))

    def predict(self, body: bytes = IMAGE, query: str = "", **headers: str) -> tuple[int, Any]:
        """Status and JSON of one prediction."""
        request = urllib.request.Request(
            f"{self.url}/v1/predict{query}", body, {"Content-Type": "image/png", **headers}
        )
        status, answer = self._ask(request)
        return status, json.loads(answer)

    def scrape(self) -> Samples:
        """Its metrics."""
        return read(self.get("/metrics")[1].decode())

    def wait_until_ready(self, seconds: float = 120) -> None:
        """Return when it is; an AssertionError with its log where that takes longer."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            with suppress(OSError):
                if self.get("/v2/health/ready")[0] == 200:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def children(self) -> list[int]:
        """The process ids of those that it started."""
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return sorted(map(int, listed.split()))

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 60) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def _ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@contextmanager
def serving(home: Path, *arguments: str, log: Path, verb: str = "serve", **settings: str) -> Iterator[Service]:
    """`stn serve`, or `stn up`, on a free port, until the end of the block."""
    environment = {
        **os.environ,
        "STN_HOME": str(home),
        **{f"STN_{name.upper()}": text for name, text in settings.items()},
    }
    command = [sys.executable, "-m", "service.commands.cli", verb, "--port", "0", *arguments]
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=environment, stderr=output, start_new_session=True)
    try:
        yield Service(_address(log, process), process, log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _address(log: Path, process: "subprocess.Popen[bytes]") -> str:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text().splitlines():
            if " on http://" in line:
                return "http://" + line.partition("http://")[2].split()[0]
        time.sleep(0.05)
    raise AssertionError(log.read_text())
