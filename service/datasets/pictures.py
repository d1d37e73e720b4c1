"""The pictures of an upload: each opened as training opens it, and only then kept."""

import contextlib
import os
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
from PIL import Image

from service.datasets.findings import SHEET_PICTURES, Findings, check_classes, check_counts, least_to_train
from service.datasets.layout import Named, Place, find_pictures
from service.datasets.refusals import Refused, RefusedFile
from service.datasets.sheet import tile_of
from service.datasets.unpacking import unpacked
from service.datasets.zip_directory import Entry
from training.declared_size import declared_size
from training.decoding import DAMAGED, convert
from training.own_pictures import GREY_MODES, OWN_FORMATS, natural, read_picture

_LARGEST_FILE = 2**28
"""Bytes of one picture."""
_LARGE_FILE, _LARGE_PICTURE = 2**24, 2**24
"""Bytes and pixels beyond which pictures are opened one at a time, for the memory that they take."""
_THREADS = max(1, min(8, len(os.sched_getaffinity(0))))


class Candidate(NamedTuple):
    """A file that is to be opened, with what is done with it."""

    entry: Entry
    picture: Named
    is_shown: bool
    """On the contact sheet."""


def take_pictures(
    file: IO[bytes], entries: Sequence[Entry], names: Sequence[tuple[str, ...]], folder: Path
) -> Findings:
    """Write the pictures that training can read below the folder, and say what was found.

    Args:
        file: the zip file.
        entries: its files.
        names: their names, in parts.
        folder: is made, with the class folders in it, where there are any.

    Raises:
        RefusedUpload: it cannot be trained on, or is an attack.
        OSError: the folder cannot be written.
    """
    refused = Refused()
    found = find_pictures(names, refused)
    class_names = sorted({picture.class_name for picture in found}, key=natural)
    check_classes(class_names, refused)
    for place in {picture.place[:-1] for picture in found}:
        folder.joinpath(*place).mkdir(parents=True)
    findings = Findings(tuple(class_names), refused)
    shown = _shown(found)
    candidates = [Candidate(entries[one.number], one, one in shown) for one in found]
    places = list(_take_all(file, candidates, folder, findings))
    _check_parts(places, len(found[0].place) == 3, findings)
    return findings


def _shown(found: Sequence[Named]) -> set[Named]:
    """Pictures for the contact sheet, spread evenly over each class."""
    classes: dict[str, list[Named]] = {}
    for picture in found:
        classes.setdefault(picture.class_name, []).append(picture)
    spread = np.linspace(0, 1, SHEET_PICTURES)
    return {pictures[round(part * (len(pictures) - 1))] for pictures in classes.values() for part in spread}


def _check_parts(places: list[Place], has_parts: bool, findings: Findings) -> None:
    to_train = least_to_train(findings.counts)
    if not has_parts:
        check_counts(findings.counts, to_train + 1, "training, validation and the test", findings.refused)
        return
    for part, least, purpose in (("train", to_train, "training and validation"), ("test", 1, "the test")):
        counts = dict.fromkeys(findings.counts, 0)
        for place in places:
            counts[place[1]] += place[0] == part
        check_counts(counts, least, f"{purpose} (in {part}/)", findings.refused)
    findings.test_images = sum(place[0] == "test" for place in places)


def _take_all(file: IO[bytes], candidates: Sequence[Candidate], folder: Path, findings: Findings) -> Iterator[Place]:
    """The places of those that are taken, in order; files are unpacked here and opened in threads."""
    Image.init()  # all decoders now, not in several threads at once
    alone = threading.Lock()
    waiting: deque[tuple[Candidate, Future[None]]] = deque()
    with warnings.catch_warnings(), ThreadPoolExecutor(_THREADS) as pool:
        warnings.filterwarnings("ignore", module="PIL")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        for candidate in candidates:
            try:
                data = _read(file, candidate.entry)
            except RefusedFile as refusal:
                findings.refused.add(candidate.entry.name, str(refusal))
                continue
            waiting.append((candidate, pool.submit(_take, data, candidate, folder, findings, alone)))
            most = 0 if len(data) > _LARGE_FILE else 2 * _THREADS
            while len(waiting) > most:
                yield from _settled(*waiting.popleft(), findings)
        while waiting:
            yield from _settled(*waiting.popleft(), findings)


def _settled(candidate: Candidate, future: Future[None], findings: Findings) -> Iterator[Place]:
    try:
        future.result()
    except RefusedFile as refusal:
        findings.refused.add(candidate.entry.name, str(refusal))
    else:
        yield candidate.picture.place


def _read(file: IO[bytes], entry: Entry) -> bytes:
    if entry.size > _LARGEST_FILE:
        raise RefusedFile(f"it has {entry.size:,} bytes; a picture may have {_LARGEST_FILE:,}")
    return b"".join(unpacked(file, entry))


def _take(data: bytes, candidate: Candidate, folder: Path, findings: Findings, alone: threading.Lock) -> None:
    declared = declared_size(data)
    is_small = declared is not None and declared[0] * declared[1] <= _LARGE_PICTURE and len(data) <= _LARGE_FILE
    with contextlib.nullcontext() if is_small else alone:
        opened = _open(data, candidate.is_shown, findings.has_colour)
    folder.joinpath(*candidate.picture.place).write_bytes(data)
    findings.add(candidate.picture.class_name, opened.size, 1, len(data))
    findings.has_colour |= opened.has_colour
    if opened.tile:
        findings.show(candidate.picture.class_name, candidate.picture.number, opened.tile)


class _Opened(NamedTuple):
    """What is kept of a picture that was opened."""

    size: tuple[int, int]
    """(H, W)."""
    has_colour: bool
    tile: Image.Image | None


def _open(data: bytes, is_shown: bool, is_colour_known: bool) -> _Opened:
    try:
        image = read_picture(data, OWN_FORMATS)
        is_grey = image.mode in GREY_MODES
        pixels = convert(image, 1 if is_grey else 3)
        has_colour = not is_grey and not is_colour_known and _has_colour(pixels)
        return _Opened((image.height, image.width), has_colour, tile_of(pixels) if is_shown else None)
    except DAMAGED as error:
        raise RefusedFile(str(error)) from None
    except MemoryError:
        raise RefusedFile("it takes too much memory to open") from None


def _has_colour(image: Image.Image) -> bool:
    red, green, blue = np.moveaxis(np.asarray(image), -1, 0)
    return bool((red != green).any() or (green != blue).any())
