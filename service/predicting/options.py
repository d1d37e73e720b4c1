"""What a prediction is asked for beside its pictures: the query of `/v1/predict` and the kind of answer."""

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic.config import JsonDict

from service.problems import Problem

Included = Literal["transformed", "theta", "outline", "grid", "activations", "input"]
Kind = Literal["application/json", "image/png", "application/x-npz"]

INCLUDED: tuple[Included, ...] = ("transformed", "theta", "outline", "grid", "activations", "input")
_BY_DEFAULT = "transformed,theta,outline"
_NAMES = f"({'|'.join(INCLUDED)}|)"
_SOME_OF_THEM: JsonDict = {"pattern": f"^{_NAMES}(,{_NAMES})*$"}
NUMBER = r"-?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?"
_NUMBERS: JsonDict = {"pattern": f"^(identity|{NUMBER}(,{NUMBER})*)$"}
_KEPT_BYTES = 512
"""The options of a longer query, which has a theta of its own for a picture, are not kept for the next one."""


class PredictOptions(BaseModel):
    """The query of `/v1/predict`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    model: str | None = Field(default=None, max_length=64, examples=["handwriting"])
    """Name of the model; the default model where it is left out."""
    version: int | None = Field(default=None, ge=1, le=999_999_999, examples=[1])
    """Version; the model's default version where it is left out."""
    top_k: int | None = Field(default=None, ge=1, le=65536, examples=[3])
    """Probabilities of this many classes only, the most probable first; all, in the order of the classes, by default."""
    include: str = Field(
        default=_BY_DEFAULT,
        max_length=128,
        examples=["theta", "transformed,theta,grid"],
        json_schema_extra=_SOME_OF_THEM,
    )
    """What to answer beside class and probabilities, with commas: `transformed` (the straightened picture), `theta` (the
    transform), `outline` (the sampled region in pixels of the picture), `grid` (the sampled point of every pixel),
    `activations` (what each layer gives), `input` (what the network was shown). Empty for none of them."""

    theta: str | None = Field(
        default=None, max_length=32768, examples=["identity", "0.8,-0.3,0.1,0.3,0.8,-0.2"], json_schema_extra=_NUMBERS
    )
    """The transform of every picture instead of the network's own: as many numbers as the model has `parameter_names`, in
    their order, with commas; or `identity`. The localization net is then not asked."""

    @field_validator("include")
    @classmethod
    def _are_known(cls, value: str) -> str:
        for name in filter(None, value.split(",")):
            if name not in INCLUDED:
                raise ValueError(f"must be among {', '.join(INCLUDED)}, got {name!r}")
        return value

    def includes(self, name: Included) -> bool:
        """Whether this was asked for."""
        return name in self.included

    @property
    def included(self) -> frozenset[str]:
        return _names(self.include)

    @property
    def details(self) -> bool:
        """Whether what was asked for takes another graph."""
        return not self.included.isdisjoint(("grid", "activations"))


@lru_cache(maxsize=1024)
def _names(include: str) -> frozenset[str]:
    return frozenset(filter(None, include.split(",")))


def options_of(query: bytes) -> PredictOptions:
    """The options of a query string, or a Problem 422 that names the field."""
    return _kept_options(query) if len(query) <= _KEPT_BYTES else _read_options(query)


def _read_options(query: bytes) -> PredictOptions:
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None)
    values = dict(pairs)
    if len(values) < len(pairs):
        raise Problem(422, "query: each field must be given once")
    try:
        return PredictOptions.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, ("query", *first["loc"])))
        raise Problem(422, f"{place}: {first['msg'].removeprefix('Value error, ')}") from None


_kept_options = lru_cache(maxsize=1024)(_read_options)


@lru_cache(maxsize=1024)
def kind_of(accept: bytes) -> Kind:
    """The kind of answer that a client prefers, by the weights (q) of its Accept header; JSON where they tie."""
    weights = weights_of(accept)
    best: Kind = "application/json"
    highest = weights.get(best, weights.get("application/*", 0.0))
    others: tuple[Kind, ...] = ("image/png", "application/x-npz")
    for kind in others:
        if weights.get(kind, 0.0) > highest:
            best, highest = kind, weights[kind]
    return best


def weights_of(accepted: bytes) -> dict[str, float]:
    """What an Accept or Accept-Encoding header names, in small letters, with its weight (q)."""
    weights: dict[str, float] = {}
    for part in accepted.decode("latin-1").lower().split(","):
        name, *parameters = (text.strip() for text in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        weights[name] = float(weight) if re.fullmatch(r"[01](\.\d*)?", weight) else 0.0
    return weights
