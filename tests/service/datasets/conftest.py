"""Checks of uploads in this process, without a service."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.datasets.check import check
from service.datasets.schemas import DatasetReport
from service.datasets.task import Task


class Checked(NamedTuple):
    """What a check found, and where it put what it kept."""

    report: DatasetReport
    folder: Path

    @property
    def files(self) -> list[str]:
        """What was kept of it."""
        pictures = self.folder / "images"
        return sorted(str(path.relative_to(pictures)) for path in pictures.rglob("*") if path.is_file())

    @property
    def reasons(self) -> dict[str, str]:
        return {refused.file: refused.reason for refused in self.report.refused}


Check = Callable[..., Checked]


@pytest.fixture
def checked(tmp_path: Path) -> Check:
    """Checks the bytes of an upload."""

    def run(data: bytes, **limits: Any) -> Checked:
        (tmp_path / "file").write_bytes(data)
        folder = tmp_path / "set"
        shutil.rmtree(folder, ignore_errors=True)
        bounds = {"max_images": 1000, "max_unpacked_bytes": 2**33, **limits}
        report = check(Task(file=str(tmp_path / "file"), folder=str(folder), name="photos", **bounds))
        return Checked(report, folder)

    return run
