"""A piece of work on a GPU that is recorded once and then started as a whole.

A training step of a small network is a hundred small kernels; a GPU is done with each sooner than Python starts the next.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

WARM_UP = 3
"""Calls before the recording, in which libraries choose their algorithms and everything that is kept is made."""


class Captured:
    """A function of tensors that computes gradients: the first calls run it, then it is recorded, and replayed from then on.

    The function must do the same work for every call, with tensors of the same shapes, and may not wait for the GPU. What
    it draws by chance comes from torch's own generator, whose seed counts as it is when a call begins.

    Args:
        function: tensors in, tensors out; it leaves gradients in the parameters.
        parameters: those whose gradients it computes, all of them anew.

    Source: https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], parameters: Sequence[nn.Parameter]) -> None:
        self.function = function
        self.parameters = parameters
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None
        self.inputs: list[Tensor] = []
        self.outputs: Sequence[Tensor] = ()
        self.gradients: list[Tensor | None] = []

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        """What the function returns, in tensors that no later call changes."""
        self.calls += 1
        if self.calls <= WARM_UP:
            return self._run_aside(inputs)
        if self.graph is None:
            self._record(inputs)
        assert self.graph is not None
        for held, given in zip(self.inputs, inputs, strict=True):
            held.copy_(given)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return [output.clone() for output in self.outputs]

    def _run_aside(self, inputs: Sequence[Tensor]) -> list[Tensor]:
        """On a stream of its own, as a recording needs it."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            outputs = list(self.function(*inputs))
        torch.cuda.current_stream().wait_stream(stream)
        return outputs

    def _record(self, inputs: Sequence[Tensor]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        self.graph = torch.cuda.CUDAGraph()
        for parameter in self.parameters:
            parameter.grad = None  # so that the recording makes gradients of its own and does not add to others
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.outputs = self.function(*self.inputs)
        self.gradients = [parameter.grad for parameter in self.parameters]
