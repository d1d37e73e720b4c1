"""The contract that every transform keeps, and what is special to each."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stn import TRANSFORMS, Affine, Attention, MatrixTransform, Similarity, Transform, warp_affine

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
            torch.testing.assert_close(transform(theta, points), homogeneous @ transform.matrix(theta).mT)


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
