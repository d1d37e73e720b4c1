"""The `stn` command, as a user types it."""

import dataclasses
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from service.commands.cli import main
from tests.service.conftest import CLASSES, encode, picture, write_model
from tests.service.peer import Peer, answer
from training.presets import PRESETS
from training.runs import hold

SMALL = ["--trainer.max-epochs", "1", "--model.filters", "4", "8", "--trainer.accelerator", "cpu"]


@contextmanager
def stn(*arguments: str, home: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in a process of its own, and the lines of its log so far."""
    lines: list[str] = []
    process = subprocess.Popen(
        [Path(sys.executable).with_name("stn"), *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "STN_HOME": str(home)},
        start_new_session=True,
    )
    assert process.stderr is not None
    reader = threading.Thread(target=lambda: lines.extend(iter(process.stderr.readline, "")))
    reader.start()
    try:
        yield process, lines
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        reader.join()
        process.stderr.close()


def wait_for(pattern: str, process: subprocess.Popen[str], lines: list[str], seconds: float = 120) -> re.Match[str]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for line in list(lines):
            if match := re.search(pattern, line):
                return match
        assert process.poll() is None, "".join(lines)
        time.sleep(0.05)
    raise AssertionError(f"{pattern!r} did not come: {''.join(lines)}")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(encode(picture()))
    return path


@pytest.fixture
def here(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("STN_HOME", str(home))
    return home


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "digits", "--optimizer.learnin-rate", "1"],
            "--optimizer.learnin-rate, 1 (did you mean --optimizer.",
        ),
        (["train", "digits", "--optimizer.learning-rate", "-1"], "optimizer.learning_rate must be in (0, 10), got -1"),
        (
            ["train", "digits", "--distortion.rotation", "400"],
            "distortion.rotation must be in [0, 180] degrees, got 400",
        ),
        (["train", "digits", "--model.pool", "0"], "error: model.pool must be in [1, 64], got 0"),
        (
            ["jobs", "create", "digits", "--trainer.max-epochs", "0"],
            "error: trainer.max_epochs must be in [1, 1000000]",
        ),
        (
            ["train", "digits", "--model.bounds", "x*", "-1", "1", "angle", "2", "1"],
            "model.bounds.angle must be two finite numbers, the smaller first, got (2.0, 1.0)",
        ),
        (["train", "digits", "--seed", "-1"], "seed must be in [0, 4294967295], got -1"),
        (["train", "digits", "--seed", "x"], "--seed: invalid literal for int() with base 10: 'x'"),
        (["train", "digits", "--data.name", "x"], "invalid choice 'x' for argument '--data.name'"),
        (["train", "nope"], "nope"),
        (["train", "--resume", "nowhere"], "config must be a file that exists, got 'nowhere/config.json'"),
        (["serve", "--port", "99999"], "port: Input should be less than or equal to 65535, got 99999"),
        (["predict", "nowhere.png"], "image must be a file that can be read, got 'nowhere.png'"),
        (["predict"], "images must be at least one file"),
        (["distort", "Q"], "recipe must be one of R, RTS, P, E, TC, digits"),
        (["distort", "--columns", "0"], "columns must be in [1, 100], got 0"),
        (["distort", "--output", "a.txt"], "output must end in .png, got 'a.txt'"),
        (["distort", "--distortion.corners", "-1"], "distortion.corners must be in [0, 1000] pixels, got -1"),
        (["table1", "--models", "lenet"], "lenet"),
        (["table1", "--steps", "5", "--minutes", "1"], "steps must be left out where minutes are given, got 5"),
        (["table1", "--minutes", "0"], "steps and minutes must be positive, got 0.0"),
        (["nope"], "nope"),
        (
            [],
            "Expected one of {up, serve, worker, predict, align, train, evaluate, invariance, distort, table1, export, ",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_exit_code_2(
    arguments: list[str], message: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("arguments", [["--help"], ["train", "digits", "--help"], ["models", "list", "--json"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str], here: Path) -> None:
    read, written = os.pipe()
    os.close(read)
    with subprocess.Popen(
        [sys.executable, "-m", "service.commands.cli", *arguments], stdout=written, stderr=subprocess.PIPE
    ) as process:
        os.close(written)
        assert process.communicate()[1] == b""
    assert process.returncode == 1


def test_a_wrong_environment_variable_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_PORT", "http")
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("error: port: Input should be a valid integer")


@pytest.mark.parametrize("preset", PRESETS)
def test_help_names_every_field_its_meaning_and_its_default(preset: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main(["train", preset, "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for name in field_names(PRESETS[preset]()):
        flag = re.escape("--" + name.replace("_", "-"))
        assert re.search(rf"{flag}(, --\S+)? ?[^a-z(]*\S+ .{{10,}}?\(default: .+?\)", text), name
    if preset == "digits":
        assert "--distortion.rotation FLOAT Largest rotation to either side, in degrees. (default: 45.0)" in text


def field_names(config: object, prefix: str = "") -> Iterator[str]:
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from field_names(value, f"{prefix}{field.name}.")
        else:
            yield prefix + field.name


def test_predict_prints_a_line_per_image(here: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(image), str(image)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(rf"{image}: ({'|'.join(CLASSES)})  \d+\.\d%  affine xx=.* y0=.*", lines[0])


def test_predict_shows_as_many_classes_as_are_wanted(
    here: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(image), "--top-k", "2"]) == 0
    names = "|".join(CLASSES)
    assert re.fullmatch(rf"{image}: ({names})  \d+\.\d%  ({names})  \d+\.\d%  affine xx=.*\n", capsys.readouterr().out)
    assert main(["predict", str(image), "--top-k", "0"]) == 2
    assert "error: top_k: Input should be greater than or equal to 1, got 0" in capsys.readouterr().err


def test_predict_takes_a_theta(here: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(image), "--theta=-0.5,0,0.25,0,0.5,0"]) == 0
    assert "affine xx=-0.500 xy=+0.000 x0=+0.250 yx=+0.000 yy=+0.500 y0=+0.000" in capsys.readouterr().out
    assert main(["predict", str(image), "--theta", "1,2"]) == 2
    assert "error: theta: must be `identity` or 6 numbers (xx, xy, x0, yx, yy, y0)" in capsys.readouterr().err


ENTRY = {"class": "cat", "probability": 1.0, "probabilities": {"cat": 1.0}, "theta": None, "width": 1, "height": 1}


@pytest.mark.parametrize("given", ["argument", "environment", "neither"])
def test_a_service_is_asked_with_the_key(
    image: Path, given: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_KEY", "a" if given == "environment" else "")
    peer = Peer([answer(200, {"model": "m", "version": 1, "predictions": [ENTRY]})])
    with peer.running() as url:
        assert main(["predict", str(image), "--url", url, *(["--key", "a"] if given == "argument" else [])]) == 0
    assert capsys.readouterr().out == f"{image}: cat  100.0%  no transformer\n"
    assert peer.received[0].headers.get("authorization") == (None if given == "neither" else "Bearer a")


def test_a_service_that_refuses_the_key_is_one_line(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = {"type": "about:blank", "title": "t", "status": 401, "detail": "the key is not known", "error": "e"}
    with Peer([answer(401, document)]).running() as url:
        assert main(["predict", str(image), "--url", url]) == 2
    assert capsys.readouterr().err == "error: the key is not known\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_many_files_are_counted_on_a_terminal(
    image: Path, is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    answers = [answer(200, {"model": "m", "version": 1, "predictions": [ENTRY] * count}) for count in (32, 8)]
    with Peer(answers).running() as url:
        assert main(["predict", *[str(image)] * 40, "--url", url]) == 0
    shown = capsys.readouterr()
    assert len(shown.out.splitlines()) == 40
    assert ("40/40" in shown.err) == is_terminal


def test_predict_saves_the_transformed_images(here: Path, image: Path, tmp_path: Path) -> None:
    assert main(["predict", str(image), "--save", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "a.png").read_bytes().startswith(b"\x89PNG")


def test_save_never_overwrites_a_file(
    here: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = image.read_bytes()
    assert main(["predict", str(image), "--save", str(tmp_path)]) == 2
    assert image.read_bytes() == before
    assert main(["predict", str(image), str(image), "--save", str(tmp_path / "out")]) == 2
    assert "save must be a folder where nothing is overwritten" in capsys.readouterr().err


def test_a_broken_newest_version_is_passed_over(here: Path, image: Path) -> None:
    (here / "models/tiny/2.safetensors").write_bytes(b"nonsense")
    assert main(["predict", str(image)]) == 0


def test_a_home_that_is_a_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("STN_HOME", str(tmp_path / "file"))
    assert main(["train", "digits"]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("error: ")
    assert len(errors.splitlines()) == 1


def test_of_several_files_a_bad_one_is_named_and_the_others_answered(
    here: Path, image: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nonsense")
    assert main(["predict", str(image), str(bad)]) == 1
    good_line, bad_line = capsys.readouterr().out.splitlines()
    assert "affine" in good_line
    assert bad_line.startswith(f"{bad}: error: the image must be one of PNG")


def test_a_server_that_is_not_there_is_named(here: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(image), "--url", "http://127.0.0.1:9"]) == 2
    assert "url must be that of a running service, got 'http://127.0.0.1:9'" in capsys.readouterr().err


def test_a_server_and_the_terminal_give_the_same_answer(
    here: Path, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with stn("serve", "--port", "0", home=here) as (process, lines):
        url = wait_for(r"(?:running|serving) on (http://\S+)", process, lines)[1]
        wait_for("ready: 1 model versions are in memory", process, lines)
        assert main(["predict", str(image), "--json", "--url", url]) == 0
        from_server = json.loads(capsys.readouterr().out)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    assert main(["predict", str(image), "--json"]) == 0
    local = json.loads(capsys.readouterr().out)
    assert local["predictions"][0]["probabilities"] == pytest.approx(
        from_server["predictions"][0]["probabilities"], abs=1e-6
    )
    assert local.keys() == from_server.keys()
    assert local["predictions"][0].keys() == from_server["predictions"][0].keys()


def test_models_are_listed_chosen_and_deleted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_model(here / "models/tiny/2.safetensors", seed=1)
    (here / "models/loose.safetensors").write_bytes(b"")

    def run(*arguments: str) -> str:
        assert main(["models", *arguments]) == 0
        return capsys.readouterr().out

    line, refused = run("list").splitlines()
    assert line == "tiny  versions 1, 2  default 2 (newest)  convnet affine, 20x16  (default model)"
    assert refused.startswith("loose.safetensors  refused: a model file must lie at NAME/VERSION.safetensors")
    run("default", "tiny", "1")
    assert "default 1 (chosen)" in run("list")
    assert json.loads(run("show", "tiny"))["pinned_version"] == 1
    assert json.loads(run("list", "--json"))["default_model"] == "tiny"
    for arguments, message in (
        (["default", "tiny", "0"], "version must be 1, 2, 3 ... or newest, got '0'"),
        (["default", "tiny", "7"], "version must be one of model tiny's (1, 2), got 7"),
        (["delete", "tiny", "--version", "1"], "version 1 is the default that was chosen for model tiny"),
        (["show", "none"], "model must be one of tiny, got 'none'"),
    ):
        assert main(["models", *arguments]) == 2
        assert message in capsys.readouterr().err
    run("default", "tiny", "newest")
    run("delete", "tiny", "--version", "1")
    assert sorted(path.name for path in (here / "models/tiny").glob("*.safetensors")) == ["2.safetensors"]
    run("delete", "tiny")
    assert run("list").count("\n") == 1


def test_a_port_that_is_taken_is_named(here: Path) -> None:
    with stn("serve", "--port", "0", home=here) as (first, lines):
        port = wait_for(r"running on http://127.0.0.1:(\d+)", first, lines)[1]
        with stn("serve", "--port", port, home=here) as (second, second_lines):
            assert second.wait(60) == 3
        assert "address already in use" in "".join(second_lines)


@pytest.mark.slow
def test_train_writes_a_run_and_registers_its_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with stn("train", "digits", *SMALL, home=tmp_path) as (process, lines):
        assert process.wait(120) == 0, "".join(lines)
    assert "model digits, version 1, is ready to be served" in "".join(lines)
    assert (tmp_path / "models/digits/1.safetensors").exists()
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_where_nothing_can_be_written_a_training_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STN_HOME", "/sys/stn")  # where not even root makes a folder
    assert main(["train", "digits"]) == 3
    assert re.fullmatch(r"error: \[Errno \d+\] [^\n]+: '/sys/[^\n]+\n", capsys.readouterr().err)


@pytest.mark.slow
def test_a_model_that_cannot_be_registered_is_said_how_to_be_once_it_can(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "digits").symlink_to("/sys/kernel")
    with stn("train", "digits", *SMALL, home=tmp_path) as (process, lines):
        assert process.wait(120) == 3, "".join(lines)
    (run,) = (tmp_path / "runs").iterdir()
    assert f"the model is not served; once it can be: stn train --resume {run}" in "".join(lines)
    (tmp_path / "models" / "digits").unlink()
    with stn("train", "--resume", str(run), home=tmp_path) as (process, lines):
        assert process.wait(60) == 0, "".join(lines)
    assert (tmp_path / "models" / "digits" / "1.safetensors").exists()


def test_distort_draws_a_sheet_and_never_overwrites_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "new" / "sheet.png"
    arguments = ["distort", "TC", "digits", "--distortion.elastic", "2", "--columns", "2", "--output", str(sheet)]
    assert main(arguments) == 0
    with Image.open(sheet) as image:
        assert image.height == 4 * 118 + 6  # original, TC, digits, your own
    before = sheet.read_bytes()
    assert main(arguments) == 2
    assert "output must be a file that does not exist yet" in capsys.readouterr().err
    assert sheet.read_bytes() == before


def test_distort_of_data_that_are_not_there_is_a_mistake(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = ["--data.name", "mnist", "--data.root", str(tmp_path), "--data.no-download"]
    assert main(["distort", *missing, "--output", str(tmp_path / "a.png")]) == 2
    assert "error: data.root must be a folder with the MNIST files" in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.exhaustive)])
def test_training_that_is_stopped_ends_in_good_order_and_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    with stn("train", "digits", home=tmp_path) as (process, lines):
        wait_for(r"step \d+/", process, lines)
        # A terminal sends Ctrl-C to the whole group, an operator sends SIGTERM to `stn` alone.
        os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
        assert process.wait(60) == 130
    assert "Traceback" not in "".join(lines)
    (run,) = (tmp_path / "runs").iterdir()
    assert f"go on with it: stn train --resume {run}" in "".join(lines)
    with stn("train", "--resume", str(run), home=tmp_path) as (process, lines):
        wait_for(r"step \d+/", process, lines)


@pytest.mark.slow
def test_a_training_ends_with_the_command_that_was_killed_and_names_who_holds_its_run(tmp_path: Path) -> None:
    with stn("train", "digits", home=tmp_path) as (process, lines):
        wait_for(r"step \d+/", process, lines)
        (run,) = (tmp_path / "runs").iterdir()
        holder = int((run / ".lock").read_text())
        with stn("train", "--resume", str(run), home=tmp_path) as (second, refused):
            assert second.wait(60) == 2
        assert f"no other process is running, got {str(run)!r} (process {holder} does)" in "".join(refused)
        process.kill()
        process.wait()
        deadline = time.monotonic() + 60
        while not _is_free(run):
            assert time.monotonic() < deadline, "the training goes on"
            time.sleep(0.1)


def _is_free(run: Path) -> bool:
    """Whether no process trains there; one that has ended may stay in the list of processes for a while."""
    try:
        with hold(run):
            return True
    except ValueError:
        return False


@pytest.mark.parametrize("seconds", [0.1, 0.8])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_is_stopped_while_it_starts_ends_without_a_word(
    tmp_path: Path, number: signal.Signals, seconds: float
) -> None:
    with stn("models", "import", "--help", home=tmp_path) as (process, lines):
        time.sleep(seconds)
        process.send_signal(number)
        assert process.wait(30) in (0, 130, -number)  # before Python itself has begun, it is the signal's own
    assert "Traceback" not in "".join(lines)


def test_up_serves_the_model_of_the_package_until_there_are_others(tmp_path: Path, home: Path) -> None:
    image = encode(picture(42, 42))
    with stn("up", "--port", "0", home=tmp_path / "new") as (process, lines):
        wait_for("serving handwriting, which comes with the package", process, lines)
        url = wait_for(r"(?:running|serving) on (http://\S+)", process, lines)[1]
        wait_for("ready: 1 model versions are in memory", process, lines)
        request = urllib.request.Request(f"{url}/v1/predict", image, {"Content-Type": "image/png"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            assert json.load(answer)["model"] == "handwriting"
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert "Traceback" not in "".join(lines)
    with stn("up", "--port", "0", home=home) as (process, lines):
        wait_for(r"(?:running|serving) on (http://\S+)", process, lines)
        assert not any("handwriting" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
