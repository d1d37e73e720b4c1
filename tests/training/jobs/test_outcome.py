"""What the end of a training process means for its job."""

import json
from pathlib import Path

import pytest

from training.jobs.outcome import Closing, Code, closing, judge, last_words, wait_before

DONE = Closing(stopped=False, scores={"test/accuracy": 0.9})
STOPPED = DONE._replace(stopped=True)


@pytest.mark.parametrize(
    ("code", "record", "paused", "state", "failure", "crashed"),
    [
        (0, DONE, False, "succeeded", None, False),
        (0, STOPPED, True, "succeeded", None, False),
        ("gone", DONE, False, "succeeded", None, False),
        (0, None, False, None, None, True),  # Lightning exits with 0 on SIGTERM
        (-9, DONE, False, None, None, True),  # the next attempt finds the run finished
        (1, None, False, None, None, True),
        (4, None, True, None, None, True),
        ("gone", None, False, None, None, True),
        ("lost", None, False, None, None, False),
        ("lost", DONE, False, "succeeded", None, False),
        ("moved", None, False, None, None, False),
        ("unbegun", None, False, None, None, False),
        (130, None, True, None, None, False),
        (-9, None, True, None, None, False),
        (130, None, False, None, None, True),
        (2, None, False, "failed", "mistake", False),
        (3, None, True, "failed", "resources", False),
        (5, None, False, None, "resources", True),
        (6, None, False, None, "resources", True),
    ],
)
def test_a_job_has_succeeded_only_by_its_closing_record_and_exit_code(
    code: Code, record: Closing | None, paused: bool, state: str | None, failure: str | None, crashed: bool
) -> None:
    outcome = judge(code, record, paused, "its last words")
    assert (outcome.state, outcome.failure, outcome.crashed) == (state, failure, crashed)
    assert outcome.reason


def test_reasons_name_the_signal_and_the_last_words(tmp_path: Path) -> None:
    console = tmp_path / "console.txt"
    assert last_words(console) == ""
    console.write_text("x" * 9000 + "\nstep 3\nerror: No space left on device: 'last.ckpt'\n\n")
    said = last_words(console)
    assert judge(3, None, False, said).reason == "No space left on device: 'last.ckpt'"
    assert judge(-11, None, False, "step 3").reason == "the training process was killed by SIGSEGV: step 3"


def test_a_stop_counts_for_the_attempt_that_was_stopped(tmp_path: Path) -> None:
    assert closing(tmp_path, 1, 1) is None
    for status, attempt, began, now, counts in [
        ("succeeded", 1, 3, 3, True),
        ("stopped", 3, 3, 5, True),
        ("stopped", 4, 3, 5, True),  # adopted in between
        ("stopped", 2, 3, 5, False),
    ]:
        (tmp_path / "result.json").write_text(json.dumps({"status": status, "attempt": attempt, "scores": {}}))
        assert (closing(tmp_path, began, now) is not None) is counts


def test_waits_grow_to_half_a_minute() -> None:
    assert [wait_before(crashes, 1.0) for crashes in range(7)] == [1, 2, 4, 8, 16, 30, 30]
