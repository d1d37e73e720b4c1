"""From a trained network and what is asked of it to the page: what the command and the job do alike."""

import platform
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import torch

from stn.config import to_dict
from stn.invariance import MOVEMENTS, Report, report
from training.facts import data_facts, model_facts, report_title
from training.invariance_config import InvarianceConfig
from training.invariance_data import Upright, read_upright
from training.invariance_report import write_invariance
from training.machine import commit, device_name
from training.overlay import overlay_of
from training.page import INVARIANCE, check_place
from training.report import device_for
from training.trained import Trained

Counting = Callable[[int], AbstractContextManager[Callable[[int], None]]]
"""Given how many pictures there are, what is told each time that some are done."""


class Measurement(NamedTuple):
    """What came out, and where it is written."""

    report: Report
    upright: Upright
    about: dict[str, Any]
    """What was measured, by which code, on what machine."""
    page: Path


def measure(
    trained: Trained,
    data: Mapping[str, Any],
    config: InvarianceConfig,
    folder: Path,
    counting: Counting,
    check: Callable[[], None] = lambda: None,
) -> Measurement:
    """Move pictures, ask the network, and write the page.

    Args:
        trained: the network.
        data: what to change of its own data, or other data by their name.
        config: how it is tried.
        folder: for the page.
        counting: of pictures that were named.
        check: called before anything is written, and may raise.

    Raises:
        ValueError: the data are not there or do not fit the network, or the folder holds another page.
        OSError: a file cannot be written.
    """
    check_place(folder, INVARIANCE)
    upright = read_upright(trained, data, config)
    trained.model.to(device_for(upright.config.trainer.accelerator))
    overlay = overlay_of(upright.images, config)
    with counting(len(upright.images) * (1 + sum(len(MOVEMENTS[name].sizes) for name in config.movements))) as progress:
        found = report(
            trained.model, upright.images, upright.labels, config.movements, overlay=overlay, progress=progress
        )
    about = {
        "model": trained.name,
        "data": upright.config.data.name,
        "asked": to_dict(config),
        "provenance": dict(trained.info.provenance),
        "commit": commit(),
        "torch": torch.__version__,
        "machine": f"{platform.machine()}, {device_name()}",
    }
    asked = {name: str(getattr(config, name)) for name in ("seed", "noise", "clutter", "clutter_size")}
    facts = data_facts(upright.config.data, upright.config.distortion, config.part) | asked | model_facts(trained.info)
    title = "Invariance: " + report_title(trained.name, upright.config.data.name, config.part)
    check()
    page = write_invariance(folder, title, found, upright.trained, about, {"weights": str(trained.file), **facts})
    return Measurement(found, upright, about, page)
