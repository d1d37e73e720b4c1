"""Ray's jobs over HTTP, as far as an executor asks: no package is needed for it, and no answer is waited for without end.

Source: Ray 2.60, "Ray Jobs REST API" and `ray.util.state`, and `ray.dashboard.modules.job.pydantic_models.JobDetails`.
"""

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

PATIENCE, LONGER = 5.0, 15.0
"""Seconds that an answer may take, and one to a submission: Ray looks for 10 s for a machine that hears of it."""

ENDED = ("SUCCEEDED", "STOPPED", "FAILED")


class Unanswered(OSError):
    """The cluster did not answer, or not as it should; what was asked of it may have been done all the same."""


class Unreached(Unanswered):
    """Nothing was asked of it, since there is no connection."""


class Refused(OSError):
    """It answered that it does not do it."""


class Submission(NamedTuple):
    """What the cluster knows of a process."""

    command: str
    status: str
    """PENDING, RUNNING, SUCCEEDED, STOPPED or FAILED."""
    code: int | None
    """The exit code of its command, negative for a signal."""
    message: str
    """Why, for people."""
    trouble: str | None
    """The kind of what went wrong."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


class Machine(NamedTuple):
    """What a machine of the cluster has in all."""

    cpus: float
    gpus: int


class Api:
    """The dashboard of a Ray cluster. The token goes to its address alone: by no proxy, and to nowhere it refers to.

    Args:
        address: http://HOST:8265.
    """

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Here())

    def submit(self, name: str, command: str, *, environment: Mapping[str, str], cpus: float, gpus: int) -> None:
        """Have the command run once, on one machine that has so much to give; one of this name is not submitted again.

        Raises:
            Refused, Unreached: it was not taken.
            Unanswered: nobody knows.
        """
        body = {
            "entrypoint": command,
            "submission_id": name,
            "entrypoint_num_cpus": cpus,
            "entrypoint_num_gpus": gpus,
            "runtime_env": {"env_vars": dict(environment)},
        }
        self._ask("POST", "/api/jobs/", body, LONGER)

    def get(self, name: str) -> Submission | None:
        """What it knows of the process of this name; None where it knows none."""
        try:
            found = self._ask("GET", f"/api/jobs/{name}")
        except Refused as error:
            if isinstance(error.__cause__, urllib.error.HTTPError) and error.__cause__.code == 404:
                return None
            raise
        said = found.get("message") or ""
        return Submission(
            found["entrypoint"], found["status"], found.get("driver_exit_code"), said, found.get("error_type")
        )

    def stop(self, name: str) -> None:
        """Ask it to end; what still waits does so until it could begin."""
        self._ask("POST", f"/api/jobs/{name}/stop")

    def machines(self) -> list[Machine]:
        """Those that live."""
        nodes = self._ask("GET", "/api/v0/nodes")["data"]["result"]["result"]
        has = [node["resources_total"] for node in nodes if node["state"] == "ALIVE"]
        return [Machine(float(one.get("CPU", 0)), int(one.get("GPU", 0))) for one in has]

    def _ask(self, method: str, path: str, body: Any = None, patience: float = PATIENCE) -> Any:
        headers = {"Content-Type": "application/json"}
        if (token := _token(os.environ)) is not None:
            headers["Authorization"] = f"Bearer {token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310
        try:
            with self._opener.open(request, timeout=patience) as answer:
                return json.loads(answer.read())
        except urllib.error.HTTPError as error:
            raise Refused(f"Ray at {self.address} answers {error.code}: {_said(error)}") from error
        except urllib.error.URLError as error:
            why = f"Ray at {self.address} does not answer: {error.reason}"
            raise (Unreached if isinstance(error.reason, ConnectionRefusedError) else Unanswered)(why) from error
        except (OSError, ValueError, http.client.HTTPException) as error:  # also one that breaks off
            raise Unanswered(f"Ray at {self.address} does not answer: {error}") from error


class _Here(urllib.request.HTTPRedirectHandler):
    """A redirect is an answer like another one that is none of success."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _said(error: urllib.error.HTTPError) -> str:
    try:
        with error:
            said = error.read().decode(errors="replace").strip().splitlines()
    except (OSError, http.client.HTTPException):
        said = []
    return (said or [str(error.reason)])[-1][:200]


def _token(environment: Mapping[str, str]) -> str | None:
    """That of the cluster, from where Ray's own programs take it."""
    if environment.get("RAY_AUTH_MODE") != "token":
        return None
    if token := environment.get("RAY_AUTH_TOKEN"):
        return token.strip()
    path = Path(environment.get("RAY_AUTH_TOKEN_PATH") or "~/.ray/auth_token").expanduser()
    try:
        return path.read_text().strip()
    except OSError as error:
        raise Refused(f"RAY_AUTH_MODE is token, and there is none: {error}") from error
