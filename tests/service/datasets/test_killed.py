"""A service that is killed during uploads leaves whole data sets and nothing else."""

import os
import random
import signal
import threading
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from service.datasets.store import DatasetStore
from tests.service.datasets.zips import PICTURES, zipped
from tests.service.running import Service, serving

KILLS = 4


def uploads(service: Service, data: bytes) -> None:
    """One after the other, until the service is gone."""
    with suppress(OSError):
        for number in range(100):
            address = f"{service.url}/v1/datasets?name=set-{service.process.pid}-{number}"
            request = urllib.request.Request(address, data, {"Content-Type": "application/zip"})
            with urllib.request.urlopen(request, timeout=60) as answer:
                answer.read()


@pytest.mark.slow
def test_a_kill_during_an_upload_leaves_no_half_data_set(home: Path, tmp_path: Path) -> None:
    files = {f"{number % 4}/{number}.png": PICTURES[number % 4] for number in range(400)}
    data, chance = zipped(files), random.Random(0)
    for number in range(KILLS):
        with serving(home, log=tmp_path / f"log-{number}") as service:
            service.wait_until_ready()
            sending = threading.Thread(target=uploads, args=(service, data))
            sending.start()
            time.sleep(chance.uniform(0.2, 3))
            os.kill(service.process.pid, signal.SIGKILL)
            sending.join()
    with serving(home, log=tmp_path / "log") as service:
        service.wait_until_ready()
        whole = DatasetStore(home).list()
        assert [path.name for path in sorted((home / "datasets").iterdir())] == [dataset.name for dataset in whole]
        for dataset in whole:
            assert len(list(dataset.folder.rglob("*.png"))) == len(files)
