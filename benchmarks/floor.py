"""The least time that a piece of work can take on this machine.

Its operations at the rate of a large matrix product, and the bytes that they read and write at the rate of a large copy.
"""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode


def count(work: Callable[[], object]) -> dict[str, float]:
    """Floating-point operations and bytes of this work, which is done once."""
    with FlopCounterMode(display=False) as counter, _Bytes() as moved:
        work()
    return {"flops": counter.get_total_flops(), "bytes": moved.total}


def floor(counted: dict[str, float], device: str = "cpu") -> dict[str, float]:
    """What was counted, with this device's rates, in the precision that it multiplies in, and the seconds that follow."""
    side, length = (2048, 2**26) if device == "cpu" else (8192, 2**30)
    matrix = torch.rand(side, side, device=device)
    block, other = torch.ones(length, device=device), torch.empty(length, device=device)
    rate = 2 * side**3 / _best(lambda: matrix @ matrix)
    copied = 2 * block.nbytes / _best(lambda: other.copy_(block))
    return {
        "flops": counted["flops"],
        "matrix_flops_per_second": rate,
        "seconds": counted["flops"] / rate,
        "bytes": counted["bytes"],
        "copied_bytes_per_second": copied,
        "seconds_of_bytes": counted["bytes"] / copied,
    }


def told(found: dict[str, float]) -> str:
    """A floor in words."""
    return (
        f"Floor: {found['flops'] / 1e9:.2f} G operations at {found['matrix_flops_per_second'] / 1e9:.0f} G/s are "
        f"{1e3 * found['seconds']:.3g} ms; {found['bytes'] / 1e9:.2f} GB at "
        f"{found['copied_bytes_per_second'] / 1e9:.1f} GB/s are {1e3 * found['seconds_of_bytes']:.3g} ms."
    )


class _Bytes(TorchDispatchMode):
    """Counts the bytes of the tensors that operations take and give; views move nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        is_view = any(entry.alias_info and not entry.alias_info.is_write for entry in func._schema.returns)
        if not is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.total += sum(tensor.nbytes for tensor in tensors)
        return result


def _best(work: Callable[[], object], repeats: int = 10) -> float:
    """Seconds of the fastest of these repeats."""
    best = float("inf")
    for _ in range(repeats):
        _wait()
        start = time.perf_counter()
        work()
        _wait()
        best = min(best, time.perf_counter() - start)
    return best


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
