"""Small files of a run folder that say nothing, as a disk may leave them: the worker and its other jobs go on."""

import contextlib
from pathlib import Path

import pytest

from tests.training.jobs.workers import PROGRAM, ended, submit_quick, wait_for, worker
from training.attempts import Attempt, own, owner
from training.jobs.news import News
from training.jobs.outcome import closing
from training.jobs.store import JobStore

DAMAGED = ["", "{", "[]", "{}", '{"attempt": "x"}', "\0\0\0"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_owner_is_none_and_can_be_written_again(tmp_path: Path, text: str) -> None:
    (tmp_path / "attempt.json").write_text(text)
    attempt = Attempt(tmp_path, 2)
    attempt.check()
    assert owner(tmp_path) is None
    own(tmp_path, 2)
    attempt.check()
    assert owner(tmp_path) is not None


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_news_are_none(tmp_path: Path, text: str) -> None:
    for name in ("progress.json", "control.json", "result.json"):
        (tmp_path / name).write_text(text)
    news = News(tmp_path)
    news.look(1, 1, at_once=True)
    assert news.events == []
    assert Attempt(tmp_path, 1).asked() is None
    assert closing(tmp_path, 1, 1) is None


def test_a_damaged_line_of_metrics_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "progress.json").write_text('{"attempt": 1, "step": 5}')
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n\0\0\n{"step": 2}\n')
    news = News(tmp_path)
    news.look(1, 1, at_once=True)
    assert [data["step"] for kind, data in news.events if kind == "metrics"] == [1, 2]


def test_a_worker_outlives_what_it_cannot_read(tmp_path: Path) -> None:
    """The lock of a job that it takes over, and, of another one, the file with which it asks it to stop."""
    url, home = f"sqlite:///{tmp_path / 'jobs.sqlite'}", tmp_path / "home"
    with contextlib.closing(JobStore(url)) as store:
        lost = submit_quick(store)
        store.claim("another", "elsewhere", 1)
        (home / "runs" / lost.id / ".lock").mkdir(parents=True)
        with worker(url, home, program=PROGRAM, retries=1, lease=5.0, slots=2) as running:
            done = ended(store, lost)
            assert (done.state, done.failure, done.attempt) == ("failed", "crash", 3)
            assert any("Is a directory" in event.data.get("reason", "") for event in store.events(lost.id))
            unasked = submit_quick(store, steps=400, seed=4)
            wait_for(lambda: store.get(unasked.id).state == "running")
            (home / "runs" / unasked.id / "control.json").mkdir()
            store.stop(unasked.id)
            assert ended(store, unasked).state == "succeeded"
            assert running.process.poll() is None
            assert "control.json" in running.log.read_text()
