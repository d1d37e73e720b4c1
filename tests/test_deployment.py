"""The images and the compose file, as far as they can be checked without an engine; `scripts/try-compose` does the rest."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILE = (ROOT / "service" / "Dockerfile").read_text()
FILE = yaml.safe_load(COMPOSE.read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
SERVICE = SERVICES["stn"]
SERVING, TRAINING = ("stn", "stn-gpu", "replica-1", "replica-2"), ("worker", "worker-gpu", "cluster-worker")
OWN = {"STN_HOME", "STN_HOST", "STN_PORT", "STN_PULSE", "STN_DRAIN_SECONDS", "STN_CACHE", "STN_RUN_JOBS"}
"""Settings that the image makes, or that nobody needs to change in a container."""
OF_THE_CLUSTER = {"STN_EXECUTOR", "STN_RAY_ADDRESS"}


@pytest.mark.parametrize("profile", ["", "gpu", "cluster", "observability"])
def test_docker_compose_accepts_the_file(profile: str) -> None:
    if not shutil.which("docker-compose"):
        pytest.skip("docker-compose is not installed")
    command = ["docker-compose", "-f", COMPOSE, *(["--profile", profile] if profile else []), "config", "-q"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_compose_and_hadolint_know_every_key_and_instruction() -> None:
    for command in (
        ["check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE],
        ["hadolint", ROOT / "service" / "Dockerfile"],
    ):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_profile_there_are_a_service_and_a_worker() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == {"stn", "worker"}
    assert {profile for service in SERVICES.values() for profile in service.get("profiles", ())} == {
        "gpu",
        "cluster",
        "observability",
    }


def test_the_containers_outlive_the_drain_and_the_pause_of_a_training() -> None:
    longest = max(Settings.model_fields[name].default for name in ("drain_seconds", "stop_seconds"))
    for name in (*SERVING, *TRAINING):
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > longest


def test_every_setting_can_be_given_from_outside_to_all_that_serve_or_train() -> None:
    known = {f"STN_{name.upper()}" for name in Settings.model_fields} - OWN
    for name in (*SERVING, *TRAINING):
        given = {variable for variable in SERVICES[name]["environment"] if variable.startswith("STN_")}
        assert given - OF_THE_CLUSTER == known - OF_THE_CLUSTER, name


def test_the_service_is_told_where_its_port_is_published() -> None:
    assert f"{SERVICE['environment']['STN_PUBLISH']}:8000" in SERVICE["ports"]


def test_every_port_is_published_to_this_machine_only() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith(("127.0.0.1:", "${STN_PUBLISH:-127.0.0.1:")), name


def test_runs_and_models_lie_in_a_volume() -> None:
    assert all(SERVICES[name]["volumes"] == ["stn-data:/data"] for name in (*SERVING, *TRAINING))
    assert "STN_HOME=/data" in DOCKERFILE


def test_containers_have_no_rights_that_they_do_not_need_and_limits_of_processors_memory_and_processes() -> None:
    assert re.findall(r"^USER (.*)$", DOCKERFILE, re.MULTILINE) == ["10001:10001"]
    for name, service in SERVICES.items():
        confined = [service[key] for key in ("init", "read_only", "cap_drop", "security_opt")]
        assert confined == [True, True, ["ALL"], ["no-new-privileges:true"]], name
        assert {"cpus", "mem_limit", "pids_limit"} <= service.keys(), name
    assert {name for name, service in SERVICES.items() if "cap_add" in service} == {"postgres"}


def test_every_variable_of_the_compose_file_is_in_the_documentation() -> None:
    text = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("deployment", "monitoring"))
    for variable in set(re.findall(r"\$\{(\w+)", COMPOSE.read_text())):
        assert f"`{variable}`" in text or f"{variable}=" in text, variable


def test_no_password_is_in_the_file() -> None:
    needed = {"${STN_SECRETS:-./secrets}/" + name for name in ("postgres_password", "ray_token")}
    without = {f"${{STN_{name}_FILE:-./deploy/none}}" for name in ("AWS_CREDENTIALS", "GRAFANA_PASSWORD")}
    assert {secret["file"] for secret in FILE["secrets"].values()} == needed | without
    for name, service in SERVICES.items():
        for variable, value in (service.get("environment") or {}).items():
            if re.search("PASSWORD|TOKEN|KEY", variable) and value is not None:
                assert value.startswith(("/run/secrets/", "${")), (name, variable)
    assert (ROOT / "deploy" / "none").read_bytes() == b""
    assert "secrets/" in (ROOT / ".gitignore").read_text().split()


def test_versions_are_pinned() -> None:
    for name, service in SERVICES.items():
        own = re.fullmatch(r"stn(-train)?:(cpu|gpu)", service["image"]) and "build" in service
        assert own or re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?", service["image"]), name
    assert "ARG BASE=python:3.11-slim-bookworm" in DOCKERFILE


def test_nginx_knows_the_replicas_of_the_cluster_and_has_a_writable_folder() -> None:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    replicas = {name for name in SERVICES if name.startswith("replica-")}
    assert set(re.findall(r"server ([\w-]+):8000 ", conf)) == replicas <= SERVICES["nginx"]["depends_on"].keys()
    assert {path.rsplit("/", 1)[0] for path in re.findall(r"(?:_path|pid) (\S+);", conf)} == {"/tmp"}
    (folder,) = SERVICES["nginx"]["tmpfs"]
    assert int(re.fullmatch(r"/tmp:size=(\d+)m", folder)[1]) < int(SERVICES["nginx"]["mem_limit"].removesuffix("m"))


def test_nginx_takes_every_body_that_the_service_does_and_no_endless_one_into_its_memory() -> None:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    general = re.search(r"client_max_body_size (\d+)m;", conf)
    assert general and int(general[1]) * 2**20 > Settings.model_fields["max_body_bytes"].default
    for location in re.findall(r"location [^{]*\{[^}]*\}", conf):
        assert ("client_max_body_size 0;" in location) == ("proxy_request_buffering off;" in location)


def test_nginx_may_still_ask_another_replica_when_one_has_kept_a_request_as_long_as_it_can() -> None:
    conf = (ROOT / "deploy" / "nginx.conf").read_text()
    longest = max(Settings.model_fields[name].default for name in ("drain_seconds", "deadline_seconds"))
    (again,) = re.findall(r"proxy_next_upstream_timeout (\d+)s;", conf)
    (read, _) = re.findall(r"proxy_read_timeout (\d+)s;", conf)
    tries = int(re.findall(r"proxy_next_upstream_tries (\d+);", conf)[0])
    assert longest + tries < int(again) < int(read)


def test_every_container_has_a_health_check_that_takes_no_curl() -> None:
    for name, service in SERVICES.items():
        if name in SERVING:
            assert "healthcheck" not in service and "HEALTHCHECK" in DOCKERFILE
        else:
            assert "curl" not in str(service["healthcheck"]["test"]), name
    assert all("$$STN_PULSE" in SERVICES[name]["healthcheck"]["test"][-1] for name in TRAINING)
    assert "STN_PULSE=/tmp/pulse" in DOCKERFILE


def test_all_that_may_use_a_store_get_its_credentials_and_nobody_else() -> None:
    users = {*SERVING, *TRAINING, "ray-head", "ray-worker"}
    for name, service in SERVICES.items():
        given = (service.get("environment") or {}).get("AWS_SHARED_CREDENTIALS_FILE")
        assert ("aws_credentials" in service.get("secrets", ())) == (name in users), name
        assert given == ("/run/secrets/aws_credentials" if name in users else None)


def test_only_the_worker_that_hands_jobs_to_ray_reaches_it() -> None:
    assert {name for name, service in SERVICES.items() if "ray" in service.get("networks", ())} == {
        *("ray-head", "ray-worker"),
        "cluster-worker",
    }
    for name in ("ray-head", "ray-worker"):
        assert SERVICES[name]["networks"] == ["ray"]


def test_ray_sends_nothing_to_anybody_asks_for_its_token_and_lets_jobs_wait() -> None:
    for name in ("ray-head", "ray-worker"):
        given = SERVICES[name]["environment"]
        assert given["RAY_AUTH_MODE"] == "token" and SERVICES[name]["secrets"] == ["ray_token", "aws_credentials"]
        assert (given["RAY_USAGE_STATS_ENABLED"], given["RAY_JOB_START_TIMEOUT_SECONDS"]) == ("0", "86400")
        assert "ports" not in SERVICES[name]


def test_the_images_are_built_from_named_files_only() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert rules[0] == "*"
    assert {rule.removeprefix("!") for rule in rules if rule.startswith("!")} == {
        *("constraints.txt", "pyproject.toml", "README.md", "LICENSE"),
        *("stn", "training", "service"),
    }


def test_the_images_have_what_every_setting_may_ask_for_and_that_of_the_service_no_more() -> None:
    extras = {
        stage.split()[0]: set(re.findall(r'\*e(?:\.get\(|\[)"(\w+)"', stage))
        for stage in re.split(r"FROM \S+ AS ", DOCKERFILE)[1:]
    }
    assert extras["serving"] == {"service", "telemetry", "postgresql", "storage"}
    assert extras["training"] == {"training", "cluster"}
    assert extras["serve"] == set()
    assert "AS serve-venv" in DOCKERFILE.split("FROM serving", 2)[2].partition("\n")[0]
    assert DOCKERFILE.count("torchvision \\") == 1
    targets = {name: service["build"]["target"] for name, service in SERVICES.items() if "build" in service}
    assert {name for name, target in targets.items() if target == "serve"} == {"stn", "replica-1", "replica-2"}


def test_images_of_another_content_have_another_name() -> None:
    built = {}
    for service in SERVICES.values():
        if "build" in service:
            assert built.setdefault(service["image"], service["build"]) == service["build"]
    assert len({str(build) for build in built.values()}) == len(built) == 3


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    files = [file for name in ("stn", "training", "service") for file in (ROOT / name).rglob("__init__.py")]
    assert sorted(listed) == sorted(".".join(file.parent.relative_to(ROOT).parts) for file in files)


def test_kubernetes_is_told_settings_and_probes_that_there_are() -> None:
    folder = ROOT / "deploy" / "kubernetes"
    objects = [part for file in sorted(folder.glob("*.yml")) for part in yaml.safe_load_all(file.read_text())]
    assert {part["metadata"].get("namespace") for part in objects} == {"stn"}
    (config,) = (part["data"] for part in objects if part["kind"] == "ConfigMap")
    known = {f"STN_{name.upper()}" for name in Settings.model_fields} | OF_THE_CLUSTER
    assert {name for name in config if name.startswith("STN_")} <= known
    (service,) = (
        part["spec"] for part in objects if part["kind"] == "Deployment" and part["metadata"]["name"] == "stn"
    )
    (container,) = service["template"]["spec"]["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in ("/v2/health/live", "/v2/health/ready")
    drained = float(config["STN_DRAIN_DELAY"]) + Settings.model_fields["drain_seconds"].default
    assert service["template"]["spec"]["terminationGracePeriodSeconds"] > drained
