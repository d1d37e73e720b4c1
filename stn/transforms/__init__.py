"""The transforms by name. A new one is one file and one entry here."""

from stn.transforms.affine import Affine
from stn.transforms.attention import Attention
from stn.transforms.similarity import Similarity
from stn.transforms.transform import MatrixTransform, Transform, warp_affine

__all__ = ["TRANSFORMS", "Affine", "Attention", "MatrixTransform", "Similarity", "Transform", "warp_affine"]

TRANSFORMS: dict[str, type[Transform]] = {
    "affine": Affine,
    "attention": Attention,
    "similarity": Similarity,
}
