"""Picture files with their classes, read as a data set."""

from typing import NamedTuple

import torch

from training.config import DataConfig
from training.data.labelled import DataSet, Parts, check_names, keep_test
from training.data.picture_files import PictureFiles, decode_files


class LabelledFiles(NamedTuple):
    """Picture files with their classes."""

    pictures: PictureFiles
    labels: tuple[int, ...]
    """Of the same files."""
    in_training: int | None
    """How many of the files, from the first on, are for training and the others for the test; None where all are both."""
    class_names: tuple[str, ...]


def read_labelled_files(files: LabelledFiles, config: DataConfig) -> DataSet:
    """The pictures that can be read; see `decode_files` for how they are brought to one size.

    Raises:
        ValueError: for a class name that a model file does not take.
    """
    decoded = decode_files(files.pictures, config)
    readable = [index for index, name in enumerate(files.pictures.names) if name not in decoded.unreadable]
    labels = torch.tensor(files.labels)[readable]
    if files.in_training is None:
        parts = keep_test(labels, config)
    else:
        last = files.in_training
        count = sum(index < last for index in readable)
        parts = Parts(*torch.arange(len(labels)).split([count, len(labels) - count]))
    check_names(files.class_names)
    return DataSet(decoded.images, labels, *parts, files.class_names)
