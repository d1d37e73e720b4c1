"""Watches which operators torch runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


@contextmanager
def recorded() -> Iterator[list[tuple[str, list[int]]]]:
    """Collects the name of every operator that runs and the number of elements of each tensor it returns."""
    calls: list[tuple[str, list[int]]] = []

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            outputs = out if isinstance(out, (tuple, list)) else [out]
            calls.append((func.name(), [value.numel() for value in outputs if isinstance(value, Tensor)]))
            return out

    with Recorder():
        yield calls
