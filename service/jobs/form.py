"""What a job may be asked for: the schema of its config and the presets, for a form to be made from."""

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from service.datasets.store import NAME_PATTERN
from service.jobs.wanted import HIDDEN, KNOWN_SETS
from stn.align_config import AlignerConfig
from stn.config import ModelConfig, to_dict
from stn.ranges import Range
from training.config import DataConfig, DistortionConfig, OptimizerConfig, TrainerConfig, TrainingConfig
from training.pair_config import PairConfig
from training.presets import PRESETS

Json = dict[str, Any]


def config_schema(references: str) -> Json:
    """The training config's own schema with ranges, but for what a job cannot be asked for and what HTTP has otherwise.

    Args:
        references: where its parts are referred to, with `{model}` for the name of a part; they stand in its `$defs`.
    """
    schema: Json = TypeAdapter(TrainingConfig).json_schema(ref_template=references)
    schema["properties"]["name"]["pattern"] = NAME_PATTERN
    add_ranges(schema, TrainingConfig.RANGES)
    parts = (DataConfig, DistortionConfig, ModelConfig, PairConfig, AlignerConfig, OptimizerConfig, TrainerConfig)
    for config in parts:
        add_ranges(schema["$defs"][config.__name__], config.RANGES)
    for part, section in (("DataConfig", "data"), ("TrainerConfig", "trainer")):
        for field in HIDDEN[section]:
            del schema["$defs"][part]["properties"][field]
    schema["$defs"]["DataConfig"]["properties"]["name"] = {
        "type": "string",
        "pattern": NAME_PATTERN,
        "default": "digits",
        "description": f"{', '.join(KNOWN_SETS)}, or the name of a data set of this service.",
    }
    schema["$defs"]["ModelConfig"]["properties"]["bounds"]["default"] = {}  # Pydantic leaves out what a factory makes
    return schema


def add_ranges(schema: Json, ranges: Mapping[str, Range]) -> None:
    """Say in each of these fields which numbers it may hold: itself, or each of its items."""
    for name, allowed in ranges.items():
        field = schema["properties"][name]
        for choice in field.get("anyOf", [field]):
            for part in choice.get("prefixItems", [choice.get("items", choice)]):
                if part["type"] != "null":
                    part |= allowed.json_schema()


@cache
def training_form() -> Json:
    """The schema, every preset as a whole config, and the data sets that need no upload."""
    presets = [
        {"name": name, "description": inspect.getdoc(preset), "config": _preset_config(to_dict(preset()))}
        for name, preset in PRESETS.items()
    ]
    return {"schema": config_schema("#/$defs/{model}"), "presets": presets, "datasets": list(KNOWN_SETS)}


def _preset_config(config: Json) -> Json:
    """Without what cannot be asked for; without `data.name` where the pictures are one's own, and are to be named."""
    for section, fields in HIDDEN.items():
        config[section] = {name: value for name, value in config[section].items() if name not in fields}
    if config["data"]["name"] not in KNOWN_SETS:
        del config["data"]["name"]
    return config
