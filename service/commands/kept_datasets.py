"""`stn datasets add`, `list`, `show` and `delete`: at a service or in the home folder."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from service.client import ServiceError
from service.client.dataset_files import Progress
from service.commands.dataset_source import DatasetSource, dataset_source
from service.datasets.schemas import DatasetReport, DatasetSummary
from service.settings import Settings

Address = tuple[str | None, str | None]
"""Of a service, and the key for it."""

_MOST_NAMED = 20


def add(name: str, path: Path, as_json: bool, address: Address, settings: Settings) -> int:
    """Add a data set, with a progress bar on a terminal, and print what was taken."""
    with _source(address, settings) as source, _bar() as progress:
        report = source.upload_dataset(name, path, progress=progress)
    _print(report, as_json)
    return 0


def list_datasets(as_json: bool, address: Address, settings: Settings) -> int:
    """Print a line for each data set."""
    with _source(address, settings) as source:
        found = source.datasets()
    if as_json:
        sys.stdout.write(found.model_dump_json(indent=2) + "\n")
        return 0
    for summary in found.datasets:
        sys.stdout.write(_line(summary) + "\n")
    return 0


def show(name: str, sheet: Path | None, as_json: bool, address: Address, settings: Settings) -> int:
    """Print all that is known of a data set, and write its contact sheet where that is asked for."""
    with _source(address, settings) as source:
        report = source.dataset(name)
        if sheet is not None:
            picture = source.dataset_sheet(name)
            with sheet.open("xb") as file:
                file.write(picture)
    _print(report, as_json)
    return 0


def delete(name: str, address: Address, settings: Settings) -> int:
    """Delete a data set."""
    with _source(address, settings) as source:
        source.delete_dataset(name)
    return 0


@contextlib.contextmanager
def _source(address: Address, settings: Settings) -> Iterator[DatasetSource]:
    """Where the data sets are; what a service refuses is a mistake in the arguments here."""
    source = dataset_source(address, settings)
    try:
        yield source
    except ServiceError as error:
        raise ValueError(str(error)) from None
    finally:
        source.close()


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    """Shows how much was sent, on a terminal, and then that the pictures are being looked at."""
    with tqdm(total=0, unit="B", unit_scale=True, unit_divisor=1024, desc="sending", disable=None) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)
            if done == total:
                bar.set_description("opening every picture")

        yield show


def _print(report: DatasetReport, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(report.model_dump_json(indent=2) + "\n")
        return
    sys.stdout.write(_line(report) + "\n")
    for name, count in report.classes.items():
        sys.stdout.write(f"  {name}: {count:,}\n")
    if report.refused_count:
        sys.stdout.write(f"refused: {report.refused_count:,}\n")
    for refused in report.refused[:_MOST_NAMED]:
        sys.stdout.write(f"  {refused.file}: {refused.reason}\n")
    if report.refused_count > _MOST_NAMED:
        sys.stdout.write(f"  and {report.refused_count - _MOST_NAMED:,} more\n")


def _line(about: DatasetSummary | DatasetReport) -> str:
    (least, narrow), (most, wide) = about.smallest, about.largest
    sizes = f"{least}x{narrow}" if about.smallest == about.largest else f"{least}x{narrow} to {most}x{wide}"
    shape = "arrays" if about.kind == "npz" else "pictures"
    classes = f"{len(about.classes):,} class{'es' * (len(about.classes) != 1)}"
    return (
        f"{about.name}  {about.images:,} {shape}  {classes}  {sizes}  {about.channels}  {about.bytes / 2**20:.1f} MiB"
    )
