"""Files of weights that Julia reads and writes: laid out as it does, and safe to read when they are damaged or hostile."""

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import stn
from stn.flux import to_flux
from stn.flux_files import open_arrays, write_arrays
from stn.flux_weights import load_flux_weights, save_flux_weights, to_flux_weights
from tests.stn.flux_reference import IMAGES, TINY, load_safetensors, random_model, same

SUFFIXES = (".safetensors", ".jld2", ".h5")


@pytest.fixture
def model() -> stn.Classifier:
    return random_model(TINY, IMAGES)


def test_a_safetensors_file_has_the_bytes_of_safetensors_jls_own_test(tmp_path: Path) -> None:
    """There `serialize(io, Dict("attn.0" => reshape(Float32[0, 3, 1, 4, 2, 5], (1, 2, 3))))` must give these."""
    header = b'{"attn.0":{"dtype":"F32","shape":[1,2,3],"data_offsets":[0,24]}}'
    theirs = (64).to_bytes(8, "little") + header + np.arange(6, dtype="<f4").tobytes()
    array = to_flux(torch.tensor([0.0, 3.0, 1.0, 4.0, 2.0, 5.0]).view(3, 2, 1))  # Julia's reshape: column-major
    write_arrays(tmp_path / "ours.safetensors", {"attn.0": array})
    assert (tmp_path / "ours.safetensors").read_bytes() == theirs
    with open_arrays(tmp_path / "ours.safetensors") as arrays:
        assert arrays["attn.0"].shape == (1, 2, 3)
        assert torch.equal(arrays["attn.0"].read(), array)


@pytest.mark.parametrize("suffix", [".h5", ".jld2"])
def test_an_hdf5_file_holds_julias_bytes(suffix: str, model: stn.Classifier, tmp_path: Path) -> None:
    """HDF5.jl and JLD2 give an array the file's shape reversed, and the same bytes."""
    save_flux_weights(tmp_path / f"weights{suffix}", model)
    save_flux_weights(tmp_path / "weights.safetensors", model)
    julia = load_safetensors(tmp_path / "weights.safetensors")
    with h5py.File(tmp_path / f"weights{suffix}") as file:
        assert set(file) == set(julia)
        for name, array in julia.items():
            np.testing.assert_array_equal(file[name][...].T, array)


def test_a_jld2_file_begins_as_jld2_writes_it_and_an_hdf5_file_as_hdf5_does(
    model: stn.Classifier, tmp_path: Path
) -> None:
    save_flux_weights(tmp_path / "weights.jld2", model)
    save_flux_weights(tmp_path / "weights.h5", model)
    ours = (tmp_path / "weights.jld2").read_bytes()
    assert ours.startswith(b"HDF5-based Julia Data Format, version 0.1.0\x00")
    signature_and_version = b"\x89HDF\r\n\x1a\n\x00"
    assert ours[512:521] == signature_and_version
    assert (tmp_path / "weights.h5").read_bytes()[:9] == signature_and_version


def julia_arrays(model: nn.Module) -> dict[str, np.ndarray]:
    """What a Flux user has: no num_batches_tracked."""
    arrays = {name: array.detach().numpy() for name, array in to_flux_weights(model).items()}
    return {name: array for name, array in arrays.items() if "num_batches" not in name}


def write_as_jld2(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """As JLD2 lays a file out: a block of 512 bytes, groups of the newer kind, and `_types` beside the arrays."""
    with h5py.File(path, "w", userblock_size=512, libver="latest") as file:
        file.create_group("_types").create_dataset("00000001", data="Core.DataType")
        for name, array in arrays.items():
            file[name] = array.T


@pytest.mark.parametrize("separator", [".", "/"])
def test_a_file_of_jld2_is_read_with_dots_or_with_groups(separator: str, model: stn.Classifier, tmp_path: Path) -> None:
    arrays = {name.replace(".", separator): array for name, array in julia_arrays(model).items()}
    write_as_jld2(tmp_path / "julia.jld2", arrays)
    other = random_model(TINY, IMAGES, seed=1)
    load_flux_weights(tmp_path / "julia.jld2", other)
    images = torch.rand(2, 1, 10, 12)
    assert torch.equal(other(images).logits, model(images).logits)
    assert other.state_dict()["trunk.2.num_batches_tracked"] == 8  # what it was


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("head.1.bias"), r"too many or too few \('head\.1\.bias'\)"),
        (lambda arrays: arrays.update(more=np.zeros(1, "f4")), r"too many or too few \('more'\)"),
        (
            lambda arrays: arrays.update({"head.1.bias": np.zeros(6, "f4")}),
            r"head\.1\.bias must have size \(5,\), got \(6,\)",
        ),
        (lambda arrays: arrays.update({"head.1.bias": np.zeros(5)}), r"head\.1\.bias must be of type Float32, got"),
        (
            lambda arrays: arrays.update({"head.1.bias": np.full(5, np.nan, "f4")}),
            r"head\.1\.bias must be finite, got NaN or infinity",
        ),
    ],
)
def test_arrays_of_another_network_are_refused_and_change_nothing(
    change: Callable[[dict[str, np.ndarray]], None], message: str, suffix: str, model: stn.Classifier, tmp_path: Path
) -> None:
    arrays = julia_arrays(random_model(TINY, IMAGES, seed=1))
    change(arrays)
    path = tmp_path / f"weights{suffix}"
    if suffix == ".safetensors":
        save_file({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}, path)
    else:
        write_as_jld2(path, arrays)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(stn.ModelFileError, match=message) as caught:
        load_flux_weights(path, model)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value).splitlines()) == 1
    assert same(model.state_dict(), before)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused_in_one_line(
    share: float, suffix: str, model: stn.Classifier, tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    save_flux_weights(path, model)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(stn.ModelFileError, match="not a complete") as caught:
        load_flux_weights(path, model)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_damaged_file_is_refused_or_read_and_never_crashes(
    suffix: str, model: stn.Classifier, tmp_path: Path
) -> None:
    path = tmp_path / f"weights{suffix}"
    save_flux_weights(path, model)
    data = path.read_bytes()
    numbers = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        for place in numbers.integers(0, min(len(data), 6000), 8):
            damaged[place] = numbers.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(stn.ModelFileError):
            load_flux_weights(path, model)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pickle_is_refused_and_never_run(suffix: str, model: stn.Classifier, tmp_path: Path) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(model.state_dict(), path)
    with pytest.raises(stn.ModelFileError, match="not a complete"):
        load_flux_weights(path, model)


def test_a_file_that_promises_terabytes_is_refused_before_memory_is_taken(
    model: stn.Classifier, tmp_path: Path
) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        for name, array in julia_arrays(model).items():
            shape = (2**40,) if name == "head.1.bias" else array.T.shape
            file.create_dataset(name, shape, "f4")  # not written: takes no place in the file
    with pytest.raises(stn.ModelFileError, match=r"head\.1\.bias must have size \(5,\), got \(1099511627776,\)"):
        load_flux_weights(path, model)


def test_arrays_that_were_never_written_are_refused(model: stn.Classifier, tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        for name, array in julia_arrays(model).items():
            file.create_dataset(name, array.T.shape, "f4")
    with pytest.raises(stn.ModelFileError, match="must be stored whole, got a part of it"):
        load_flux_weights(path, model)


@pytest.mark.parametrize(
    "kind", ["compressed", "chunked", "external", "virtual", "soft link", "external link", "circle"]
)
def test_nothing_but_plain_arrays_is_opened(kind: str, model: stn.Classifier, tmp_path: Path) -> None:
    path, values = tmp_path / "weights.h5", np.zeros(5, "f4")
    (tmp_path / "secret").write_bytes(values.tobytes())
    with h5py.File(path, "w") as file:
        if kind == "compressed":
            file.create_dataset("a", data=values, compression="gzip")
        elif kind == "chunked":
            file.create_dataset("a", (5,), "f4", chunks=(2**20,), maxshape=(None,))
        elif kind == "external":
            file.create_dataset("a", (5,), "f4", external=[(str(tmp_path / "secret"), 0, 20)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((5,), "f4")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (5,))
            file.create_virtual_dataset("a", layout)
        elif kind == "soft link":
            file["a"] = h5py.SoftLink("/b")
        elif kind == "external link":
            file["a"] = h5py.ExternalLink("other.h5", "a")
        else:
            file.create_group("a")["a"] = file["/"]
    with pytest.raises(stn.ModelFileError, match="must be stored whole|got a link|groups must form a tree") as caught:
        load_flux_weights(path, model)
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_suffix_is_named(model: stn.Classifier, tmp_path: Path) -> None:
    message = r"must end in one of \.safetensors, \.jld2, \.h5, \.hdf5, got 'weights\.bson'"
    with pytest.raises(ValueError, match=message):
        save_flux_weights(tmp_path / "weights.bson", model)
    with pytest.raises(ValueError, match=message):
        load_flux_weights(tmp_path / "weights.bson", model)


def test_a_missing_file_is_named(model: stn.Classifier, tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        with pytest.raises(FileNotFoundError, match="weights"):
            load_flux_weights(tmp_path / f"weights{suffix}", model)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_write_that_fails_keeps_the_old_file_and_leaves_nothing(
    suffix: str, model: stn.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"weights{suffix}"
    path.write_bytes(b"old")
    monkeypatch.setattr("stn.flux_files.os.replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save_flux_weights(path, model)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_without_h5py_the_extra_is_named_and_safetensors_still_works(
    model: stn.Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)  # as if it were not installed
    with pytest.raises(ValueError, match=r"install stn\[flux\]"):
        save_flux_weights(tmp_path / "weights.jld2", model)
    assert list(tmp_path.iterdir()) == []
    save_flux_weights(tmp_path / "weights.safetensors", model)
    (tmp_path / "weights.h5").touch()
    with pytest.raises(ValueError, match=r"install stn\[flux\]"):
        load_flux_weights(tmp_path / "weights.h5", model)
