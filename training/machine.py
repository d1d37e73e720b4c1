"""Which code ran, and on what: part of whatever a number is told with."""

import os
import subprocess
from pathlib import Path

import torch


def device_name() -> str:
    """What torch computes on, where nobody says otherwise."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} threads on {os.cpu_count()} CPU cores"


def commit() -> str:
    """The commit of the code, with + where it was changed since; `unknown` outside a checkout.

    Results and documents are not code: a command that writes several results writes the same commit into each.
    """
    found = _git("describe", "--always", "--abbrev=12", "--exclude=*")
    if found is None or found.returncode != 0:
        return "unknown"
    changed = _git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)results", ":(top,exclude)docs")
    assert changed is not None, "it just ran"
    return found.stdout.strip() + ("+" if changed.returncode else "")


def _git(*arguments: str) -> "subprocess.CompletedProcess[str] | None":
    """What git said in the folder of this code; None where there is no git."""
    try:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
