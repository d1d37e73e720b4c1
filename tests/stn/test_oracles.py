"""Values against programs that share no code with ours: OpenCV, SciPy, Pillow, torch's `grid_sample` and kornia.

Everything here is float64 on our side, so that a difference is the oracle's rounding or a fault. Grids are made of pixel
positions (0 is the centre of the first pixel, as OpenCV and SciPy count) by `to_grid`.
"""

import cv2
import kornia.geometry.transform as kornia
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage
from scipy.interpolate import BSpline, RBFInterpolator
from torch import Tensor

import stn
from tests.stn.oracle_inputs import random_image, random_positions, theta_of, to_grid

SIZE, OUTPUT = (24, 31), (20, 27)
AFFINE = np.array([[1.01, -0.35, 3.3], [0.43, 0.83, -2.7]])  # OpenCV's warp matrix: output pixels to input pixels
HOMOGRAPHY = np.vstack([AFFINE, [2e-3, 3e-3, 1.0]])
SCIPY_MODES = {"zeros": "grid-constant", "constant": "grid-constant", "border": "nearest", "reflection": "reflect"}
CV_BORDERS = {"zeros": cv2.BORDER_CONSTANT, "border": cv2.BORDER_REPLICATE, "reflection": cv2.BORDER_REFLECT}
TORCH_MODES = {"bilinear": "bilinear", "bicubic": "bicubic"}


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("name", ["affine", "projective"])
def test_warps_are_opencvs(name: str, channels: int) -> None:
    # OpenCV 5 interpolates float32 images of up to 4 channels at float32 positions. Float64 images, more channels and every
    # version before 5 take positions to the nearest 1/32 of a pixel, which is wrong by up to 1/64 of the contrast.
    image = random_image(*SIZE, channels, dtype=np.float32)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    if name == "affine":
        expected = cv2.warpAffine(image, AFFINE, OUTPUT[::-1], flags=flags)
    else:
        expected = cv2.warpPerspective(image, HOMOGRAPHY, OUTPUT[::-1], flags=flags)
    theta = theta_of(AFFINE if name == "affine" else HOMOGRAPHY, SIZE, OUTPUT)
    images = torch.from_numpy(image).double().movedim(-1, 0)[None]
    ours = stn.sample(images, stn.sampling_grid(name, theta, OUTPUT))[0].movedim(0, -1)
    # A position below 32 is three float32 roundings of up to 2^-20 from the true one, along x and y, and neighbouring
    # pixels differ by up to 1.
    np.testing.assert_allclose(ours.numpy(), expected.reshape(*OUTPUT, channels), atol=1e-5, rtol=0)


@pytest.mark.parametrize("padding", CV_BORDERS)
def test_bicubic_is_opencvs(padding: str) -> None:
    image = random_image(*SIZE, dtype=np.float32)
    x, y = (
        np.round(random_positions(SIZE, OUTPUT) * 32) / 32
    )  # OpenCV's table of cubic weights has 32 steps to the pixel
    expected = cv2.remap(
        image, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC, borderMode=CV_BORDERS[padding]
    )
    ours = stn.sample(torch.from_numpy(image).double()[None, None], to_grid(x, y, SIZE), "bicubic", padding)
    # OpenCV sums 16 products of float32 weights of up to 1 with values of up to 1.
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=2e-6, rtol=0)


@pytest.mark.parametrize("padding", SCIPY_MODES)
@pytest.mark.parametrize(("kernel", "order"), [("integer", 0), ("bilinear", 1)])
def test_integer_and_bilinear_are_scipys_with_every_padding(kernel: str, order: int, padding: str) -> None:
    image = random_image(*SIZE, 2)
    x, y = random_positions(SIZE, OUTPUT, reach=2.5)
    background = [0.25, -1.5] if padding == "constant" else [0.0, 0.0]
    expected = [
        ndimage.map_coordinates(image[..., c], [y, x], order=order, mode=SCIPY_MODES[padding], cval=background[c])
        for c in range(2)
    ]
    given = {"background": background} if padding == "constant" else {}
    images = torch.from_numpy(image).movedim(-1, 0)[None]
    ours = stn.sample(images, to_grid(x, y, SIZE), kernel, padding, **given)[0]
    # Positions of up to 100 pixels have float64 roundings of 2^-47, and reach the grid and come back.
    np.testing.assert_allclose(ours.numpy(), np.stack(expected), atol=1e-12, rtol=0)


def test_a_tie_of_the_integer_kernel_rounds_up_as_in_scipy_and_not_as_in_torch_kornia_and_opencv() -> None:
    ramp, x = np.arange(8.0), np.arange(7) + 0.5  # exact in normalised coordinates too, since 8 is a power of two
    expected = ndimage.map_coordinates(ramp, [x], order=0)
    grid = to_grid(x[None], np.zeros((1, 7)), (1, 8))
    assert expected.tolist() == [1, 2, 3, 4, 5, 6, 7]
    images = torch.from_numpy(ramp)[None, None, None]
    assert stn.sample(images, grid, "integer").flatten().tolist() == expected.tolist()
    assert F.grid_sample(images, grid, "nearest", align_corners=False).flatten().tolist() == [0, 2, 2, 4, 4, 6, 6]
    map_x = x[None].astype(np.float32)
    opencv = cv2.remap(ramp[None].astype(np.float32), map_x, 0 * map_x, cv2.INTER_NEAREST)
    assert opencv.flatten().tolist() == [0, 2, 2, 4, 4, 6, 6]
    shift = torch.tensor([[[1.0, 0, -0.5], [0, 1, 0]]]).double()  # every output pixel of kornia's lies on a tie
    shifted = kornia.warp_affine(images.expand(-1, -1, 3, -1), shift, (3, 8), mode="nearest", align_corners=False)
    assert shifted[0, 0, 1, :7].tolist() != expected.tolist()


@pytest.mark.parametrize(
    ("padding", "numpy_mode"), [("zeros", "constant"), ("border", "edge"), ("reflection", "symmetric")]
)
@pytest.mark.parametrize("order", [2, 3, 5])
def test_a_kernel_of_the_users_own_is_scipys_spline(order: int, padding: str, numpy_mode: str) -> None:
    image = random_image(*SIZE)
    x, y = random_positions(SIZE, OUTPUT, reach=1.5)
    margin = 40
    extended = np.pad(image, margin, mode=numpy_mode)  # type: ignore[call-overload]
    expected = ndimage.map_coordinates(extended, [y + margin, x + margin], order=order, prefilter=False)
    spline = BSpline.basis_element(np.arange(order + 2) - (order + 1) / 2, extrapolate=False)

    def weight(distance: Tensor) -> Tensor:
        return torch.from_numpy(np.nan_to_num(spline(distance.numpy())))

    kernel = stn.Kernel(weight, support=(order + 1) / 2)
    ours = stn.sample(torch.from_numpy(image)[None, None], to_grid(x, y, SIZE), kernel, padding)
    # Float64 sums of up to 36 products, at positions that carry a rounding of 2^-47.
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=1e-12, rtol=0)


def test_a_box_of_the_users_own_is_scipys_uniform_filter_and_nothing_far_outside() -> None:
    image = random_image(*SIZE)
    corners = np.arange(-8, SIZE[0] + 8)  # positions half a pixel before these: the corner of four pixels
    expected = ndimage.uniform_filter(np.pad(image, 12), 4, mode="constant")[4:-4, 4:-4]
    y, x = np.meshgrid(corners - 0.5, np.arange(-8, SIZE[1] + 8) - 0.5, indexing="ij")
    box = stn.Kernel(lambda distance: torch.full_like(distance, 0.25), support=2.0)
    ours = stn.sample(torch.from_numpy(image)[None, None], to_grid(x, y, SIZE), box)
    # SciPy keeps a running sum along each line: some 40 roundings of values below 4.
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=1e-13, rtol=0)


@pytest.mark.parametrize(
    ("kernel", "filter_", "reach"),
    [("catmull_rom", Image.Resampling.BICUBIC, 2), ("lanczos3", Image.Resampling.LANCZOS, 3)],
)
def test_catmull_rom_and_lanczos_are_pillows(kernel: str, filter_: Image.Resampling, reach: int) -> None:
    image = random_image(*SIZE, dtype=np.float32)
    size = (3 * SIZE[0] + 1, 2 * SIZE[1] + 5)
    expected = np.asarray(Image.fromarray(image).resize(size[::-1], filter_))
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0]]).double()
    ours = stn.sample(torch.from_numpy(image).double()[None, None], stn.sampling_grid("affine", theta, size), kernel)
    inside = np.s_[
        4 * reach : -4 * reach, 4 * reach : -4 * reach
    ]  # Pillow leaves pixels outside the image out of the sum
    # Pillow rounds to float32 after the pass along x and after the one along y; values stay below 2.
    np.testing.assert_allclose(ours[0, 0].numpy()[inside], expected[inside], atol=5e-7, rtol=0)


def test_shrinking_with_antialias_is_opencvs_mean_over_areas() -> None:
    image = random_image(28, 36, dtype=np.float32)
    expected = cv2.resize(image, (9, 7), interpolation=cv2.INTER_AREA)
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0]]).double()
    grid = stn.sampling_grid("affine", theta, (7, 9))
    # Four pixels to the output pixel and four samples: with the integer kernel each sample is one of the pixels.
    ours = stn.sample(torch.from_numpy(image).double()[None, None], grid, "integer", antialias=4)
    # The mean of 16 float32 values below 1, summed by OpenCV in float32.
    np.testing.assert_allclose(ours[0, 0].numpy(), expected, atol=5e-7, rtol=0)


@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("kernel", TORCH_MODES)
def test_values_and_gradients_are_those_of_grid_sample(kernel: str, padding: str) -> None:
    images = torch.from_numpy(random_image(2, 3, *SIZE)).requires_grad_()
    x, y = random_positions(SIZE, (2 * 11, 13), reach=1.6)
    grid = to_grid(x, y, SIZE).reshape(2, 11, 13, 2).requires_grad_()
    ours = stn.sample(images, grid, kernel, padding)
    theirs = F.grid_sample(images, grid, TORCH_MODES[kernel], padding, align_corners=False)
    # Positions below 64 pixels, rounded to float64 a few times: 2^-46 pixels; a bicubic sum has slopes of up to 4.
    torch.testing.assert_close(ours, theirs, atol=1e-12, rtol=0)
    towards = torch.from_numpy(random_image(*ours.shape))
    for mine, yours in zip(
        torch.autograd.grad(ours, (images, grid), towards),
        torch.autograd.grad(theirs, (images, grid), towards),
        strict=True,
    ):
        # The grid's gradient is in units of half the image, 16 pixels, and the sum over 3 channels: 100 times as large.
        torch.testing.assert_close(mine, yours, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", ["affine", "projective"])
def test_warps_are_kornias(name: str) -> None:
    images = torch.from_numpy(random_image(1, 3, *SIZE))
    if name == "affine":
        inverse = torch.linalg.inv(torch.from_numpy(np.vstack([AFFINE, [0, 0, 1]])))[None, :2]
        expected = kornia.warp_affine(images, inverse, OUTPUT, align_corners=False)
    else:
        inverse = torch.linalg.inv(torch.from_numpy(HOMOGRAPHY))[None]
        expected = kornia.warp_perspective(images, inverse, OUTPUT, align_corners=False)
    theta = theta_of(AFFINE if name == "affine" else HOMOGRAPHY, SIZE, OUTPUT)
    ours = stn.sample(images, stn.sampling_grid(name, theta, OUTPUT))
    # Kornia inverts the matrix twice on the way, in float64.
    torch.testing.assert_close(ours, expected, atol=1e-11, rtol=0)


@pytest.mark.parametrize("shape", [(4, 4), (2, 3), (5, 3)])
def test_the_thin_plate_spline_is_scipys_and_not_kornias(shape: tuple[int, int]) -> None:
    spline = stn.ThinPlateSpline(shape)
    generator = torch.Generator().manual_seed(0)
    control = spline.identity().double().unflatten(0, (-1, 2))
    moved = control + 0.2 * torch.randn(control.shape, generator=generator, dtype=torch.float64)
    points = 3 * torch.rand(500, 2, generator=generator, dtype=torch.float64) - 1.5
    expected = RBFInterpolator(control.numpy(), moved.numpy(), kernel="thin_plate_spline", degree=1)(points.numpy())
    ours = spline(moved.flatten()[None], points[None])[0]
    # Both solve a system with a condition number of some hundreds in float64.
    np.testing.assert_allclose(ours.numpy(), expected, atol=1e-12, rtol=0)
    # Kornia's passes through the same points, but puts its kernels at the moved points instead of the fixed ones: another
    # map in between, and not the one that bends least.
    weights = kornia.get_tps_transform(control[None], moved[None])
    theirs = kornia.warp_points_tps(points[None], moved[None], *weights)[0]
    assert (theirs - torch.from_numpy(expected)).abs().max() > 0.01
