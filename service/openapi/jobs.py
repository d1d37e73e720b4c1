"""What the OpenAPI document says of jobs beyond what the signatures of their routes do."""

from functools import cache
from typing import Any

from pydantic import TypeAdapter

from service.jobs.form import add_ranges, config_schema
from service.models.folder import LARGEST_VERSION
from training.invariance_config import InvarianceConfig
from training.presets import PRESETS

Json = dict[str, Any]

LOCATION: Json = {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}

_FULL = {
    "name": "my-digits",
    "seed": 1,
    "data": {"name": "digits"},
    "distortion": {"rotation": 30.0, "scale": [0.8, 1.2]},
    "model": {"transform": "affine", "filters": [16, 32]},
    "optimizer": {"learning_rate": 0.003},
    "trainer": {"max_epochs": 20, "batch_size": 64},
}
CONFIG: Json = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/TrainingConfig"},
            "examples": {
                "preset": {"summary": "Handwritten digits, in a minute.", "value": {"preset": "digits"}},
                "config": {"summary": "What is left out has its default.", "value": _FULL},
                "overrides": {
                    "summary": "A preset, but for what is said.",
                    "value": {"preset": "digits", "name": "turned-digits", "distortion": {"rotation": 90.0}},
                },
            },
        }
    },
}

INVARIANCE: Json = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {"$ref": "#/components/schemas/InvarianceRequest"},
            "examples": {
                "all": {"summary": "All movements, on test pictures of the model's own data.", "value": {}},
                "some": {
                    "summary": "Two of them, of a known version, on digits, with noise on top.",
                    "value": {
                        "version": 1,
                        "data": {"name": "digits"},
                        "movements": ["rotation", "scale"],
                        "images": 200,
                        "noise": 0.1,
                    },
                },
            },
        }
    },
}

_EVENT = (
    'event: state\ndata: {"id":2,"time":"2026-03-01T12:00:00Z","kind":"state","data":{"state":"starting","reason":'
    '"claimed by a worker","asked":null,"attempt":1}}\nid: 2\n\n'
)
EVENT_STREAM: Json = {
    "content": {"text/event-stream": {"schema": {"type": "string"}, "example": _EVENT}},
    "headers": {},
}
METRICS: Json = {
    "content": {
        "text/csv": {"schema": {"type": "string"}, "example": "step,val/loss\n100,0.25\n"},
        "image/svg+xml": {"schema": {"type": "string"}},
        "image/png": {"schema": {"type": "string", "format": "binary", "contentMediaType": "image/png"}},
    }
}
_WRITTEN = 'retry: 1000\n\ndata: "step 20, loss 0.25\\n"\nid: 19\n\n'
LOGS: Json = {
    "description": "The text, as it is or as it comes.",
    "content": {
        "text/plain": {"schema": {"type": "string"}},
        "text/event-stream": {"schema": {"type": "string"}, "example": _WRITTEN},
    },
    "headers": {
        "X-Stn-Offset": {
            "description": "Where in all that was written this answer begins, in bytes.",
            "schema": {"type": "integer", "minimum": 0},
        }
    },
}
_FILES = (
    *("application/octet-stream", "application/x-ndjson"),
    *("image/png", "image/svg+xml", "text/css", "text/html"),
)
FILE: Json = {
    "description": "The file.",
    "content": {
        "application/json": {"schema": {}},
        **{kind: {"schema": {"type": "string", "format": "binary"}} for kind in _FILES},
    },
}


@cache
def config_schemas() -> Json:
    """The schemas of what jobs are asked for, and of its parts, by name."""
    schema = config_schema("#/components/schemas/{model}")
    parts: Json = schema.pop("$defs")
    schema["properties"]["preset"] = {
        "type": "string",
        "enum": sorted(PRESETS),
        "description": "A whole config, of which all that is given beside it takes the place.",
    }
    schema["anyOf"] = [{"required": [field]} for field in (*schema.pop("required"), "preset")]
    return {**parts, "TrainingConfig": schema, "InvarianceRequest": _invariance_schema()}


def _invariance_schema() -> Json:
    schema: Json = TypeAdapter(InvarianceConfig).json_schema()
    schema["title"] = "InvarianceRequest"
    add_ranges(schema, InvarianceConfig.RANGES)
    schema["properties"]["movements"] |= {"minItems": 1, "uniqueItems": True}
    schema["properties"] |= {
        "version": {
            "anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST_VERSION}, {"type": "null"}],
            "default": None,
            "description": "Of the model; the one that answers when a request names none by default.",
        },
        "data": {
            "allOf": [{"$ref": "#/components/schemas/DataConfig"}],
            "description": "What to change of the model's own data; with `name` other data, as `POST /v1/jobs` takes them.",
        },
    }
    return schema
