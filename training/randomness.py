"""Random generators that are a function of the run's seed and of where in the run they are used."""

import hashlib

import torch


def generator(seed: int, *place: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A generator for this place of this run, independent of what was drawn anywhere else.

    >>> torch.rand(1, generator=generator(0, "train", 7)) == torch.rand(1, generator=generator(0, "train", 7))
    tensor([True])
    """
    text = "/".join(map(str, (seed, *place)))
    digest = hashlib.blake2b(text.encode(), digest_size=7).digest()
    return torch.Generator(device).manual_seed(int.from_bytes(digest, "big"))
