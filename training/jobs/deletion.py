"""Deleting a job: its row and its run folder, of which nothing is left for ever where that is cut short.

The folder is marked before the row is deleted, and removed afterwards. A marked folder without a row is what a deletion left
that was cut short in between; one with a row belongs to a job that is still there, and may even go on.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from training.hidden import remove_abandoned
from training.jobs import states
from training.jobs.folders import BROUGHT, mark, marked, remove_run
from training.jobs.job import JobNotFound

if TYPE_CHECKING:
    from training.jobs.store import JobStore


def delete_row(store: "JobStore", runs: Path, job_id: str) -> None:
    """Delete a job's row and events; its run folder is then to be removed, see `remove_run`.

    Raises:
        JobNotFound: there is none.
        Forbidden: it has not ended.
    """
    states.delete(store.get(job_id).standing)
    mark(runs, job_id)
    store.delete(job_id)


def sweep(store: "JobStore", runs: Path) -> None:
    """Remove the run folders of deletions that were cut short, and what was on its way here when a process was killed."""
    for job_id in marked(runs):
        try:
            store.get(job_id)
        except JobNotFound:
            remove_run(runs, job_id)
    remove_run(runs)
    remove_abandoned(runs, BROUGHT)
