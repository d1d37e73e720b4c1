"""The run folders of jobs: `runs/<job id>/`."""

import contextlib
import shutil
from pathlib import Path

HIDDEN = ".deleted."
"""How the names of folders begin that are being removed; nothing reads hidden folders."""

BROUGHT = ".brought."
"""How those begin that are on their way here from a storage; see `training.hidden`."""

MARK = ".deleting"
"""The file in a run folder whose job is being deleted."""


def run_folder(runs: Path, job_id: str) -> Path:
    """Where a job's run lies."""
    return runs / job_id


def mark(runs: Path, job_id: str) -> None:
    """Remember of a run folder, if there is one, that its job is being deleted; a full disk does not hinder that."""
    with contextlib.suppress(OSError):
        (run_folder(runs, job_id) / MARK).touch()


def marked(runs: Path) -> list[str]:
    """The jobs whose run folders are marked."""
    return sorted(path.parent.name for path in runs.glob(f"[!.]*/{MARK}"))


def remove_run(runs: Path, job_id: str | None = None) -> None:
    """Remove a job's run folder, if there is one: all of it is gone at once for those who look, and then from the disk.

    What is left of a removal that was cut short is removed, too.
    """
    if job_id is not None:
        with contextlib.suppress(FileNotFoundError):
            run_folder(runs, job_id).rename(runs / f"{HIDDEN}{job_id}")
    for folder in runs.glob(f"{HIDDEN}*"):
        shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it as well
