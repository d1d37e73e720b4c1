"""The requests about jobs, and how their answers are read; nothing is sent here."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import httpx2
import orjson

from service.client.calls import Call, model_path
from service.client.predictions import read_json
from service.client.retries import Repeat
from service.jobs.schemas import Artifact, Artifacts, Checkpoint, Checkpoints, Job, JobEvents, JobMetrics, Jobs, Probe
from stn.config import to_dict
from training.config import TrainingConfig
from training.invariance_config import InvarianceConfig
from training.jobs.states import State

Config = TrainingConfig | Mapping[str, Any]
Asked = InvarianceConfig | Mapping[str, Any]
NOTHING: Mapping[str, Any] = {}


def create(config: Config, key: str | None) -> Call[Job]:
    """With a key of its own, if none is given, so that it may be repeated where the answer was lost."""
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or secrets.token_urlsafe(24)}
    return Call("POST", "/v1/jobs", _job, {}, headers, orjson.dumps(_posted(config)))


def invariance(
    model: str, asked: Asked, version: int | None, data: Mapping[str, Any] | None, key: str | None
) -> Call[Job]:
    """Likewise."""
    values = to_dict(asked) if isinstance(asked, InvarianceConfig) else dict(asked)
    values |= {name: value for name, value in (("version", version), ("data", data)) if value is not None}
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or secrets.token_urlsafe(24)}
    return Call("POST", f"{model_path(model)}/invariance", _job, {}, headers, orjson.dumps(values))


def list_jobs(after: str | None, limit: int, status: Sequence[State]) -> Call[Jobs]:
    query: dict[str, str | list[str]] = {"limit": str(limit), "status": list(status)}
    if after is not None:
        query["after"] = after
    return Call("GET", "/v1/jobs", lambda answer: read_json(Jobs, answer), query)


def get(job_id: str) -> Call[Job]:
    return Call("GET", job_path(job_id), _job)


def ask(job_id: str, verb: str, repeat: Repeat) -> Call[Job]:
    return Call("POST", f"{job_path(job_id)}/{verb}", _job, repeat=repeat)


def delete(job_id: str) -> Call[None]:
    return Call("DELETE", job_path(job_id), lambda _: None, repeat="refused")


def events(job_id: str, after: int, limit: int) -> Call[JobEvents]:
    query = {"after": str(after), "limit": str(limit)}
    return Call("GET", f"{job_path(job_id)}/events", lambda answer: read_json(JobEvents, answer), query)


def metrics(job_id: str) -> Call[list[dict[str, float]]]:
    return Call("GET", f"{job_path(job_id)}/metrics", lambda answer: read_json(JobMetrics, answer).metrics)


def probe(job_id: str, after: int) -> Call[Probe]:
    path = f"{job_path(job_id)}/probe"
    return Call("GET", path, lambda answer: read_json(Probe, answer), {"after": str(after)})


def checkpoints(job_id: str) -> Call[list[Checkpoint]]:
    return Call("GET", f"{job_path(job_id)}/checkpoints", lambda answer: read_json(Checkpoints, answer).checkpoints)


def artifacts(job_id: str) -> Call[list[Artifact]]:
    return Call("GET", f"{job_path(job_id)}/artifacts", lambda answer: read_json(Artifacts, answer).artifacts)


def artifact(job_id: str, path: str) -> Call[bytes]:
    return Call("GET", f"{job_path(job_id)}/artifacts/{quote(path)}", lambda answer: answer.content)


def job_path(job_id: str) -> str:
    if not job_id:
        raise ValueError("job_id must be that of a job, got ''")
    return "/v1/jobs/" + quote(job_id, safe="").replace(".", "%2E")  # never a path of its own


def _job(answer: httpx2.Response) -> Job:
    return read_json(Job, answer)


def _posted(config: Config) -> Mapping[str, Any]:
    """Without the folders of this machine, which mean nothing to the service."""
    if not isinstance(config, TrainingConfig):
        return config
    values = to_dict(config)
    for field in ("root", "cache"):
        del values["data"][field]
    return values
