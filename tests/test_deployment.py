"""The image and the compose files, as far as they can be checked without an engine."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE, GPU = ROOT / "docker-compose.yml", ROOT / "docker-compose.gpu.yml"
DOCKERFILE = (ROOT / "service" / "Dockerfile").read_text()
SERVICE = yaml.safe_load(COMPOSE.read_text())["services"]["stn"]


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, GPU)], ids=["cpu", "gpu"])
def test_docker_compose_accepts_the_files(files: tuple[Path, ...]) -> None:
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    chosen = [argument for file in files for argument in ("-f", str(file))]
    done = subprocess.run(["docker-compose", *chosen, "config", "-q"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_containers_outlive_the_drain_and_the_pause_of_a_training() -> None:
    grace = int(SERVICE["stop_grace_period"].removesuffix("s"))
    assert grace > max(Settings.model_fields[name].default for name in ("drain_seconds", "stop_seconds"))


@pytest.mark.parametrize("files", [(COMPOSE,), (COMPOSE, GPU)], ids=["cpu", "gpu"])
def test_the_container_that_runs_jobs_is_the_other_one_but_for_its_command(files: tuple[Path, ...]) -> None:
    for file in files:
        services = yaml.safe_load(file.read_text())["services"]
        own = {"command", "ports", "healthcheck", "depends_on"}
        one, other = (
            {key: value for key, value in services[name].items() if key not in own} for name in ("stn", "worker")
        )
        assert one == other
    assert services["stn"].get("command", ["up", "--no-run-jobs"]) == ["up", "--no-run-jobs"]


def test_every_limit_of_the_service_can_be_set_from_outside() -> None:
    fixed = {"home", "host", "port", "drain_seconds", "cache", "run_jobs"}
    handed_on = {entry.partition("=")[0] for entry in SERVICE["environment"]}
    assert handed_on == {f"STN_{name.upper()}" for name in Settings.model_fields.keys() - fixed}


def test_the_service_is_told_where_its_port_is_published() -> None:
    assert f"STN_PUBLISH={SERVICE['ports'][0].removesuffix(':8000')}" in SERVICE["environment"]


def test_the_service_is_published_to_this_machine_only_and_keeps_data_in_a_volume() -> None:
    assert SERVICE["ports"] == ["${STN_PUBLISH:-127.0.0.1:8000}:8000"]
    assert SERVICE["volumes"] == ["stn-data:/data"]
    assert "STN_HOME=/data" in DOCKERFILE


def test_the_container_runs_as_a_user_with_no_rights() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE.rpartition("FROM")[2], re.MULTILINE) == ["10001:10001"]
    assert (SERVICE["read_only"], SERVICE["cap_drop"], SERVICE["init"]) == (True, ["ALL"], True)


def test_the_image_is_built_from_named_files_only() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == {
        *("constraints.txt", "pyproject.toml", "README.md", "LICENSE"),
        *("stn", "training", "service"),
    }


def test_the_image_has_what_every_setting_may_ask_for() -> None:
    assert set(re.findall(r'\*e\["(\w+)"\]', DOCKERFILE)) == {"training", "service", "telemetry", "postgresql"}


def test_the_two_images_have_different_names() -> None:
    assert SERVICE["image"] != yaml.safe_load(GPU.read_text())["services"]["stn"]["image"]


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    files = [file for name in ("stn", "training", "service") for file in (ROOT / name).rglob("__init__.py")]
    assert sorted(listed) == sorted(".".join(file.parent.relative_to(ROOT).parts) for file in files)
