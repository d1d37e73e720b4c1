"""The transforms by name. A new one is one file and one entry here."""

from stn.transforms.affine import Affine
from stn.transforms.attention import Attention
from stn.transforms.matrix import MatrixTransform, warp_affine
from stn.transforms.projective import Projective
from stn.transforms.rigid import Rigid
from stn.transforms.similarity import Similarity
from stn.transforms.thin_plate_spline import ThinPlateSpline
from stn.transforms.transform import Transform
from stn.transforms.translation import Translation

__all__ = [
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
]

TRANSFORMS: dict[str, type[Transform]] = {
    "affine": Affine,
    "attention": Attention,
    "similarity": Similarity,
    "translation": Translation,
    "rigid": Rigid,
    "projective": Projective,
    "thin_plate_spline": ThinPlateSpline,
}
