"""What an alignment is asked for beside its pictures: the query and the body of `/v1/align`, without torch."""

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from service.predicting.array_pictures import pictures_in_npz
from service.predicting.bodies import decode_base64
from service.predicting.multipart import boundary_of, parse_form
from service.problems import Problem

Shown = Literal["warped", "overlay", "grid"]
SHOWN: tuple[Shown, ...] = ("warped", "overlay", "grid")
LONGEST = 20.0
"""Seconds of refinement."""
_NAMES = "(warped|overlay|grid|)"


class AlignOptions(BaseModel):
    """The query of `/v1/align`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: str | None = Field(default=None, max_length=64, examples=["align"])
    """Name of a model that aligns; of those, the one that was registered first where it is left out."""
    version: int | None = Field(default=None, ge=1, le=999_999_999, examples=[1])
    """Version; the model's default version where it is left out."""
    refine: float = Field(default=0.0, ge=0, le=LONGEST, examples=[0.5])
    """Seconds that may be spent on descending the difference of the pictures; what that finds is answered only where the
    pictures then agree better."""
    include: str = Field(
        default="warped,overlay",
        max_length=64,
        examples=["warped", "warped,overlay,grid"],
        json_schema_extra={"pattern": f"^{_NAMES}(,{_NAMES})*$"},
    )
    """What to answer beside theta, its inverse, the outlines and the confidence, with commas: `warped` (the moving picture
    laid on the fixed one), `overlay` (the fixed one in red over the warped one in cyan), `grid` (the point of the moving
    picture for every pixel of the fixed one). Empty for none of them."""

    @field_validator("include")
    @classmethod
    def _are_known(cls, value: str) -> str:
        for name in filter(None, value.split(",")):
            if name not in SHOWN:
                raise ValueError(f"must be among {', '.join(SHOWN)}, got {name!r}")
        return value

    @property
    def included(self) -> frozenset[str]:
        return frozenset(self.include.split(","))


class TwoPictures(BaseModel):
    """Two pictures, each base64 of a file, or a data URI."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    moving: str
    """The picture to be laid on the other."""
    fixed: str
    """The one that stays."""


Given = bytes | UInt8[np.ndarray, "_ _ _"]
"""A picture as it was posted: a file, or an array (C, H, W)."""


class Posted(NamedTuple):
    """Both of them."""

    moving: Given
    fixed: Given


def pictures_in(body: bytes, content_type: str, max_pixels: int) -> Posted:
    """The two pictures of a body.

    Raises:
        Problem: 400 for a form or an `.npz` file that is none, 413 for an array that is too large, 415 for a body of another
            kind, 422 for fields that are wrong or missing.
    """
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _in_form(body, content_type)
    if kind == "application/json":
        return _in_json(body)
    if kind == "application/x-npz":
        return Posted(*pictures_in_npz(body, Posted._fields, max_pixels))
    known = "multipart/form-data, application/json or application/x-npz"
    raise Problem(415, f"Content-Type must be {known}, got {kind[:100] or 'none'!r}")


def _in_form(body: bytes, content_type: str) -> Posted:
    found: dict[str, bytes] = {}
    for part in parse_form(body, boundary_of(content_type), len(Posted._fields)):
        if part.name not in Posted._fields or not part.is_file:
            raise Problem(422, f"the form's fields must be the files moving and fixed, got {part.name[:64]!r}")
        if part.name in found:
            raise Problem(422, f"the form must have one file {part.name}, got another")
        found[part.name] = part.content
    for name in Posted._fields:
        if name not in found:
            raise Problem(422, f"the form must have a file {name}, got none")
    return Posted(**found)


def _in_json(body: bytes) -> Posted:
    try:
        posted = TwoPictures.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the body"
        wanted = '{"moving": "<base64>", "fixed": "<base64>"}'
        raise Problem(422, f"the body must be JSON like {wanted}; {place}: {first['msg']}") from None
    found = {}
    for name, text in posted:
        try:
            found[name] = decode_base64(text)
        except ValueError as error:
            raise Problem(422, f"{name} must be base64 ({error})") from None
    return Posted(**found)
