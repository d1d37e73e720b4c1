"""What is found of the pictures of an upload while they are checked, in several threads."""

import threading
from collections import Counter
from collections.abc import Collection
from datetime import UTC, datetime

from PIL import Image

from service.datasets.refusals import Refused, RefusedUpload
from service.datasets.schemas import DatasetReport, RefusedPicture
from training.storage.datasets import Kind

SHEET_CLASSES, SHEET_PICTURES = 40, 10
"""Rows and columns of a contact sheet, at most."""


class Findings:
    """Counts of what was taken, and pictures of each class for the contact sheet.

    Args:
        class_names: of all classes, in order.
    """

    def __init__(self, class_names: tuple[str, ...], refused: Refused) -> None:
        self.refused = refused
        self.has_colour = False
        self.bytes = 0
        self.test_images: int | None = None
        self._tiles: dict[str, dict[int, Image.Image]] = {name: {} for name in class_names[:SHEET_CLASSES]}
        self._counts: Counter[str] = Counter(dict.fromkeys(class_names, 0))
        self._smallest = self._largest = (0, 0)
        self._lock = threading.Lock()

    def add(self, class_name: str, size: tuple[int, int], count: int, stored: int) -> None:
        """Count pictures of this (height, width), which take so many bytes together."""
        with self._lock:
            self.bytes += stored
            is_first = not self._counts.total()
            self._counts[class_name] += count
            (least, narrowest), (most, widest) = (size, size) if is_first else (self._smallest, self._largest)
            self._smallest = min(least, size[0]), min(narrowest, size[1])
            self._largest = max(most, size[0]), max(widest, size[1])

    def show(self, class_name: str, place: int, tile: Image.Image) -> None:
        """Put a picture on the contact sheet, among those of its class by its place; not of classes beyond the last row."""
        if class_name in self._tiles:
            self._tiles[class_name][place] = tile

    @property
    def tiles(self) -> dict[str, list[Image.Image]]:
        """The pictures of the contact sheet by class."""
        return {name: [tiles[place] for place in sorted(tiles)] for name, tiles in self._tiles.items()}

    @property
    def counts(self) -> dict[str, int]:
        """Pictures of each class."""
        return dict(self._counts)

    def report(self, name: str, kind: Kind, ignored: int) -> DatasetReport:
        """All of it."""
        return DatasetReport(
            name=name,
            kind=kind,
            created=datetime.now(UTC).replace(microsecond=0),
            images=self._counts.total(),
            classes=self.counts,
            bytes=self.bytes,
            channels="colour" if self.has_colour else "grey",
            smallest=self._smallest,
            largest=self._largest,
            test_images=self.test_images,
            refused=[RefusedPicture(file=file, reason=reason) for file, reason in self.refused.named.items()],
            refused_count=self.refused.count,
            ignored_count=ignored,
        )


def check_classes(class_names: list[str], refused: Refused) -> None:
    """Refuse an upload without pictures, or with more classes than a model takes; for an aligner one is enough."""
    if not class_names:
        raise RefusedUpload(f"it holds no pictures, such as cat/1.png and dog/1.png{refused}")
    if len(class_names) > 65_536:
        raise RefusedUpload(f"it has {len(class_names):,} classes; 65,536 may be")


def least_to_train(counts: Collection[str]) -> int:
    """How many pictures of each of these classes training and validation take; one class alone is for an aligner."""
    return 2 if len(counts) > 1 else 3


def check_counts(counts: dict[str, int], least: int, purpose: str, refused: Refused) -> None:
    """Refuse an upload with too few pictures of a class to train on it and to test it."""
    for name, count in counts.items():
        if count < least:
            readable = f"{count} picture{'s' * (count != 1)} that can be read"
            raise RefusedUpload(
                f"class {name!r} has {readable}; every class needs at least {least} for {purpose}{refused}"
            )
