"""The pictures that the shipped aligner was trained on: grey squares of 96 cut from photographs, clothes, digits and noise.

    apt-get download dataset-fashion-mnist mate-backgrounds gnome-backgrounds lomiri-wallpapers-20.04 \\
        lomiri-wallpapers-16.04 ukui-wallpapers plasma-workspace-wallpapers    # each unpacked with dpkg-deb -x
    python -m training.experiments.alignment_pictures PHOTOGRAPHS CLOTHES.gz DIGITS train.npz

Squares with hardly any corner are left out: nothing on them says where they lie.
"""

import argparse
import gzip
import itertools
from pathlib import Path

import numpy as np
from PIL import Image

SIDE, SEED = 96, 0
PER_PHOTOGRAPH, CLOTHES, DIGITS, NOISE = 80, 4500, 600, 600
_LARGEST = 2_200_000
"""Bytes of a file that is taken; larger ones take long to decode and bring no more."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, help="folder, searched in depth")
    parser.add_argument("clothes", type=Path, help="train-images-idx3-ubyte.gz of Fashion-MNIST")
    parser.add_argument("digits", type=Path, help="train-images-idx3-ubyte of MNIST")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    chance = np.random.default_rng(SEED)
    files = sorted(path for path in options.photographs.rglob("*") if path.suffix in (".jpg", ".jpeg", ".png", ".webp"))
    kinds = [
        [square for path in files if path.stat().st_size < _LARGEST for square in _squares(path, chance)],
        [_framed(image) for image in _chosen(options.clothes, CLOTHES, chance)],
        [_framed(image) for image in _chosen(options.digits, DIGITS, chance)],
        [_noise(chance) for _ in range(NOISE)],
    ]
    images = np.stack(list(itertools.chain(*kinds)))
    labels = np.repeat(np.arange(len(kinds)), [len(kind) for kind in kinds])
    order = chance.permutation(len(images))
    names = np.array(["photographs", "clothes", "digits", "noise"])
    np.savez(options.output, images=images[order], labels=labels[order], class_names=names)


def _squares(path: Path, chance: np.random.Generator) -> list[np.ndarray]:
    """Of any size and from anywhere, brought to one."""
    opened = Image.open(path)
    opened.draft("L", (900, 600))
    picture = opened.convert("L")
    picture.thumbnail((1000, 1000), Image.Resampling.BOX)
    if min(picture.size) < 160:
        return []
    found: list[np.ndarray] = []
    for _ in range(130):
        edge = int(np.exp(chance.uniform(np.log(140), np.log(min(picture.size)))))
        left, upper = (int(chance.integers(0, side - edge + 1)) for side in picture.size)
        resample = Image.Resampling.BOX if edge > 2 * SIDE else Image.Resampling.LANCZOS
        square = picture.crop((left, upper, left + edge, upper + edge)).resize((SIDE, SIDE), resample)
        if len(found) < PER_PHOTOGRAPH and _has_corners(square):
            found.append(np.asarray(square))
    return found


def _has_corners(square: Image.Image) -> bool:
    """Whether half of its 4x4 parts have slopes in two directions."""
    down, across = np.gradient(np.asarray(square.resize((48, 48), Image.Resampling.BOX), float))
    xx, yy, xy = (
        product.reshape(4, 12, 4, 12).mean((1, 3)) for product in (across * across, down * down, across * down)
    )
    least = (xx + yy) / 2 - np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
    return bool(np.asarray(square).std() > 18 and (least > 8).mean() > 0.5)


def _chosen(path: Path, count: int, chance: np.random.Generator) -> np.ndarray:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    images = np.frombuffer(data, np.uint8, offset=16).reshape(-1, 28, 28)
    return images[chance.choice(len(images), count, replace=False)]


def _framed(image: np.ndarray) -> np.ndarray:
    """In the middle of a black square, two thirds of its side."""
    square = np.zeros((SIDE, SIDE), np.uint8)
    square[16:80, 16:80] = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
    return square


def _noise(chance: np.random.Generator) -> np.ndarray:
    """With a spectrum that falls as that of photographs does."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE)))
    frequency[0, 0] = 1
    values = np.real(
        np.fft.ifft2(np.fft.fft2(chance.normal(size=(SIDE, SIDE))) / frequency ** chance.uniform(0.8, 1.8))
    )
    return np.clip(128 + 50 * (values - values.mean()) / values.std(), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
