"""The paper's recipes, and the pictures they make for ever."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.config import DataConfig
from training.data import DATASETS
from training.distortions import distort, distort_fixed, draw
from training.randomness import generator
from training.recipes import DISTORTIONS

HASHES = {
    "R": "22a2213be7a8a6539c1b2b1fba0be8944299c9fe0adcb1d1f0300d7c1f4eaf71",
    "RTS": "83c3c37063b31a1b6b410da73cb53dafd8a5a9268f5b4459b9f857fcb47d0e4f",
    "P": "f6695e641f30ae232652ce34b32930421dd0b325d3b5b7a68b6b2d7b15049afb",
    "E": "e9ca1fb850bc79eae7a7d59c85f3854dd12e14faec4dc370f3f5fe37a464a4bb",
    "TC": "f4cbd5c99c485a89a590640312cff639ab69f476bb4dd8716dfc767640143cb7",
}
"""SHA-256 of the 359 test digits as each recipe distorts them; with them, results would have to be made anew."""

SIZES = {"R": (28, 28), "RTS": (42, 42), "P": (28, 28), "E": (28, 28), "TC": (60, 60)}


def fixed_hash(name: str) -> str:
    data = DATASETS["digits"](DataConfig())
    pictures, others = data.images[data.test], data.images[data.train]
    fixed = distort_fixed(pictures, DISTORTIONS[name], generator(0, "test"), others)
    assert tuple(fixed.shape) == (359, 1, *SIZES[name])
    return hashlib.sha256(fixed.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_the_test_digits_are_the_same_for_ever(name: str) -> None:
    assert fixed_hash(name) == HASHES[name]


@pytest.mark.slow
def test_a_machine_with_other_instructions_makes_the_same_test_digits() -> None:
    """torch without AVX, its library of matrix products in the mode that every processor can follow, and a second thread."""
    program = "from tests.training.test_recipes import *\nfor name in HASHES: print(name, fixed_hash(name))"
    environment = os.environ | {
        "ATEN_CPU_CAPABILITY": "default",
        "MKL_CBWR": "COMPATIBLE",
        "OMP_NUM_THREADS": "2",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    assert dict(line.split() for line in done.stdout.splitlines()) == HASHES


@pytest.mark.parametrize("name", ["R", "RTS", "P", "E", "TC"])
def test_a_recipe_reaches_its_limits(name: str) -> None:
    config = DISTORTIONS[name]
    drawn = draw(config, (28, 28), 2000, generator(0), 100)
    if name in ("R", "RTS", "TC"):
        assert drawn.matrix is not None
        ratio = SIZES[name][0] / 28
        xx, yx = drawn.matrix[:, 0, 0], drawn.matrix[:, 1, 0]
        angle, scale = torch.atan2(yx, xx).rad2deg(), ratio / torch.hypot(xx, yx)
        turn, (low, high) = {"R": 90, "RTS": 45, "TC": 0}[name], config.scale
        # The extremes of 2,000 uniform draws are within 4 thousandths of the limits, but for once in 3,000 times.
        assert [float(angle.min()), float(angle.max())] == pytest.approx([-turn, turn], abs=0.008 * turn + 1e-3)
        assert [float(scale.min()), float(scale.max())] == pytest.approx([low, high], abs=0.004)
    assert (drawn.spline is not None) == (name == "E")
    assert (drawn.clutter is not None) == (name == "TC")


def test_tc_keeps_the_whole_digit_and_lays_six_pieces_over_it() -> None:
    digit, others = torch.zeros(300, 1, 28, 28), torch.full((2, 1, 28, 28), 255, dtype=torch.uint8)
    digit[..., 10:18, 10:18] = 0.5
    config = DISTORTIONS["TC"]
    drawn = draw(config, (28, 28), 300, generator(0), 2)
    images = distort(digit, drawn, config, others)
    without = distort(digit, drawn._replace(clutter=None), config, others)
    # Interpolation between pixels moves ink and loses none; a sum of 3,600 numbers in float32.
    torch.testing.assert_close(without.sum((1, 2, 3)), torch.full((300,), 32.0), atol=1e-3, rtol=0)
    pieces = (images == 1).sum((1, 2, 3))
    assert pieces.max() == 6 * 36  # six white pieces apart from each other
    assert (images.amax((1, 2, 3)) == 1).all()
    assert torch.equal(images[images != 1], without[images != 1])
