"""`stn models`: its verbs."""

from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import SubcommandApp

from service.commands.arguments import Run, later
from service.settings import Settings

ImportSource = Literal["flux"]


def models_commands(defaults: Settings) -> SubcommandApp:
    """The verbs; each gives what is to be run."""
    app = SubcommandApp()

    @app.command(name="list")
    def list_(json: FlagCreatePairsOff[bool] = False) -> Run:
        """List the models of STN_HOME and the files there that are refused.

        Args:
            json: Print the answer of `GET /v1/models`.
        """
        return partial(later, "served_models", "list_models", json, defaults)

    @app.command
    def show(name: Positional[str]) -> Run:
        """Print all that is known of a model, as JSON.

        Args:
            name: Name of the model.
        """
        return partial(later, "served_models", "show_model", name, defaults)

    @app.command
    def default(name: Positional[str], version: Annotated[Positional[str], arg(metavar="VERSION|newest")]) -> Run:
        """Choose the version of a model that answers when a request names none.

        A service that runs notices within seconds.

        Args:
            name: Name of the model.
            version: The version, or `newest` for the newest, also of those that are still to come.
        """
        return partial(later, "served_models", "set_default", name, version, defaults)

    @app.command
    def delete(name: Positional[str], version: int | None = None) -> Run:
        """Delete a model or one version of it.

        A service that runs notices within seconds, and answers what it is predicting.

        Args:
            name: Name of the model.
            version: This version alone.
        """
        return partial(later, "served_models", "delete", name, version, defaults)

    @app.command(name="import")
    def import_(
        file: Positional[Path],
        source: Annotated[ImportSource, arg(name="from")],
        like: Path | None = None,
        config: Path | None = None,
        output: Path | None = None,
    ) -> Run:
        """Make a model file of weights that were trained elsewhere.

        Args:
            file: The weights: FILE.safetensors, FILE.jld2 or FILE.h5, with the names and sizes that
                `stn export --to flux` gives them.
            source: What wrote them.
            like: A model file of the same network; its description, input and class names are taken over.
            config: A JSON file that describes the network instead: {"config": {...}, "input": {...},
                "class_names": [...]}.
            output: Model file to write, which must not exist yet; by default FILE.model.safetensors in this folder. Write
                STN_HOME/models/NAME/1.safetensors for it to be served.
        """
        return partial(later, "import_model", "import_model", file, source, like, config, output)

    return app
