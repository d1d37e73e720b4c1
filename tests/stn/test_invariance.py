"""Movements, alignment and the report on a network's invariance."""

import math

import pytest
import torch
from torch import Tensor, nn

import stn
from stn import TRANSFORMS, Classifier, InputConfig, ModelConfig, SpatialTransformer, Transform, build_model
from stn.alignment import best_theta, distance, follow, grid_points, spread
from stn.invariance import MOVEMENTS, Alignment, Movement, kept, movement, report
from stn.networks import convnet
from stn.normalise import Normalise

SIZE = (20, 30)
EXACT = {"affine": {"rotation", "scale", "shift_x", "shift_y", "shear"}, "attention": {"scale", "shift_x", "shift_y"}}
EXACT |= {"translation": {"shift_x", "shift_y"}, "rigid": {"shift_x", "shift_y"}, "similarity": EXACT["attention"]}
EXACT |= {"projective": set(MOVEMENTS), "thin_plate_spline": EXACT["affine"]}
ON_SQUARES = {"similarity": {"rotation"}, "rigid": {"rotation"}}


def network(transform: str = "affine", size: tuple[int, int] = SIZE, random: bool = False) -> Classifier:
    torch.manual_seed(0)
    shape = InputConfig(channels=1, height=size[0], width=size[1], mean=(0.5,), std=(0.3,))
    model = build_model(ModelConfig(transform=transform, filters=(4,), units=8, size=(12, 14)), shape, 3).eval()
    if random and model.transformer is not None:
        with torch.no_grad():
            model.transformer.localization[1].theta.weight.normal_(std=0.1)
    return model


def pictures(count: int = 9, size: tuple[int, int] = SIZE) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, *size, generator=chance), torch.randint(3, (count,), generator=chance)


def bar(size: int = 40) -> Tensor:
    """A long smooth blob, brighter at one end, in the middle of a square image."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size * 2 - 1] * 2, indexing="ij")
    return (torch.exp(-((x / 0.4) ** 2 + (y / 0.12) ** 2)) * (0.6 + 0.8 * x.clamp(-0.5, 0.5)))[None, None]


class Moments(nn.Module):
    """theta of `similarity` that lays the direction from the darker to the brighter end along x."""

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[2:]
        x, y = stn.lattice((height, width)).unbind(-1)
        weight = images.flatten(1)
        weight = weight / weight.sum(1, keepdim=True)
        cx, cy = (weight * x).sum(1), (weight * y).sum(1)
        dx, dy = x - cx[:, None], y - cy[:, None]
        xx, yy, xy = ((weight * a * b).sum(1) for a, b in ((dx, dx), (dy, dy), (dx, dy)))
        angle = torch.atan2(2 * xy, xx - yy) / 2  # of the long axis; the third moment tells its ends apart
        along = dx * torch.cos(angle)[:, None] + dy * torch.sin(angle)[:, None]
        angle = angle + math.pi * ((weight * along**3).sum(1) > 0)
        return torch.stack([torch.ones_like(angle), angle, cx, cy], dim=-1)


def straightens() -> Classifier:
    """Theta made from the moments of the image, and a random network behind it."""
    torch.manual_seed(0)
    layer = SpatialTransformer(Moments(), "similarity", (40, 40))
    network = convnet(1, (40, 40), (4,), 8)
    return Classifier(layer, Normalise((0.1,), (0.3,)), network, nn.Linear(8, 3)).eval()


def test_the_default_movements_are_there_by_name_and_include_none() -> None:
    assert set(MOVEMENTS) == {"rotation", "scale", "shift_x", "shift_y", "shear", "perspective"}
    for name, each in MOVEMENTS.items():
        assert (each.name, movement(name)) == (name, each)
        still = each.matrices(SIZE)[each.sizes.index(each.still)]
        torch.testing.assert_close(still, torch.eye(3).double(), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("name", "size", "corner"),
    [  # where the upper left corner of a picture of 20x30 goes, in pixels from its centre, y down
        ("rotation", 90.0, (-10.0, 15.0)),
        ("scale", 2.0, (-30.0, -20.0)),
        ("shift_x", 10.0, (-12.0, -10.0)),
        ("shift_y", 10.0, (-15.0, -8.0)),
        ("shear", 45.0, (-5.0, -10.0)),
        ("perspective", 40.0, (-9.0, -10.0)),
        ("perspective", -40.0, (-15.0, -10.0)),
    ],
)
def test_a_picture_is_moved_as_the_movement_says(name: str, size: float, corner: tuple[float, float]) -> None:
    each = movement(name, sorted({MOVEMENTS[name].still, size}))
    matrix = each.matrices(SIZE)[each.sizes.index(size)]
    x, y, w = torch.linalg.inv(matrix) @ torch.tensor([-1.0, -1.0, 1.0]).double()
    assert (float(x / w) * 15, float(y / w) * 10) == pytest.approx(corner)


@pytest.mark.parametrize("sizes", [(), (10,), (0, 0), (10, 0), (0, 400), (math.nan, 0.0)])
def test_sizes_that_do_not_ascend_around_none_are_refused(sizes: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="sizes of rotation must ascend from -360 or more to 360 or less and have 0"):
        movement("rotation", sizes)


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_a_perfect_aligner_undoes_what_its_transform_can_express(transform: str) -> None:
    (exact, size) = (EXACT[transform] | ON_SQUARES.get(transform, set()), (24, 24))
    for each in MOVEMENTS.values():
        few = movement(each.name, [-40, 0, 90]) if each.name == "rotation" else each  # half a turn is a scale of -1
        perfect, identity = aligned(TRANSFORMS[transform](), few, size)
        if each.name in exact:
            assert float(perfect.spread) < 1e-6, each.name
            assert float(perfect.distance.max()) < 1e-6
        else:
            assert float(perfect.spread) > 0.01, each.name
        assert (perfect.distance <= identity.distance + 1e-6).all()


def aligned(transform: Transform, each: Movement, size: tuple[int, int]) -> tuple[Alignment, Alignment]:
    """Of the best theta and of the identity."""
    matrices, points = each.matrices(size), grid_points().expand(len(each.sizes), -1, -1)
    best = transform(best_theta(transform, matrices, size), points)
    followed = [follow(matrices, placed.unsqueeze(1)) for placed in (best, points)]
    return tuple(Alignment(distance(f, points[None, :1], size)[:, 0], spread(f, size)) for f in followed)  # type: ignore[return-value]


def test_a_perfect_aligner_is_as_good_as_any_theta_that_a_search_finds() -> None:
    transform, matrix = stn.Similarity(), movement("shear", [0, 30]).matrices(SIZE)[1:]
    points = grid_points().unsqueeze(0)
    best = best_theta(transform, matrix, SIZE)

    def error(theta: Tensor) -> Tensor:
        return distance(follow(matrix, transform(theta, points).unsqueeze(1)), points.unsqueeze(0), SIZE)

    chance = torch.Generator().manual_seed(0)
    others = best + 0.02 * torch.randn(200, 4, generator=chance, dtype=torch.float64)
    assert all(error(best) <= error(other[None]) for other in others)


def test_the_identity_spreads_points_on_circles_under_rotation() -> None:
    # A whole turn takes a point at distance r around its centre, the mean of all turns: a spread of r.
    _, identity = aligned(stn.Affine(), MOVEMENTS["rotation"], (24, 24))
    radius = (grid_points() * 12).square().sum(-1).mean().sqrt()
    assert float(identity.spread) == pytest.approx(float(radius))
    # and to the other side by half a turn: 2 r
    assert float(identity.distance[0]) == pytest.approx(2 * float(radius))


def test_without_a_transformer_alignment_is_the_identitys() -> None:
    (turned,) = report(network("none"), *pictures(), ["rotation"]).measured
    assert turned.model == turned.held == turned.identity == turned.perfect
    assert float(turned.identity.spread) > 1


def test_a_transformer_that_is_the_identity_has_the_identitys_spread() -> None:
    model = network("affine")
    for each in report(model, *pictures(), [movement("rotation", [-90, 0, 90]), "scale"]).measured:
        torch.testing.assert_close(each.model.spread, each.identity.spread.expand(9), atol=1e-5, rtol=0)
        torch.testing.assert_close(each.model.distance, each.identity.distance, atol=1e-5, rtol=0)


def test_theta_made_of_the_images_moments_aligns_rotations_and_shifts() -> None:
    images = bar()
    movements = [movement("rotation", range(-180, 181, 30)), movement("shift_x", [-10, 0, 10])]
    for each in report(straightens(), images, torch.zeros(1).long(), movements).measured:
        assert float(each.model.spread) < 0.15, "pixels, of 40: the sampler's blur moves moments a little"
        assert float(each.identity.spread) > 2.5
        assert float(each.held.spread) > 2.5
        assert each.agreement.eq(1).all()


def test_what_the_network_says_of_moved_images_is_counted() -> None:
    model, (images, labels) = network(random=True), pictures(30)
    asked = movement("shear", [-40, 0, 20])
    found = report(model, images, labels, [asked], batch_size=7)
    (measured,) = found.measured
    with torch.no_grad():
        still = model(images).logits.argmax(-1)
        for number, matrix in enumerate(asked.matrices(SIZE).float()):
            grid = stn.sampling_grid("affine", matrix[:2].flatten().expand(30, -1), SIZE)
            classes = model(stn.sample(images, grid)).logits.argmax(-1)
            assert float(measured.accuracy[number]) == pytest.approx(float((classes == labels).double().mean()))
            assert float(measured.agreement[number]) == pytest.approx(float((classes == still).double().mean()))
    assert found.images == 30
    assert found.accuracy == pytest.approx(float(measured.accuracy[1]))
    assert measured.agreement[1] == 1
    assert measured.model.distance[1] == 0
    assert measured.model.spread.shape == (30,)
    assert not torch.allclose(measured.model.distance, measured.held.distance)


def test_batches_do_not_change_the_numbers_and_the_model_stays_as_it_was() -> None:
    model, (images, labels) = network(random=True).train(), pictures(9)
    counted: list[int] = []
    one = report(model, images, labels, ["shear"], batch_size=4, progress=counted.append).measured[0]
    all_ = report(model, images, labels, ["shear"]).measured[0]
    torch.testing.assert_close(one.model.spread, all_.model.spread)
    assert torch.equal(one.accuracy, all_.accuracy)
    assert model.training
    assert sum(counted) == 9 * (1 + len(MOVEMENTS["shear"].sizes))


def test_what_leaves_the_picture_is_lost() -> None:
    images = torch.zeros(1, 1, 10, 10)
    images[..., 9] = 1.0  # its right edge
    sizes = [-20, 0, 10, 20]
    (moved,) = report(network(size=(10, 10)), images, torch.zeros(1).long(), [movement("shift_x", sizes)]).measured
    assert moved.lost.tolist() == [0, 0, 1, 1]


def test_an_overlay_is_laid_over_every_image_by_its_number() -> None:
    seen: list[tuple[list[int], float]] = []

    def overlay(images: Tensor, numbers: Tensor) -> Tensor:
        seen.append((numbers.tolist(), float(images.mean())))
        return torch.zeros_like(images)

    images, labels = pictures(5)
    found = report(network(random=True), images, labels, [movement("shear", [0, 30])], overlay=overlay, batch_size=3)
    assert [numbers for numbers, _ in seen] == [[0, 1, 2]] * 3 + [[3, 4]] * 3
    assert found.measured[0].agreement.tolist() == [1, 1]  # all are black now


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"movements": ["wobble"]}, "movement must be one of perspective, rotation, .*, got 'wobble'"),
        ({"movements": []}, "movements must be at least one, got none"),
        (
            {"images": torch.zeros(0, 1, 20, 30), "labels": torch.zeros(0).long()},
            "images must be floats .*, at least one",
        ),
        ({"labels": torch.zeros(2).long()}, "labels must have one class for each of 9 images"),
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(changes: dict[str, object], message: str) -> None:
    images, labels = pictures()
    arguments = {"images": images, "labels": labels, "movements": ["shear"], **changes}
    with pytest.raises(ValueError, match=message):
        report(network(), **arguments)  # type: ignore[arg-type]


def test_an_aligner_is_refused_with_what_it_does() -> None:
    images, labels = pictures()
    with pytest.raises(ValueError, match=r"model must be a classifier, got an aligner: .* \(task align\)"):
        report(stn.build_aligner(stn.AlignerConfig()), images, labels, ["shear"])


def test_a_network_keeps_its_accuracy_between_two_sizes_on_the_line() -> None:
    accuracy = torch.tensor([0.0, 0.5, 1.0, 1.0, 0.5])
    assert kept((-2, -1, 0, 1, 2), accuracy, 0, 0.75) == (pytest.approx(-0.5), pytest.approx(1.5), (False, False))
    assert kept((-2, -1, 0, 1, 2), accuracy, 0, 0.5) == (pytest.approx(-1.0), 2.0, (False, True))
    assert kept((0, 1), torch.tensor([0.0, 1.0]), 0, 0.9) is None
