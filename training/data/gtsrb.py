"""German traffic signs through torchvision's reader: photographs of many sizes."""

from dataclasses import replace
from pathlib import Path

from torchvision.datasets import GTSRB

from training.config import DataConfig
from training.data.labelled import DataSet
from training.data.labelled_files import LabelledFiles, read_labelled_files
from training.data.picture_files import DEFAULT_SIZE, PictureFiles
from training.data.torchvision_sets import DAMAGED, refuse
from training.failures import is_of_disk

CLASS_NAMES = (
    "speed limit 20",
    "speed limit 30",
    "speed limit 50",
    "speed limit 60",
    "speed limit 70",
    "speed limit 80",
    "end of speed limit 80",
    "speed limit 100",
    "speed limit 120",
    "no passing",
    "no passing for lorries",
    "right of way at the next crossing",
    "priority road",
    "yield",
    "stop",
    "no vehicles",
    "no lorries",
    "no entry",
    "danger",
    "curve to the left",
    "curve to the right",
    "double curve",
    "bumpy road",
    "slippery road",
    "road narrows on the right",
    "road works",
    "traffic lights",
    "pedestrians",
    "children",
    "bicycles",
    "ice or snow",
    "wild animals",
    "end of all limits",
    "turn right ahead",
    "turn left ahead",
    "ahead only",
    "ahead or right",
    "ahead or left",
    "keep right",
    "keep left",
    "roundabout",
    "end of no passing",
    "end of no passing for lorries",
)
"""In the order of the set's ClassId, 0 to 42."""


def read_gtsrb(config: DataConfig) -> DataSet:
    """26,640 training and 12,630 test photographs of 43 signs, in colour, brought to `size`, in ROOT/gtsrb.

    Source: J. Stallkamp et al., Man vs. computer, Neural Networks 32, 2012.
    """
    root = Path(config.root)
    try:
        # torchvision has no public name for the list of files and their classes
        train, test = (GTSRB(root, split=part, download=config.download)._samples for part in ("train", "test"))
        names = tuple(Path(path).relative_to(root).as_posix() for path, _ in (*train, *test))
        labels = tuple(int(label) for _, label in (*train, *test))
        if not set(labels) <= set(range(len(CLASS_NAMES))):
            raise ValueError("a ClassId is not in [0, 42]")
    except DAMAGED as error:
        if is_of_disk(error):
            raise
        raise refuse(config, "the GTSRB files in gtsrb/GTSRB and gtsrb/GT-final_test.csv", error) from None
    files = LabelledFiles(PictureFiles(root, names, ("PPM",)), labels, len(train), CLASS_NAMES)
    return read_labelled_files(files, replace(config, channels="colour", size=config.size or DEFAULT_SIZE))
