"""Checks an upload and keeps what is sound of it: `python -m service.datasets.check`, a process of its own.

Unpacking and opening a hundred thousand pictures takes minutes, and a file that somebody made to break decoders may take
memory or the process; neither must happen where requests are answered. `service.datasets.checking` starts it.
"""

import ctypes
import json
import os
import resource
import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from service.datasets.arrays import check_arrays, is_npz
from service.datasets.findings import Findings
from service.datasets.names import is_litter, parts_of
from service.datasets.pictures import take_pictures
from service.datasets.refusals import RefusedUpload
from service.datasets.schemas import DatasetReport
from service.datasets.sheet import contact_sheet
from service.datasets.store import REPORT, SHEET
from service.datasets.task import NO_ROOM, REFUSED, Task
from service.datasets.unpacking import check_sizes
from service.datasets.zip_directory import Entry, read_directory
from service.disk_problems import FULL
from training.hidden import shared
from training.storage.datasets import ARRAYS, PICTURES

MEMORY = 4 * 2**30
"""Bytes that the process may write to."""


def check(task: Task) -> DatasetReport:
    """The report, after all that belongs to the data set was written.

    Raises:
        RefusedUpload: nothing of it is taken.
        OSError: the folder cannot be written.
    """
    folder = Path(task.folder)
    folder.mkdir()
    with open(task.file, "rb") as file:
        entries = read_directory(file, 2 * task.max_images + 1000)  # macOS adds a hidden file to each
        named = [(parts_of(entry.name), entry) for entry in entries]
        check_sizes(entries, file.seek(0, os.SEEK_END), task.max_unpacked_bytes)
        files = [(parts, entry) for parts, entry in named if not entry.is_folder]
        kept = [(parts, entry) for parts, entry in files if not is_litter(parts)]
        findings = _findings(file, task, kept)
    if is_npz([entry for _, entry in kept]):
        os.rename(task.file, folder / ARRAYS)
        report = findings.report(task.name, "npz", 0)
    else:
        report = findings.report(task.name, "folder", len(files) - len(kept))
    contact_sheet(findings.tiles, findings.counts).save(folder / SHEET)
    (folder / REPORT).write_text(report.model_dump_json(indent=1))
    return report


def _findings(file: IO[bytes], task: Task, kept: Sequence[tuple[tuple[str, ...], Entry]]) -> Findings:
    entries = [entry for _, entry in kept]
    if is_npz(entries):
        return check_arrays(file, entries, Path(task.file), task.max_images)
    if len(entries) > task.max_images:
        raise RefusedUpload(f"it holds {len(entries):,} files; {task.max_images:,} may be")
    needed, free = sum(entry.size for entry in entries), shutil.disk_usage(task.folder).free
    if needed > free:
        raise OSError(FULL[0], f"{needed:,} bytes are needed")
    return take_pictures(file, entries, [parts for parts, _ in kept], Path(task.folder) / PICTURES)


def main(arguments: Sequence[str]) -> int:
    """The argument is a `Task` as JSON."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: whoever started it clears up
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task = Task(**json.loads(arguments[0]))
    try:
        with shared(Path(task.folder).parent):
            check(task)
            _write_down(Path(task.folder))
    except MemoryError:
        sys.stderr.write("it takes too much memory to read\n")
        return REFUSED
    except RefusedUpload as refusal:
        sys.stderr.write(f"{_printable(str(refusal))}\n")
        return REFUSED
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.stderr.write(f"{error.strerror}\n")
        return NO_ROOM
    return 0


def _write_down(folder: Path) -> None:
    """Return once all files are on the disk and not only in memory, in one call for all of them."""
    if sys.platform != "linux":
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        ctypes.CDLL(None).syncfs(handle)
    finally:
        os.close(handle)


def _printable(text: str) -> str:
    """In one line of characters that can be sent."""
    return text.encode(errors="backslashreplace").decode().replace("\n", " ")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
