"""The `stn` command."""

import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import ValidationError
from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import SubcommandApp

from service.commands.arguments import Run, given, later, parse
from service.commands.datasets import datasets_commands
from service.commands.job_arguments import Address
from service.commands.jobs import jobs_commands
from service.commands.keys import keys_commands
from service.commands.models import models_commands
from service.commands.train_presets import train_commands
from service.problems import Problem
from service.settings import Settings
from stn.config import to_dict
from training.config import DataConfig, DistortionConfig
from training.experiments.cells import COLUMNS, MODELS, Column, Model, Recipe
from training.invariance_config import InvarianceConfig

ExportTarget = Literal["flux", "onnx"]
Part = Literal["test", "train", "validation", "all"]

SettingsArguments = Annotated[Settings, arg(name="")]


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 done, 1 an image could not be read, 2 a mistake in the arguments or files, 3 the service could not
    start, 130 interrupted; 1, too, where nobody reads the output to its end."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    for name in ("service", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
    try:
        arguments = sys.argv[1:] if arguments is None else arguments
        try:
            return parse(_commands(Settings(), arguments), arguments)()
        finally:
            sys.stdout.flush()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}" if first["loc"] else first["msg"]
        sys.stderr.write(f"error: {message.removeprefix('Value error, ')}\n")
        return 2
    except BrokenPipeError:  # whoever read it has enough, as `head` has, and nothing is left to flush at the end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError, Problem) as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def _commands(defaults: Settings, arguments: list[str]) -> SubcommandApp:
    """The verbs; each gives what is to be run, so that mistakes in its arguments are found before anything happens.

    The arguments tell which fields of a config were given.
    """
    app = SubcommandApp()

    @app.command
    def up(settings: SettingsArguments = defaults) -> Run:
        """Start the service with its page, and run training jobs.

        Where no model has been trained yet, it serves those of the package.
        """
        return partial(later, "serve", "up", settings)

    @app.command
    def serve(settings: SettingsArguments = defaults) -> Run:
        """Start the service with its page."""
        return partial(later, "serve", "serve", settings)

    @app.command
    def worker(settings: SettingsArguments = defaults) -> Run:
        """Run training jobs until it is stopped; they go on where they were, at the next start.

        `stn up` starts one. Several workers, also on several machines with one home folder and one database, share the jobs.
        """
        return partial(later, "worker", "worker", settings)

    @app.command
    def predict(
        images: Positional[tuple[Path, ...]],
        model: str | None = None,
        url: str | None = None,
        key: str | None = None,
        top_k: int | None = None,
        theta: str | None = None,
        json: FlagCreatePairsOff[bool] = False,
        save: Path | None = None,
    ) -> Run:
        """Name what pictures show, and straighten them.

        Args:
            images: Files: PNG, JPEG, WebP, GIF or BMP.
            model: Name of the model; the default model where it is left out.
            url: Ask the service at this address; without it, the models of STN_HOME are loaded here.
            key: Key for that service; STN_KEY, which no list of processes shows, where it is left out.
            top_k: Show so many classes, the most probable first.
            theta: Use this transform for every picture instead of the model's own: its numbers, with commas, as in
                --theta=0.8,-0.3,0.1,0.3,0.8,0; or `identity`.
            json: Print the answer of `POST /v1/predict`.
            save: Write the transformed images into this folder.
        """
        return partial(later, "predict", "predict", list(images), model, url, key, top_k, theta, json, save, defaults)

    @app.command
    def align(
        moving: Positional[Path],
        fixed: Positional[Path],
        output: Annotated[Path | None, arg(aliases=["-o"])] = None,
        model: str | None = None,
        url: str | None = None,
        key: str | None = None,
        refine: float = 0.0,
        json: FlagCreatePairsOff[bool] = False,
    ) -> Run:
        """Lay one picture on another: find how the first has to be turned, scaled, shifted and tilted to match.

        Both may be of any size; they are compared in grey, and the first keeps its colours. The confidence says how sure it
        is that they show the same at all.

        Args:
            moving: File of the picture that is moved.
            fixed: File of the picture that it is laid on.
            output: PNG file to write, which must not exist yet: the moving picture, of the fixed one's size.
            model: A model file, or the name of a model of STN_HOME, whose newest version is taken; the aligner of the
                package where it is left out. With --url, the name of a model there.
            url: Ask the service at this address.
            key: Key for that service; STN_KEY, which no list of processes shows, where it is left out.
            refine: Go on for at most so many seconds by descent on the difference of the pictures; kept only if better.
            json: Print theta, its inverse and the confidence as JSON.
        """
        return partial(later, "align", "align", moving, fixed, output, model, url, key, refine, json, defaults)

    app.command(
        train_commands(defaults), name="train", help="Train a model, with progress, and register it to be served."
    )

    @app.command
    def evaluate(
        model: Positional[str],
        data: DataConfig = DataConfig(),  # noqa: B008
        distortion: DistortionConfig = DistortionConfig(),  # noqa: B008
        part: Part = "test",
        output: Path | None = None,
        json: FlagCreatePairsOff[bool] = False,
    ) -> Run:
        """Score a trained model on labelled pictures, and write a page with its mistakes.

        `stn evaluate RUN` repeats the test of a run, to the same score. `stn evaluate RUN --distortion.rotation 90` does it
        with pictures that are turned further. `stn evaluate RUN --data.name folder --data.root PHOTOS --part all` takes
        your own pictures, one folder for each class: undistorted unless that is asked for, brought to the model's size, and
        their classes matched with the model's by name.

        Args:
            model: A run folder, finished or not, a model file, or the name of a served model, whose newest version is
                taken.
            data: What to change of the run's data; with --data.name other data, of which the rest is as shown here.
            distortion: What to change of the run's distortion; with --data.name the whole of it.
            part: Which of the pictures; all of them for pictures that the model has never seen.
            output: Folder for the page, index.html. By default RUN/report for the test of a run, otherwise `report` in this
                folder; an earlier report there is replaced.
            json: Print the scores of every class as JSON.
        """
        request = {
            "data": given(data, "data", arguments),
            "distortion": given(distortion, "distortion", arguments),
            "part": part,
        }
        return partial(later, "judge", "judge", "evaluate", model, request, output, json, defaults)

    @app.command
    def invariance(
        model: Positional[str],
        data: DataConfig = DataConfig(),  # noqa: B008
        asked: Annotated[InvarianceConfig, arg(name="")] = InvarianceConfig(),  # noqa: B008
        output: Path | None = None,
        json: FlagCreatePairsOff[bool] = False,
        url: str | None = None,
        key: str | None = None,
    ) -> Run:
        """Move pictures by known transforms, and measure how far a trained model keeps up.

        `stn invariance MODEL` turns, scales, shifts, shears and tilts test pictures of the model's own data, which are
        upright and in the middle before, and writes a page: accuracy and agreement at each size, how far the transformer
        undoes it, and the range in which the model keeps 99 %, 95 % and 90 % of its accuracy. `stn invariance MODEL
        --movements rotation --noise 0.2` does it for one of them, with noise on top.

        Args:
            model: A run folder, finished or not, a model file, or the name of a served model, whose newest version is
                taken.
            data: What to change of the model's own data; with --data.name other data, of which the rest is as shown here.
            output: Folder for the page, index.html, the curves and invariance.json. By default RUN/invariance for a run's
                own pictures, otherwise `invariance` in this folder; what an earlier measurement left there is replaced.
            json: Print all numbers as JSON.
            url: Ask the service at this address, of whose models MODEL names one: it measures by a job, which is followed,
                and the page and its files are copied from there.
            key: Key for that service; STN_KEY, which no list of processes shows, where it is left out.
        """
        request = {"data": given(data, "data", arguments), "invariance": to_dict(asked)}
        if url is not None:
            return partial(later, "judge", "measure_there", model, request, output, json, Address(url, key), defaults)
        return partial(later, "judge", "judge", "invariance", model, request, output, json, defaults)

    @app.command
    def distort(
        recipes: Annotated[Positional[tuple[str, ...]], arg(metavar="RECIPE ...")] = (),
        data: DataConfig = DataConfig(),  # noqa: B008
        distortion: DistortionConfig = DistortionConfig(),  # noqa: B008
        columns: int = 10,
        seed: int = 0,
        output: Path = Path("distortions.png"),
    ) -> Run:
        """Draw a contact sheet of what distortions do to the pictures of a data set.

        It has a row for the pictures as they are, one for each recipe, and one for a distortion of your own, whose fields
        are those of `stn train`: stn distort RTS --distortion.rotation 30 --distortion.elastic 2.

        Args:
            recipes: R, RTS, P, E or TC of the paper (docs/distortions.md), or the name of a preset; all five by default.
            columns: Pictures in each row, spread over the training part of the data set.
            seed: Decides what is drawn; another one shows other draws of the same distortions.
            output: PNG file to write, which must not exist yet.
        """
        return partial(later, "distort", "distort", recipes, data, distortion, columns, seed, output)

    @app.command
    def table1(
        models: tuple[Model, ...] = MODELS,
        distortions: tuple[Column, ...] = COLUMNS,
        seeds: tuple[int, ...] = (0,),
        recipe: Recipe = "modern",
        steps: int | None = None,
        minutes: float | None = None,
        at_once: int = 1,
        data: Path = Path("data"),
        results: Path = Path("results"),
    ) -> Run:
        """Train the cells of Table 1 of Jaderberg et al. 2015, and write it beside the paper's own.

        A cell that is in the table is skipped, one that was cut short goes on: `stn table1 --models st-cnn-affine cnn
        --minutes 10` may be stopped and started again. The table is written after each cell: table1.json, .md and .png.

        Args:
            models: Rows of the table.
            distortions: Columns of the table.
            seeds: A run of each cell for each of them.
            recipe: `paper`: its SGD; `modern`: batch norm, AdamW and one cycle; `straight`: `modern`, and the transformer
                is also asked to undo the distortion; `bent`: that, and training pictures are also bent a little.
            steps: Batches of 256 for each cell; 150000, the paper's, by default.
            minutes: Instead, as many steps as this machine makes in these minutes.
            at_once: Cells that are trained at a time; several share a GPU well.
            data: Folder with MNIST/raw, downloaded there where it is missing.
            results: Folder of the table.
        """
        if steps is not None and minutes is not None:
            raise ValueError(f"steps must be left out where minutes are given, got {steps}")
        if (steps is not None and steps < 1) or (minutes is not None and not minutes > 0):
            raise ValueError(f"steps and minutes must be positive, got {steps if minutes is None else minutes}")
        if at_once < 1:
            raise ValueError(f"at_once must be at least 1, got {at_once}")
        budget = ("minutes", f"{minutes:g}") if minutes is not None else ("steps", str(steps or 150_000))
        folders = {"data": data, "results": results, "runs": defaults.runs / "table1"}
        return partial(later, "table1", "table1", models, distortions, seeds, recipe, budget, at_once, folders)

    @app.command
    def export(
        model: Positional[str],
        to: ExportTarget,
        output: Path | None = None,
    ) -> Run:
        """Write a model for other frameworks and runtimes.

        Args:
            model: A model file, or the name of a served model, whose newest version is taken.
            to: `flux`: the weights for Flux in Julia, as docs/flux.md describes; `onnx`: the network for ONNX Runtime,
                OpenVINO and others.
            output: File to write, which must not exist yet: FILE.safetensors, FILE.jld2 or FILE.h5 for flux, FILE.onnx
                for onnx. By default NAME.flux.safetensors or NAME.onnx in this folder, NAME-VERSION of a served model.
        """
        return partial(later, "export", "export", model, to, output, defaults)

    app.command(jobs_commands(defaults, arguments), name="jobs", help="Launch, watch and stop training jobs.")
    app.command(keys_commands(defaults), name="keys", help="Say who may ask the service: stn keys create NAME.")
    app.command(datasets_commands(defaults), name="datasets", help="Add, list and delete pictures to train on.")
    app.command(models_commands(defaults), name="models", help="List, choose, delete and import models.")
    return app


if __name__ == "__main__":
    sys.exit(main())
