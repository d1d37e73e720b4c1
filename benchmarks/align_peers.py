"""Who lays one picture on another in `align.py`: each takes two grey images of bytes and gives a homography.

The homography maps normalised points of the fixed image to those of the moving one; None where a way finds nothing.
"""

from collections.abc import Callable

import cv2
import kornia
import numpy as np
import torch

import stn

Way = Callable[[np.ndarray, np.ndarray], np.ndarray | None]


def still(_moving: np.ndarray, _fixed: np.ndarray) -> np.ndarray | None:
    """Nothing is moved, for scale."""
    return np.eye(3)


def ours(aligner: stn.Aligner, seconds: float = 0.0) -> Way:
    """One pair at a time, refined for so long."""

    def locate(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray | None:
        pair = [torch.from_numpy(image)[None].float() / 255 for image in (moving, fixed)]
        if seconds:
            theta = stn.align(aligner, pair[0], pair[1], seconds=seconds).theta[None]
        else:
            with torch.inference_mode():
                theta = aligner.locate(pair[0][None], pair[1][None])[0]
        return _matrix(aligner, theta)[0]

    return locate


def ours_at_once(aligner: stn.Aligner, moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """All pairs of a batch: (N, 3, 3)."""
    with torch.inference_mode():
        views = [torch.from_numpy(images)[:, None].float() / 255 for images in (moving, fixed)]
        return _matrix(aligner, aligner.locate(*views)[0])


def ecc(iterations: int, epsilon: float) -> Way:
    """`cv2.findTransformECC` from the identity, with a homography; both in float32, smoothed as by default."""

    def locate(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray | None:
        matrix = np.eye(3, dtype=np.float32)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, iterations, epsilon)
        try:
            _, matrix = cv2.findTransformECC(
                fixed.astype(np.float32), moving.astype(np.float32), matrix, cv2.MOTION_HOMOGRAPHY, criteria, None, 5
            )
        except cv2.error:  # it did not converge
            return None
        return _normalised(matrix, fixed.shape)

    return locate


def orb(side: int = 384) -> Way:
    """ORB, matches that are mutual, RANSAC: on images enlarged to this side, without which it finds hardly any corner."""
    finder = cv2.ORB_create(nfeatures=1000, fastThreshold=5)
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)

    def locate(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray | None:
        factor = side / max(fixed.shape)
        size = (round(fixed.shape[1] * factor), round(fixed.shape[0] * factor))
        large = [cv2.resize(image, size, interpolation=cv2.INTER_CUBIC) for image in (moving, fixed)]
        (points, words), (others, marks) = (finder.detectAndCompute(image, None) for image in large)
        if words is None or marks is None:
            return None
        matches = matcher.match(marks, words)
        if len(matches) < 4:
            return None
        source = np.float32([others[match.queryIdx].pt for match in matches])
        target = np.float32([points[match.trainIdx].pt for match in matches])
        matrix, _ = cv2.findHomography(source, target, cv2.RANSAC, 1.5 * factor)
        return None if matrix is None else _normalised(matrix, large[1].shape)

    return locate


def registrator(levels: int, rate: float, iterations: int) -> Way:
    """`kornia.geometry.ImageRegistrator` with a homography; each level of its pyramid begins where the last ended."""

    def locate(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray | None:
        most = max(1, min(levels, int(np.log2(min(fixed.shape))) - 2))
        way = kornia.geometry.ImageRegistrator("homography", pyramid_levels=most, lr=rate, num_iterations=iterations)
        pair = [torch.from_numpy(image)[None, None].float() / 255 for image in (moving, fixed)]
        found = way.register(*pair).detach().double().numpy()[0]
        return found if np.isfinite(found).all() else None

    return locate


def _matrix(aligner: stn.Aligner, theta: torch.Tensor) -> np.ndarray:
    transform = aligner.transform
    assert isinstance(transform, stn.MatrixTransform)
    matrix = transform.matrix(theta.double())
    return stn.transforms.matrix.square(matrix).numpy()


def _normalised(matrix: np.ndarray, shape: tuple[int, ...]) -> np.ndarray | None:
    """From numbers of pixels, whose centres are whole, to normalised coordinates."""
    height, width = shape[:2]
    to_pixels = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    found = np.linalg.inv(to_pixels) @ matrix.astype(np.float64) @ to_pixels
    return found if np.isfinite(found).all() else None
