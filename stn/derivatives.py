"""Where a derivative of our own may stand in for torch's."""

import torch
from torch.autograd import forward_ad


def only_backwards() -> bool:
    """Whether derivatives are taken backwards and as the code runs, which is all that our own know.

    They are not while a graph is compiled or exported, in a transform of `torch.func`, and in forward mode.
    """
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )
