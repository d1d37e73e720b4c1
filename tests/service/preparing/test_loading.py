"""From a model file to a predictor: prepared in a process of its own, kept, opened."""

import json
import logging
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from service.predicting.outputs import Outputs
from service.preparing.loading import load
from service.preparing.plan import Layer, Plan, Sees, fastest, read_plan, write_plan
from service.preparing.prepare import TOLERANCE, difference
from service.settings import Settings
from stn import ModelFileError, load_model, outline
from tests.service.conftest import write_model


def settings(home: Path, **values: object) -> Settings:
    return Settings(home=home, cache=home / "cache", **values)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, 1, 20, 16), dtype=np.float32)


def thetas(count: int) -> np.ndarray:
    identity = np.array([1, 0, 0, 0, 1, 0], np.float32)
    return identity + np.random.default_rng(1).normal(0, 0.3, (count, 6)).astype(np.float32)


def check(outputs: Outputs, path: Path, batch: np.ndarray, given: np.ndarray | None = None) -> None:
    """The outputs are the library's own."""
    model = load_model(path)
    with torch.inference_mode():
        own = None if given is None else torch.from_numpy(given)
        logits, (transformed, theta, grid) = model(torch.from_numpy(batch), own)
        expected = {
            "probabilities": logits.softmax(-1),
            "transformed": transformed,
            "theta": theta,
            "matrix": theta.unflatten(1, (2, 3)),
            "outline": outline(model.transformer.transform, theta),
        }
    for name, values in expected.items():
        np.testing.assert_allclose(getattr(outputs, name), values.numpy(), atol=TOLERANCE, rtol=0, err_msg=name)
    if outputs.details:
        np.testing.assert_allclose(outputs.details["grid"], grid.numpy(), atol=TOLERANCE, rtol=0)


SERVED = """
import sys
from pathlib import Path
import numpy as np
from service.preparing.loading import load
from service.settings import Settings
loaded = load(Path(sys.argv[1]), Settings(home=Path(sys.argv[2]), cache=Path(sys.argv[2]) / "cache"))
outputs = loaded.predictor.run([np.zeros((1, 20, 16), np.uint8)], details=True)
assert "grid" in outputs.details
outputs = loaded.predictor.run([np.zeros((1, 20, 16), np.uint8)], theta=np.float32([1, 0, 0.5, 0, 1, 0]))
assert outputs.theta.tolist() == [[1, 0, 0.5, 0, 1, 0]]
loaded.predictor.close()
print("torch" in sys.modules)
"""


@pytest.mark.slow
def test_onnx_runtime_gives_the_answers_of_the_library_and_needs_no_torch(home: Path) -> None:
    path = home / "models/tiny/1.safetensors"
    loaded = load(path, settings(home, runtimes=("onnxruntime",)))
    assert set(loaded.plan.runtimes.values()) == {"onnxruntime"}
    for count in (1, 5, 64):
        check(loaded.predictor.run(list(images(count))), path, images(count))
    check(loaded.predictor.run(list(images(3)), details=True), path, images(3))
    for count in (1, 3, 64):
        given = loaded.predictor._network(images(count), theta=thetas(count))
        check(given, path, images(count), thetas(count))
        assert "transformer.localization.1.theta" not in given.details and "trunk.0" in given.details
    loaded.predictor.close()
    done = subprocess.run(
        [sys.executable, "-c", SERVED, str(path), str(home)],
        env={**os.environ, "STN_RUNTIMES": "onnxruntime"},
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.returncode) == ("False\n", 0), done.stderr


@pytest.mark.exhaustive
def test_every_runtime_is_timed_and_gives_the_same_answers(home: Path) -> None:
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler (g++) is installed, which torch's compiler needs")
    path = home / "models/tiny/1.safetensors"
    runtimes = ("onnxruntime", "eager", "compiled")
    loaded = load(path, settings(home, runtimes=runtimes))
    assert set(loaded.plan.milliseconds) == set(runtimes)
    assert loaded.plan.refused == {}
    assert loaded.plan.runtimes == fastest(loaded.plan.milliseconds)
    for name in runtimes:
        loaded.predictor.close()
        loaded = load(path, settings(home, runtimes=(name,)))
        check(loaded.predictor.run(list(images(7))), path, images(7))
    loaded.predictor.close()


def test_a_model_is_prepared_once_also_by_several_at_a_time(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "service"), ThreadPoolExecutor(3) as pool:
        loads = [pool.submit(load, home / "models/tiny/1.safetensors", settings(home)) for _ in range(3)]
        for one in loads:
            one.result().predictor.close()
    assert sum("preparing tiny/1.safetensors" in record.message for record in caplog.records) == 1
    (folder,) = [path for path in (home / "cache").iterdir() if path.is_dir()]
    assert sorted(path.name for path in folder.iterdir()) == ["model.safetensors", "plan.json"]


def test_details_come_from_the_eager_network_where_nothing_was_exported(home: Path) -> None:
    path = home / "models/tiny/1.safetensors"
    loaded = load(path, Settings(home=home))
    outputs = loaded.predictor.run(list(images(2)), details=True)
    check(outputs, path, images(2))
    check(loaded.predictor._network(images(2), theta=thetas(2)), path, images(2), thetas(2))
    assert {"grid", "trunk.0", "classes.0"} <= set(outputs.details)
    loaded.predictor.close()


def test_what_is_no_model_is_told_in_a_sentence_and_leaves_nothing(home: Path) -> None:
    path = home / "models/tiny/2.safetensors"
    good = (home / "models/tiny/1.safetensors").read_bytes()
    path.write_bytes(good[:-4])
    with pytest.raises(ModelFileError, match="not a complete safetensors file"):
        load(path, settings(home))
    header = json.loads(good[8 : 8 + int.from_bytes(good[:8], "little")])
    begin, end = header["trunk.0.weight"]["data_offsets"]
    body = 8 + int.from_bytes(good[:8], "little")
    nan = np.full((end - begin) // 4, np.nan, np.float32).tobytes()
    path.write_bytes(good[: body + begin] + nan + good[body + end :])
    with pytest.raises(ModelFileError, match=r"^trunk\.0\.weight holds numbers that are not finite$"):
        load(path, settings(home))
    assert [file.name for file in (home / "cache").iterdir() if file.is_dir()] == []


def test_what_was_not_used_for_a_month_is_deleted(home: Path) -> None:
    old = home / "cache" / "old"
    old.mkdir(parents=True)
    (old / "model.onnx").write_bytes(b"x")
    os.utime(old, (0, time.time() - 31 * 24 * 3600))
    load(home / "models/tiny/1.safetensors", settings(home)).predictor.close()
    assert not old.exists()


def test_a_runtime_that_differs_is_refused_by_name_and_number() -> None:
    def network(shift: float):
        return lambda images: {"theta": images.mean((1, 2, 3))[:, None] + np.float32(shift)}

    batches = {1: images(1), 3: images(3)}
    assert difference(network(5e-6), network(0), batches) == ""
    assert difference(network(3e-5), network(0), batches).startswith("theta of 1 images differ by 3.0e-05")
    assert "nan" in difference(network(float("nan")), network(0), batches)


def test_the_fastest_is_chosen_for_each_size_and_a_near_tie_goes_to_the_first() -> None:
    times = {
        "onnxruntime": {1: 0.1, 8: 1.05, 32: 9.0},
        "compiled": {1: 0.4, 8: 1.0, 32: 5.0},
        "eager": {1: 1, 8: 2, 32: 6},
    }
    assert fastest(times) == {1: "onnxruntime", 8: "onnxruntime", 32: "compiled"}


def test_a_plan_comes_back_from_its_file_and_knows_the_runtime_of_every_size(tmp_path: Path) -> None:
    plan = Plan(
        device="cpu",
        threads=1,
        output_names=("probabilities",),
        detail_names=("probabilities", "classes.0"),
        given_names=(),
        layers=(
            Layer(name="trunk.0", kind="pooling", of="input", sees=Sees(size=(3, 2), stride=(1, 1), start=(-1, 0))),
            Layer(name="classes.0", kind="dense", of="transformed", sees=None),
        ),
        parameter_names=(),
        runtimes={1: "onnxruntime", 8: "eager", 32: "compiled"},
        milliseconds={"eager": {1: 0.5}},
        refused={"compiled": "no compiler"},
    )
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan
    assert [plan.runtime(size) for size in (1, 2, 8, 9, 32, 64)] == [
        *("onnxruntime", "eager", "eager", "compiled", "compiled", "compiled")
    ]


def test_a_model_without_transformer_has_its_input_as_what_was_seen(home: Path) -> None:
    write_model(home / "models/plain/1.safetensors", transform="none")
    loaded = load(home / "models/plain/1.safetensors", Settings(home=home))
    outputs = loaded.predictor.run([(images(1)[0] * 255).astype(np.uint8)])
    assert outputs.theta is None
    assert outputs.matrix is None
    np.testing.assert_array_equal(outputs.outline[0], [[-1, -1], [1, -1], [1, 1], [-1, 1]])
    assert outputs.transformed.shape == (1, 1, 20, 16)
    loaded.predictor.close()


def test_a_file_that_is_replaced_or_deleted_later_changes_nothing_of_what_is_served(home: Path) -> None:
    path = home / "models/tiny/1.safetensors"
    kept = home / "kept.safetensors"
    shutil.copyfile(path, kept)
    loaded = load(path, Settings(home=home))
    path.unlink()
    check(loaded.predictor.run(list(images(2)), details=True), kept, images(2))
    loaded.predictor.close()


def test_a_process_that_breaks_down_is_no_fault_of_the_file_and_its_words_stay_in_the_log(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = home / "models/tiny/1.safetensors"
    with pytest.raises(ChildProcessError, match=r"^it could not be prepared; the log of the service has the reason$"):
        load(path, settings(home, device="nowhere", runtimes=("eager",)))
    assert "Traceback" in caplog.text
