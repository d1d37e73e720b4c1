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
    """The commit of the code, with + where it was changed since; `unknown` outside a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"
