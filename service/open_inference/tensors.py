"""Tensors of the Open Inference Protocol V2, as JSON and as bytes: FP32 and BYTES, row by row, little-endian."""

import math
from array import array
from collections.abc import Sequence
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float32

from service.open_inference.schemas import RequestInput
from service.predicting.bodies import decode_base64
from service.problems import Problem

ROUNDING = 1e-3
"""How far outside [0, 1] a value may lie: interpolation and half precision leave some there."""


def read_numbers(tensor: RequestInput, binary: bytes) -> Float32[np.ndarray, "..."]:
    """The values of an FP32 tensor, in its shape.

    Args:
        tensor: what the JSON says of it.
        binary: what stands behind the JSON.

    Raises:
        Problem: 400 where the data are not of that shape, or a value is not in [0, 1].
    """
    _check_place(tensor, binary)
    values = _numbers_in_json(tensor) if tensor.data is not None else _numbers_in_bytes(tensor, binary)
    with np.errstate(invalid="ignore"):
        low, high = float(values.min(initial=0)), float(values.max(initial=0))
    if not -ROUNDING <= low <= high <= 1 + ROUNDING:  # nor is it for NaN
        found = low if low < -ROUNDING else high
        raise Problem(400, f"the values of the tensor {tensor.name} must be numbers in [0, 1], got {found:g}")
    return values.astype(np.float32, copy=False).reshape(tensor.shape)


def read_strings(tensor: RequestInput, binary: bytes) -> list[bytes]:
    """The elements of a BYTES tensor; in JSON they are base64.

    Raises:
        Problem: 400 where they are not as many as the shape says, or not written as they must be.
    """
    _check_place(tensor, binary)
    if tensor.data is None:
        return _strings_in_bytes(tensor, binary)
    return [_string_in_json(tensor, index, element) for index, element in enumerate(_elements(tensor))]


def write_tensor(
    name: str, values: Float32[np.ndarray, "..."] | Sequence[str], shape: Sequence[int], is_binary: bool
) -> tuple[dict[str, Any], bytes]:
    """What the JSON says of an answered tensor, and its bytes behind the JSON."""
    numbers = isinstance(values, np.ndarray)
    tensor: dict[str, Any] = {"name": name, "datatype": "FP32" if numbers else "BYTES", "shape": shape}
    if not is_binary:
        return {**tensor, "data": np.ascontiguousarray(values).ravel() if numbers else values}, b""
    binary = values.astype("<f4", copy=False).tobytes() if isinstance(values, np.ndarray) else _join(values)
    return {**tensor, "parameters": {"binary_data_size": len(binary)}}, binary


def _check_place(tensor: RequestInput, binary: bytes) -> None:
    """A Problem unless the data stand at one place, and there is nothing else behind the JSON."""
    size = tensor.parameters.binary_data_size if tensor.parameters else None
    if (size is None) == (tensor.data is None):
        raise Problem(400, f"the tensor {tensor.name} must have either data or parameters.binary_data_size")
    if (size or 0) != len(binary):
        behind = f"{len(binary):,} bytes behind the JSON, whose length Inference-Header-Content-Length gives"
        raise Problem(400, f"the tensor {tensor.name} must have the {behind}; it says binary_data_size {size}")


def _numbers_in_bytes(tensor: RequestInput, binary: bytes) -> np.ndarray:
    size = 4 * math.prod(tensor.shape)
    if len(binary) != size:
        wanted = f"{size:,} bytes for its shape {tensor.shape}"
        raise Problem(400, f"the tensor {tensor.name} must have {wanted}, got {len(binary):,}")
    return np.frombuffer(binary, "<f4")


def _numbers_in_json(tensor: RequestInput) -> np.ndarray:
    # numpy would take text for numbers, and make room for the longest text at every place.
    try:
        return np.frombuffer(array("d", _elements(tensor)))
    except (TypeError, OverflowError):
        raise Problem(400, f"the values of the tensor {tensor.name} must be numbers in [0, 1]") from None


def _strings_in_bytes(tensor: RequestInput, binary: bytes) -> list[bytes]:
    """Each has its length in front, as 4 bytes."""
    strings: list[bytes] = []
    start, count = 0, math.prod(tensor.shape)
    while start < len(binary) and len(strings) < count:
        length = int.from_bytes(binary[start : start + 4], "little")
        stop = start + 4 + length
        left = len(binary) - start - 4
        if length > left:
            element = f"element {len(strings)} of the tensor {tensor.name}"
            if left < 0:
                raise Problem(400, f"{element} must have its length in front as 4 bytes, got {left + 4}")
            raise Problem(400, f"{element} must be as long as it says, {length:,} bytes, got {left:,}")
        strings.append(binary[start + 4 : stop])
        start = stop
    if len(strings) != count or start != len(binary):
        found = f"{len(strings):,} and {len(binary) - start:,} bytes behind them"
        raise Problem(
            400, f"the tensor {tensor.name} must have {count:,} elements for its shape {tensor.shape}, got {found}"
        )
    return strings


def _string_in_json(tensor: RequestInput, index: int, element: Any) -> bytes:
    if not isinstance(element, str):
        raise Problem(400, f"element {index} of the tensor {tensor.name} must be text in base64")
    try:
        return decode_base64(element)
    except ValueError as error:
        raise Problem(400, f"element {index} of the tensor {tensor.name} must be base64 ({error})") from None


def _elements(tensor: RequestInput) -> list[Any]:
    """Those of `data`, nested as the shape says or not at all."""
    data = tensor.data or []
    if data and isinstance(data[0], list):
        for size in tensor.shape[1:]:
            if not all(isinstance(row, list) and len(row) == size for row in data):
                raise Problem(
                    400, f"the data of the tensor {tensor.name} must be flat, or nested as its shape {tensor.shape}"
                )
            data = list(chain.from_iterable(data))
    count = math.prod(tensor.shape)
    if len(data) != count:
        wanted = f"{count:,} elements for its shape {tensor.shape}"
        raise Problem(400, f"the tensor {tensor.name} must have {wanted}, got {len(data):,}")
    return data


def _join(strings: Sequence[str]) -> bytes:
    encoded = [string.encode() for string in strings]
    return b"".join(len(string).to_bytes(4, "little") + string for string in encoded)
