"""What the OpenAPI document says of `/v1/predict` beyond what its signature does."""

from typing import Any

from service.openapi.problems import document_problems

DIGIT = (
    "iVBORw0KGgoAAAANSUhEUgAAACoAAAAqCAAAAADgqJaHAAABOElEQVR42u2US07DMBCG7dipk7rpIy2koqGAQCAWbJDgArDrDnEIzsIxOEEPwooFG0RV"
    "CYVSQUJom5cbO2zbqkkqsWGRfzf2J2s8888AUKjQHwTTLtDqQW9/NN8I7fUvxgMvWYvixUC5uauzdscJ16LSUiRcpMikJOWhEMDPWUlT0j62gCaARVyq"
    "bJWZyM0VahQTZFTD3FdBggme44ZpShBiAlcTWarAxPUENE7OSFhRkOUkXKTWlSN9W+ce7hxfXp/SGLI4vQXfaO+IMmIenF8dNmXu+yK9W7zebau0VVd3"
    "aDm2P354OjpFxq5eqyHbhuFoMJxloMCXaw1KiDUmbPj65mahwVwIjJJYpfzr+cnPNOEkmDreDFRb7L4fZfuVB867NYq0h9uXfM8TqdnVHu3NZgaTYm/8"
    "S/0CH8ZnMWldIhEAAAAASUVORK5CYII="
)
"""A PNG with a handwritten six, crooked."""


def file_schema(kind: str) -> dict[str, Any]:
    """A body, or a field of a form, that is a file and nothing else."""
    return {"type": "string", "format": "binary", "contentMediaType": kind}


_EXAMPLE = {"summary": "A handwritten six.", "externalValue": f"data:image/png;base64,{DIGIT}"}

REQUEST = {
    "required": True,
    "description": "One picture as it is, a form with one or several files in the field `image`, or JSON with base64.",
    "content": {
        "image/png": {"schema": file_schema("image/png"), "examples": {"six": _EXAMPLE}},
        "image/jpeg": {"schema": file_schema("image/jpeg")},
        "image/webp": {"schema": file_schema("image/webp")},
        "image/gif": {"schema": file_schema("image/gif")},
        "image/bmp": {"schema": file_schema("image/bmp")},
        "application/octet-stream": {"schema": file_schema("application/octet-stream"), "examples": {"six": _EXAMPLE}},
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "image": {"type": "array", "minItems": 1, "items": file_schema("application/octet-stream")}
                },
                "additionalProperties": False,
            },
        },
        "application/json": {
            "schema": {"$ref": "#/components/schemas/Base64Images"},
            "examples": {
                "one": {"summary": "A handwritten six.", "value": {"images": [DIGIT]}},
                "several": {
                    "summary": "Two pictures, of which one cannot be read.",
                    "value": {"images": [f"data:image/png;base64,{DIGIT}", "bm8gcGljdHVyZQ=="]},
                },
            },
        },
    },
}

TIMEOUT = {
    "name": "X-Request-Timeout",
    "in": "header",
    "description": "Seconds after which nobody wants the answer any more: it is 504 then, and the work is dropped. The "
    "service has a limit of its own.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
    "example": 5,
}

_ANSWER = {
    "model": "handwriting",
    "version": 1,
    "predictions": [
        {
            "class": "6",
            "probability": 0.9644141,
            "probabilities": {"6": 0.9644141, "8": 0.010571319},
            "width": 42,
            "height": 42,
            "theta": {
                "transform": "affine",
                "parameters": {
                    "xx": 0.80462086,
                    "xy": -0.02401956,
                    "x0": 0.05628005,
                    "yx": 0.07308806,
                    "yy": 0.8105728,
                    "y0": 0.0756167,
                },
                "matrix": [[0.80462086, -0.02401956, 0.05628005], [0.07308806, 0.8105728, 0.0756167]],
            },
        },
        {
            "problem": {
                "type": "about:blank",
                "title": "Unsupported Media Type",
                "status": 415,
                "detail": "the image must be one of PNG, JPEG, WebP, GIF and BMP",
                "error": "the image must be one of PNG, JPEG, WebP, GIF and BMP",
            }
        },
    ],
}


def header_of(description: str, example: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}, "example": example}


RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One entry per image in the order they were sent. With `Accept: image/png` the straightened "
        "picture of the only one, with what else is known in headers. With `Accept: application/x-npz` arrays for NumPy.",
        "content": {
            "application/json": {"example": _ANSWER},
            "image/png": {"schema": file_schema("image/png")},
            "application/x-npz": {"schema": file_schema("application/x-npz")},
        },
        "headers": {
            "Server-Timing": header_of(
                "Milliseconds of the stages.",
                "decode;dur=0.041, queue;dur=0.021, batch;dur=0.013, infer;dur=0.480, encode;dur=0.062",
            ),
            "X-Stn-Model": header_of("With `image/png`: model and version.", "handwriting/1"),
            "X-Stn-Class": header_of("With `image/png`: the most probable class, as JSON.", '"6"'),
            "X-Stn-Probability": header_of("With `image/png`: its probability.", "0.964414"),
            "X-Stn-Theta": header_of(
                "With `image/png`: theta by parameter, as JSON; null without a transformer.",
                '{"xx":0.80462086,"xy":-0.02401956}',
            ),
        },
    },
    **document_problems(
        {
            400: "The request has no image, or its body cannot be read.",
            404: "No such model or version.",
            406: "`Accept: image/png` was asked for several images.",
            409: "The model lays pictures on others and names none, or its file is refused with this reason.",
            413: "The body, an image or the number of images is too large.",
            415: "The body is not of a type that is read, or not a picture.",
            422: "A picture is damaged, or a field is wrong.",
            429: "Too many images wait for the model; try again after `Retry-After` seconds.",
            503: "The service is starting or ending; try again after `Retry-After` seconds.",
            504: "The deadline passed before the prediction was made.",
        }
    ),
}
