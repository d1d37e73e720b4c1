"""`stn keys`: who may ask the service, and for what."""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tyro.conf import FlagCreatePairsOff, Positional
from tyro.extras import SubcommandApp

from service.access.keys import Key, create_key, read_keys, revoke_key
from service.access.scopes import Scope
from service.commands.arguments import Run
from service.settings import Settings


def keys_commands(settings: Settings) -> SubcommandApp:
    """The verbs of `stn keys`, for the file of these settings."""
    app = SubcommandApp()
    path = settings.keys_path

    @app.command(name="create")
    def create_(
        name: Positional[str],
        scopes: tuple[Scope, ...] = ("predict",),
        expires: float | None = None,
        rate: float | None = None,
    ) -> Run:
        """Make a key and print it, once: the file keeps only its hash.

        Args:
            name: Whose key it is; shown in logs.
            scopes: What it allows. `predict`: post pictures. `jobs`: train, and keep data sets. `models`: add, change and
                delete models. `admin`: all that, and metrics.
            expires: Days until it is worth nothing; never where it is left out.
            rate: Requests per second, instead of STN_RATE_LIMIT.
        """
        return partial(create, path, name, scopes, expires, rate)

    @app.command(name="list")
    def list_(json: FlagCreatePairsOff[bool] = False) -> Run:
        """Show whose keys there are, what they allow and until when.

        Args:
            json: Print a line of JSON for each.
        """
        return partial(show, path, json)

    @app.command(name="revoke")
    def revoke_(name: Positional[str]) -> Run:
        """Make a key worth nothing, within a second also for a service that runs.

        Args:
            name: Whose key it is.
        """
        return partial(revoke, path, name)

    return app


def create(path: Path, name: str, scopes: tuple[Scope, ...], expires: float | None, rate: float | None) -> int:
    """Print the new key on standard output, and nothing else there."""
    is_first = not path.exists()
    secret = create_key(path, name, scopes, expires, rate)
    sys.stdout.write(f"{secret}\n")
    sys.stderr.write(f"the key of {name}, which is not shown again; {path} holds its hash\n")
    if is_first:
        sys.stderr.write("from now on every request needs a key\n")
    return 0


def show(path: Path, as_json: bool) -> int:
    """Print a line for each key."""
    try:
        keys = read_keys(path)
    except FileNotFoundError:
        sys.stderr.write(f"there are no keys: {path} does not exist\n")
        return 0
    width = max((len(key.name) for key in keys), default=0)
    for key in keys:
        line = key.model_dump_json(exclude={"sha256"}) if as_json else f"{key.name:{width}}  {_describe(key)}"
        sys.stdout.write(f"{line}\n")
    return 0


def revoke(path: Path, name: str) -> int:
    """Take the key out of the file."""
    revoke_key(path, name)
    sys.stdout.write(f"the key of {name} is revoked\n")
    return 0


def _describe(key: Key) -> str:
    parts = [",".join(key.scopes), f"created {key.created:%Y-%m-%d}"]
    if key.expires:
        parts.append(f"{'expired' if key.expires <= datetime.now(UTC) else 'expires'} {key.expires:%Y-%m-%d %H:%M} UTC")
    if key.rate:
        parts.append(f"{key.rate:g} requests per second")
    return "  ".join(parts)
