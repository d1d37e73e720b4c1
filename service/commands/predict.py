"""`stn predict`: the answer of `/v1/predict` in the terminal, from a local model or from a server."""

import base64
import sys
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from service.client import Prediction
from service.client.connection import IMAGES_PER_REQUEST
from service.commands.asked import asked
from service.models.local import read_model
from service.models.served import classifier
from service.models.shelf import open_shelf
from service.predicting.answers import Entry, json_answer
from service.predicting.given import given_theta
from service.predicting.images import Picture, read_picture
from service.predicting.options import PredictOptions
from service.problems import Problem
from service.schemas import FailedImage, ImagePrediction, Predictions
from service.settings import Settings


class Server(NamedTuple):
    """A service that is asked instead of the models here."""

    url: str
    key: str | None


def predict_files(
    images: list[Path], options: PredictOptions, server: Server | None, settings: Settings
) -> Predictions:
    """One entry per file, in order, from a server or, without one, from the models of the home folder."""
    if not images:
        raise ValueError("images must be at least one file, got none")
    for path in images:
        _check(path)
    return _ask(images, options, server) if server else _predict_here(images, options, settings)


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
    classes = [f"{name}  {probability:.1%}" for name, probability in entry.probabilities.items()]
    return "  ".join([*classes, theta])


def _check(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        raise ValueError(f"image must be a file that can be read, got {str(path)!r} ({error.strerror})") from None


def _ask(images: list[Path], options: PredictOptions, server: Server) -> Predictions:
    """The answer of a service, a request at a time, with a bar on a terminal where they are many."""
    entries: list[Prediction] = []
    few = len(images) <= IMAGES_PER_REQUEST or not sys.stderr.isatty()
    with asked(server.url, server.key) as client, tqdm(total=len(images), unit="picture", disable=few) as bar:
        for start in range(0, len(images), IMAGES_PER_REQUEST):
            group = images[start : start + IMAGES_PER_REQUEST]
            entries += client.predict(
                group, model=options.model, top_k=options.top_k, include=options.include, theta=options.theta
            )
            bar.update(len(group))
    answered = next((entry for entry in entries if not entry.problem), Prediction(model=options.model or ""))
    return Predictions(
        model=answered.model,
        version=answered.version,
        predictions=[entry.answer for entry in entries if entry.answer is not None],
    )


def _predict_here(images: list[Path], options: PredictOptions, settings: Settings) -> Predictions:
    open_shelf(settings).register_shipped()
    served = classifier(read_model(settings, options.model))
    try:
        theta = given_theta(served, options.theta)
    except Problem as problem:
        raise ValueError(problem.detail.removeprefix("query.")) from None
    entries: list[Entry] = []
    for path in images:
        try:
            entries.append(read_picture(path.read_bytes(), served.info.input, settings.max_pixels))
        except Problem as problem:
            entries.append(problem)
    pictures = [entry.pixels for entry in entries if isinstance(entry, Picture)]
    outputs = served.predictor.run(pictures, theta=theta) if pictures else None
    return Predictions.model_validate_json(json_answer(served, entries, outputs, options).body)


def predict(
    images: list[Path],
    model: str | None,
    url: str | None,
    key: str | None,
    top_k: int | None,
    theta: str | None,
    as_json: bool,
    save: Path | None,
    settings: Settings,
) -> int:
    """Name what the pictures show; 1 where one of them could not be read."""
    targets = transformed_files(images, save) if save else []
    options = PredictOptions(model=model, top_k=top_k, theta=theta)
    if (
        not as_json
    ):  # a line shows the best class alone, no outline, and the straightened picture is saved or not needed
        include = "transformed,theta" if save else "theta"
        options = PredictOptions(model=model, top_k=top_k or 1, include=include, theta=theta)
    answer = predict_files(images, options, Server(url, key) if url else None, settings)
    print_predictions(images, answer, as_json)
    if save:
        save_transformed(answer, targets)
    return 1 if any(isinstance(entry, FailedImage) for entry in answer.predictions) else 0
