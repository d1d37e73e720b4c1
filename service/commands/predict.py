"""`stn predict`: the answer of `/v1/predict` in the terminal, from a local model or from a server."""

import base64
import contextlib
import sys
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from service.answers import describe
from service.images import read_picture
from service.model_folder import choose_version, find_model_files, name_and_version
from service.predictor import predict
from service.problems import Problem
from service.schemas import FailedImage, ImagePrediction, Predictions, ProblemDocument
from service.settings import Settings
from stn import ModelFileError, load_model, read_model_info


def predict_files(images: list[Path], model: str | None, url: str | None, settings: Settings) -> Predictions:
    """One entry per file, in order, from the server at this URL or, without one, from the models of the home folder.

    Raises:
        Problem: no file could be predicted, with the reason of the first.
    """
    if not images:
        raise ValueError("images must be at least one file, got none")
    bodies = [_read(path) for path in images]
    return _ask(bodies, model, url) if url else _predict_here(bodies, model, settings)


def print_predictions(images: list[Path], answer: Predictions, as_json: bool) -> None:
    """The answer on standard output, as JSON or as one line per image."""
    if as_json:
        sys.stdout.write(answer.model_dump_json(by_alias=True, indent=2) + "\n")
        return
    for path, entry in zip(images, answer.predictions, strict=True):
        sys.stdout.write(f"{path}: {_line(entry)}\n")


def save_transformed(images: list[Path], answer: Predictions, folder: Path) -> None:
    """The transformed image of each file as FOLDER/NAME.png."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, entry in zip(images, answer.predictions, strict=True):
        if isinstance(entry, ImagePrediction):
            (folder / f"{path.stem}.png").write_bytes(base64.b64decode(entry.transformed.partition(",")[2]))


def _line(entry: ImagePrediction | FailedImage) -> str:
    if isinstance(entry, FailedImage):
        return f"error: {entry.problem.detail}"
    theta = "no transformer"
    if entry.theta:
        values = " ".join(f"{name}={value:+.3f}" for name, value in entry.theta.parameters.items())
        theta = f"{entry.theta.transform} {values}"
    return f"{entry.class_name}  {entry.probability:.1%}  {theta}"


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ValueError(f"image must be a file that can be read, got {str(path)!r} ({error.strerror})") from None


def _ask(bodies: list[bytes], model: str | None, url: str) -> Predictions:
    query = "?" + urlencode({"model": model}) if model else ""
    entries: list[ImagePrediction | FailedImage] = []
    answer = None
    with httpx2.Client(timeout=60) as client:
        for body in bodies:
            try:
                response = client.post(
                    f"{url.rstrip('/')}/v1/predict{query}",
                    content=body,
                    headers={"Content-Type": "application/octet-stream", "Accept": "application/json"},
                )
            except (httpx2.HTTPError, httpx2.InvalidURL) as error:
                raise ValueError(f"url must be that of a running service, got {url!r} ({error})") from None
            if response.is_success:
                answer = Predictions.model_validate_json(response.content)
                entries += answer.predictions
            elif response.headers.get("content-type", "").startswith("application/problem+json"):
                entries.append(FailedImage(problem=ProblemDocument.model_validate_json(response.content)))
            else:
                raise ValueError(
                    f"url must be that of a running service, got {url!r} (it answers {response.status_code})"
                )
    return _whole(answer.model if answer else "", answer.version if answer else 0, entries)


def _predict_here(bodies: list[bytes], model: str | None, settings: Settings) -> Predictions:
    versions: dict[str, dict[int, Path]] = {}
    for file in find_model_files(settings.models):
        with contextlib.suppress(ModelFileError):  # a misplaced file, which the service names in its list of models
            name, version = name_and_version(file.relative_to(settings.models))
            versions.setdefault(name, {})[version] = file
    name, version = choose_version(versions, settings, model, None)
    path = versions[name][version]
    network, info = load_model(path), read_model_info(path)
    entries: list[ImagePrediction | FailedImage] = []
    for body in bodies:
        try:
            picture = read_picture(body, info.input, settings.max_pixels)
        except Problem as problem:
            entries.append(FailedImage(problem=ProblemDocument(**problem.document())))
            continue
        (prediction,) = predict(network, picture.pixels[None])
        entries.append(describe(picture, prediction, info))
    return _whole(name, version, entries)


def _whole(model: str, version: int, entries: list[ImagePrediction | FailedImage]) -> Predictions:
    failed = [entry for entry in entries if isinstance(entry, FailedImage)]
    if len(failed) == len(entries):
        raise Problem(failed[0].problem.status, failed[0].problem.detail)
    return Predictions(model=model, version=version, predictions=entries)
