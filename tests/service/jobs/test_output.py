"""The metrics of a job and its log, whole, cut or as they come."""

import csv
import io
import threading
import time
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import httpx2
import pytest
from PIL import Image

from service.jobs.console import start_of_tail
from service.jobs.curves import png, svg
from tests.service.jobs.driven import LINES, begun, config, finished, write_run
from training.jobs.job import Job
from training.jobs.store import JobStore


@pytest.fixture
def done(store: JobStore, job_home: Path) -> Job:
    store.create(config())
    return finished(store, job_home, begun(store))


# Metrics


def test_metrics_are_the_lines_of_the_run(api: httpx2.Client, done: Job) -> None:
    assert api.get(f"/v1/jobs/{done.id}/metrics").json() == {"metrics": LINES}


def test_metrics_as_csv_have_a_column_for_every_name(api: httpx2.Client, done: Job) -> None:
    answer = api.get(f"/v1/jobs/{done.id}/metrics", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [{name: float(text) for name, text in row.items() if text} for row in rows] == LINES
    assert answer.text.startswith("step,")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "application/json"),
        ("text/csv", "text/csv"),
        ("image/png", "image/png"),
        ("image/svg+xml", "image/svg+xml"),
        ("image/avif,image/webp,image/*", "image/svg+xml"),
        ("application/json;q=0.1, image/png;q=0.5", "image/png"),
        ("audio/mp3", "application/json"),
    ],
)
def test_the_kind_of_answer_is_chosen_by_accept(api: httpx2.Client, done: Job, accept: str, kind: str) -> None:
    answer = api.get(f"/v1/jobs/{done.id}/metrics", headers={"Accept": accept})
    assert answer.headers["content-type"].partition(";")[0] == kind


def test_the_curves_are_pictures(api: httpx2.Client, done: Job) -> None:
    picture = Image.open(io.BytesIO(api.get(f"/v1/jobs/{done.id}/metrics?format=png").content))
    assert (picture.format, picture.size) == ("PNG", (1920, 480))
    assert len(picture.getcolors(1920 * 480) or ()) > 10
    drawing = ElementTree.fromstring(api.get(f"/v1/jobs/{done.id}/metrics?format=svg").content)
    texts = [text.text for text in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"loss", "accuracy", "learning rate", "validation", "training"} <= set(texts)
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}polyline"))) > 4


@pytest.mark.parametrize(
    "values",
    [
        [],
        [{"step": 1.0}],
        [{"step": 5.0, "val/loss": 0.0}],
        [{"step": 1.0, "val/loss": 1e-300}, {"step": 2.0, "val/loss": 1e300}],
        [{"step": 7.0, "val/loss": 3.0}, {"step": 7.0, "val/loss": 3.0}],
        [{"step": 1.0, "val/loss": -1e308}, {"step": 2.0, "val/loss": 1e308}],
        [{"step": float(step), "val/loss": 1.0 / step} for step in range(1, 5000)],
    ],
)
def test_any_numbers_can_be_drawn(values: list[dict[str, float]]) -> None:
    ElementTree.fromstring(svg(values))
    assert len(svg(values)) < 60_000
    Image.open(io.BytesIO(png(values))).verify()


def test_a_job_without_metrics_has_none(api: httpx2.Client, store: JobStore) -> None:
    job = store.create(config())[0]
    assert api.get(f"/v1/jobs/{job.id}/metrics").json() == {"metrics": []}
    assert api.get(f"/v1/jobs/{job.id}/metrics?format=csv").text == "step\n"
    assert b"nothing measured yet" in api.get(f"/v1/jobs/{job.id}/metrics?format=svg").content


# Logs


@pytest.mark.parametrize(
    "text", ["", "\n", "a", "a\n", "a\nb", "a\nb\n", "\n\n\n", "x" * 200_000 + "\nb\nc\n" * 40_000]
)
@pytest.mark.parametrize("lines", [0, 1, 2, 3, 70_000, 1_000_000])
def test_the_tail_is_the_last_lines(tmp_path: Path, text: str, lines: int) -> None:
    (tmp_path / "log").write_text(text)
    expected = "".join(text.splitlines(keepends=True)[-lines:]) if lines else ""
    assert text[start_of_tail(tmp_path / "log", lines) :] == expected


def test_a_log_is_read_whole_or_its_last_lines(api: httpx2.Client, done: Job) -> None:
    answer = api.get(f"/v1/jobs/{done.id}/logs")
    assert (answer.text, answer.headers["content-type"]) == ("first\nsecond\nthird\n", "text/plain; charset=utf-8")
    assert answer.headers["x-stn-offset"] == "0"
    answer = api.get(f"/v1/jobs/{done.id}/logs", params={"tail": 2})
    assert (answer.text, answer.headers["x-stn-offset"]) == ("second\nthird\n", "6")
    assert api.get(f"/v1/jobs/{done.id}/logs", params={"after": 13}).text == "third\n"
    assert api.get(f"/v1/jobs/{done.id}/logs", params={"tail": 2, "after": 13}).text == "third\n"
    assert api.get(f"/v1/jobs/{done.id}/logs", params={"after": 10_000}).text == ""
    assert api.get(f"/v1/jobs/{done.id}/logs", params={"follow": True}).text == "first\nsecond\nthird\n"


def test_a_job_that_has_not_begun_has_an_empty_log(api: httpx2.Client, store: JobStore) -> None:
    job = store.create(config())[0]
    assert api.get(f"/v1/jobs/{job.id}/logs").text == ""


def test_a_log_is_followed_from_before_there_is_one_until_the_job_has_ended(
    api: httpx2.Client, store: JobStore, job_home: Path
) -> None:
    job = store.create(config())[0]
    got = []

    def follow() -> None:
        with api.stream("GET", f"/v1/jobs/{job.id}/logs", params={"follow": True}) as answer:
            got.extend(answer.iter_text())

    reader = threading.Thread(target=follow)
    reader.start()
    time.sleep(0.3)
    job = begun(store)
    log = write_run(job_home, job.id, "zero\n") / "console.txt"
    for line in ("one\n", "tw", "o\n"):
        seen = log.read_text()
        end = time.monotonic() + 30
        while "".join(got) != seen:
            assert time.monotonic() < end
            time.sleep(0.01)
        with log.open("a") as file:
            file.write(line)
    store.finish(job, "failed", "exit code 2", failure="mistake")
    reader.join(30)
    assert "".join(got) == "zero\none\ntwo\n"


def test_how_long_a_stream_lasts_is_not_counted_as_the_time_of_an_answer(api: httpx2.Client, done: Job) -> None:
    """The process counts for all tests that run in it: what these two requests add."""

    def counted() -> Counter[str]:
        lines = [line.rpartition(" ") for line in api.get("/metrics").text.splitlines() if not line.startswith("#")]
        return Counter(
            {name: int(float(number)) for name, _, number in lines if "_total{" in name or "_count{" in name}
        )

    before = counted()
    api.get(f"/v1/jobs/{done.id}/logs")
    api.get(f"/v1/jobs/{done.id}")
    added = counted() - before
    requests = [name for name in added if name.startswith('stn_requests_total{method="GET",route="/v1/jobs/{id}/logs"')]
    assert [added[name] for name in requests] == [1]
    assert added['stn_request_seconds_count{route="/v1/jobs/{id}"}'] == 1
    assert added['stn_request_seconds_count{route="/v1/jobs/{id}/logs"}'] == 0
