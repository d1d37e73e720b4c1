"""The data sets by name. A new one is one file and one entry here."""

from collections.abc import Callable

from training.config import DataConfig
from training.data.digits import read_digits
from training.data.labelled import DataSet
from training.data.mnist import read_mnist

DATASETS: dict[str, Callable[[DataConfig], DataSet]] = {"digits": read_digits, "mnist": read_mnist}
