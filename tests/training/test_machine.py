"""Which commit of the code a result is told with."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from training import machine


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def commit(folder: Path, path: str | None = None) -> str:
    """What the code in this folder says that it is."""
    code = "from training.machine import commit; print(commit())"
    environment = {**os.environ, "PYTHONPATH": str(folder), **({"PATH": path} if path is not None else {})}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=environment, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for folder in ("training", "results"):
        (tmp_path / folder).mkdir()
    (tmp_path / "training" / "__init__.py").write_text("")
    shutil.copy(machine.__file__, tmp_path / "training" / "machine.py")
    (tmp_path / "results" / "table.json").write_text("[]")
    return tmp_path


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_results_that_were_written_leave_the_code_what_it_was(checkout: Path) -> None:
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "all of it")
    head = git(checkout, "rev-parse", "HEAD")[:12]
    assert commit(checkout) == head
    (checkout / "results" / "table.json").write_text("[1]")
    assert commit(checkout) == head
    (checkout / "training" / "__init__.py").write_text("changed = True")
    assert commit(checkout) == f"{head}+"


def test_outside_a_checkout_and_without_git_it_is_unknown(checkout: Path) -> None:
    assert commit(checkout) == "unknown"
    assert commit(checkout, path="") == "unknown"
