"""Replicas behind nginx that share a home and a PostgreSQL: whichever answers, clients see one service."""

import itertools
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from service.access.keys import create_key
from tests.databases import PostgreSQL, end_with_parent
from tests.service.conftest import bearer, write_model
from tests.service.datasets.zips import good, zipped
from tests.service.running import IMAGE
from tests.service.steady import Ask, asking

log = logging.getLogger(__name__)

CONF = Path(__file__).parents[2] / "deploy" / "nginx.conf"
REPLICAS = 3


class Cluster:
    """Replicas on ports of their own, a worker, and nginx in front with the file of the compose profile."""

    def __init__(self, folder: Path, database: str) -> None:
        self.home, self.folder, self.database = folder / "home", folder, database
        self.port, *self.ports = _free_ports(REPLICAS + 1)
        self.url = f"http://127.0.0.1:{self.port}"
        self.processes: dict[Any, subprocess.Popen[bytes]] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Cluster":
        self.start("worker", "worker")
        for port in self.ports:
            self.start(port, "serve", "--port", str(port))
        for port in self.ports:
            self.wait_until_ready(port)
        self.start_nginx()
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def start(self, name: Any, *arguments: str) -> None:
        environment = {
            **os.environ,
            "STN_HOME": str(self.home),
            "STN_DATABASE": self.database,
            "STN_DRAIN_DELAY": "0.5",
            "STN_REFUSAL_SECONDS": "0",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [sys.executable, "-m", "service.commands.cli", *arguments],
                env=environment,
                stderr=log,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )

    def start_nginx(self) -> None:
        servers = "".join(f"server 127.0.0.1:{port} max_fails=2 fail_timeout=2s;\n" for port in self.ports)
        text = re.sub(r"server replica-1.*\n\s*server replica-2.*\n", servers, CONF.read_text())
        assert text.count(servers) == 2
        text = text.replace("listen 8000", f"listen 127.0.0.1:{self.port}").replace("/tmp/", f"{self.folder}/")
        conf = self.folder / "nginx.conf"
        conf.write_text(text.replace("/dev/stderr", str(self.folder / "nginx.log")))
        user = "user root; " if os.getuid() == 0 else ""
        command = ["nginx", "-c", str(conf), "-p", str(self.folder), "-g", f"{user}daemon off;"]
        with (self.folder / "nginx.log").open("ab") as log:
            self.processes["nginx"] = subprocess.Popen(
                command, stderr=log, start_new_session=True, preexec_fn=end_with_parent
            )
        _until(lambda: self.get("/v2/health/ready", self.port)[0] == 200)

    def wait_until_ready(self, port: int) -> None:
        _until(lambda: self.get("/v2/health/ready", port)[0] == 200, (self.folder / f"{port}.log"))

    def replace(self, port: int) -> None:
        """End this replica in good order and start another in its place."""
        self.processes[port].send_signal(signal.SIGTERM)
        assert self.processes[port].wait(60) == 0
        self.start(port, "serve", "--port", str(port))
        self.wait_until_ready(port)

    def get(self, path: str, port: int | None = None, **headers: str) -> tuple[int, bytes]:
        return self.ask(urllib.request.Request(f"http://127.0.0.1:{port or self.port}{path}", headers=headers))

    def post(self, path: str, body: bytes, port: int | None = None, **headers: str) -> tuple[int, Any]:
        address = f"http://127.0.0.1:{port or self.port}{path}"
        status, answer = self.ask(urllib.request.Request(address, body, headers))
        return status, json.loads(answer)

    def ask(self, request: urllib.request.Request) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [bound.getsockname()[1] for bound in sockets]


def _until(fact: Any, log: Path | None = None, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError):
            if fact():
                return
        assert time.monotonic() < end, log.read_text() if log else ""
        time.sleep(0.1)


@pytest.fixture(scope="module")
def cluster(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if not shutil.which("nginx"):
        pytest.skip("needs nginx: apt-get install nginx-light")
    folder = tmp_path_factory.mktemp("cluster")
    write_model(folder / "home" / "models" / "tiny" / "1.safetensors")
    with Cluster(folder, postgresql.database()) as cluster:
        yield cluster


JSON = {"Content-Type": "application/json"}
CONFIG = {
    "preset": "digits",
    "name": "shared",
    "distortion": {"size": [24, 24]},
    "model": {"size": [12, 12], "filters": [4], "units": 8, "localization_filters": 4},
    "trainer": {"max_steps": 1_000_000, "validate_every": 1000, "accelerator": "cpu"},
}


class Stream(threading.Thread):
    """A client that follows a job's events as a browser does: where the stream breaks off, it connects again."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url, self.ids, self.ended, self.connections = url, list[int](), "", 0

    def run(self) -> None:
        while not self.ended:
            last = {"Last-Event-ID": str(self.ids[-1])} if self.ids else {}
            request = urllib.request.Request(self.url, headers={"Accept": "text/event-stream", **last})
            with suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
                self.connections += 1
                kind = ""
                for line in answer:
                    if line.startswith(b"event: "):
                        kind = line[7:].decode().strip()
                    elif line.startswith(b"id: "):
                        self.ids.append(int(line[4:]))
                    elif line.startswith(b"data: ") and kind == "end":
                        self.ended = json.loads(line[6:])["state"]
            time.sleep(0.05)


@contextmanager
def following(url: str) -> Iterator[Stream]:
    stream = Stream(url)
    stream.start()
    yield stream
    stream.join(60)
    assert not stream.is_alive()


@pytest.mark.exhaustive
def test_three_replicas_are_replaced_under_load_without_a_failed_request(cluster: Cluster) -> None:
    status, job = cluster.post("/v1/jobs", json.dumps(CONFIG).encode(), **JSON)
    assert status == 202
    keys = itertools.count()

    def create() -> Ask:
        # Every key twice, so that one of two finds the other's job.
        body = json.dumps({"preset": "digits", "name": "waits"}).encode()
        return Ask("POST", "/v1/jobs", body, {**JSON, "Idempotency-Key": f"key-{next(keys) // 2}"})

    predict = Ask("POST", "/v1/predict", IMAGE, {"Content-Type": "image/png"})
    reads = [Ask("GET", path) for path in ("/v1/models", f"/v1/jobs/{job['id']}", "/v1/datasets", "/")]
    clients = [(lambda: predict, 0.005)] * 4 + [(lambda ask=ask: ask, 0.02) for ask in reads] + [(create, 0.2)]
    with following(f"{cluster.url}/v1/jobs/{job['id']}/events") as stream:
        with asking(cluster.url, clients) as load:
            for port in cluster.ports:
                time.sleep(1.0)
                cluster.replace(port)
            time.sleep(1.0)
        cluster.post(f"/v1/jobs/{job['id']}/cancel", b"", **JSON)
    cluster.processes["worker"].send_signal(signal.SIGTERM)  # the other jobs are not of interest
    log.info("%s, slowest %.2f s, %d streams", dict(load.statuses), load.slowest, stream.connections)
    assert load.failures() == {}
    assert load.statuses["POST /v1/predict 200"] > 500
    assert stream.ended == "cancelled"
    assert stream.connections >= 2
    assert stream.ids == list(range(1, len(stream.ids) + 1))
    asked = next(keys)
    jobs, after = [], ""
    while True:
        page = json.loads(cluster.get(f"/v1/jobs?limit=100{after}")[1])
        jobs += [listed["id"] for listed in page["jobs"] if listed["id"] != job["id"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert len(jobs) == (asked + 1) // 2


@pytest.mark.slow
def test_one_key_sent_to_all_replicas_at_once_makes_one_job(cluster: Cluster) -> None:
    body = json.dumps({"preset": "digits", "name": "once"}).encode()

    def create(port: int) -> str:
        status, job = cluster.post("/v1/jobs", body, port, **JSON, **{"Idempotency-Key": "once"})
        assert status == 202
        return job["id"]

    with ThreadPoolExecutor(12) as pool:
        assert len(set(pool.map(create, cluster.ports * 4))) == 1
    other = b'{"preset": "mnist"}'
    for port in cluster.ports:
        assert cluster.post("/v1/jobs", other, port, **JSON, **{"Idempotency-Key": "once"})[0] == 422


@pytest.mark.exhaustive
def test_what_is_uploaded_is_there_whichever_replica_answers(cluster: Cluster, tmp_path: Path) -> None:
    write_model(tmp_path / "other.safetensors", transform="similarity", seed=1)
    raw = {"Content-Type": "application/octet-stream"}
    model = (tmp_path / "other.safetensors").read_bytes()
    for name in ("posted-1", "posted-2"):
        assert cluster.post(f"/v1/models?name={name}", model, **raw)[0] == 201
        assert cluster.post(f"/v1/datasets?name={name}", zipped(good()), **raw)[0] == 201
        for other in cluster.ports:
            status, answer = cluster.post(f"/v1/predict?model={name}", IMAGE, other, **{"Content-Type": "image/png"})
            assert (status, answer["model"]) == (200, name), answer
            assert cluster.get(f"/v1/datasets/{name}", other)[0] == 200
    with ThreadPoolExecutor(REPLICAS) as pool:
        answers = pool.map(
            lambda port: cluster.post("/v1/datasets?name=raced", zipped(good()), port, **raw), cluster.ports
        )
    assert sorted(status for status, _ in answers) == [201] + [409] * (REPLICAS - 1)


@pytest.mark.exhaustive
def test_a_rate_is_that_of_all_replicas_together(cluster: Cluster) -> None:
    key = create_key(cluster.home / "keys.json", "hasty", ("predict",), rate=10.0)  # from here on all need a key
    time.sleep(1.5)  # the file is looked at once a second
    ask = Ask("GET", "/v1/models", None, bearer(key))
    start = time.monotonic()
    with asking(cluster.url, [(lambda: ask, 0.02)] * 6) as load:
        time.sleep(12)
    seconds = time.monotonic() - start
    let_in, refused = (load.statuses[f"GET /v1/models {status}"] for status in (200, 429))
    log.info("%d let in and %d refused in %.1f s", let_in, refused, seconds)
    assert refused > let_in
    # Each may let in a burst, 20, before they hear of each other; it is paid for by waiting, so that 20 and the rate remain.
    assert 0.8 * 10 * seconds < let_in < max(20 * REPLICAS, 20 + 10 * seconds) + 15
