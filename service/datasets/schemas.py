"""The JSON of data sets."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

_CONFIG = ConfigDict(use_attribute_docstrings=True, extra="forbid")
_EXAMPLE: dict[str, Any] = {
    "name": "my-photos",
    "kind": "folder",
    "created": "2026-03-01T12:00:00Z",
    "images": 1206,
    "classes": {"cat": 620, "dog": 586},
    "bytes": 48211906,
    "channels": "colour",
    "smallest": [120, 90],
    "largest": [3024, 4032],
    "test_images": 240,
}


class RefusedPicture(BaseModel):
    """A file of an upload that was not taken."""

    model_config = _CONFIG

    file: str
    """Its name in the upload."""
    reason: str


class _Described(BaseModel):
    """What is always said of a data set."""

    model_config = _CONFIG

    name: str
    """What a job names it by: `{"data": {"name": ...}}`."""
    kind: Literal["folder", "npz"]
    """Pictures, or arrays."""
    created: datetime
    images: int
    """Pictures that were taken."""
    classes: dict[str, int]
    """Pictures of each class by its name, in the order that a model trained on them gives the classes; of pictures without
    class folders one class, `pictures`."""
    bytes: int
    """Of the pictures, as they are kept."""
    channels: Literal["grey", "colour"]
    """`grey` where no pixel of any picture has a colour."""
    smallest: tuple[int, int]
    """The least height and the least width of a picture, in pixels, as a viewer shows it."""
    largest: tuple[int, int]
    """The greatest height and the greatest width."""
    test_images: int | None
    """How many of the pictures the upload keeps for the test; None where a job chooses them."""


class DatasetSummary(_Described):
    """A data set of the service."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})


class DatasetReport(_Described):
    """A data set of the service, and what of its upload was not taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **_EXAMPLE,
                    "refused": [{"file": "cat/17.jpg", "reason": "the file is empty"}],
                    "refused_count": 1,
                    "ignored_count": 2,
                }
            ]
        }
    )

    refused: list[RefusedPicture]
    """The first 200 files that were not taken."""
    refused_count: int
    """How many there were."""
    ignored_count: int
    """Files that systems leave in folders (hidden ones, `__MACOSX`, `Thumbs.db`), which were left out as well."""


class Datasets(BaseModel):
    """All data sets of the service."""

    model_config = _CONFIG

    datasets: list[DatasetSummary]
    """By name."""
    known: list[str]
    """Names of sets that a job may name beside these, which training reads or downloads itself."""
