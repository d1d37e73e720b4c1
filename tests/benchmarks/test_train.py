"""The contestants of benchmarks/train.py, a few steps of each."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

OURS = Path(__file__).parents[2] / "benchmarks" / "train_ours.py"


@pytest.mark.slow
@pytest.mark.parametrize("loop", ["plain", "lightning"])
def test_a_loop_of_ours_says_how_long_a_step_takes(loop: str, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(
        0, 256, (10, 6, 28, 28), dtype=np.uint8
    )  # as many classes as the network has
    for label, images in enumerate(pixels):
        (tmp_path / str(label)).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / str(label) / f"{number}.png")
    command = [sys.executable, str(OURS), loop, "--name", "folder", "--root", str(tmp_path)]
    sizes = ["--batch-size", "8", "--steps", "3", "--warm-up", "2"]
    done = subprocess.run([*command, *sizes], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < float(done.stdout.split()[-1]) < 60
