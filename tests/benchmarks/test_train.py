"""The contestants of benchmarks/train.py, a few steps of each."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(scope="module")
def turns() -> ModuleType:
    spec = importlib.util.spec_from_file_location("turns", Path(__file__).parents[2] / "benchmarks" / "turns.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (10, 6, 28, 28), dtype=np.uint8)  # the network's ten classes
    for label, images in enumerate(pixels):
        (tmp_path / str(label)).mkdir()
        for number, image in enumerate(images):
            Image.fromarray(image).save(tmp_path / str(label) / f"{number}.png")
    return tmp_path


def state(process: int) -> str:
    """A letter, T of one that is halted; nothing of one that has gone."""
    stat = Path(f"/proc/{process}/stat")
    return stat.read_text().rpartition(")")[2].split()[0] if stat.exists() else ""


@pytest.mark.slow
def test_loops_of_ours_take_turns(turns: ModuleType, pictures: Path) -> None:
    common = ["--name", "folder", "--root", str(pictures), "--batch-size", "8"]
    commands = {loop: ["train_ours.py", loop, *common] for loop in ("plain", "lightning")}
    with turns.contestants(commands, warm_up=2) as ready:
        processes = [contestant.process.pid for contestant in ready.values()]
        for _ in range(2):
            assert all(0 < contestant.turn(3) < 60 for contestant in ready.values())
            assert [state(process) for process in processes] == ["T", "T"]
    assert [state(process) for process in processes] == ["", ""]


@pytest.mark.slow
def test_the_reason_for_which_one_ended_is_told(turns: ModuleType, tmp_path: Path) -> None:
    commands = {"peer": ["train_peer.py", "--root", str(tmp_path), "--workers", "0", "--batch-size", "8"]}
    with pytest.raises(SystemExit, match="train_peer.py(.|\n)*Dataset not found"), turns.contestants(commands, 1):
        pass
