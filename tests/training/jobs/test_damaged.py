"""Small files of a run folder that say nothing, as a disk may leave them: the worker and its other jobs go on."""

from pathlib import Path

import pytest

from training.attempts import Attempt, own, owner
from training.jobs.news import News
from training.jobs.outcome import closing

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
