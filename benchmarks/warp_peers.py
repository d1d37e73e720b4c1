"""The warps that `warp.py` times: the same pictures made by stn, torch, kornia and OpenCV."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import kornia.geometry.transform as kornia
import torch
import torch.nn.functional as F
from torch import Tensor

import stn

TRANSFORMS = ("affine", "projective", "thin_plate_spline")
NAMES = ("stn", "torch", "kornia", "kornia homography_warp", "OpenCV")
SAME_MAP = {
    "affine": NAMES,
    "projective": NAMES,
    "thin_plate_spline": ("stn", "torch"),  # kornia's spline is another map, see docs/peers.md
}


class Contestant(NamedTuple):
    """A way to warp the images of a case."""

    warp: Callable[[Tensor, Tensor], Any]
    """Takes the images and its parameters; gives images (B, C, H, W), or a list of arrays (H, W, C) from OpenCV."""
    parameters: Tensor


@dataclass
class Case:
    """One transform with random parameters, for one batch of images."""

    transform: str
    images: Tensor
    theta: Tensor
    towards: Tensor
    """The gradient of the output."""
    generator: stn.GridGenerator
    contestants: dict[str, Contestant] = field(default_factory=dict)


def make_case(transform: str, shape: tuple[int, int, int, int]) -> Case:
    """A batch and slightly random parameters: turned, scaled and shifted by about a tenth."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(shape, generator=random)
    generator = stn.GridGenerator(transform, (shape[2], shape[3]))
    theta = generator.transform.identity().expand(shape[0], -1)
    theta = theta + 0.1 * torch.randn(theta.shape, generator=random)
    case = Case(transform, images, theta, torch.rand(shape, generator=random), generator)
    case.contestants["stn"] = Contestant(lambda images, theta: stn.warp(images, theta, generator), theta)
    {"affine": _add_affine, "projective": _add_projective, "thin_plate_spline": _add_spline}[transform](case)
    return case


def _add_affine(case: Case) -> None:
    matrices = case.theta.unflatten(-1, (2, 3))
    pixels = _pixel_matrices(matrices, case.images.shape)

    def torchs(images: Tensor, matrices: Tensor) -> Tensor:
        grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, align_corners=False)

    def kornias(images: Tensor, matrices: Tensor) -> Tensor:
        return kornia.warp_affine(images, matrices, images.shape[2:], align_corners=False)

    case.contestants["torch"] = Contestant(torchs, matrices)
    case.contestants["kornia"] = Contestant(kornias, torch.linalg.inv(pixels).float()[:, :2].contiguous())
    case.contestants["OpenCV"] = _opencv(cv2.warpAffine, case.images, pixels[:, :2])


def _add_projective(case: Case) -> None:
    matrices = F.pad(case.theta, (0, 1), value=1.0).unflatten(-1, (3, 3))
    pixels = _pixel_matrices(matrices, case.images.shape)
    lattice = stn.lattice((case.images.shape[2], case.images.shape[3]))
    homogeneous = torch.cat([lattice, torch.ones_like(lattice[:, :1])], dim=1)  # (N, 3)

    def torchs(images: Tensor, matrices: Tensor) -> Tensor:
        points = homogeneous @ matrices.mT  # (B, N, 3)
        grid = points[..., :2] / points[..., 2:]
        return F.grid_sample(images, grid.unflatten(1, images.shape[2:]), align_corners=False)

    def kornias(images: Tensor, matrices: Tensor) -> Tensor:
        return kornia.warp_perspective(images, matrices, images.shape[2:], align_corners=False)

    def kornias_normalised(images: Tensor, matrices: Tensor) -> Tensor:
        return kornia.homography_warp(images, matrices, images.shape[2:], align_corners=False)

    case.contestants["torch"] = Contestant(torchs, matrices)
    case.contestants["kornia"] = Contestant(kornias, torch.linalg.inv(pixels).float())
    case.contestants["kornia homography_warp"] = Contestant(kornias_normalised, matrices)
    case.contestants["OpenCV"] = _opencv(cv2.warpPerspective, case.images, pixels)


def _add_spline(case: Case) -> None:
    count, (height, width) = len(case.theta), case.images.shape[2:]
    control = case.generator.transform.identity().view(1, 16, 2)
    lattice = stn.lattice((height, width))

    def torchs(images: Tensor, theta: Tensor) -> Tensor:
        """Written plainly: everything at every step, the system solved for every image."""
        system = torch.zeros(count, 19, 19)
        system[:, :16] = _radial(control[0], control[0])
        system[:, 16:, :16] = system[:, :16, 16:].mT
        weights = torch.linalg.solve(system, F.pad(theta.view(count, 16, 2), (0, 0, 0, 3)))
        grid = _radial(lattice, control[0]) @ weights
        return F.grid_sample(images, grid.unflatten(1, (height, width)), align_corners=False)

    def kornias(images: Tensor, theta: Tensor) -> Tensor:
        moved = theta.view(count, 16, 2)
        return kornia.warp_image_tps(
            images, moved, *kornia.get_tps_transform(control.expand(count, -1, -1), moved), align_corners=False
        )

    case.contestants["torch"] = Contestant(torchs, case.theta)
    case.contestants["kornia"] = Contestant(kornias, case.theta)


def _radial(points: Tensor, control: Tensor) -> Tensor:
    squares = (points[:, None] - control).square().sum(-1)
    return torch.cat(
        [squares * torch.where(squares > 0, squares, 1.0).log(), torch.ones_like(points[:, :1]), points], dim=1
    )


def _opencv(function: Callable[..., Any], images: Tensor, matrices: Tensor) -> Contestant:
    """Image by image, on arrays that lie as OpenCV wants them."""
    channels_last, arrays = images.movedim(1, -1).contiguous().numpy(), matrices.numpy()
    flags, size = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, channels_last.shape[2:0:-1]

    def warp(_: Tensor, __: Tensor) -> list[Any]:
        return [function(image, matrix, size, flags=flags) for image, matrix in zip(channels_last, arrays, strict=True)]

    return Contestant(warp, matrices)


def _pixel_matrices(matrices: Tensor, shape: torch.Size) -> Tensor:
    """Matrices that map output pixels to input pixels, 0 being the centre of the first one, in float64."""
    height, width = shape[2:]
    square = torch.eye(3, dtype=torch.float64).repeat(len(matrices), 1, 1)
    square[:, : matrices.shape[1]] = matrices.double()
    rows = [[2 / width, 0, 1 / width - 1], [0, 2 / height, 1 / height - 1], [0, 0, 1]]
    normalisation = torch.tensor(rows, dtype=torch.float64)
    return torch.linalg.inv(normalisation) @ square @ normalisation
