"""`stn jobs`: its verbs."""

from collections.abc import Callable
from functools import partial
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, UseAppendAction, arg
from tyro.extras import SubcommandApp

from service.commands.arguments import Run, given, later
from service.commands.job_arguments import Address, Launch
from service.settings import Settings
from training.config import TrainingConfig
from training.jobs.states import State
from training.presets import PRESETS

Url = Annotated[str | None, arg(help="Ask the service at this address; STN_URL, or else the database of STN_HOME.")]
Key = Annotated[
    str | None, arg(help="Key for that service; STN_KEY, which no list of processes shows, where it is left out.")
]
Json = FlagCreatePairsOff[bool]
Id = Annotated[Positional[str], arg(metavar="JOB", help="Its id.")]


def jobs_commands(defaults: Settings, arguments: list[str]) -> SubcommandApp:
    """The verbs; each gives what is to be run. The arguments tell which fields of a config were given."""
    app = SubcommandApp()
    app.command(_create_commands(defaults, arguments), name="create", help="Launch a job: stn jobs create PRESET.")

    @app.command(name="list")
    def list_(
        status: UseAppendAction[tuple[State, ...]] = (),
        limit: int = 20,
        json: Json = False,
        url: Url = None,
        key: Key = None,
    ) -> Run:
        """List jobs, the newest first.

        Args:
            status: Those in this state alone; may be repeated.
            limit: So many.
            json: Print the answer of `GET /v1/jobs`.
        """
        return partial(later, "training_jobs", "list_jobs", status, limit, json, Address(url, key), defaults)

    @app.command
    def show(job: Id, json: Json = False, url: Url = None, key: Key = None) -> Run:
        """Show what there is about a job.

        Args:
            json: Print the answer of `GET /v1/jobs/JOB`.
        """
        return partial(later, "training_jobs", "show", job, json, Address(url, key), defaults)

    @app.command
    def watch(job: Id, json: Json = False, url: Url = None, key: Key = None) -> Run:
        """Follow a job with a progress bar until it ends; Ctrl-C stops watching, not the job.

        Exit code: 0 when it succeeded, 1 when it failed or was cancelled.

        Args:
            json: Print its events, one a line, as `GET /v1/jobs/JOB/events` gives them.
        """
        return partial(later, "training_jobs", "watch", job, json, Address(url, key), defaults)

    @app.command
    def logs(job: Id, follow: Json = False, tail: int | None = None, url: Url = None, key: Key = None) -> Run:
        """Print what a job's processes have written.

        Args:
            follow: Go on until it ends.
            tail: The last so many lines alone.
        """
        return partial(later, "training_jobs", "logs", job, follow, tail, Address(url, key), defaults)

    for verb, what in _VERBS.items():
        app.command(name=verb, help=what)(_change(verb, defaults))
    return app


_VERBS = {
    "stop": "End a job, and keep and serve its best weights.",
    "cancel": "End a job, and discard what it learnt.",
    "resume": "Let a job go on that failed, was cancelled or was stopped.",
    "delete": "Delete a job that has ended, with its run folder; its model stays.",
}


def _change(verb: str, defaults: Settings) -> Callable[..., Run]:
    def change(job: Id, json: Json = False, url: Url = None, key: Key = None) -> Run:
        return partial(later, "training_jobs", "change", verb, job, json, Address(url, key), defaults)

    return change


def _create_commands(defaults: Settings, arguments: list[str]) -> SubcommandApp:
    app = SubcommandApp()
    for name, preset in PRESETS.items():
        app.command(name=name, help=preset.__doc__)(_create(preset(), defaults, arguments))
    return app


def _create(preset: TrainingConfig, defaults: Settings, arguments: list[str]) -> Callable[..., Run]:
    def create(
        config: Annotated[TrainingConfig, arg(name="")] = preset,
        dataset: str | None = None,
        watch: FlagCreatePairsOff[bool] = False,
        idempotency_key: str | None = None,
        json: Json = False,
        url: Url = None,
        key: Key = None,
    ) -> Run:
        """Launch a job, and print its id.

        Args:
            dataset: Train on this data set of the service's own (`stn datasets add`), instead of --data.name.
            watch: Follow it until it ends, as `stn jobs watch` does.
            idempotency_key: The same key and config launch one job, however often this is repeated.
            json: Print the answer of `POST /v1/jobs`.
        """
        folders = sorted(given(config.data, "data", arguments).keys() & {"root", "cache"})
        launch = Launch(config, dataset, folders, idempotency_key)
        return partial(later, "training_jobs", "create", launch, watch, json, Address(url, key), defaults)

    return create
