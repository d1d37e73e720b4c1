import pytest
import torch

from training.clutter import add_clutter, draw_clutter
from training.randomness import generator


def slowly(images: torch.Tensor, clutter: torch.Tensor, others: torch.Tensor, side: int) -> torch.Tensor:
    """A piece at a time, as paper.md says."""
    result = images.clone()
    for image, pieces in zip(result, clutter.tolist(), strict=True):
        for picture, from_row, from_column, row, column in pieces:
            piece = others[picture, :, from_row : from_row + side, from_column : from_column + side] / 255
            image[:, row : row + side, column : column + side] += piece
    return result.clamp(max=1)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", [1, 5])
def test_pieces_are_added_and_clamped(channels: int, side: int) -> None:
    torch.manual_seed(0)
    images, others = torch.rand(9, channels, 20, 31), torch.randint(0, 256, (7, channels, 11, 17), dtype=torch.uint8)
    clutter = draw_clutter(9, 12, side, (11, 17), (20, 31), generator(0), len(others))
    cluttered = add_clutter(images, clutter, others, side)
    # A sum of a few numbers below 1, in another order: some units of 2^-24.
    torch.testing.assert_close(cluttered, slowly(images, clutter, others, side), atol=1e-6, rtol=0)
    assert cluttered.max() <= 1
    assert not torch.equal(cluttered, images)


def test_every_picture_and_every_place_that_holds_a_piece_is_drawn() -> None:
    clutter = draw_clutter(1000, 6, 6, (9, 10), (12, 8), generator(0), 5)
    assert clutter.shape == (1000, 6, 5)
    for column, count in enumerate((5, 9 - 5, 10 - 5, 12 - 5, 8 - 5)):
        share = clutter[..., column].flatten().bincount(minlength=count) / 6000
        assert len(share) == count
        assert share == pytest.approx(1 / count, abs=0.02)  # 3 standard errors are at most 0.019


def test_a_piece_as_large_as_the_picture_fits_and_a_larger_one_is_an_error() -> None:
    assert draw_clutter(2, 3, 8, (8, 8), (8, 8), generator(0), 1).eq(0).all()
    with pytest.raises(ValueError, match=r"distortion\.clutter_size must be at most 8, .*, got 9"):
        draw_clutter(2, 3, 9, (12, 8), (20, 20), generator(0), 1)


def test_clutter_without_other_pictures_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"distortion\.clutter must be 0 where there are no other pictures.*, got 6"):
        draw_clutter(2, 6, 6, (28, 28), (60, 60), generator(0), 0)
