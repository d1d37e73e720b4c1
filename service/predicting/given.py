"""A theta that a request gives, for a model that has such parameters."""

import math
import re

import numpy as np
from jaxtyping import Float32

from service.models.served import Served
from service.predicting.options import NUMBER
from service.problems import Problem
from stn.identities import identity_of

LARGEST = 1e6
"""Of a number: with larger ones the sampled points are soon no numbers any more."""
_NAMED = 16
"""Parameters that a message names before it says that there are more."""


def given_theta(served: Served, text: str | None) -> Float32[np.ndarray, " p"] | None:
    """The numbers of the option `theta`; None where it is left out, for the network's own.

    Raises:
        Problem: 422, they are not as many as the model's parameters, or not numbers.
    """
    if text is None:
        return None
    identity = identity_of(served.info.config)
    if not identity:
        raise Problem(422, f"query.theta: must be left out for model {served.name}, which has no transformer")
    if text == "identity":
        return np.array(list(identity.values()), np.float32)
    parts = text.split(",")
    values = [float(part) if re.fullmatch(NUMBER, part, re.ASCII) else math.nan for part in parts]
    wrong = next((part for part, value in zip(parts, values, strict=True) if not abs(value) <= LARGEST), None)
    if wrong is None and len(values) == len(identity):
        return np.array(values, np.float32)
    names = ", ".join([*list(identity)[:_NAMED], *["..."][: len(identity) > _NAMED]])
    got = f"{len(values)} of them" if wrong is None else repr(wrong[:32])
    rule = f"`identity` or {len(identity)} numbers ({names}), none beyond {LARGEST:,.0f}"
    raise Problem(422, f"query.theta: must be {rule}, got {got}")
