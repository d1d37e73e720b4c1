"""theta kept within bounds, smoothly."""

import fnmatch
from collections.abc import Mapping

import torch
from torch import Tensor

from stn.constants import Constants
from stn.transforms import Transform
from stn.transforms.transform import check_theta
from stn.types import Theta


class Bounds(Constants):
    """Bends each bounded entry of theta so that it never leaves its range.

    With d the distance from the identity and u the room on that side, d becomes u tanh(d / u). The identity stays itself to
    the bit, near it nothing changes (the slope is 1 and there is no curvature), and the range's ends are never passed; in
    float32 they are reached from about 9 rooms away, where the gradient is 0.

    Args:
        transform: whose theta it is.
        bounds: for a parameter's name, or a pattern such as `x*`, the range (low, high), or one number: the largest
            distance from the identity. Parameters that no key fits are free; a later key overrides an earlier one.

    >>> bounds = stn.Bounds(stn.Similarity(), {"scale": (0.5, 2.0), "angle": 0.8})
    >>> bounds(torch.tensor([[1.0, 0.0, 5.0, 0.0], [9.0, 9.0, 0.0, 0.0]]))
    tensor([[1.0000, 0.0000, 5.0000, 0.0000],
            [2.0000, 0.8000, 0.0000, 0.0000]])
    """

    def __init__(self, transform: Transform, bounds: Mapping[str, float | tuple[float, float]]) -> None:
        super().__init__()
        self.transform = transform
        self.ranges = [(-float("inf"), float("inf"))] * len(transform.parameter_names)
        for key, bound in bounds.items():
            self._bound(key, bound)
        self.values = self.values.to(torch.get_default_dtype())
        self.refresh()

    def _bound(self, key: str, bound: float | tuple[float, float]) -> None:
        names = self.transform.parameter_names
        chosen = fnmatch.filter(names, key)
        with torch.device("cpu"):
            identity = self.transform.identity().tolist()
        if not chosen:
            raise ValueError(f"bounds must name parameters of the transform, {', '.join(names)}, got {key!r}")
        if not _is_bound(bound):
            raise ValueError(f"bounds of {key} must be a range (low, high) or one number, got {bound!r}")
        for name in chosen:
            index = names.index(name)
            start = identity[index]
            low, high = bound if isinstance(bound, tuple | list) else (start - bound, start + bound)
            if not low < start < high:
                raise ValueError(f"bounds of {name} must lie around the identity, {start:g}, got {(low, high)}")
            self.ranges[index] = (low, high)

    def compute(self, dtype: torch.dtype) -> Tensor:
        identity = self.transform.identity().to(dtype)
        low, high = torch.tensor(self.ranges, dtype=dtype).unbind(-1)
        return torch.stack([identity, identity - low, high - identity])  # (3, P)

    def forward(self, theta: Theta) -> Theta:
        identity, below, above = self.get(check_theta(self.transform, theta))
        distance = theta - identity
        room = torch.where(distance < 0, below, above)
        free = room.isinf()
        room = torch.where(free, 1.0, room)
        return torch.where(free, theta, identity + room * torch.tanh(distance / room))


def _is_bound(bound: object) -> bool:
    values = bound if isinstance(bound, tuple | list) else (bound, bound)
    return len(values) == 2 and all(isinstance(value, int | float) for value in values)
