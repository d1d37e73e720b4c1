"""Files of pictures of any size, decoded in threads to images of one size."""

import logging
import os
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image

from stn.config import require
from training.config import DataConfig
from training.data.decoded import Decoded, Source, cache_folder, decode_once, key_of, state_of
from training.data.progress import counted
from training.decoding import DAMAGED, FITS, UnreadablePicture, to_bytes
from training.own_pictures import GREY_MODES, read_picture

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

DEFAULT_SIZE = (64, 64)
"""(H, W) of pictures whose own sizes differ."""

_MOST_NAMED = 20

_ORIENTATION, _ON_THEIR_SIDE = 0x0112, (5, 6, 7, 8)
"""The EXIF tag, and the values of it that exchange width and height."""


class PictureFiles(NamedTuple):
    """Files below a folder."""

    root: Path
    names: tuple[str, ...]
    """Relative to the root."""
    formats: tuple[str, ...]
    """Pillow's names of the decoders that are tried."""


class _Header(NamedTuple):
    """What a file says of its picture before it is decoded."""

    size: tuple[int, int]
    """(H, W) as a viewer shows it."""
    grey: bool


def decode_files(files: PictureFiles, config: DataConfig) -> Decoded:
    """The pictures that can be read, all of one size; the others are named in the log.

    Of `config` are used `size` (by default that of the pictures where they have one in common, and 64x64 otherwise),
    `fit`, `channels`, `memory` and `cache`.
    """
    asked = repr((files.names, files.formats, config.size, config.fit, config.channels))
    key = key_of([asked, *(state_of(files.root / name) for name in files.names)])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
        decoded = decode_once(key, cache_folder(config, files.root), config.memory, partial(_prepare, files, config))
    _name(decoded, len(files.names))
    return decoded


def _prepare(files: PictureFiles, config: DataConfig) -> Source:
    Image.init()  # all decoders now, not in several threads at once
    headers: list[_Header | None] = []
    if config.size is None or config.channels == "auto":
        read = partial(_read_header, files)
        headers = list(counted(_in_threads(read, files.names), len(files.names), "looking at pictures", "picture"))
    size = config.size or _common_size({header.size for header in headers if header})
    colour = config.channels == "colour" or (config.channels == "auto" and _any_has_colour(files, headers))
    channels = 3 if colour else 1
    blocks = _in_threads(partial(_decode_block, files, size, config.fit, channels), files.names)
    return Source(
        len(files.names), (channels, *size), counted(blocks, len(files.names), "decoding pictures", "picture")
    )


def _common_size(sizes: set[tuple[int, int]]) -> tuple[int, int]:
    if len(sizes) != 1:
        return DEFAULT_SIZE
    (size,) = sizes
    require(
        all(4 <= side <= 4096 for side in size), "data.size", "given where the pictures' own is not in [4, 4096]", size
    )
    return size


def _read_header(files: PictureFiles, name: str) -> _Header | None:
    """None where there is none that can be read."""
    try:
        with Image.open(files.root / name, formats=files.formats) as image:
            # A PNG with its EXIF data behind the pixels would have to be decoded to say how it is turned.
            known = image.format != "PNG" or "exif" in image.info
            turned = known and image.getexif().get(_ORIENTATION) in _ON_THEIR_SIDE
            size = (image.width, image.height) if turned else (image.height, image.width)
            return _Header(size, image.mode in GREY_MODES)
    except (*DAMAGED, Image.DecompressionBombError, Image.DecompressionBombWarning):  # decoding will give the reason
        return None


def _any_has_colour(files: PictureFiles, headers: list[_Header | None]) -> bool:
    """Whether any pixel of any picture is not grey; only pictures that are not stored as grey are decoded for it."""
    candidates = [name for name, header in zip(files.names, headers, strict=True) if header and not header.grey]
    return any(_in_threads(partial(_has_colour, files), candidates))


def _has_colour(files: PictureFiles, name: str) -> bool:
    try:
        red, green, blue = np.moveaxis(np.asarray(_open(files, name, 3)), -1, 0)
    except UnreadablePicture:
        return False
    return bool((red != green).any() or (green != blue).any())


def _decode_block(files: PictureFiles, size: tuple[int, int], fit: str, channels: int, name: str) -> Decoded:
    try:
        pixels = torch.from_numpy(to_bytes(FITS[fit](_open(files, name, channels), size)).copy())
    except UnreadablePicture as error:
        return Decoded(torch.empty(0, channels, *size, dtype=torch.uint8), {name: str(error)})
    return Decoded(pixels[None], {})


def _open(files: PictureFiles, name: str, channels: int) -> Image.Image:
    try:
        data = (files.root / name).read_bytes()
    except OSError as error:
        raise UnreadablePicture("damage", f"the file cannot be read ({error.strerror})") from None
    return read_picture(data, files.formats, channels)


def _name(decoded: Decoded, count: int) -> None:
    unreadable = decoded.unreadable
    if unreadable:
        log.warning("%d of %d pictures cannot be read and are left out:", len(unreadable), count)
    for name, reason in list(unreadable.items())[:_MOST_NAMED]:
        log.warning("%s: %s", name.encode(errors="backslashreplace").decode(), reason)
    if len(unreadable) > _MOST_NAMED:
        log.warning("and %d more", len(unreadable) - _MOST_NAMED)


def _in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """The results in order, of which only a few wait to be taken."""
    threads = min(32, os.cpu_count() or 1)
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Result]] = deque()
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > 2 * threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
