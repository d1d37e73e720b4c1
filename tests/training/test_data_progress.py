import logging

import pytest

from training.data.progress import counted


def test_without_a_terminal_a_line_says_when_all_are_done(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "training"):
        assert list(counted("abc", 3, "decoding pictures", "picture")) == ["a", "b", "c"]
    assert caplog.messages == ["decoding pictures: 3 of 3 pictures"]


def test_without_a_terminal_a_line_comes_every_few_seconds(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.data.progress._SECONDS_BETWEEN_LINES", -1)
    with caplog.at_level(logging.INFO, "training"):
        list(counted("abc", 3, "decoding pictures", "picture"))
    assert [message[-15:] for message in caplog.messages] == [f"{n} of 3 pictures" for n in (1, 2, 3)]


def test_on_a_terminal_a_bar_counts(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(counted("abc", 3, "decoding pictures", "picture")) == ["a", "b", "c"]
    assert "decoding pictures: 100%" in capsys.readouterr().err
