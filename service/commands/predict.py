"""`stn predict`: the answer of `/v1/predict` in the terminal, from a local model or from a server."""

import base64
import sys
from pathlib import Path
from urllib.parse import urlencode

import httpx2

from service.answers import Entry, json_answer
from service.images import Picture, read_picture
from service.local_model import read_model
from service.model_folder import register_shipped
from service.options import PredictOptions
from service.problems import Problem
from service.schemas import FailedImage, ImagePrediction, Predictions, ProblemDocument
from service.settings import Settings


def predict_files(images: list[Path], model: str | None, url: str | None, settings: Settings) -> Predictions:
    """One entry per file, in order, from the server at this URL or, without one, from the models of the home folder."""
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


def transformed_files(images: list[Path], folder: Path) -> list[Path]:
    """Where the transformed image of each file goes, FOLDER/NAME.png, or a ValueError where a file would be lost."""
    targets = [folder / f"{path.stem}.png" for path in images]
    for index, target in enumerate(targets):
        if target.exists() or target in targets[:index]:
            raise ValueError(f"save must be a folder where nothing is overwritten, got {str(target)!r} again")
    return targets


def save_transformed(answer: Predictions, targets: list[Path]) -> None:
    """Write the transformed image of each entry into its file."""
    for target, entry in zip(targets, answer.predictions, strict=True):
        if isinstance(entry, ImagePrediction):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(base64.b64decode((entry.transformed or "").partition(",")[2]))


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
    if answer is None and isinstance(entries[0], FailedImage) and entries[0].problem.status == 404:
        raise ValueError(entries[0].problem.detail)
    return Predictions(
        model=answer.model if answer else model or "", version=answer.version if answer else 0, predictions=entries
    )


def _predict_here(bodies: list[bytes], model: str | None, settings: Settings) -> Predictions:
    register_shipped(settings.models)
    served = read_model(settings, model)
    entries: list[Entry] = []
    for body in bodies:
        try:
            entries.append(read_picture(body, served.info.input, settings.max_pixels))
        except Problem as problem:
            entries.append(problem)
    pictures = [entry.pixels for entry in entries if isinstance(entry, Picture)]
    outputs = served.predictor.run(pictures) if pictures else None
    return Predictions.model_validate_json(json_answer(served, entries, outputs, PredictOptions()).body)


def predict(
    images: list[Path], model: str | None, url: str | None, as_json: bool, save: Path | None, settings: Settings
) -> int:
    """Name what the pictures show; 1 where one of them could not be read."""
    targets = transformed_files(images, save) if save else []
    answer = predict_files(images, model, url, settings)
    print_predictions(images, answer, as_json)
    if save:
        save_transformed(answer, targets)
    return 1 if any(isinstance(entry, FailedImage) for entry in answer.predictions) else 0
