"""The requests about data sets, and how their answers are read; nothing is sent here."""

import os
from pathlib import Path
from urllib.parse import quote

from service.client.calls import Call
from service.client.dataset_files import DatasetBody, Progress
from service.client.predictions import read_json
from service.datasets.schemas import DatasetReport, Datasets

UPLOAD_TIMEOUT = 3600.0
"""Every picture is opened before an upload is answered."""


def datasets() -> Call[Datasets]:
    return Call("GET", "/v1/datasets", lambda answer: read_json(Datasets, answer))


def dataset(name: str) -> Call[DatasetReport]:
    return Call("GET", _path(name), lambda answer: read_json(DatasetReport, answer))


def sheet(name: str) -> Call[bytes]:
    return Call("GET", f"{_path(name)}/sheet", lambda answer: answer.content)


def upload(name: str, path: str | os.PathLike[str], progress: Progress | None) -> Call[DatasetReport]:
    body = DatasetBody(Path(path), progress)
    return Call(
        "POST",
        "/v1/datasets",
        lambda answer: read_json(DatasetReport, answer),
        {"name": name},
        body.headers(),
        body,
        "refused",
    )


def delete(name: str) -> Call[None]:
    return Call("DELETE", _path(name), lambda _: None, repeat="refused")


def _path(name: str) -> str:
    if not name:
        raise ValueError("name must be that of a data set, got ''")
    return "/v1/datasets/" + quote(name, safe="").replace(".", "%2E")  # never a path of its own
