"""Pieces of other pictures, laid over images."""

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from stn.config import require

Clutter = Int[Tensor, "b k 5"]
"""For each piece the number of a picture, the row and column of its first pixel there, and those where it is put."""


def draw_clutter(
    count: int,
    pieces: int,
    side: int,
    source: tuple[int, int],
    size: tuple[int, int],
    generator: torch.Generator,
    others: int,
) -> Clutter:
    """Where the pieces of `count` images come from and go to, every place that holds a whole piece being as likely.

    A piece may come from the very picture that it is laid over: among thousands it makes no difference.

    Args:
        pieces: for each image.
        side: of a piece, in pixels.
        source: (height, width) of the pictures that pieces are cut from.
        size: that of the images they are laid over.
        others: how many pictures there are to choose from.
    """
    require(others > 0, "distortion.clutter", "0 where there are no other pictures to cut pieces from", pieces)
    least = min(*source, *size)
    require(side <= least, "distortion.clutter_size", f"at most {least}, the smallest side of the pictures", side)
    highs = (others, *(extent - side + 1 for extent in (*source, *size)))
    return torch.stack(
        [torch.randint(high, (count, pieces), generator=generator, device=generator.device) for high in highs], dim=-1
    )


def add_clutter(
    images: Float[Tensor, "b c h w"], clutter: Clutter, others: UInt8[Tensor, "n c h_other w_other"], side: int
) -> Float[Tensor, "b c h w"]:
    """The images with the pieces added to them, and 1 for what exceeds it.

    Args:
        clutter: as drawn.
        others: the pictures that pieces are cut from; on a device of their own, if need be, at the price of two copies.
    """
    b, c, h, w = images.shape
    picture, from_row, from_column, to_row, to_column = clutter.unbind(-1)  # (B, K) each
    where = (picture[..., None, None], *_pixels(from_row, from_column, side))
    pieces = others.movedim(1, -1)[tuple(index.to(others.device) for index in where)]  # (B, K, side, side, C)
    values = pieces.to(images.device, images.dtype).flatten(1, 3).mT  # (B, C, K side side)
    row, column = _pixels(to_row, to_column, side)
    pixel = (row * w + column).flatten(1).unsqueeze(1)  # (B, 1, K side side)
    channel = torch.arange(c, device=clutter.device).unsqueeze(-1) * (h * w)
    # Sums of whole numbers below 2^24 are exact, so it does not matter in which order a GPU adds pieces that overlap.
    total = images.new_zeros(b, c * h * w).scatter_add_(1, (channel + pixel).flatten(1), values.flatten(1))
    return total.view_as(images).div_(255).add_(images).clamp_(max=1)


def _pixels(row: Int[Tensor, "b k"], column: Int[Tensor, "b k"], side: int) -> tuple[Tensor, Tensor]:
    """The rows (B, K, side, 1) and columns (B, K, 1, side) of pieces that begin here."""
    step = torch.arange(side, device=row.device)
    return (row.unsqueeze(-1) + step).unsqueeze(-1), (column.unsqueeze(-1) + step).unsqueeze(-2)
