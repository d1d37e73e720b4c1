"""Spatial transformer networks for PyTorch: transforms, grids, samplers, and classifiers that straighten their input.

What needs torch is imported when it is first asked for: a program that only reads what model files say does without it.
"""

import importlib
from typing import TYPE_CHECKING

from stn.align_config import AlignerConfig
from stn.config import InputConfig, ModelConfig
from stn.model_info import (
    AlignerInfo,
    ModelFileError,
    ModelInfo,
    OtherTask,
    read_aligner_info,
    read_info,
    read_model_info,
)

if TYPE_CHECKING:
    from stn.align_pair import Alignment, align
    from stn.aligner import Aligned, Aligner
    from stn.bounds import Bounds
    from stn.build import build_aligner, build_model
    from stn.classifiers import Classified, Classifier
    from stn.coordinates import from_pixels, lattice, to_pixels
    from stn.grid import GridGenerator, outline, sampling_grid
    from stn.kernels import KERNELS, Kernel, cubic_convolution, lanczos
    from stn.localization import (
        LOCALIZATIONS,
        ConvLocalization,
        DenseLocalization,
        SharedLocalization,
        TutorialLocalization,
        theta_layer,
    )
    from stn.model_file import load_aligner, load_model, save_model
    from stn.normalise import Normalise
    from stn.sampler import sample, warp
    from stn.spatial_transformer import ParallelTransformers, SpatialTransformer, Transformed, parameter_groups
    from stn.transforms import (
        TRANSFORMS,
        Affine,
        Attention,
        MatrixTransform,
        Projective,
        Rigid,
        Similarity,
        ThinPlateSpline,
        Transform,
        Translation,
        warp_affine,
    )

__all__ = [
    "KERNELS",
    "LOCALIZATIONS",
    "TRANSFORMS",
    "Affine",
    "Aligned",
    "Aligner",
    "AlignerConfig",
    "AlignerInfo",
    "Alignment",
    "Attention",
    "Bounds",
    "Classified",
    "Classifier",
    "ConvLocalization",
    "DenseLocalization",
    "GridGenerator",
    "InputConfig",
    "Kernel",
    "MatrixTransform",
    "ModelConfig",
    "ModelFileError",
    "ModelInfo",
    "Normalise",
    "OtherTask",
    "ParallelTransformers",
    "Projective",
    "Rigid",
    "SharedLocalization",
    "Similarity",
    "SpatialTransformer",
    "ThinPlateSpline",
    "Transform",
    "Transformed",
    "Translation",
    "TutorialLocalization",
    "align",
    "build_aligner",
    "build_model",
    "cubic_convolution",
    "from_pixels",
    "lanczos",
    "lattice",
    "load_aligner",
    "load_model",
    "outline",
    "parameter_groups",
    "read_aligner_info",
    "read_info",
    "read_model_info",
    "sample",
    "sampling_grid",
    "save_model",
    "theta_layer",
    "to_pixels",
    "warp",
    "warp_affine",
]

_MODULES = {
    "align_pair": ("Alignment", "align"),
    "aligner": ("Aligned", "Aligner"),
    "bounds": ("Bounds",),
    "build": ("build_aligner", "build_model"),
    "classifiers": ("Classified", "Classifier"),
    "coordinates": ("from_pixels", "lattice", "to_pixels"),
    "grid": ("GridGenerator", "outline", "sampling_grid"),
    "invariance": (),
    "kernels": ("KERNELS", "Kernel", "cubic_convolution", "lanczos"),
    "localization": (
        "LOCALIZATIONS",
        "ConvLocalization",
        "DenseLocalization",
        "SharedLocalization",
        "TutorialLocalization",
        "theta_layer",
    ),
    "model_file": ("load_aligner", "load_model", "save_model"),
    "normalise": ("Normalise",),
    "sampler": ("sample", "warp"),
    "spatial_transformer": ("ParallelTransformers", "SpatialTransformer", "Transformed", "parameter_groups"),
    "transforms": (
        "TRANSFORMS",
        "Affine",
        "Attention",
        "MatrixTransform",
        "Projective",
        "Rigid",
        "Similarity",
        "ThinPlateSpline",
        "Transform",
        "Translation",
        "warp_affine",
    ),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

if not TYPE_CHECKING:  # which would take every name for one that exists

    def __getattr__(name: str) -> object:
        """A public name that needs torch, or a module that has some; it is asked for here only once."""
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
