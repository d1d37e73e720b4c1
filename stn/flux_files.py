"""Files of named arrays as Julia writes and reads them: SafeTensors.jl's, JLD2's and HDF5.jl's.

Arrays have Julia's shapes here. SafeTensors.jl keeps shapes: an array of size (5, 5, 1, 32) has that shape in the file.
HDF5 files, and JLD2's are HDF5 files, keep the bytes: the same array has the reversed shape (32, 1, 5, 5) there.

Nothing in these files can run code. Names, shapes and types can be looked at before any memory is taken for an array; of
an HDF5 file, plain arrays are all that is ever opened: no links out of the file, no compression, no Julia structs.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from stn.flux import from_flux, to_flux
from stn.model_info import ModelFileError
from stn.whole_file import written_beside

SAFETENSORS = (".safetensors",)
HDF5 = (".jld2", ".h5", ".hdf5")

JLD2_HEADER = b"HDF5-based Julia Data Format, version 0.1.0\x00"
"""What JLD2 looks for at the beginning of a file of its own, in a block of 512 bytes before the HDF5 file."""


class StoredArray(NamedTuple):
    """An array in an open file."""

    shape: tuple[int, ...]
    """Its size in Julia."""
    type: str
    """Its element type in Julia, where that is Float32 or Int64; anything else as the file calls it."""
    read: Callable[[], Tensor]
    """Takes the memory for it, in this shape."""


def check_suffix(path: str | os.PathLike[str]) -> str:
    """The suffix that says the format, or a ValueError that lists the known ones."""
    suffix = Path(path).suffix
    if suffix not in (*SAFETENSORS, *HDF5):
        known = ", ".join((*SAFETENSORS, *HDF5))
        raise ValueError(f"a file of Flux weights must end in one of {known}, got {Path(path).name!r}")
    return suffix


def write_arrays(path: str | os.PathLike[str], arrays: Mapping[str, Tensor]) -> None:
    """Write these arrays, in the format that the suffix names; the file is complete or absent, whatever happens."""
    suffix = check_suffix(path)
    h5py = _import_h5py() if suffix in HDF5 else None
    with written_beside(path) as beside:
        if h5py is None:
            save_file(
                {
                    name: array.detach().cpu().clone(memory_format=torch.contiguous_format)
                    for name, array in arrays.items()
                },
                beside,
            )
        else:
            _write_hdf5(h5py, beside, arrays, JLD2_HEADER if suffix == ".jld2" else b"")


@contextlib.contextmanager
def open_arrays(path: str | os.PathLike[str]) -> Iterator[dict[str, StoredArray]]:
    """The arrays in this file by name, to be looked at and read; a ModelFileError where it is broken or something else."""
    suffix = check_suffix(path)
    with open(path, "rb"):  # a file that is missing or may not be read is an OSError with its name
        pass
    with _open_safetensors(path) if suffix in SAFETENSORS else _open_hdf5(path) as arrays:
        yield arrays


@contextlib.contextmanager
def _open_safetensors(path: str | os.PathLike[str]) -> Iterator[dict[str, StoredArray]]:
    try:
        with safe_open(path, framework="pt") as file:
            yield {name: _safetensor(file, name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    except SafetensorError as error:
        raise ModelFileError(f"{path}: not a complete safetensors file ({error})") from None


def _safetensor(file: Any, name: str) -> StoredArray:
    part = file.get_slice(name)
    kind = {"F32": "Float32", "I64": "Int64"}.get(part.get_dtype(), part.get_dtype())
    return StoredArray(tuple(part.get_shape()), kind, lambda: file.get_tensor(name))


def _write_hdf5(h5py: Any, path: Path, arrays: Mapping[str, Tensor], header: bytes) -> None:
    # The oldest form of groups is the one that every HDF5 library, and JLD2, reads.
    with h5py.File(path, "w", libver=("earliest", "v110"), userblock_size=512 if header else 0) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=from_flux(array).detach().cpu().contiguous().numpy())
    if header:
        with open(path, "r+b") as block:
            block.write(header)


@contextlib.contextmanager
def _open_hdf5(path: str | os.PathLike[str]) -> Iterator[dict[str, StoredArray]]:
    h5py = _import_h5py()
    with _hdf5_errors(path):
        file = h5py.File(path, "r")
    with file:
        with _hdf5_errors(path):
            arrays = {name: _dataset(path, name, dataset) for name, dataset in _datasets(h5py, file, set())}
        yield arrays


@contextlib.contextmanager
def _hdf5_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """What h5py raises on a damaged file, as one line."""
    try:
        yield
    except ModelFileError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except (OSError, RuntimeError, LookupError, TypeError, ValueError) as error:
        raise ModelFileError(f"{path}: not a complete HDF5 file ({' '.join(str(error).split())})") from None


def _datasets(h5py: Any, group: Any, seen: set[int], path: str = "") -> Iterator[tuple[str, Any]]:
    """Every dataset with its dotted name: `a.b` in the root and `b` in the group `a` are both `a.b`."""
    place = h5py.h5o.get_info(group.id).addr
    if place in seen:
        raise ModelFileError(f"groups must form a tree, got {path[:80]!r} twice")
    seen.add(place)
    for name in group:
        full = path + name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ModelFileError(f"{full!r} must be an array in this file, got a link")
        kind = group.get(name, getclass=True)
        if kind is h5py.Dataset:
            yield full, group[name]
        elif kind is h5py.Group and full != "_types":  # where JLD2 keeps the types of structs
            yield from _datasets(h5py, group[name], seen, f"{full}.")


def _dataset(path: str | os.PathLike[str], name: str, dataset: Any) -> StoredArray:
    properties = dataset.id.get_create_plist()
    plain = (0, 1)  # compact and contiguous; 2 is chunked, which alone may be compressed, 3 is a view of other files
    if properties.get_layout() not in plain or properties.get_external_count():
        raise ModelFileError(
            f"{name!r} must be stored whole, in this file and uncompressed, got another kind of storage"
        )
    shape = tuple(reversed(dataset.shape or ()))
    kind = {"<f4": "Float32", "<i8": "Int64"}.get(dataset.dtype.str, str(dataset.dtype))

    def read() -> Tensor:
        with _hdf5_errors(path):
            if dataset.id.get_storage_size() != dataset.nbytes:
                raise ModelFileError(f"{name!r} must be stored whole, got a part of it")
            return to_flux(torch.from_numpy(dataset[...]))

    return StoredArray(shape, kind, read)


def _import_h5py() -> Any:
    try:
        import h5py
    except ModuleNotFoundError:
        raise ValueError("files that end in .jld2, .h5 or .hdf5 need the package h5py: install stn[flux]") from None
    return h5py
