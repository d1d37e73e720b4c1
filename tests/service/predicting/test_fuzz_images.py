"""Damaged pictures of every format: each is read or refused with a reason, whatever it is, and takes no more than it may."""

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from service.app import create_app
from service.predicting.images import read_picture
from service.problems import Problem
from service.settings import Settings
from stn import InputConfig
from tests.service.conftest import encode, picture
from tests.service.predicting.damaged_pictures import damaged_pictures

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of EXIF data that make no sense

REFUSALS = {400, 413, 415, 422}
MAX_PIXELS = 1_000_000
WANTED = [
    InputConfig(channels=1, height=20, width=16, mean=(0.0,), std=(1.0,)),
    InputConfig(channels=3, height=24, width=24, mean=(0.0,) * 3, std=(1.0,) * 3, fit="crop"),
]


@contextmanager
def little_memory(most: int) -> Iterator[None]:
    """An AssertionError where more bytes than this are taken at once; on Linux, which keeps the peak."""
    status, peak = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not peak.exists():
        yield
        return
    peak.write_text("5")  # begin a new peak
    before = _kilobytes(status, "VmRSS")
    yield
    assert (_kilobytes(status, "VmHWM") - before) * 1024 < most


def _kilobytes(status: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(name))


@pytest.mark.parametrize(
    ("count", "seed"), [(4000, 0), pytest.param(200_000, 1, marks=pytest.mark.exhaustive)], ids=["some", "many"]
)
def test_a_damaged_picture_is_read_or_refused_with_a_reason(count: int, seed: int) -> None:
    good = picture()
    outcomes: Counter[int] = Counter()
    with little_memory(16 * MAX_PIXELS + 100 * 2**20):
        for number, data in enumerate(itertools.islice(damaged_pictures(seed), count)):
            wanted = WANTED[number % 2]
            began = time.monotonic()
            try:
                found = read_picture(data, wanted, MAX_PIXELS)
            except Problem as problem:
                assert problem.status in REFUSALS, problem.detail  # noqa: PT017
                assert problem.detail.isprintable()  # noqa: PT017
                outcomes[problem.status] += 1
            else:
                assert found.pixels.shape == (wanted.channels, *wanted.size)
                assert found.pixels.dtype == np.uint8
                assert 0 < found.width * found.height <= MAX_PIXELS
                outcomes[200] += 1
            assert time.monotonic() - began < 5, f"picture {number} of seed {seed}"
            if number % 100 == 0:
                assert np.array_equal(read_picture(encode(good), WANTED[0], MAX_PIXELS).pixels[0], good)
    assert outcomes.keys() == {200, *REFUSALS}
    assert min(outcomes[200], outcomes[422]) > count / 20


def test_the_service_answers_damaged_pictures_and_goes_on(home: Path) -> None:
    pictures = damaged_pictures(2)
    good = encode(picture())
    with TestClient(create_app(Settings(home=home, max_pixels=MAX_PIXELS)), raise_server_exceptions=False) as client:

        def ask() -> dict[str, Any]:
            response = client.post("/v1/predict", content=good, headers={"Content-Type": "image/png"})
            assert response.status_code == 200
            return response.json()["predictions"][0]

        expected = ask()
        with little_memory(16 * MAX_PIXELS + 200 * 2**20):
            for _ in range(12):
                batch = [*itertools.islice(pictures, 40), good]
                form = [("image", (f"{number}.png", data)) for number, data in enumerate(batch)]
                response = client.post("/v1/predict", files=form)
                assert response.status_code == 200, response.text
                *others, last = response.json()["predictions"]
                assert last["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-5)
                statuses = {entry["problem"]["status"] for entry in others if "problem" in entry}
                assert statuses <= REFUSALS
                assert "Traceback" not in response.text
            for data in itertools.islice(pictures, 120):
                response = client.post("/v1/predict", content=data, headers={"Content-Type": "image/png"})
                assert response.status_code in {200, *REFUSALS}, response.text
        assert ask() == expected
