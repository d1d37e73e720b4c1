"""Where a run keeps what it makes of its probe pictures, validation after validation; without torch.

probe/pictures.json       the pictures: {"pictures": [{"image", "class"}]}; of an aligner the moving ones, with "fixed"
probe/step-000010.json    what the network made of them after that step: {"step", "epoch", "items"}, one for each picture:
                          {"transformed", "outline", "class", "probability"}; of an aligner also "distance"
"""

import re

FOLDER = "probe"
PICTURES = "pictures.json"
_FRAME = re.compile(r"step-(\d{6,15})\.json")


def frame_name(step: int) -> str:
    """The file of the frame after this step."""
    return f"step-{step:06d}.json"


def step_of(name: str) -> int | None:
    """The step of a frame by the name of its file; None where it is no frame's."""
    match = _FRAME.fullmatch(name)
    return int(match[1]) if match else None
