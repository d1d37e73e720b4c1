import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from service.commands.cli import main
from service.models.folder import SHIPPED


def test_one_picture_is_laid_on_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photograph = Image.fromarray(load_sample_image("china.jpg")).resize((320, 214))
    box = (90, 40, 218, 168)
    fixed, moving, output = (str(tmp_path / name) for name in ("fixed.png", "moving.png", "out.png"))
    photograph.crop(box).convert("L").save(fixed)
    photograph.rotate(20, Image.Resampling.BICUBIC, center=(154, 104)).crop(box).save(moving)
    assert main(["align", moving, fixed, "-o", output, "--refine", "0.2", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["transform"] == "projective"
    assert answer["theta"]["xx"] == pytest.approx(np.cos(np.radians(20)), abs=0.02)
    assert abs(answer["theta"]["yx"]) == pytest.approx(np.sin(np.radians(20)), abs=0.02)
    assert answer["confidence"] > 0.8
    assert answer["notes"] == ["moving was turned grey to be compared"]
    with Image.open(output) as image, Image.open(fixed) as wanted:
        middle = (34, 34, 94, 94)
        assert image.mode == "RGB"
        off = np.asarray(image.convert("L").crop(middle), float) - np.asarray(wanted.crop(middle), float)
    assert np.abs(off).mean() < 6  # of 255: the picture was resampled twice


def test_what_cannot_be_aligned_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat, other = str(tmp_path / "flat.png"), str(tmp_path / "other.png")
    Image.new("L", (40, 40), 90).save(flat)
    Image.effect_noise((40, 40), 60).save(other)
    assert main(["align", flat, other]) == 2
    assert "error: moving must show something: it is flat" in capsys.readouterr().err
    assert main(["align", other, other, "-o", other]) == 2
    assert "output must be a new file" in capsys.readouterr().err
    assert main(["align", other, other, "--model", str(SHIPPED)]) == 2
    assert "it lays no picture on another" in capsys.readouterr().err
    assert main(["align", other, other, "--model", "unheard-of"]) == 2
    assert "model must be a model file or the name of a model" in capsys.readouterr().err
