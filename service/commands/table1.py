"""`stn table1`: Table 1 of the paper, trained cell by cell by a process of its own."""

from pathlib import Path

from training.child import run_module


def table1(
    models: tuple[str, ...],
    distortions: tuple[str, ...],
    seeds: tuple[int, ...],
    recipe: str,
    budget: tuple[str, str],
    at_once: int,
    folders: dict[str, Path],
) -> int:
    """The exit code of the process that trains what is missing and writes the table.

    Args:
        models: rows of the table; see `training.experiments.cells`.
        distortions: columns of the table.
        seeds: one run of each cell for each.
        recipe: `modern`, `straight` or `paper`.
        budget: `steps` or `minutes`, and how many of each cell.
        at_once: cells that are trained at a time.
        folders: `data`, `runs` and `results`.
    """
    places = [word for name, path in folders.items() for word in (f"--{name}", str(path))]
    choices = ["--models", *models, "--distortions", *distortions, "--seeds", *map(str, seeds), "--recipe", recipe]
    choices += [f"--{budget[0]}", budget[1], "--at-once", str(at_once)]
    return run_module("training.experiments.table1", *choices, *places)
