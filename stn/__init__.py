"""Spatial transformer networks for PyTorch: transforms, grids, samplers, and classifiers that straighten their input."""

from stn.build import build_model
from stn.classifiers import Classified, Classifier
from stn.config import InputConfig, ModelConfig
from stn.coordinates import from_pixels, lattice, to_pixels
from stn.grid import outline, sampling_grid
from stn.localization import LOCALIZATIONS, ConvLocalization, DenseLocalization
from stn.model_file import ModelFileError, ModelInfo, load_model, read_model_info, save_model
from stn.normalise import Normalise
from stn.sampler import sample
from stn.spatial_transformer import SpatialTransformer, Transformed
from stn.transforms import TRANSFORMS, Affine, Attention, MatrixTransform, Similarity, Transform, warp_affine

__all__ = [
    "LOCALIZATIONS",
    "TRANSFORMS",
    "Affine",
    "Attention",
    "Classified",
    "Classifier",
    "ConvLocalization",
    "DenseLocalization",
    "InputConfig",
    "MatrixTransform",
    "ModelConfig",
    "ModelFileError",
    "ModelInfo",
    "Normalise",
    "Similarity",
    "SpatialTransformer",
    "Transform",
    "Transformed",
    "build_model",
    "from_pixels",
    "lattice",
    "load_model",
    "outline",
    "read_model_info",
    "sample",
    "sampling_grid",
    "save_model",
    "to_pixels",
    "warp_affine",
]
