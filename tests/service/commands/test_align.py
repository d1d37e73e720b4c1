import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from service.access.keys import create_key
from service.commands.cli import main
from service.models.folder import SHIPPED, SHIPPED_ALIGNER, register
from service.settings import Settings
from tests.service.aligners import photo
from tests.service.serving import serving


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


def test_a_service_is_asked_and_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    register(tmp_path / "models", "align", SHIPPED_ALIGNER)
    moving, fixed, here, there = (str(tmp_path / name) for name in ("moving.png", "fixed.png", "here.png", "there.png"))
    Image.fromarray(photo(100, 120, colour=True)[:, 10:]).save(moving)
    Image.fromarray(photo(100, 120)[:96, :112]).save(fixed)
    monkeypatch.setenv("STN_KEY", create_key(tmp_path / "keys.json", "alice", ("predict",)))
    with serving(Settings(home=tmp_path)) as address:
        url = f"http://{address}"
        for options in ([], ["--json"]):
            assert main(["align", moving, fixed, *options]) == 0
            alone = capsys.readouterr().out
            assert main(["align", moving, fixed, "--url", url, *options]) == 0
            assert capsys.readouterr().out == alone
        assert (
            main(["align", moving, fixed, "-o", here]) == main(["align", moving, fixed, "-o", there, "--url", url]) == 0
        )
        with Image.open(here) as one, Image.open(there) as other:
            assert (one.mode, one.size) == (other.mode, other.size) == ("RGB", (112, 96))
            assert np.abs(np.asarray(one, int) - np.asarray(other, int)).max() <= 1
        capsys.readouterr()
        assert main(["align", moving, fixed, "--url", url, "--key", "stn_wrong"]) == 2
        assert "error: " in capsys.readouterr().err
        assert main(["align", moving, fixed, "--url", url, "--model", "nope"]) == 2
        assert "model must be one of align" in capsys.readouterr().err
    assert main(["align", moving, fixed, "--url", "http://127.0.0.1:1"]) == 2
    assert "url must be that of a running service" in capsys.readouterr().err


def test_what_cannot_be_aligned_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat, other = str(tmp_path / "flat.png"), str(tmp_path / "other.png")
    Image.new("L", (40, 40), 90).save(flat)
    Image.effect_noise((40, 40), 60).save(other)
    assert main(["align", str(tmp_path / "none.png"), other]) == 2
    assert "error: moving must be a picture that can be read" in capsys.readouterr().err
    assert main(["align", flat, other]) == 2
    assert capsys.readouterr().err.endswith("nothing on it says where it lies, got one colour\n")
    assert main(["align", other, other, "--refine", "-1"]) == 2
    assert "error: refine must be seconds in [0, 600], got -1.0" in capsys.readouterr().err
    assert main(["align", other, other, "-o", other]) == 2
    assert "output must be a new file" in capsys.readouterr().err
    nowhere = str(tmp_path / "nowhere" / "out.png")
    assert main(["align", str(tmp_path / "none.png"), other, "-o", nowhere]) == 2  # before anything is read
    assert capsys.readouterr().err == f"error: output must be in a folder that is there, got {nowhere!r}\n"
    assert main(["align", other, other, "--model", str(SHIPPED)]) == 2
    assert "it lays no picture on another" in capsys.readouterr().err
    assert main(["align", other, other, "--model", "unheard-of"]) == 2
    assert "model must be a model file or the name of a model" in capsys.readouterr().err
