"""Spatial transformer networks for PyTorch: transforms, grids, samplers, and classifiers that straighten their input."""

from stn.bounds import Bounds
from stn.build import build_model
from stn.classifiers import Classified, Classifier
from stn.config import InputConfig, ModelConfig
from stn.coordinates import from_pixels, lattice, to_pixels
from stn.grid import GridGenerator, outline, sampling_grid
from stn.kernels import KERNELS, Kernel, cubic_convolution, lanczos
from stn.localization import LOCALIZATIONS, ConvLocalization, DenseLocalization, SharedLocalization, theta_layer
from stn.model_file import load_model, save_model
from stn.model_info import ModelFileError, ModelInfo, read_model_info
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
    "build_model",
    "cubic_convolution",
    "from_pixels",
    "lanczos",
    "lattice",
    "load_model",
    "outline",
    "parameter_groups",
    "read_model_info",
    "sample",
    "sampling_grid",
    "save_model",
    "theta_layer",
    "to_pixels",
    "warp",
    "warp_affine",
]
