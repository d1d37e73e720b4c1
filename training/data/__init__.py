"""The data sets by name. A new one is one file and one entry here."""

from collections.abc import Callable

from training.config import DataConfig
from training.data.digits import read_digits
from training.data.folder import read_folder
from training.data.labelled import DataSet
from training.data.npz import read_npz


def _read_by_torchvision(config: DataConfig) -> DataSet:
    """Imported where it is read: torchvision takes a third of a second, which other data need not wait for."""
    from training.data.gtsrb import read_gtsrb
    from training.data.torchvision_sets import read_cifar10, read_fashion_mnist, read_kmnist, read_mnist, read_svhn

    readers = {
        "mnist": read_mnist,
        "fashion-mnist": read_fashion_mnist,
        "kmnist": read_kmnist,
        "cifar10": read_cifar10,
        "svhn": read_svhn,
        "gtsrb": read_gtsrb,
    }
    return readers[config.name](config)


DATASETS: dict[str, Callable[[DataConfig], DataSet]] = {
    "digits": read_digits,
    **dict.fromkeys(("mnist", "fashion-mnist", "kmnist", "cifar10", "svhn", "gtsrb"), _read_by_torchvision),
    "folder": read_folder,
    "npz": read_npz,
}
