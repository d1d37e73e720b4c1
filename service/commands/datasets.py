"""`stn datasets`: its verbs."""

from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.extras import SubcommandApp

from service.commands.arguments import Run, later
from service.settings import Settings

_Url = Annotated[str | None, arg(help="Ask the service at this address; STN_URL, or else the folder STN_HOME.")]
_Key = Annotated[
    str | None, arg(help="Key for that service; STN_KEY, which no list of processes shows, where it is left out.")
]
_Json = FlagCreatePairsOff[bool]
_Name = Annotated[Positional[str], arg(metavar="NAME", help="Its name.")]


def datasets_commands(defaults: Settings) -> SubcommandApp:
    """The verbs; each gives what is to be run."""
    app = SubcommandApp()

    @app.command
    def add(name: _Name, path: Positional[Path], json: _Json = False, url: _Url = None, key: _Key = None) -> Run:
        """Add pictures to train on: every one is opened, and those that cannot be read are named and left out.

        Args:
            path: A folder with a folder of pictures for each class, or of pictures alone, which is enough for an aligner;
                a zip file of such a one; or an .npz file with the arrays `images` and `labels`.
            json: Print the answer of `POST /v1/datasets`.
        """
        return partial(later, "kept_datasets", "add", name, path, json, (url, key), defaults)

    @app.command(name="list")
    def list_(json: _Json = False, url: _Url = None, key: _Key = None) -> Run:
        """List the data sets.

        Args:
            json: Print the answer of `GET /v1/datasets`.
        """
        return partial(later, "kept_datasets", "list_datasets", json, (url, key), defaults)

    @app.command
    def show(name: _Name, sheet: Path | None = None, json: _Json = False, url: _Url = None, key: _Key = None) -> Run:
        """Show the classes of a data set, and what of its upload was refused.

        Args:
            sheet: PNG file to write the contact sheet into, which must not exist yet.
            json: Print the answer of `GET /v1/datasets/NAME`.
        """
        return partial(later, "kept_datasets", "show", name, sheet, json, (url, key), defaults)

    @app.command
    def delete(name: _Name, url: _Url = None, key: _Key = None) -> Run:
        """Delete a data set, unless a job uses it that has not ended."""
        return partial(later, "kept_datasets", "delete", name, (url, key), defaults)

    return app
