"""Makes the pictures of the README from a model file: docs/digits.png and docs/digit.png.

python docs/pictures.py MODEL.safetensors
"""

import sys
from pathlib import Path

from stn import load_model, read_model_info
from training.data.datamodule import DataModule
from training.pictures import sample_sheet, to_pil
from training.presets import digits

HERE = Path(__file__).parent


def main(path: str) -> None:
    model, info = load_model(path), read_model_info(path)
    images, labels = DataModule(digits()).test
    # One test picture of each class, the first: none is chosen by how it came out.
    first = [int((labels == label).nonzero()[0]) for label in range(len(info.class_names))]
    sample_sheet(model, images[first], info.class_names).save(HERE / "digits.png", optimize=True)
    to_pil(images[first[6]]).save(HERE / "digit.png", optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
