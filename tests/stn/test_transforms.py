"""The contract that every transform keeps, and what is special to each."""

import math
from inspect import unwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stn import (
    TRANSFORMS,
    Affine,
    Attention,
    GridGenerator,
    MatrixTransform,
    Projective,
    Rigid,
    Similarity,
    ThinPlateSpline,
    Transform,
    Translation,
    lattice,
    sampling_grid,
    warp_affine,
)
from stn.transforms.transform import check_matrix
from tests.stn.unchecked import unchecked

numbers = st.floats(-2, 2)


def near_identity(transform: Transform, count: int) -> torch.Tensor:
    noise = torch.randn(count, len(transform.parameter_names), generator=torch.Generator().manual_seed(0))
    return (transform.identity() + 0.2 * noise).double()


def some_points(count: int) -> torch.Tensor:
    return torch.rand(count, 7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("name", TRANSFORMS)
class TestContract:
    def test_identity_theta_keeps_every_point_to_the_bit(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        points = some_points(2).float()
        theta = transform.identity().expand(2, -1)
        assert torch.equal(transform(theta, points), points)

    def test_theta_has_one_entry_per_parameter_name(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        assert transform.identity().shape == (len(transform.parameter_names),)
        assert len(set(transform.parameter_names)) == len(transform.parameter_names)

    def test_gradients_are_right(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        theta, points = near_identity(transform, 2).requires_grad_(), some_points(2).requires_grad_()
        assert torch.autograd.gradcheck(transform, (theta, points))
        assert torch.autograd.gradgradcheck(transform, (theta, points))

    def test_each_image_depends_on_its_own_theta_alone(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        theta, points = near_identity(transform, 3), some_points(3)
        together = transform(theta, points)
        for index in range(3):
            alone = transform(theta[index : index + 1], points[index : index + 1])
            torch.testing.assert_close(alone[0], together[index])

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_the_result_has_the_dtype_of_theta(self, name: str, dtype: torch.dtype) -> None:
        transform = TRANSFORMS[name]()
        assert transform(near_identity(transform, 2).to(dtype), some_points(2).to(dtype)).dtype == dtype

    def test_a_theta_of_the_wrong_width_is_refused_with_both_shapes(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        count = len(transform.parameter_names)
        with pytest.raises(ValueError, match=rf"theta must have shape \(B, {count}\) for .*, got \(2, {count + 1}\)"):
            transform(torch.zeros(2, count + 1), torch.zeros(2, 5, 2))

    def test_matrix_and_map_agree(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        if isinstance(transform, MatrixTransform):
            theta, points = near_identity(transform, 2), some_points(2)
            homogeneous = torch.cat([points, torch.ones(2, 7, 1, dtype=torch.float64)], dim=-1)
            rows = homogeneous @ transform.matrix(theta).mT
            torch.testing.assert_close(
                transform(theta, points), rows[..., :2] / rows[..., 2:] if rows.shape[-1] == 3 else rows
            )

    def test_the_matrix_gives_its_theta_back(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        if isinstance(transform, MatrixTransform):
            theta = near_identity(transform, 5)
            torch.testing.assert_close(transform.from_matrix(transform.matrix(theta)), theta)

    def test_the_theta_of_a_matrix_is_nearest_to_its_map(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        matrix = near_identity(Affine(), 3).view(3, 2, 3)
        theta, points = transform.from_matrix(matrix), some_points(1).expand(3, -1, -1)
        # On a lattice that is the same in x and y, distances of maps are distances of matrices.
        lattice = torch.cartesian_prod(*[torch.linspace(-1, 1, 5, dtype=torch.float64)] * 2).expand(3, -1, -1)
        wanted = warp_affine(matrix, lattice)
        best = (transform(theta, lattice) - wanted).square().sum((1, 2))
        for step in torch.eye(theta.shape[1], dtype=torch.float64):
            for sign in (-0.01, 0.01):
                other = (transform(theta + sign * step, lattice) - wanted).square().sum((1, 2))
                assert (other > best).all() or torch.allclose(best, torch.zeros(3, dtype=torch.float64))
        if name in {"affine", "projective", "thin_plate_spline"}:
            torch.testing.assert_close(transform(theta, points), warp_affine(matrix, points))

    def test_the_inverse_undoes_the_map(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        if isinstance(transform, MatrixTransform):
            theta, points = near_identity(transform, 2), some_points(2)
            torch.testing.assert_close(transform(transform.inverse(theta), transform(theta, points)), points)

    def test_composition_is_one_map_after_the_other(self, name: str) -> None:
        transform = TRANSFORMS[name]()
        if isinstance(transform, MatrixTransform):
            a, b, points = near_identity(transform, 2), near_identity(transform, 2).flip(0), some_points(2)
            torch.testing.assert_close(transform(transform.compose(a, b), points), transform(a, transform(b, points)))

    def test_a_grid_is_the_map_of_the_pixel_centres(self, name: str) -> None:
        generator = GridGenerator(name, (5, 7))
        theta = near_identity(generator.transform, 2)
        centres = lattice((5, 7), dtype=torch.float64).expand(2, -1, -1)
        torch.testing.assert_close(generator(theta).flatten(1, 2), generator.transform(theta, centres))
        torch.testing.assert_close(
            generator(theta.float()).double(), generator(theta), atol=2e-6, rtol=0
        )  # float32's eps

    def test_reduced_precision_of_matrix_products_does_not_touch_coordinates(self, name: str) -> None:
        generator = GridGenerator(name, (6, 6))
        theta = near_identity(generator.transform, 2).float()
        exact = generator(theta)
        torch.set_float32_matmul_precision("medium")
        try:
            torch.testing.assert_close(generator(theta), exact, atol=1e-6, rtol=0)  # sums in another order
            assert torch.equal(generator(generator.transform.identity()[None])[0], lattice((6, 6)).unflatten(0, (6, 6)))
        finally:
            torch.set_float32_matmul_precision("highest")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(generator(theta), exact)

    @pytest.mark.parametrize("cast", ["half", "bfloat16", "double", "float"])
    def test_a_cast_grid_generator_keeps_exact_coordinates(self, name: str, cast: str) -> None:
        generator = getattr(GridGenerator(name, (5, 7)), cast)()
        theta = near_identity(generator.transform, 2)
        theta = theta if cast == "double" else theta.float()
        fresh = GridGenerator(TRANSFORMS[name](), (5, 7))
        assert torch.equal(generator(theta), fresh(theta))
        assert not generator.state_dict()


def test_a_divisor_near_zero_gives_finite_points_and_gradients() -> None:
    theta = torch.tensor([[1.0, 0, 0, 0, 1, 0, -1.0, 0.0]], requires_grad=True)
    points = torch.tensor([[[1.0, 0.3], [1.0 - 1e-7, 0.3], [1.0 + 1e-7, 0.3], [0.0, 0.0]]])
    mapped = Projective()(theta, points)
    mapped.abs().sum().backward()
    assert mapped.isfinite().all()
    assert theta.grad is not None and theta.grad.isfinite().all()
    assert (mapped[0, :3].abs() > 100).any(-1).all()  # far outside, not somewhere in the image


@pytest.mark.parametrize("lattice_size", [(2, 2), (4, 4), (3, 5)])
def test_the_spline_takes_its_control_points_where_theta_says(lattice_size: tuple[int, int]) -> None:
    spline = ThinPlateSpline(lattice_size)
    theta = near_identity(spline, 2)
    points = spline.control_points().double().expand(2, -1, -1)
    torch.testing.assert_close(spline(theta, points), theta.unflatten(1, (-1, 2)))


def test_the_spline_has_finite_derivatives_at_its_control_points() -> None:
    spline = ThinPlateSpline()
    points = spline.control_points().double()[None].requires_grad_()
    (slope,) = torch.autograd.grad(spline(near_identity(spline, 1), points).sum(), points, create_graph=True)
    assert slope.isfinite().all()
    (curvature,) = torch.autograd.grad(slope.sum(), points)
    assert curvature.isfinite().all()


@pytest.mark.parametrize("lattice_size", [(1, 4), (4, 1), (33, 32)])
def test_a_lattice_too_small_or_too_large_is_refused(lattice_size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"lattice must (be \(rows, columns\) of at least|have at most 1024 points)"):
        ThinPlateSpline(lattice_size)


@pytest.mark.parametrize("shape", [(2, 2, 2), (2, 4, 4), (2, 3), (2, 1, 3)])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_matrix_of_another_shape_is_refused(name: str, shape: tuple[int, ...]) -> None:
    transform = TRANSFORMS[name]()
    with pytest.raises(ValueError, match=r"matrix must have shape \(B, 2, 3\) or \(B, 3, 3\), got"):
        check_matrix(torch.zeros(shape))
    if len(shape) == 3 and shape[2] == 3:
        with pytest.raises(ValueError, match="matrix must have shape"):
            unwrap(type(transform).from_matrix)(transform, torch.zeros(shape))


@pytest.mark.parametrize("shape", [(2, 4, 3), (3, 4, 2), (2, 4)])
def test_points_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"points must have shape \(2, N, 2\) for this theta, got"):
        unwrap(Transform.forward)(Affine(), torch.zeros(2, 6), torch.zeros(shape))


def test_points_of_another_precision_are_refused() -> None:
    with pytest.raises(ValueError, match="points must have the dtype of theta, torch.float32, got torch.float64"):
        Affine()(torch.zeros(2, 6), torch.zeros(2, 4, 2, dtype=torch.float64))


@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_theta_without_axes_is_refused(name: str) -> None:
    transform, theta = TRANSFORMS[name](), torch.tensor(1.0)
    message = r"theta must have shape \(B, .*\) for .*, got \(\)"
    with unchecked(), pytest.raises(ValueError, match=message):
        transform(theta, torch.zeros(1, 4, 2))
    with unchecked(), pytest.raises(ValueError, match=message):
        sampling_grid(transform, theta * torch.nan, (4, 4))


@pytest.mark.parametrize(
    ("matrix", "points", "message"),
    [
        ((1, 3, 3), (1, 4, 2), r"matrix must have shape \(B, 2, 3\), got \(1, 3, 3\)"),
        ((2, 3), (1, 4, 2), r"matrix must have shape \(B, 2, 3\), got \(2, 3\)"),
        ((2, 2, 3), (3, 4, 2), r"points must have shape \(2, N, 2\) for this matrix, got \(3, 4, 2\)"),
        ((2, 2, 3), (2, 4, 3), r"points must have shape \(2, N, 2\) for this matrix, got \(2, 4, 3\)"),
    ],
)
def test_an_affine_map_of_other_shapes_is_refused(
    matrix: tuple[int, ...], points: tuple[int, ...], message: str
) -> None:
    with unchecked(), pytest.raises(ValueError, match=message):
        warp_affine(torch.zeros(matrix), torch.zeros(points))


def test_thetas_of_different_batches_do_not_compose() -> None:
    with pytest.raises(ValueError, match="a and b must have the same batch size, got 2 and 3"):
        unwrap(MatrixTransform.compose)(Affine(), torch.zeros(2, 6), torch.zeros(3, 6))


def test_a_theta_without_inverse_is_refused() -> None:
    with pytest.raises(ValueError, match="theta must be invertible, got"):
        Attention().inverse(torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]))


@given(st.lists(numbers, min_size=6, max_size=6), st.lists(numbers, min_size=6, max_size=6))
def test_affine_maps_compose_as_their_matrices_do(first: list[float], second: list[float]) -> None:
    points = some_points(1)
    a, b = (torch.tensor([values], dtype=torch.float64).view(1, 2, 3) for values in (first, second))
    bottom = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    product = (torch.cat([a, bottom], 1) @ torch.cat([b, bottom], 1))[:, :2]
    torch.testing.assert_close(warp_affine(a, warp_affine(b, points)), warp_affine(product, points))


@given(numbers, numbers, numbers)
def test_attention_is_similarity_without_rotation(scale: float, x0: float, y0: float) -> None:
    points = some_points(1)
    attention = Attention()(torch.tensor([[scale, x0, y0]], dtype=torch.float64), points)
    similarity = Similarity()(torch.tensor([[scale, 0.0, x0, y0]], dtype=torch.float64), points)
    torch.testing.assert_close(attention, similarity)


@given(numbers, st.floats(-math.pi, math.pi), numbers, numbers)
def test_similarity_is_affine_with_its_matrix(scale: float, angle: float, x0: float, y0: float) -> None:
    theta = torch.tensor([[scale, angle, x0, y0]], dtype=torch.float64)
    points = some_points(1)
    torch.testing.assert_close(Similarity()(theta, points), Affine()(Similarity().matrix(theta).flatten(1), points))


def test_a_positive_angle_turns_the_picture_anticlockwise_on_screen() -> None:
    quarter_turn = torch.tensor([[1.0, math.pi / 2, 0.0, 0.0]])
    top_of_output = torch.tensor([[[0.0, -1.0]]])
    right_of_input = torch.tensor([[[1.0, 0.0]]])
    # What was at the right is seen at the top.
    torch.testing.assert_close(Similarity()(quarter_turn, top_of_output), right_of_input, atol=1e-6, rtol=0)


@given(st.floats(-math.pi, math.pi), numbers, numbers)
def test_rigid_is_similarity_of_scale_one(angle: float, x0: float, y0: float) -> None:
    points = some_points(1)
    rigid = Rigid()(torch.tensor([[angle, x0, y0]], dtype=torch.float64), points)
    similarity = Similarity()(torch.tensor([[1.0, angle, x0, y0]], dtype=torch.float64), points)
    torch.testing.assert_close(rigid, similarity)


@given(numbers, numbers)
def test_translation_is_attention_of_scale_one(x0: float, y0: float) -> None:
    points = some_points(1)
    translation = Translation()(torch.tensor([[x0, y0]], dtype=torch.float64), points)
    torch.testing.assert_close(translation, Attention()(torch.tensor([[1.0, x0, y0]], dtype=torch.float64), points))


@given(st.lists(numbers, min_size=6, max_size=6))
def test_affine_is_projective_without_perspective(values: list[float]) -> None:
    theta, points = torch.tensor([values], dtype=torch.float64), some_points(1)
    projective = Projective()(torch.cat([theta, torch.zeros(1, 2, dtype=torch.float64)], dim=1), points)
    torch.testing.assert_close(projective, Affine()(theta, points))
