from pathlib import Path

import pytest
import safetensors.torch
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor

import stn
from stn.model_info import DOES, to_metadata
from tests.stn.unchecked import unchecked

SHIPPED = Path(__file__).parents[2] / "service" / "models" / "shipped"
SIZE = (64, 64)


@pytest.fixture(scope="module")
def trained() -> stn.Aligner:
    return stn.load_aligner(SHIPPED / "align.safetensors")


def pictures(count: int, seed: int = 0, size: tuple[int, int] = SIZE) -> Tensor:
    """Smooth random textures with detail at several scales."""
    chance = torch.Generator().manual_seed(seed)
    parts = [
        F.interpolate(torch.rand(count, 1, side, side, generator=chance), size, mode="bicubic") / side**0.3
        for side in (5, 11, 23)
    ]
    total = sum(parts, torch.zeros(()))
    return (total - total.amin((1, 2, 3), keepdim=True)) / (total.amax() - total.amin())


def moved(images: Tensor, matrix: list[list[float]]) -> Tensor:
    """The images seen through this affine map of points of the result to points of the images."""
    theta = torch.tensor(matrix).flatten().expand(len(images), -1)
    return stn.sample(images, stn.sampling_grid("affine", theta, SIZE))


def pixels_off(aligner: stn.Aligner, theta: Tensor, matrix: list[list[float]]) -> Tensor:
    """Mean distance of points from where the matrix sends them, in pixels, for each image."""
    points = stn.lattice((8, 8)).expand(len(theta), -1, -1)
    wanted = stn.warp_affine(torch.tensor(matrix).expand(len(theta), -1, -1), points)
    return (aligner.transform(theta, points) - wanted).norm(dim=-1).mean(1) * SIZE[0] / 2


STILL = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]


@pytest.mark.parametrize("name", stn.TRANSFORMS)
def test_identical_pictures_stay_where_they_are_under_every_transform(trained: stn.Aligner, name: str) -> None:
    aligner = stn.build_aligner(stn.AlignerConfig(transforms=("translation", name))).eval()  # type: ignore[arg-type]
    aligner.load_state_dict(trained.state_dict())  # weights know nothing of transforms
    images = pictures(3)
    with torch.no_grad():
        aligned = aligner(images, images)
    assert pixels_off(aligner, aligned.theta, STILL).max() < 0.1
    assert (aligned.images - images).abs().max() < 0.02


def varied() -> dict[str, Tensor]:
    """Pictures (C, H, W) of many sizes, grey and in colour, some of which fit on themselves in more ways than one."""
    photograph = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1).float() / 255
    y, x = (axis.float() for axis in torch.meshgrid(torch.arange(96), torch.arange(96), indexing="ij"))
    return {
        "photograph": photograph,
        "part of it": photograph[:, 100:131, 200:257],
        "a small part": photograph[:, 100:108, 200:208],
        "a wide part": photograph[:, 100:108, :200],
        "a high part": photograph[:, 100:300, :9],
        "texture": pictures(1)[0],
        "noise": torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(0)),
        "stripes": ((x // 4) % 2)[None],
        "chessboard": ((x // 8 + y // 8) % 2)[None],
        "slope": x[None] / 96,
        "disc": ((x - 48).hypot(y - 48) < 30).float()[None],
        "speck": ((x - 5).hypot(y - 90) < 3).float()[None],
        "faint": 0.4 + 0.01 * ((x / 7).sin() * (y / 5).cos())[None],
    }


def test_every_kind_of_picture_lies_on_itself_and_on_its_own_grey(trained: stn.Aligner) -> None:
    for name, picture in varied().items():
        for fixed, seconds in ((picture, 0.0), (picture.mean(0, keepdim=True), 0.01)):
            found = stn.align(trained, picture, fixed, seconds=seconds)
            height, width = picture.shape[1:]
            still = stn.lattice((height, width)).view(height, width, 2)
            off = ((found.grid - still) * torch.tensor([width / 2, height / 2])).norm(dim=-1).max()
            assert off < 0.1 and found.confidence > 0.85, (name, float(off), found.confidence)


@pytest.mark.parametrize(
    "cascade", [("similarity", "projective"), ("similarity", "affine", "thin_plate_spline"), ("affine",)]
)
def test_what_was_turned_scaled_and_shifted_is_found_and_undone(trained: stn.Aligner, cascade: tuple[str, ...]) -> None:
    aligner = stn.build_aligner(stn.AlignerConfig(transforms=cascade)).eval()  # type: ignore[arg-type]
    aligner.load_state_dict(trained.state_dict())
    matrix = [[0.95, -0.5, 0.12], [0.5, 0.95, -0.2]]  # 28 degrees, 1.07 times, a shift of 4 and 6 pixels
    moving = pictures(4, seed=1)
    with torch.no_grad():
        aligned = aligner(moving, moved(moving, matrix))
    assert pixels_off(aligner, aligned.theta, matrix).max() < 0.5
    assert aligned.confidence.min() > 0.7


def test_pictures_that_have_nothing_in_common_get_a_low_confidence(trained: stn.Aligner) -> None:
    with torch.no_grad():
        confidence = trained(pictures(12, seed=2), pictures(12, seed=3)).confidence
    assert confidence.median() < 0.3
    assert confidence.max() < 0.7


def cut(name: str, place: int, side: int) -> Tensor:
    """One of 15 squares of one of scikit-learn's photographs, in this size, (3, side, side)."""
    photograph = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1).float() / 255
    y, x = 110 * (place // 5), 110 * (place % 5)
    return F.interpolate(photograph[None, :, y : y + 200, x : x + 200], (side, side), mode="area")[0]


@pytest.mark.parametrize("side", [8, 16, 24, 28, 48, 64])
def test_small_pictures_that_have_nothing_in_common_get_a_low_confidence_too(trained: stn.Aligner, side: int) -> None:
    flower = torch.stack([cut("flower.jpg", place, side) for place in range(0, 15, 2)])
    china = torch.stack([cut("china.jpg", place, side) for place in range(0, 15, 2)])
    turned = [[0.97, -0.17, 0.05], [0.17, 0.97, 0.0]]
    seen = stn.sample(china, stn.sampling_grid("affine", torch.tensor(turned).flatten().expand(8, -1), (side, side)))
    with torch.no_grad():
        strangers, same = trained(china, flower).confidence, trained(china, seen)
    points = stn.lattice((8, 8)).expand(8, -1, -1)
    off = trained.transform(same.theta, points) - stn.warp_affine(torch.tensor(turned).expand(8, -1, -1), points)
    right = off.norm(dim=-1).mean(1) / 2 < 0.03
    assert strangers.max() < 0.5
    assert right.sum() >= 4 and same.confidence[right].median() > (0.8 if side > 8 else 0.5)


def test_different_digits_mostly_get_a_low_confidence(trained: stn.Aligner) -> None:
    digits = load_digits()
    pictures = torch.from_numpy(digits.images[1500:1600] / 16).float()[:, None]
    labels = torch.from_numpy(digits.target[1500:1600])
    unlike = labels != labels.roll(1)
    moving, fixed = (F.interpolate(each[unlike], (28, 28), mode="bilinear") for each in (pictures, pictures.roll(1, 0)))
    with torch.no_grad():
        confidence = trained(moving, fixed).confidence
    assert (confidence > 0.5).float().mean() < 0.1
    assert confidence.median() < 0.2


def test_a_spline_leaves_straight_what_is_not_bent_and_follows_what_is(trained: stn.Aligner) -> None:
    def off(cascade: tuple[str, ...], moving: Tensor, grid: Tensor) -> Tensor:
        aligner = stn.build_aligner(stn.AlignerConfig(transforms=cascade)).eval()  # type: ignore[arg-type]
        aligner.load_state_dict(trained.state_dict())
        with torch.no_grad():
            found = aligner(moving, stn.sample(moving, grid)).grid
        inside = grid.abs().amax(-1) <= 1
        return torch.stack(
            [each[where].mean() for each, where in zip((found - grid).norm(dim=-1) * 64, inside, strict=True)]
        )

    spline = stn.ThinPlateSpline((4, 4))
    matrix = torch.tensor([[0.95, -0.3, 0.1], [0.3, 0.95, -0.05]]).expand(6, -1, -1)
    moving = torch.stack([cut(name, place, 128) for name in ("china.jpg", "flower.jpg") for place in (0, 7, 9)])
    straight = spline.from_matrix(F.pad(matrix, (0, 0, 0, 1)) + torch.eye(3) * torch.tensor([0.0, 0, 1]))
    bent = straight + 0.05 * torch.randn(6, 32, generator=torch.Generator().manual_seed(0))
    affine, splined = ("similarity", "affine"), ("similarity", "affine", "thin_plate_spline")
    for theta in (straight, bent):
        grid = stn.sampling_grid(spline, theta, (128, 128))
        plain, curved = off(affine, moving, grid), off(splined, moving, grid)
        if theta is straight:
            assert (curved - plain).max() < 0.35 and (curved - plain).mean() < 0.15
        else:
            assert curved.mean() < 0.5 * plain.mean()


def test_what_cannot_be_aligned_is_refused_with_the_reason() -> None:
    aligner = stn.build_aligner(stn.AlignerConfig()).eval()
    images = pictures(2)
    flat = torch.cat([images[:1], torch.full_like(images[:1], 0.3)])
    with pytest.raises(ValueError, match="moving must show something: it is flat.* for image 1"):
        aligner(flat, images)
    with pytest.raises(ValueError, match="fixed must show something"):
        aligner(images, flat)
    with pytest.raises(ValueError, match=r"must have the same shape, got \(2, 1, 64, 64\) and \(2, 1, 64, 60\)"):
        aligner(images, images[..., :60])
    with pytest.raises(ValueError, match="fixed must have shape .* with sides of at least 8, got .1, 64, 7"):
        stn.align(aligner, images[0], images[1, :, :, :7])
    with pytest.raises(ValueError, match="moving must be torch.float32, as the aligner is, got torch.float64"):
        aligner(images.double(), images.double())
    with unchecked(), pytest.raises(ValueError, match="fixed must be floating point, in .0, 1., got torch.uint8"):
        stn.align(aligner, images[0], (255 * images[1]).byte())
    red_green = (torch.arange(64) // 8 % 2).float() * torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1).expand(3, 64, 1)
    with pytest.raises(
        ValueError, match="moving must show differences in brightness, .* colours that are equally bright"
    ):
        stn.align(aligner, red_green / 2 + 0.5, images[0])
    speck = torch.zeros(1, 1000, 1000)
    speck[:, 500:502, 500:502] = 1
    with pytest.raises(
        ValueError, match=r"moving must show something at the 64 x 64 \(width x height\) at which it is"
    ):
        stn.align(aligner, speck, images[0])
    with pytest.raises(ValueError, match="levels must be 1 to 6 ascending sides"):
        stn.AlignerConfig(levels=(32, 16), steps=(1, 1))


def test_theta_depends_on_nothing_else_in_the_batch_and_has_gradients(trained: stn.Aligner) -> None:
    moving, fixed = pictures(3, seed=4), moved(pictures(3, seed=4), [[1.0, 0.2, 0.1], [-0.2, 1.0, 0.0]])
    together, _ = trained.locate(moving, fixed)
    alone, _ = trained.locate(moving[1:2], fixed[1:2])
    torch.testing.assert_close(
        alone, together[1:2], atol=1e-3, rtol=0
    )  # ten corrections, each rounded in its own batch
    trace = trained.trace(moving, fixed, lambda logits: logits.argmax(1))
    gradient = torch.autograd.grad(trace.estimates[-1].theta.square().sum(), trained.encoder.first.weight)[0]
    assert gradient.isfinite().all()
    assert gradient.abs().max() > 0


def test_pictures_of_other_sizes_and_colours_are_brought_together(trained: stn.Aligner) -> None:
    fixed = pictures(1, seed=5)[0]
    moving = F.interpolate(fixed[None], (100, 90), mode="bicubic").clamp(0, 1)[0].expand(3, -1, -1)
    found = stn.align(trained, moving, fixed)
    assert found.image.shape == (3, 64, 64)
    assert found.notes == (
        "moving was stretched from 90 x 100 to 64 x 64 (width x height)",
        "moving was turned grey to be compared",
    )
    assert pixels_off(trained, found.theta[None], STILL).max() < 0.3
    assert found.inverse is not None
    back = trained.transform.compose(found.theta[None], found.inverse[None])  # type: ignore[operator]
    torch.testing.assert_close(back[0], trained.transform.identity(), atol=1e-5, rtol=0)


def test_pictures_in_double_precision_are_laid_as_in_single(trained: stn.Aligner) -> None:
    moving = pictures(1, seed=4)[0]
    fixed = moved(moving[None], [[0.95, -0.2, 0.1], [0.2, 0.95, 0.0]])[0]
    single, double = (stn.align(trained, moving.to(kind), fixed.to(kind)) for kind in (torch.float32, torch.float64))
    torch.testing.assert_close(double.theta, single.theta, atol=1e-3, rtol=0)  # grey is rounded at another place
    assert double.image.dtype == torch.float64


def test_a_refinement_is_kept_only_if_the_pictures_then_agree_better(trained: stn.Aligner) -> None:
    from stn.align_pair import refine

    moving = pictures(1, seed=6)
    matrix = [[0.9, -0.3, 0.1], [0.3, 0.9, 0.0]]
    fixed = moved(moving, matrix)
    near = stn.Projective().from_matrix(torch.tensor([matrix]) + 0.02)
    better = refine(trained.transform, near, moving, fixed, seconds=20.0)
    assert better is not None
    assert pixels_off(trained, better, matrix) < 0.1 < pixels_off(trained, near, matrix)
    assert refine(trained.transform, trained.transform.identity()[None], moving, moving, seconds=0.5) is None


def test_a_model_file_says_which_task_it_is_for(trained: stn.Aligner, tmp_path: Path) -> None:
    images = stn.InputConfig(channels=1, height=64, width=64, mean=(0.5,), std=(0.3,))
    path = tmp_path / "a.safetensors"
    stn.save_model(path, trained, stn.AlignerInfo(config=trained.config, input=images, scores={"test/distance": 1.0}))
    info = stn.read_info(path)
    assert isinstance(info, stn.AlignerInfo)
    assert (info.task, info.config, info.scores) == ("align", trained.config, {"test/distance": 1.0})
    tensors = safetensors.torch.load_file(path)
    old = {name: tensor for name, tensor in tensors.items() if not name.startswith("confidence.")}
    safetensors.torch.save_file(old, tmp_path / "old.safetensors", to_metadata(info))
    moving, fixed = pictures(1, seed=7), pictures(1, seed=8)
    with torch.no_grad():  # a file of before there was a confidence beside it tells what drives the search
        torch.testing.assert_close(
            stn.load_aligner(tmp_path / "old.safetensors").locate(moving, fixed), trained.look(moving, fixed)
        )
    del old["agreement.layers.0.bias"]
    safetensors.torch.save_file(old, tmp_path / "old.safetensors", to_metadata(info))
    with pytest.raises(stn.ModelFileError, match="agreement.layers.0.bias"):
        stn.load_aligner(tmp_path / "old.safetensors")
    torch.testing.assert_close(stn.load_aligner(path)(moving, fixed).theta, trained(moving, fixed).theta)
    classifier = SHIPPED / "handwriting.safetensors"
    for read, other, task in (
        (stn.load_model, path, "align"),
        (stn.read_model_info, path, "align"),
        (stn.load_aligner, classifier, "classify"),
        (stn.read_aligner_info, classifier, "classify"),
    ):
        with pytest.raises(stn.OtherTask) as raised:
            read(other)  # type: ignore[operator]
        assert raised.value.task == task
        assert DOES[task] in str(raised.value)  # type: ignore[index]
