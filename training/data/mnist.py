"""MNIST through torchvision's reader."""

from torchvision.datasets import MNIST

from training.config import DataConfig
from training.data.labelled import DataSet, Labelled


def read_mnist(config: DataConfig) -> DataSet:
    """60,000 training and 10,000 test digits of 28x28 from ROOT/MNIST/raw, downloaded there where that is allowed."""
    train, test = (_read(config, train) for train in (True, False))
    return DataSet(train, test, tuple(str(digit) for digit in range(10)))


def _read(config: DataConfig, train: bool) -> Labelled:
    try:
        data = MNIST(config.root, train=train, download=config.download)
    except (RuntimeError, OSError, ValueError, LookupError, AssertionError) as error:
        reason = (str(error) or "they are damaged").splitlines()[0]
        raise ValueError(
            f"data.root must be a folder with the MNIST files in MNIST/raw, got {config.root!r} ({reason})"
        ) from None
    return Labelled(data.data[:, None], data.targets)
