"""The data sets by name. A new one is one file and one entry here."""

from collections.abc import Callable

from training.config import DataConfig
from training.data.digits import read_digits
from training.data.folder import read_folder
from training.data.gtsrb import read_gtsrb
from training.data.labelled import DataSet
from training.data.npz import read_npz
from training.data.torchvision_sets import read_cifar10, read_fashion_mnist, read_kmnist, read_mnist, read_svhn

DATASETS: dict[str, Callable[[DataConfig], DataSet]] = {
    "digits": read_digits,
    "mnist": read_mnist,
    "fashion-mnist": read_fashion_mnist,
    "kmnist": read_kmnist,
    "cifar10": read_cifar10,
    "svhn": read_svhn,
    "gtsrb": read_gtsrb,
    "folder": read_folder,
    "npz": read_npz,
}
