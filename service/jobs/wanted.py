"""From the body of a request to the config of a job: presets, and data sets by name."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from service.datasets.store import KNOWN, DatasetStore, is_name
from service.problems import Problem
from service.settings import Settings
from stn.config import from_dict, require, to_dict
from training.config import DataConfig, TrainingConfig
from training.presets import PRESETS

MAX_BYTES = 2**20
"""Of a body."""
KNOWN_SETS = tuple(name for name in KNOWN if name not in ("folder", "npz"))
"""Data sets that everybody knows by name."""
SECTIONS = ("data", "distortion", "model", "optimizer", "trainer")
_RULE = f"one of {', '.join(KNOWN_SETS)} or of the service's own data sets (GET /v1/datasets)"
HIDDEN = {"data": ("root", "cache"), "trainer": ("nodes",)}
"""Fields that a job cannot be asked for: folders of this machine, and other machines."""
_DEFAULT = next(field.default for field in dataclasses.fields(DataConfig) if field.name == "name")
_LONGEST = 500
"""Characters of what is said of a mistake, which may quote what was sent."""


class Wanted(NamedTuple):
    """What a job is to do."""

    config: dict[str, Any]
    """The whole training config, as the run gets it."""
    dataset: str | None
    """The service's own data set that it uses."""


def read_body(body: bytes) -> dict[str, Any]:
    """The object in a body.

    Raises:
        Problem: 400 where it is not JSON, 413 where it is too long, 422 where it is something else.
    """
    if len(body) > MAX_BYTES:
        raise Problem(413, f"the body must have at most {MAX_BYTES:,} bytes, got {len(body):,}")
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(400, f"the body must be JSON ({error})") from None
    if not isinstance(values, dict):
        raise Problem(422, "the body must be an object with the fields of a training config")
    return values


@contextlib.contextmanager
def resolved(values: Mapping[str, Any], settings: Settings) -> Iterator[Wanted]:
    """What the body asks for; the data set that it names is not deleted before the end of the block.

    Raises:
        Problem: 422 with the field, the rule and the value.
    """
    with _naming_the_field():
        values = _with_preset(values)
        name = _dataset(values)
    with contextlib.ExitStack() as stack:
        with _naming_the_field():
            root: dict[str, Any] = {}
            if name in KNOWN:
                root = {} if name == "digits" else {"root": str(settings.torchvision_data.absolute())}
            elif name is not None:
                require(is_name(name), "data.name", _RULE, name)
                found = stack.enter_context(DatasetStore(settings.home).hold(name))
                require(found is not None, "data.name", _RULE, name)
                assert found is not None
                root = {"name": found.kind, "root": str(found.folder.absolute())}
            if root:
                values = {**values, "data": {**values["data"], **root}}
            config = from_dict(TrainingConfig, values)
            require(config.trainer.nodes == 1, "trainer.nodes", "1: a job runs on one machine", config.trainer.nodes)
        yield Wanted(to_dict(config), name if name is not None and name not in KNOWN else None)


def _with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the preset that is named, with those that are given beside it; without one, those that are given."""
    given = {key: value for key, value in values.items() if key != "preset"}
    data = given.get("data")
    if isinstance(data, Mapping):
        for field in sorted(data.keys() & HIDDEN["data"]):
            raise ValueError(f"data.{field} must be left out: the service knows where its data sets are")
    if "preset" not in values:
        return given
    preset = values["preset"]
    names = f"one of {', '.join(PRESETS)}"
    require(isinstance(preset, str) and preset in PRESETS, "preset", names, preset)
    whole = to_dict(PRESETS[preset]())
    whole["data"] = {field: value for field, value in whole["data"].items() if field not in HIDDEN["data"]}
    for section in SECTIONS:
        if isinstance(given.get(section), Mapping):
            given[section] = {**whole[section], **given[section]}
    return {**whole, **given}


def _dataset(values: Mapping[str, Any]) -> str | None:
    """The data set by its name; None where that is no text, which whoever reads the config says."""
    data = values.get("data", {})
    name = data.get("name", _DEFAULT) if isinstance(data, Mapping) else None
    if not isinstance(name, str):
        return None
    require(name not in KNOWN or name in KNOWN_SETS, "data.name", _RULE, name)
    return name


@contextlib.contextmanager
def _naming_the_field() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        text = str(error)
        raise Problem(422, text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ...") from None
