"""From the body of a request to the config of a job: presets, models, and data sets by name."""

import contextlib
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from service.datasets.store import KNOWN, is_name, open_datasets
from service.models.catalogue import Entry
from service.models.folder import LARGEST_VERSION
from service.problems import Problem
from service.settings import Settings
from stn import ModelInfo
from stn.config import from_dict, require, to_dict
from training.config import DataConfig, TrainingConfig
from training.invariance_config import InvarianceConfig, InvarianceJob
from training.presets import PRESETS

MAX_BYTES = 2**20
"""Of a body."""
KNOWN_SETS = tuple(name for name in KNOWN if name not in ("folder", "npz"))
"""Data sets that everybody knows by name."""
SECTIONS = ("data", "distortion", "model", "pairs", "aligner", "optimizer", "trainer")
_RULE = f"one of {', '.join(KNOWN_SETS)} or of the service's own data sets (GET /v1/datasets)"
HIDDEN = {"data": ("root", "cache"), "trainer": ("nodes",)}
"""Fields that a job cannot be asked for: folders of this machine, and other machines."""
_DEFAULT = next(field.default for field in dataclasses.fields(DataConfig) if field.name == "name")
_LONGEST = 500
"""Characters of what is said of a mistake, which may quote what was sent."""


class Wanted(NamedTuple):
    """What a job is to do."""

    config: dict[str, Any]
    """The whole config, as the run gets it."""
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
        raise Problem(422, "the body must be an object of named fields")
    return values


@contextlib.contextmanager
def resolved(values: Mapping[str, Any], settings: Settings) -> Iterator[Wanted]:
    """The training that the body asks for; the data set that it names is not deleted before the end of the block.

    Raises:
        Problem: 422 with the field, the rule and the value.
    """
    with _naming_the_field():
        values = _with_preset(values)
        name = _dataset(values)
    with _data_of(name, settings) as (root, own):
        with _naming_the_field():
            if root:
                values = {**values, "data": {**values["data"], **root}}
            config = from_dict(TrainingConfig, values)
            is_one = config.trainer.nodes == 1 or settings.executor == "ray"
            require(is_one, "trainer.nodes", "1, where jobs run on one machine each", config.trainer.nodes)
            if own and config.task == "classify":
                _require_classes(own, settings)
        yield Wanted(to_dict(config), own)


@contextlib.contextmanager
def measured(values: Mapping[str, Any], entry: Entry, settings: Settings) -> Iterator[Wanted]:
    """The measurement of this model that the body asks for, likewise.

    Raises:
        Problem: 422 with the field, the rule and the value.
    """
    with _naming_the_field():
        data = values.get("data", {})
        _refuse_places(data)
        asked = {field: value for field, value in values.items() if field not in ("data", "version")}
        how = from_dict(InvarianceConfig, asked)
        name = _dataset(values) if isinstance(data, Mapping) and "name" in data else None
    with _data_of(name, settings) as (root, own):
        with _naming_the_field():
            data = {**data, **root} if isinstance(data, Mapping) else data
            from_dict(DataConfig, data, "data")
            if own:
                _require_known(own, entry, settings)
        file, sets = str(entry.path.absolute()), str(settings.torchvision_data.absolute())
        job = InvarianceJob(name=entry.name, version=entry.version, file=file, root=sets, data=data, invariance=how)
        yield Wanted(to_dict(job), own)


def version_of(values: Mapping[str, Any]) -> int | None:
    """The version of a model that a body names; None where it names none.

    Raises:
        Problem: 422 where that is none.
    """
    version = values.get("version")
    if isinstance(version, float) and version.is_integer():
        version = int(version)  # 1.0 is a whole number in JSON
    if version is not None and (type(version) is not int or not 1 <= version <= LARGEST_VERSION):
        raise Problem(422, f"version must be a whole number from 1 to {LARGEST_VERSION}, got {str(version)[:100]!r}")
    return version


def _classes(name: str, settings: Settings) -> list[str]:
    """Those of one of the service's own data sets, as far as they are known."""
    store = open_datasets(settings)
    found = store.find(name)
    report = b"{}"
    if found is not None:
        with contextlib.suppress(FileNotFoundError):  # deleted meanwhile, which the job will say
            report = store.report(found)
    return list(orjson.loads(report).get("classes", ()))


def _require_known(name: str, entry: Entry, settings: Settings) -> None:
    """Refuse a data set with a class that the model does not know."""
    known = entry.info.class_names if isinstance(entry.info, ModelInfo) else ()
    others = [each for each in _classes(name, settings) if each not in known]
    if known and others:
        names = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        rule = f"a set of classes that {entry.name} knows ({names})"
        raise ValueError(f"data.name must be {rule}, got {name!r} with {others[0]!r}{more}")


def _require_classes(name: str, settings: Settings) -> None:
    classes = _classes(name, settings)
    if len(classes) == 1:
        rule = "a set of 2 classes at least for task classify (align needs none)"
        raise ValueError(f"data.name must be {rule}, got {name!r} with {classes[0]!r} alone")


@contextlib.contextmanager
def _data_of(name: str | None, settings: Settings) -> Iterator[tuple[dict[str, Any], str | None]]:
    """What the data set of this name is to a config, and its name where it is the service's own, which nobody deletes
    meanwhile."""
    if name is None or name == "digits":
        yield {}, None
    elif name in KNOWN:
        yield {"root": str(settings.torchvision_data.absolute())}, None
    else:
        with contextlib.ExitStack() as stack:
            with _naming_the_field():
                require(is_name(name), "data.name", _RULE, name)
                found = stack.enter_context(open_datasets(settings).hold(name))
                require(found is not None, "data.name", _RULE, name)
                assert found is not None
            yield {"name": found.kind, "root": str(found.folder.absolute())}, name


def _with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the preset that is named, with those that are given beside it; without one, those that are given."""
    given = {key: value for key, value in values.items() if key != "preset"}
    _refuse_places(given.get("data"))
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


def _refuse_places(data: object) -> None:
    if isinstance(data, Mapping):
        for field in sorted(data.keys() & HIDDEN["data"]):
            raise ValueError(f"data.{field} must be left out: the service knows where its data sets are")


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
