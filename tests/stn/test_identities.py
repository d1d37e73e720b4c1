"""What is known of theta without torch is what the library's transforms say."""

import pytest
import torch

from stn import TRANSFORMS, ModelConfig
from stn.build_transformer import build_transform
from stn.identities import IDENTITIES, identity_of


@pytest.mark.parametrize("lattice", [(4, 4), (2, 5)])
@pytest.mark.parametrize("name", TRANSFORMS)
def test_names_and_identity_are_the_transforms_own(name: str, lattice: tuple[int, int]) -> None:
    config = ModelConfig(transform=name, lattice=lattice)
    transform = build_transform(config)
    identity = identity_of(config)
    assert tuple(identity) == transform.parameter_names
    assert torch.equal(torch.tensor(list(identity.values())), transform.identity())


def test_without_a_transformer_there_are_none() -> None:
    assert identity_of(ModelConfig(transform="none")) == {}
    assert set(IDENTITIES) == {"none", *TRANSFORMS} - {"thin_plate_spline"}
