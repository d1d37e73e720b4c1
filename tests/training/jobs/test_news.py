"""What of a run becomes events, and how much that is."""

import json
from pathlib import Path

import pytest

from training.jobs import news
from training.jobs.news import MOST_SECONDS, SECONDS, News, pause


def test_a_day_of_training_makes_thousands_of_events_of_progress_and_not_tens_of_thousands() -> None:
    elapsed, told = 0.0, 0
    while elapsed < 86_400:
        elapsed += pause(elapsed)
        told += 1
    assert 4_000 < told < 6_000
    assert (pause(0.0), pause(5_000.0), pause(1e9)) == (SECONDS, 5.0, MOST_SECONDS)


def test_progress_is_told_at_once_and_then_at_most_once_in_a_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(news.time, "monotonic", lambda: now[0])
    found = News(tmp_path)
    for second in range(11):
        (tmp_path / "progress.json").write_text(json.dumps({"attempt": 1, "step": 10 + second}))
        now[0] = 100.0 + second
        found.look(1, 1)
    assert [data["step"] for _, data in found.events] == [10, 12, 14, 16, 18, 20]
    found.events.clear()
    now[0] = 100.0 + 20_000
    (tmp_path / "progress.json").write_text(json.dumps({"attempt": 1, "step": 1000}))
    found.look(1, 1)
    for second in range(1, 41):
        (tmp_path / "progress.json").write_text(json.dumps({"attempt": 1, "step": 1000 + second}))
        now[0] = 100.0 + 20_000 + second
        found.look(1, 1)
    assert [data["step"] for _, data in found.events] == [1000, 1021]  # after 20.001 s and more
    (tmp_path / "progress.json").write_text(json.dumps({"attempt": 1, "step": 2000}))
    found.look(1, 1)  # it is seen, and not told yet
    found.look(1, 1, at_once=True)
    assert [data["step"] for _, data in found.events] == [1000, 1021, 2000]
