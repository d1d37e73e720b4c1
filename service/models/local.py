"""A model of the home folder, without a service."""

import dataclasses

from service.models.catalogue import Catalogue, Entry
from service.models.choice import default_name, default_version, refused_problem, unknown_problem
from service.models.scan import reason_of
from service.models.served import Held
from service.models.shelf import open_shelf
from service.settings import Settings
from stn import ModelFileError


def read_model(settings: Settings, name: str | None = None, version: int | None = None) -> Held:
    """This version of this model, loaded now; the default model and its default version where none is named.

    Raises:
        Problem: there is none of that name or version, or its file is refused.
    """
    shelf = open_shelf(settings)
    catalogue = shelf.scan()
    while True:
        found = _choose(catalogue, name or default_name(catalogue, settings.default_model), version)
        if found.reason is not None:
            raise refused_problem(found)
        try:
            return shelf.read(found, settings)
        except ModelFileError as error:
            catalogue = catalogue.with_entry(dataclasses.replace(found, reason=reason_of(error, found.path)))


def _choose(catalogue: Catalogue, name: str | None, version: int | None) -> Entry:
    chosen = version or (default_version(catalogue, name) if name else None)
    newest = max(catalogue.models.get(name or "", {}), default=0)
    entry = catalogue.find(name, chosen or newest) if name else None
    if entry is None:
        raise unknown_problem(catalogue, name, version)
    return entry
