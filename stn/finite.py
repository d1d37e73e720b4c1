"""Values that are checked, where they may be looked at."""

import math

import torch
from torch import Tensor, nn

LARGEST = 2.0**60
"""The largest coordinate or parameter that is taken for meant; far larger ones overflow on the way to a pixel."""


class NotFinite(ValueError):
    """A number that is infinite, absurdly large or none."""


def check_finite(values: Tensor, argument: str) -> Tensor:
    """The values themselves, or a ValueError, `NotFinite`, that says which image's are not finite or absurdly large.

    Where they may not be looked at nothing is checked; see `can_look`.
    """
    if values.numel() == 0 or not can_look(values):
        return values
    least, most = (bound.item() for bound in torch.aminmax(values.detach()))
    if least >= -LARGEST and most <= LARGEST:  # neither holds for NaN
        return values
    wrong = ~(values.detach().abs() <= LARGEST)
    index = int(wrong.flatten(1).any(1).nonzero()[0])
    found = float(values.detach()[index][wrong[index]][0])
    rule = "be at most 2^60 in size" if math.isfinite(found) else "be finite"
    raise NotFinite(f"{argument} must {rule}, got {found} for image {index}")


def can_look(values: Tensor) -> bool:
    """Whether a program may branch on these values.

    It may not while a graph is compiled, exported or captured by CUDA, nor in a transform of `torch.func`; on the meta
    device, and for the tensors of a `FakeTensorMode`, there are no values.
    """
    return not (
        torch.compiler.is_compiling()
        or values.is_meta
        or type(values) not in (Tensor, nn.Parameter)
        or torch._C._are_functorch_transforms_active()
        or (values.is_cuda and torch.cuda.is_current_stream_capturing())
    )
