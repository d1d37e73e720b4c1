"""PNGs of every kind, written by the book and slowly."""

import itertools
import struct
import zlib
from collections.abc import Sequence

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
KINDS = [(0, bits) for bits in (1, 2, 4, 8, 16)] + [(2, 8), (2, 16), (4, 8), (4, 16), (6, 8), (6, 16)]
KINDS += [(3, bits) for bits in (1, 2, 4, 8)]
"""Colour type and bits of each sample: grey, RGB, grey with alpha, RGBA, palette."""
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
"""First row, first column, step of rows, step of columns of each pass."""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int, bits: int = 8, colour: int = 0, interlace: int = 0) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))


def assemble(head: bytes, deflated: bytes, before: bytes = b"", after: bytes = b"", parts: int = 1) -> bytes:
    """The chunks of a PNG, with others before and after the pixels, and these in so many parts."""
    cuts = [len(deflated) * part // parts for part in range(parts + 1)]
    pixels = b"".join(chunk(b"IDAT", deflated[start:end]) for start, end in itertools.pairwise(cuts))
    return SIGNATURE + head + before + pixels + after + chunk(b"IEND", b"")


def png_of(
    samples: np.ndarray, colour: int, bits: int, filters: Sequence[int] = (0,), interlace: bool = False, parts: int = 1
) -> bytes:
    """A PNG of samples (H, W, S) below 2^bits, whose rows are filtered in turn as listed."""
    height, width = samples.shape[:2]
    passes = ADAM7 if interlace else [(0, 0, 1, 1)]
    pieces = [samples[row::down, column::right] for row, column, down, right in passes]
    raw = b"".join(_filtered(piece, bits, filters) for piece in pieces if piece.size)
    palette = np.random.default_rng(0).integers(0, 256, 3 << bits, dtype=np.uint8) if colour == 3 else None
    before = b"" if palette is None else chunk(b"PLTE", palette.tobytes())
    return assemble(header(width, height, bits, colour, int(interlace)), zlib.compress(raw), before, parts=parts)


def _filtered(samples: np.ndarray, bits: int, filters: Sequence[int]) -> bytes:
    step = max(1, samples.shape[2] * bits // 8)
    above = np.zeros(1, int)
    lines = []
    for number, row in enumerate(samples):
        line = _packed(row.reshape(-1), bits).astype(int)
        above = np.zeros_like(line) if number == 0 else above
        kind = filters[number % len(filters)]
        left = np.concatenate([np.zeros(step, int), line])[: len(line)]
        corner = np.concatenate([np.zeros(step, int), above])[: len(line)]
        predicted = [0 * line, left, above, (left + above) // 2, _paeth(left, above, corner)][kind]
        lines.append(bytes([kind]) + ((line - predicted) % 256).astype(np.uint8).tobytes())
        above = line
    return b"".join(lines)


def _packed(values: np.ndarray, bits: int) -> np.ndarray:
    if bits == 16:
        return np.frombuffer(values.astype(">u2").tobytes(), np.uint8)
    unpacked = (values[:, None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(unpacked.astype(np.uint8).reshape(-1))


def _paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    guess = left + above - corner
    far = [abs(guess - value) for value in (left, above, corner)]
    nearest_is_left = (far[0] <= far[1]) & (far[0] <= far[2])
    return np.where(nearest_is_left, left, np.where(far[1] <= far[2], above, corner))
