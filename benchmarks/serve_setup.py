"""What every measurement of the service starts from: a model file, requests, cores."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from serve_model import pictures, raw_requests, write_model
from servers import Server, serving

PATH = "/v1/predict"
PICTURES = 16


class Setup(NamedTuple):
    """A folder for one run, and where things run."""

    folder: Path
    server_core: int | None
    """None: wherever there is room."""
    load_core: int | None

    @property
    def home(self) -> Path:
        """Of the service."""
        return self.folder / "home"

    @property
    def model(self) -> Path:
        """The first version of the model."""
        return self.home / "models" / "tutorial" / "1.safetensors"

    def files(self, name: str, requests: Sequence[bytes]) -> list[Path]:
        """Files of these requests, for the load generator."""
        files = [self.folder / f"{name}-{index}.http" for index in range(len(requests))]
        for file, request in zip(files, requests, strict=True):
            file.write_bytes(request)
        return files

    @contextmanager
    def service(self, *arguments: str, **settings: str) -> Iterator[Server]:
        """This service, ready, with these arguments and settings."""
        command = [sys.executable, "-m", "service.commands.cli", "serve", "--home", str(self.home), *arguments]
        environment = {f"STN_{name.upper()}": value for name, value in settings.items()}
        with serving("(d) this service", command, self.folder / "stn.log", self.server_core, environment) as server:
            server.wait(raw_requests(PATH, pictures(1))[0])
            yield server


def make_setup(folder: Path, pin: bool) -> Setup:
    """With the model in its place; the server on the first core and the load generator on the second, where pinned."""
    cores = sorted(os.sched_getaffinity(0))
    if pin and len(cores) < 2:
        raise SystemExit("two cores are needed, one for the server and one for the load generator")
    setup = Setup(folder, *(cores[:2] if pin else (None, None)))
    write_model(setup.model)
    return setup
