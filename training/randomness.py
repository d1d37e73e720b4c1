"""Random numbers that are a function of the run's seed and of where in the run they are used."""

import hashlib

import torch


def seed_of(seed: int, *place: str | int) -> int:
    """A seed for this place of this run, independent of those of all others."""
    text = "/".join(map(str, (seed, *place)))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big")


def reseed(device: torch.device, seed: int, *place: str | int) -> None:
    """Set torch's own generator for this device, from which dropout draws, to this place of this run.

    `torch.manual_seed` sets those of all kinds of devices, and takes as long as a small network's step.
    """
    own = torch.cuda.default_generators[device.index or 0] if device.type == "cuda" else torch.default_generator
    own.manual_seed(seed_of(seed, *place))


def generator(seed: int, *place: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for this place of this run, independent of what was drawn anywhere else.

    >>> torch.rand(1, generator=generator(0, "train", 7)) == torch.rand(1, generator=generator(0, "train", 7))
    tensor([True])
    """
    return torch.Generator(device).manual_seed(seed_of(seed, *place))
