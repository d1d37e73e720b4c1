"""Random numbers that are a function of the run's seed and of where in the run they are used."""

import hashlib

import torch


def seed_of(seed: int, *place: str | int) -> int:
    """A seed for this place of this run, independent of those of all others."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def generator(seed: int, *place: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for this place of this run, independent of what was drawn anywhere else.

    >>> torch.rand(1, generator=generator(0, "train", 7)) == torch.rand(1, generator=generator(0, "train", 7))
    tensor([True])
    """
    return torch.Generator(device).manual_seed(seed_of(seed, *place))
