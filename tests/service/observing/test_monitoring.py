"""The deployment folder: what Prometheus and Grafana read, and the compose profile that starts them."""

import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from starlette.testclient import TestClient

from service.app import create_app
from service.settings import Settings
from tests.service.conftest import encode, picture
from tests.service.exposition import read

ROOT = Path(__file__).parents[3]
DEPLOY = ROOT / "deploy"
SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
DASHBOARD = json.loads((DEPLOY / "grafana/dashboards/stn.json").read_text())
RULES = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
QUERIES = {
    f"{panel['title']} {target['refId']}": target["expr"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
NOT_EVERYWHERE = {"stn_device_memory_bytes"}
"""Where there is no GPU."""


def filled_in(query: str) -> str:
    """The query as Grafana sends it, over 5 seconds and for every route."""
    return query.replace("$__rate_interval", "5s").replace("$route", ".*")


def metrics_of(query: str) -> set[str]:
    return set(re.findall(r"\b(?:stn|process)_\w+(?=\{)", query))


def test_every_metric_of_the_dashboard_and_the_alerts_is_one_that_the_service_shows(home: Path) -> None:
    with TestClient(create_app(Settings(home=home))) as client:
        client.post("/v1/predict", files={"image": encode(picture())})
        client.get("/v1/nothing")
        client.get("/metrics")
        text = client.get("/metrics").text
    samples = read(text)
    for place, query in [*QUERIES.items(), *((rule["alert"], rule["expr"]) for rule in RULES)]:
        named = metrics_of(query)
        assert named or place == "StnDown", place
        for name in named - NOT_EVERYWHERE:
            found = [dict(labels) for sample, labels in samples if sample == name]
            assert found, f"{place}: {name}"
            for label in re.findall(r"by \(([^)]+)\)", query):
                assert set(label.split(", ")) <= found[0].keys() | {"instance"}, place
    assert all(f"# TYPE {name} " in text for name in NOT_EVERYWHERE)


def test_the_dashboard_has_panels_side_by_side_each_with_a_query_of_the_provisioned_source() -> None:
    (source,) = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/prometheus.yml").read_text())["datasources"]
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["type"] in ("stat", "timeseries")
        assert panel["targets"]
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
    places = [tuple(panel["gridPos"][side] for side in "xywh") for panel in panels]
    assert all(x >= 0 and x + w <= 24 for x, _, w, _ in places)
    for (x, y, w, h), (x2, y2, w2, h2) in itertools.combinations(places, 2):
        assert x + w <= x2 or x2 + w2 <= x or y + h <= y2 or y2 + h2 <= y
    (variable,) = DASHBOARD["templating"]["list"]
    used = set(re.findall(r"\$(?!__)(\w+)", json.dumps([panel["targets"] for panel in panels])))
    assert used == {variable["name"]}


def test_the_files_that_prometheus_and_grafana_read_are_where_compose_puts_them() -> None:
    inside = {}
    for service in ("prometheus", "grafana"):
        for volume in SERVICES[service]["volumes"]:
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                assert (ROOT / source).exists()
                assert mode == ["ro"]
                inside[target] = ROOT / source
    (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/stn.yml").read_text())["providers"]
    assert (inside[provider["options"]["path"]] / "stn.json").exists()
    environment = SERVICES["grafana"]["environment"]
    assert environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] == f"{provider['options']['path']}/stn.json"
    config = yaml.safe_load(inside["/etc/prometheus/prometheus.yml"].read_text())
    assert [f"/etc/prometheus/{name}" for name in config["rule_files"]] == ["/etc/prometheus/alerts.yml"]
    assert "/etc/prometheus/alerts.yml" in inside
    (scraped,) = config["scrape_configs"]
    (found,) = scraped["dns_sd_configs"]
    assert (found["type"], found["port"]) == ("A", 8000)
    assert set(found["names"]) == {
        name for name, service in SERVICES.items() if "--no-run-jobs" in service.get("command", ())
    }
    assert set(found["names"]) == set(
        re.findall(r"-(\S.*)}", SERVICES["stn"]["environment"]["STN_ALLOWED_HOSTS"])[0].split()
    )
    (renamed,) = scraped["relabel_configs"]
    assert (renamed["source_labels"], renamed["target_label"]) == (["__meta_dns_name"], "__address__")


def test_monitoring_starts_only_when_asked_for_and_reaches_this_machine_only() -> None:
    for name in ("prometheus", "grafana", "tensorboard"):
        service = SERVICES[name]
        assert service["profiles"] == ["observability"]
        assert name == "tensorboard" or re.fullmatch(r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+", service["image"])
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
    assert "profiles" not in SERVICES["stn"]


def test_whoever_reaches_grafana_may_look_and_nobody_is_administrator_by_a_known_password(tmp_path: Path) -> None:
    environment, (shell, options, script) = SERVICES["grafana"]["environment"], SERVICES["grafana"]["entrypoint"]
    assert environment["GF_AUTH_ANONYMOUS_ORG_ROLE"] == "Viewer"
    secret = f"/run/secrets/{SERVICES['grafana']['secrets'][0]}"

    def started(file: Path, setting: str = "named") -> subprocess.CompletedProcess[str]:
        """With `env` in Grafana's place."""
        assert secret in script and script.endswith("exec /run.sh\n")
        here = script.replace("$$", "$").replace(secret, str(file)).replace("exec /run.sh", "exec env")
        assert environment["STN_GRAFANA_PASSWORD_FILE"] == "${STN_GRAFANA_PASSWORD_FILE:-}"
        with_path = {**environment, "STN_GRAFANA_PASSWORD_FILE": setting, "PATH": os.environ["PATH"]}
        return subprocess.run([shell, options, here], env=with_path, capture_output=True, text=True)

    nobody = started(ROOT / "deploy" / "none", setting="")
    assert nobody.returncode == 0 and "ADMIN_PASSWORD=" not in nobody.stdout
    assert "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=true" in nobody.stdout.splitlines()
    (file := tmp_path / "password").write_text("of my own\n")
    somebody = started(file)
    assert somebody.returncode == 0
    assert {"GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION=false", "GF_SECURITY_ADMIN_PASSWORD=of my own"} <= {
        *somebody.stdout.splitlines()
    }
    file.write_text("")
    for mistake in (file, tmp_path, tmp_path / "none"):
        refused = started(mistake)
        assert refused.returncode != 0 and not refused.stdout, mistake


def promtool(*arguments: str | Path, text: str | None = None) -> str:
    if not shutil.which("promtool"):
        pytest.skip("promtool, of Debian's package prometheus, is not installed")
    done = subprocess.run(["promtool", *arguments], input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_promtool_accepts_config_and_alerts() -> None:
    assert "5 rules found" in promtool("check", "config", DEPLOY / "prometheus.yml")


def test_promtool_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [{"record": f"panel:{number}", "expr": filled_in(query)} for number, query in enumerate(QUERIES.values())]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    assert f"{len(QUERIES)} rules found" in promtool("check", "rules", file)


def test_promtool_finds_nothing_wrong_with_the_metrics(home: Path) -> None:
    with TestClient(create_app(Settings(home=home))) as client:
        client.post("/v1/predict", files={"image": encode(picture())})
        assert promtool("check", "metrics", text=client.get("/metrics").text) == ""


@pytest.fixture
def service(home: Path) -> Iterator[str]:
    """The address of a running service."""
    environment = {**os.environ, "STN_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "service.commands.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        assert process.stderr is not None
        yield next(match[1] for line in process.stderr if (match := re.search(r"running on http://(\S+)", line)))
        process.send_signal(signal.SIGTERM)
        process.stderr.read()


@pytest.fixture
def prometheus(service: str, tmp_path: Path) -> Iterator[str]:
    """The address of a Prometheus that reads the service's numbers every second."""
    if not shutil.which("prometheus"):
        pytest.skip("Debian's package prometheus is not installed")
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DEPLOY / "alerts.yml")]
    config["scrape_configs"] = [{"job_name": "stn", "static_configs": [{"targets": [service]}]}]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address={address}",
        "--log.level=error",
    ]
    with subprocess.Popen(command) as process:
        yield f"http://{address}"
        process.terminate()


def ask(prometheus: str, path: str, **arguments: str) -> Any:
    url = f"{prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]


@pytest.mark.slow
def test_prometheus_answers_every_query_of_the_dashboard_with_numbers(service: str, prometheus: str) -> None:
    body = encode(picture())
    deadline = time.monotonic() + 60
    missing = set(QUERIES) - {"Memory B"}  # of GPUs
    while missing and time.monotonic() < deadline:
        request = urllib.request.Request(f"http://{service}/v1/predict", body, {"Content-Type": "image/png"})
        with suppress(urllib.error.HTTPError):  # 503 until the models are loaded
            urllib.request.urlopen(request, timeout=10).close()
        with suppress(urllib.error.URLError):  # until Prometheus listens
            for name in sorted(missing):
                found = ask(prometheus, "query", query=filled_in(QUERIES[name]))["result"]
                if found and all(row["value"][1] != "NaN" for row in found):
                    missing.discard(name)
        time.sleep(0.2)
    assert missing == set()
    assert [target["health"] for target in ask(prometheus, "targets")["activeTargets"]] == ["up"]
    rules = [rule for group in ask(prometheus, "rules")["groups"] for rule in group["rules"]]
    assert {(rule["name"], rule["health"]) for rule in rules} == {(rule["alert"], "ok") for rule in RULES}
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []
    values = ask(prometheus, "label/route/values")
    assert "/v1/predict" in values
