"""scikit-learn's 1,797 handwritten digits, laid out as MNIST is; they come with the library, without a download."""

import torch
import torch.nn.functional as F

from training.config import DataConfig
from training.data.labelled import DataSet, keep_test
from training.rounding import to_bytes


def read_digits(config: DataConfig) -> DataSet:
    """The digits, 359 of them for the test by default: 8x8 each, enlarged to 20x20 in the middle of 28x28 black pixels.

    The test digits are the same for every seed, and all pixels on every machine. Source: E. Alpaydin, C. Kaynak, Optical
    Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.
    """
    from sklearn.datasets import load_digits  # with SciPy and pandas: half a second

    digits = load_digits()
    small = torch.from_numpy(digits.images)[:, None] / 16  # (N, 1, 8, 8), float64
    large = F.interpolate(small, size=(20, 20), mode="bicubic", align_corners=False).clamp(0, 1)
    images = to_bytes(F.pad(large, (4, 4, 4, 4)))
    labels = torch.from_numpy(digits.target).long()
    parts = keep_test(labels, config)
    return DataSet(images, labels, *parts, tuple(str(name) for name in digits.target_names))
