"""How wide a network must be to have a given number of parameters."""

from collections.abc import Callable

NARROWEST, WIDEST = 4, 4096


def nearest_width(count: Callable[[int], int], parameters: int, field: str) -> int:
    """The width whose network comes nearest to this many parameters, found in about a dozen steps.

    Args:
        count: parameters of the network of a width; it grows with the width.
        parameters: how many are wanted.
        field: what the width is called, for the error.

    Raises:
        ValueError: no width comes within 5 %.

    >>> stn.widths.nearest_width(lambda width: width * width, 990, "units")
    31
    """
    low, high = NARROWEST, WIDEST
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= parameters else (low, middle)
    best = min((low, high), key=lambda width: abs(count(width) - parameters))
    found = count(best)
    if abs(found - parameters) > parameters / 20:
        raise ValueError(
            f"{field} must be given: the network for these images that is nearest to {parameters} parameters has {found}"
        )
    return best
