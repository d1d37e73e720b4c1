"""What trips other spatial transformers: each point, how ours stands it, and how a named peer or the plain way does not.

The eighth, export, is in `test_export.py`.
"""

from collections.abc import Callable
from typing import Any

import kornia.geometry.transform as kornia
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import stn
from tests.stn.recording import recorded

IDENTITY = torch.tensor([[1.0, 0, 0, 0, 1, 0]])


class Fixed(nn.Module):
    """A localization net that always predicts the same theta."""

    def __init__(self, theta: Tensor) -> None:
        super().__init__()
        self.theta = nn.Parameter(theta.clone())

    def forward(self, images: Tensor) -> Tensor:
        return self.theta.expand(len(images), -1)


def affine_pair(images: Tensor, theta: Tensor, align_corners: bool = False) -> Tensor:
    """torch's way."""
    grid = F.affine_grid(theta.unflatten(-1, (2, 3)), list(images.shape), align_corners=align_corners)
    return F.grid_sample(images, grid, align_corners=align_corners)


def random_images(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


# 1. The identity is the identity.

PEERS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch, edges": lambda images: affine_pair(images, IDENTITY),
    "torch, corners": lambda images: affine_pair(images, IDENTITY, align_corners=True),
    "kornia.warp_affine": lambda images: kornia.warp_affine(images, IDENTITY.view(1, 2, 3), images.shape[-2:]),
    "kornia.warp_perspective": lambda images: kornia.warp_perspective(images, torch.eye(3)[None], images.shape[-2:]),
}


@pytest.mark.parametrize("side", [28, 42, 60, 224])
@pytest.mark.parametrize("transform", stn.TRANSFORMS)
def test_the_identity_returns_the_image_to_the_bit(transform: str, side: int) -> None:
    images = random_images(1, 1, side, side)
    theta = stn.TRANSFORMS[transform]().identity()[None]
    assert torch.equal(stn.sample(images, stn.sampling_grid(transform, theta, (side, side))), images)


@pytest.mark.parametrize("peer", PEERS)
def test_the_peers_identity_changes_the_image(peer: str) -> None:
    changed = [not torch.equal(PEERS[peer](image), image) for image in map(square, (28, 42, 60, 224))]
    assert all(changed)


def square(side: int) -> Tensor:
    return random_images(1, 1, side, side)


def test_a_lattice_of_one_convention_sampled_in_the_other_is_off_by_half_a_pixel() -> None:
    ramp = torch.arange(28.0).expand(1, 1, 28, 28)
    grid = F.affine_grid(IDENTITY.view(1, 2, 3), list(ramp.shape), align_corners=True)
    crossed = F.grid_sample(ramp, grid, "bilinear", "border", align_corners=False)
    assert (crossed - ramp).abs().max() > 0.45  # the torch pair takes its two flags apart; ours has no flag
    ours = stn.sample(ramp, stn.sampling_grid("affine", IDENTITY, (28, 28)), padding="border")
    assert torch.equal(ours, ramp)


# 2. Outside the image is black, also where images are normalised.


def test_outside_is_black_whether_images_are_normalised_before_or_after() -> None:
    images = random_images(4, 1, 28, 28) * (square(28) > 0.8)
    normalise, black = stn.Normalise((0.1307,), (0.3081,)), -0.1307 / 0.3081
    zoomed_out = torch.tensor([[2.0, 0, 0, 0, 2, 0]]).expand(4, -1)
    grid = stn.sampling_grid("affine", zoomed_out, (28, 28))
    after = normalise(stn.sample(images, grid))
    before = stn.sample(normalise(images), grid, padding="constant", background=[black])
    naive = affine_pair(normalise(images), zoomed_out)
    for ours in (after, before):
        torch.testing.assert_close(ours[..., 0, :], torch.full_like(ours[..., 0, :], black))
    torch.testing.assert_close(after, before)  # up to a few float32 roundings of values below 3
    # The plain way frames the picture with the mean grey, 0.42 standard deviations brighter than black: to zoom out then
    # changes every activation, and does so at once.
    assert torch.equal(naive[..., 0, :], torch.zeros_like(naive[..., 0, :]))
    assert naive[..., 0, 0].mean() - black > 0.4


# 3. Black output has a way back.


def test_a_grid_that_has_left_the_image_comes_back_and_the_plain_one_cannot() -> None:
    images, away = random_images(2, 1, 16, 16), torch.tensor([[1.0, 0, 5, 0, 1, -5]])
    lost = away.clone().requires_grad_()
    naive = affine_pair(images, lost.expand(2, -1))
    naive.sum().backward()
    assert torch.equal(naive, torch.zeros_like(naive))
    assert torch.equal(lost.grad, torch.zeros_like(away))  # black, and no gradient that leads back

    layer = stn.SpatialTransformer(Fixed(away), "affine", size=(16, 16), outside_penalty=1.0)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    for _ in range(200):
        optimiser.zero_grad()
        layer.penalty(layer(images)).backward()
        optimiser.step()
    found = layer(images)
    assert found.grid.abs().max() < 1.1  # the penalty's pull fades at the edge of the image
    gradient = torch.autograd.grad(found.images.sum(), layer.localization.theta)[0]
    assert (found.images > 0).all() and (gradient != 0).all()  # there is a picture again, and it can be learned from


def test_a_localization_net_starts_at_the_identity_and_may_learn_more_slowly() -> None:
    images = random_images(2, 3, 20, 24)
    net = stn.ConvLocalization(3, (20, 24), stn.Affine())
    layer = stn.SpatialTransformer(net, "affine", size=(20, 24), localization_rate=0.1)
    assert torch.equal(layer(images).images, images)
    rates = {id(p): group["lr"] for group in stn.parameter_groups(layer, 0.5) for p in group["params"]}
    assert all(rates[id(p)] == pytest.approx(0.05) for p in net.parameters())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("padding", ["zeros", "border"])
def test_theta_that_is_not_finite_is_an_error_and_never_a_picture(padding: str, bad: float) -> None:
    images, theta = square(28), IDENTITY.clone()
    theta[0, 2] = bad
    with pytest.raises(ValueError, match="theta must be finite"):
        stn.sampling_grid("affine", theta, (28, 28))
    layer = stn.SpatialTransformer(Fixed(theta), "affine", size=(28, 28), padding=padding)
    with pytest.raises(ValueError, match="must be finite"):
        layer(images)
    with pytest.raises(ValueError, match="grid must be finite"):
        stn.sample(images, torch.full((1, 2, 2, 2), bad))
    if padding == "border":  # torch answers with the colour of a corner, and nobody notices
        silent = F.grid_sample(
            images, torch.full((1, 2, 2, 2), float("nan")), padding_mode="border", align_corners=False
        )
        assert torch.equal(silent, images[..., :1, :1].expand(1, 1, 2, 2))


# 4. The thin-plate spline's system is solved once.


def test_a_step_of_the_spline_solves_nothing_and_kornias_solves_every_time() -> None:
    generator = stn.GridGenerator("thin_plate_spline", (28, 28))
    theta = generator.transform.identity().expand(8, -1) + 0.1 * random_images(8, 32)
    with recorded() as ours:
        generator(theta)
    control = generator.transform.identity().view(1, 16, 2).expand(8, -1, -1)
    with recorded() as theirs:
        kornia.get_tps_transform(control, theta.view(8, 16, 2))
    assert not [name for name, _ in ours if "linalg" in name or "solve" in name or "log" in name]
    assert [name for name, _ in theirs if "solve" in name]


def test_control_points_may_fall_together() -> None:
    theta = torch.zeros(1, 32)  # every control point in the middle: each output pixel sees the same input point
    grid = stn.sampling_grid("thin_plate_spline", theta, (28, 28))
    torch.testing.assert_close(grid, torch.zeros_like(grid), atol=1e-5, rtol=0)  # float32 sums of 16 terms
    control = stn.ThinPlateSpline().identity().view(1, 16, 2)
    with pytest.raises(torch.linalg.LinAlgError):  # it solves with the moved points, and the system is singular
        kornia.get_tps_transform(control, theta.view(1, 16, 2))


# 5. Under autocast theta and the grid stay float32.


@pytest.mark.parametrize("side", [28, 224])
def test_autocast_moves_no_pixel(side: int) -> None:
    ramp = torch.arange(float(side)).expand(1, 1, side, side).contiguous()
    net = nn.Sequential(nn.Flatten(), nn.Linear(side * side, 6))
    nn.init.zeros_(net[1].weight)
    net[1].bias.data = IDENTITY[0].clone()
    layer = stn.SpatialTransformer(net, "affine", size=(side, side))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        transformed = layer(ramp)
        naive = affine_pair(ramp, net(ramp))
    assert transformed.theta.dtype == transformed.grid.dtype == torch.float32
    assert torch.equal(transformed.images, ramp)
    # The plain grid is bfloat16: its identity is off by more than 0.03 pixels of 28, and by more than half a pixel of 224.
    inside = (naive - ramp)[..., 2:-2, 2:-2].abs().max()
    assert inside > (0.5 if side == 224 else 0.03)


# 6. An image that asks for no gradient costs none.


class AlwaysBoth(torch.autograd.Function):
    """Bilinear sampling whose backward computes both gradients, as MatConvNet's and MXNet's do."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, grid: Tensor) -> Tensor:
        ctx.save_for_backward(images, grid)
        return F.grid_sample(images, grid, align_corners=False)

    @staticmethod
    def backward(ctx: Any, *towards: Tensor) -> Any:
        images, grid = ctx.saved_tensors
        return torch.ops.aten.grid_sampler_2d_backward(towards[0], images, grid, 0, 0, False, [True, True])


@pytest.mark.parametrize("kernel", stn.KERNELS)
def test_an_image_without_gradient_costs_no_image_sized_tensor_in_backward(kernel: str) -> None:
    images = random_images(2, 9, 64, 64)  # 36,864 values an image; the grid and the output are far smaller
    theta = (IDENTITY.expand(2, -1) * 0.9).requires_grad_()

    def image_sized(sampled: Tensor) -> int:
        with recorded() as calls:
            sampled.sum().backward()
        return sum(size >= images.numel() for _, sizes in calls for size in sizes)

    grid = stn.sampling_grid("affine", theta, (8, 8))
    assert image_sized(stn.sample(images, grid, kernel)) == 0
    assert image_sized(AlwaysBoth.apply(images, stn.sampling_grid("affine", theta, (8, 8)))) > 0


# 7. No size is written into the code.


class TutorialNet(nn.Module):
    """The transformer of PyTorch's spatial transformer tutorial, which is written for 1x28x28."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 8, 7), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(8, 10, 5), nn.MaxPool2d(2), nn.ReLU()
        )
        self.theta = nn.Sequential(nn.Linear(10 * 3 * 3, 32), nn.ReLU(), nn.Linear(32, 6))

    def forward(self, images: Tensor) -> Tensor:
        theta = self.theta(self.features(images).view(-1, 10 * 3 * 3))
        return F.grid_sample(images, F.affine_grid(theta.view(-1, 2, 3), list(images.shape)), align_corners=False)


@pytest.mark.parametrize("transform", stn.TRANSFORMS)
@pytest.mark.parametrize("shape", [(1, 1, 28, 28), (5, 3, 37, 53), (2, 16, 9, 130)])
def test_any_batch_channels_and_sides_fit(shape: tuple[int, int, int, int], transform: str) -> None:
    theta = stn.TRANSFORMS[transform]().identity()[None]
    layer = stn.SpatialTransformer(Fixed(theta), transform, size=(20, 31))
    assert layer(random_images(*shape)).images.shape == (*shape[:2], 20, 31)


def test_the_tutorials_network_fits_one_size() -> None:
    net = TutorialNet()
    with pytest.warns(UserWarning, match="align_corners"):  # and it leaves the convention to a default that has changed
        assert net(random_images(2, 1, 28, 28)).shape == (2, 1, 28, 28)
    with pytest.raises(RuntimeError, match="channels"):
        net(random_images(2, 3, 28, 28))
    with pytest.raises(RuntimeError, match="shape"):
        net(random_images(2, 1, 32, 37))


# 9. Deeper features may predict theta, and the input is what is transformed.


def test_theta_from_deeper_features_undoes_a_rotation_for_them_and_transforming_the_features_does_not() -> None:
    images = random_images(3, 1, 28, 28)
    turned = images.rot90(1, (-2, -1))
    filters = nn.Conv2d(1, 4, 3, padding=1, bias=False)  # directed filters: they answer otherwise to a turned picture
    back = torch.tensor([[0.0, 1, 0, -1, 0, 0]])
    layer = stn.SpatialTransformer(Fixed(back), "affine", size=(28, 28))
    features = filters(turned)
    of_the_input = filters(layer(turned, features).images)  # theta from the features, the input transformed
    of_the_features = layer(features).images  # the features transformed
    wanted = filters(images)
    assert torch.equal(of_the_input, wanted)  # every output pixel lies on an input pixel
    assert (of_the_features - wanted).abs().mean() > 0.1


def test_the_localization_net_sees_the_features_and_the_image_is_sampled() -> None:
    images, features = random_images(2, 3, 20, 20), random_images(2, 8, 5, 5)
    net = nn.Sequential(nn.Flatten(), nn.Linear(8 * 25, 6))
    layer = stn.SpatialTransformer(net, "affine", size=(10, 12))
    transformed = layer(images, features)
    assert transformed.images.shape == (2, 3, 10, 12)
    torch.testing.assert_close(transformed.theta, net(features))
    transformed.images.sum().backward()
    assert net[1].weight.grad.abs().sum() > 0
