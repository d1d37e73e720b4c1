"""Makes the pictures of the README from a model file: docs/digits.png and docs/digit.png.

python docs/pictures.py MODEL.safetensors
"""

import sys
from pathlib import Path

import torch

from stn import load_model, read_model_info
from training.data.datamodule import DataModule
from training.pictures import sample_sheet, to_pil
from training.presets import digits

HERE = Path(__file__).parent


def main(path: str) -> None:
    model, info = load_model(path), read_model_info(path)
    test = DataModule(digits()).test
    with torch.inference_mode():
        prediction = model(test.images)
    # One test picture of each class, the first: none is chosen by how it came out.
    first = [int((test.labels == label).nonzero()[0]) for label in range(len(info.class_names))]
    transformed = prediction.transformed
    chosen = prediction._replace(
        logits=prediction.logits[first],
        transformed=transformed._replace(
            images=transformed.images[first], theta=transformed.theta[first], grid=transformed.grid[first]
        ),
    )
    sample_sheet(test.images[first], chosen, info.class_names).save(HERE / "digits.png", optimize=True)
    to_pil(test.images[first[6]]).save(HERE / "digit.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
