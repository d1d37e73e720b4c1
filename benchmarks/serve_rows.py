"""The lines of `serve.py`'s table: who answers what."""

import importlib.util
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from serve_answers import check_same, read
from serve_model import multipart_requests, pictures, raw_requests
from serve_setup import PATH, PICTURES, Setup
from servers import HERE, Server, load, rate_of, serving
from tqdm import tqdm

EMPTY, FASTAPI, LITSERVE, OURS = "(a) empty ASGI", "(b) FastAPI handler", "(c) LitServe", "(d) this service"
ROWS = (
    ("multipart", EMPTY, "/"),
    ("multipart", FASTAPI, "/predict"),
    ("multipart", LITSERVE, "/predict"),
    ("multipart", OURS, PATH),
    ("raw", FASTAPI, "/raw"),
    ("raw", OURS, PATH),
)
"""Kind of request, server, and path that it answers at."""
REQUESTS = {"multipart": multipart_requests, "raw": raw_requests}
LITSERVE_SETTINGS = ((32, 0.005), (32, 0.01), (64, 0.01))
"""Largest batch, and seconds that LitServe waits for one."""


class Row(NamedTuple):
    """One line of the table."""

    kind: str
    server: Server
    files: list[Path]
    """Its requests."""


def start_rows(setup: Setup, stack: ExitStack, seconds: float) -> tuple[list[Row], dict[str, float]]:
    """The lines, whose servers are halted and say the same; and requests per second of LitServe by its settings."""
    images = pictures(PICTURES)
    requests = {(kind, name): REQUESTS[kind](path, images) for kind, name, path in ROWS}
    files = {key: setup.files(f"{key[0]}-{key[1][1]}", each) for key, each in requests.items()}
    servers = {OURS: stack.enter_context(setup.service())}
    answer = setup.folder / "answer.json"
    answer.write_bytes(servers[OURS].ask(requests["multipart", OURS][0])[1])
    servers[OURS].halt()
    peer = [sys.executable, str(HERE / "serve_peers.py")]
    commands = {
        EMPTY: [*peer, "empty", "--answer", str(answer)],
        FASTAPI: [*peer, "fastapi", "--model", str(setup.model)],
    }
    tried = {}
    if importlib.util.find_spec("litserve"):
        tried = _try_litserve(setup, files["multipart", LITSERVE], seconds)
        commands[LITSERVE] = _litserve(setup, max(tried, key=tried.__getitem__))
    for name, command in tqdm(commands.items(), desc="starting", unit="server"):
        servers[name] = stack.enter_context(serving(name, command, setup.folder / f"{name[1]}.log", setup.server_core))
        servers[name].wait(requests["multipart", name][0])
        servers[name].halt()
    _compare(servers, requests)
    return [Row(kind, servers[name], files[kind, name]) for kind, name, _ in ROWS if name in servers], tried


def _try_litserve(setup: Setup, files: Sequence[Path], seconds: float) -> dict[str, float]:
    """Requests per second at 32 connections with each of its settings, by `BATCH SECONDS`."""
    reached = {}
    for batch, wait in tqdm(LITSERVE_SETTINGS, desc="LitServe's settings"):
        name = f"{batch} {wait}"
        with serving(LITSERVE, _litserve(setup, name), setup.folder / "c.log", setup.server_core) as server:
            server.wait(files[0].read_bytes())
            reached[name] = rate_of(load(server.port, files, setup.load_core, 32, seconds))
    return reached


def _litserve(setup: Setup, settings: str) -> list[str]:
    batch, wait = settings.split()
    script = [sys.executable, str(HERE / "serve_litserve.py"), "--model", str(setup.model)]
    return [*script, "--max-batch-size", batch, "--batch-timeout", wait]


def _compare(servers: Mapping[str, Server], requests: Mapping[tuple[str, str], Sequence[bytes]]) -> None:
    """Stops unless every server says the same of every picture, however it is posted."""
    expected = None
    for kind, name in reversed(requests):
        if name in servers and name != EMPTY:
            with servers[name].running():
                answers = [servers[name].ask(request) for request in requests[kind, name]]
            said = [read(json.loads(body)) for _, body in answers]
            expected = expected or said
            for found, right in zip(said, expected, strict=True):
                check_same(f"{name}, {kind}", found, right)
