"""A run that goes on does so with the pictures that it began with."""

import hashlib
import json
from pathlib import Path

import torch

from training.data.labelled import DataSet
from training.runs import write_json


def check_data(run: Path, data: DataSet, remember: bool = False) -> None:
    """Refuse other pictures than those the run began with: they would be parted anew, and tests be on what was learnt.

    Args:
        remember: write down which they are, where that was not done yet.
    """
    path = run / "data.json"
    found = {"pictures": len(data.labels), "classes": len(data.class_names), "fingerprint": fingerprint(data)}
    if not path.exists():
        if remember:
            write_json(path, found)
        return
    began = json.loads(path.read_text())
    if found != began:
        rule = f"the {began['pictures']} pictures of {began['classes']} classes that the run began with ({path})"
        others = ", some of them others" if found["pictures"] == began["pictures"] else ""
        raise ValueError(f"data must be {rule}, got {found['pictures']} of {found['classes']}{others}")


def fingerprint(data: DataSet) -> str:
    """By which a run knows its data again: of the labels, the parts, the classes' names and a hundred of the pictures."""
    some = torch.linspace(0, len(data.images) - 1, 100).long()
    digest = hashlib.blake2b(repr((tuple(data.images.shape), data.class_names)).encode(), digest_size=16)
    for values in (data.labels, data.train, data.test, data.images[some]):
        digest.update(values.contiguous().numpy().tobytes())
    return digest.hexdigest()
