"""`stn models list`, `show`, `default` and `delete`: the models of the home folder, with or without a service."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from service.models.changes import choose_default, delete_model, delete_version
from service.models.folder import LARGEST_VERSION
from service.models.listing import describe_model, describe_models
from service.models.store import ModelStore
from service.schemas import Model
from service.settings import Settings
from stn.config import require


def list_models(as_json: bool, settings: Settings) -> int:
    """Print a line for each model and each refused file."""
    models = describe_models(_with_store(settings, _nothing))
    if as_json:
        sys.stdout.write(models.model_dump_json(indent=2) + "\n")
        return 0
    for model in models.models:
        sys.stdout.write(_line(model, model.name == models.default_model) + "\n")
    for refused in models.refused:
        sys.stdout.write(f"{refused.file}  refused: {refused.reason}\n")
    return 0


def show_model(name: str, settings: Settings) -> int:
    """Print what `GET /v1/models/NAME` answers."""
    store = _with_store(settings, lambda store: store.locate(name, None))
    sys.stdout.write(describe_model(store, name).model_dump_json(indent=2) + "\n")
    return 0


def set_default(name: str, version: str, settings: Settings) -> int:
    """Choose the default version, or `newest`; a version is loaded first, to see that it can be."""
    is_number = version.isascii() and version.isdecimal() and 1 <= int(version) <= LARGEST_VERSION
    require(is_number or version == "newest", "version", "1, 2, 3 ... or newest", version)
    chosen = int(version) if is_number else None
    _with_store(settings, lambda store: choose_default(store, name, chosen))
    return 0


def delete(name: str, version: int | None, settings: Settings) -> int:
    """Delete a version, or the model where none is given."""
    if version is None:
        _with_store(settings, lambda store: delete_model(store, name))
    else:
        _with_store(settings, lambda store: delete_version(store, name, version))
    return 0


def _with_store(settings: Settings, work: Callable[[ModelStore], Awaitable[object]]) -> ModelStore:
    """The store of the home folder as it is after this work."""

    async def run() -> ModelStore:
        store = ModelStore(settings)
        await store.open()
        await work(store)
        await store.close()
        return store

    return asyncio.run(run())


async def _nothing(store: ModelStore) -> None:
    """Listing asks for no more than the folder."""


def _line(model: Model, is_default: bool) -> str:
    versions = ", ".join(str(version.version) for version in model.versions)
    chosen = "chosen" if model.pinned_version in {version.version for version in model.versions} else "newest"
    newest = model.versions[-1]
    transform = newest.transform or "without a transformer"
    network = f"{newest.classifier or newest.task} {transform}, {newest.height}x{newest.width}"
    mark = "  (default model)" if is_default else ""
    return f"{model.name}  versions {versions}  default {model.default_version} ({chosen})  {network}{mark}"
