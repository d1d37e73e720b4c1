"""Decoded pictures: in memory where they fit, and else in a file of the cache folder that is mapped.

Per set the cache folder holds KEY.images, the bytes of all pictures one after another, and KEY.json, their shape and
which could not be read. The second is written last: without it the first is not used.
"""

import contextlib
import fcntl
import hashlib
import json
import logging
import math
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from stn.whole_file import written_beside
from training.config import DataConfig

log = logging.getLogger(__name__)

_VERSION = "1"
"""Of what is written; another one makes every set be decoded again."""
_KEPT = 30 * 24 * 3600.0
"""Seconds that a set stays in the cache folder which no run reads."""


class Decoded(NamedTuple):
    """Pictures in the order of their source, and those in between that could not be read."""

    images: UInt8[Tensor, "n c h w"]
    unreadable: Mapping[str, str]
    """The reason by the picture's name."""


class Source(NamedTuple):
    """Pictures that are yet to be decoded."""

    most: int
    """How many there are where all can be read."""
    shape: tuple[int, int, int]
    """(C, H, W) of each."""
    blocks: Iterable[Decoded]
    """Some at a time."""


def cache_folder(config: DataConfig, beside: Path) -> Path:
    """The folder for decoded sets: the config's, or one in the folder of the pictures."""
    return Path(config.cache) if config.cache is not None else beside / ".stn-cache"


def state_of(path: Path) -> str:
    """What changes when the file does: its size and the time of its last change."""
    try:
        status = path.stat()
    except OSError as error:
        return str(error.errno)
    return f"{status.st_size} {status.st_mtime_ns}"


def key_of(texts: Iterable[str]) -> str:
    """A name for what these texts describe, another one for any other texts."""
    digest = hashlib.blake2b(_VERSION.encode(), digest_size=16)
    for text in texts:
        encoded = text.encode(errors="surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


def decode_once(key: str, folder: Path, memory: float, prepare: Callable[[], Source]) -> Decoded:
    """All pictures, in memory where they take at most `memory` GiB; otherwise mapped from a file in the cache folder.

    A file that an earlier run has written for this key is used instead of decoding again.

    Raises:
        ValueError: where the cache folder cannot be written or has no room; nothing is left behind.
    """
    limit = memory * 2**30
    found = _find(folder, key)
    if found is None:
        source = prepare()
        if source.most * math.prod(source.shape) <= limit:
            return _collect(source)
        found = _write(folder, key, source)
    else:
        log.info("the decoded pictures are read from %s", folder / f"{key}.images")
    return found._replace(images=found.images.clone()) if found.images.numel() <= limit else found


def _collect(source: Source) -> Decoded:
    images = torch.empty(source.most, *source.shape, dtype=torch.uint8)
    unreadable: dict[str, str] = {}
    done = 0
    for block in source.blocks:
        images[done : done + len(block.images)] = block.images
        done += len(block.images)
        unreadable.update(block.unreadable)
    return Decoded(images[:done], unreadable)


def _find(folder: Path, key: str) -> Decoded | None:
    """What is in the cache for this key, if it is complete."""
    try:
        document = json.loads((folder / f"{key}.json").read_text())
        count, channels, height, width = document["shape"]
        size = count * channels * height * width
        path = folder / f"{key}.images"
        if path.stat().st_size != size or size == 0:
            return None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    flat = _map(path, size)
    with contextlib.suppress(OSError):  # of a place that is only read
        os.utime(folder / f"{key}.json")
    return Decoded(flat.view(count, channels, height, width), document["unreadable"])


def _map(path: Path, size: int) -> UInt8[Tensor, " _"]:
    """The bytes of the file, of which only those that are looked at are read; it may be larger than the memory."""
    if os.access(path, os.W_OK):
        # shared, because the system refuses a private mapping of more than the memory
        return torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(np.memmap(path, np.uint8, "r"))


def _write(folder: Path, key: str, source: Source) -> Decoded:
    """Decode into the cache folder, unless another process has done it meanwhile, and map the file."""
    bytes_needed = source.most * math.prod(source.shape)
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder, key):
            found = _find(folder, key)
            if found is None:
                _forget_unused(folder)
                _check_room(folder, bytes_needed)
                _write_files(folder, key, source)
                found = _find(folder, key)
    except OSError as error:
        rule = f"a folder that can be written to, with {bytes_needed / 2**30:.3g} GiB free for the decoded pictures"
        raise ValueError(
            f"data.cache must be {rule} (they exceed data.memory), got {str(folder)!r} ({error.strerror or error})"
        ) from None
    finally:
        if new:
            with contextlib.suppress(OSError):  # only an empty folder can be removed
                folder.rmdir()
    if found is None:
        raise ValueError("data.root must be a set with at least 1 readable picture, got 0")
    return found


def _forget_unused(folder: Path) -> None:
    """Delete the sets that no run has begun to read for long; one that still does keeps what it has mapped."""
    for path in folder.glob(f"{'[0-9a-f]' * 32}.json"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEPT:
                path.unlink()
                path.with_suffix(".images").unlink()
                log.info("the decoded pictures in %s, not read for 30 days, are deleted", path.with_suffix(".images"))


def _check_room(folder: Path, bytes_needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < bytes_needed:
        raise OSError(f"{free / 2**30:.3g} GiB are free")


def _write_files(folder: Path, key: str, source: Source) -> None:
    for remains in folder.glob(f".{key}.*.*"):  # of a process that was killed while it wrote
        remains.unlink(missing_ok=True)
    log.info("the decoded pictures are written to %s", folder / f"{key}.images")
    unreadable: dict[str, str] = {}
    count = 0
    with written_beside(folder / f"{key}.images") as path, path.open("wb") as file:
        for block in source.blocks:
            file.write(block.images.contiguous().numpy().data)
            count += len(block.images)
            unreadable.update(block.unreadable)
        file.flush()
        os.fsync(file.fileno())
    document = {"shape": [count, *source.shape], "unreadable": unreadable}
    with contextlib.ExitStack() as undo:
        undo.callback((folder / f"{key}.images").unlink, missing_ok=True)
        with written_beside(folder / f"{key}.json") as path:
            path.write_text(json.dumps(document))
        undo.pop_all()  # both are there


@contextlib.contextmanager
def _alone(folder: Path, key: str) -> Iterator[None]:
    """Wait until no other process writes this set, so that the processes of one run decode it once."""
    path = folder / f".{key}.lock"
    with path.open("w") as file:
        try:
            with contextlib.suppress(OSError):  # of a file system without locks: then each process writes its own
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            path.unlink(missing_ok=True)
