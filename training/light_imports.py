"""What a training process need not import: more than a second of processor time, before its first line."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from lightning_utilities.core import imports
from lightning_utilities.core.imports import RequirementCache, package_available

_HEAVY = ("matplotlib", "onnxruntime", "scipy", "torchvision", "transformers")


def import_torchmetrics_alone() -> None:
    """Import torchmetrics, which Lightning needs, without the libraries of its metrics for sound, pictures and text.

    By itself it imports each of them that is installed. They stay importable; those metrics are not to be had any more.
    """
    is_met = RequirementCache.__bool__

    def is_wanted(name: str | None) -> bool:
        return name is None or not name.startswith(_HEAVY)

    with (
        patch.object(
            RequirementCache, "__bool__", lambda self: is_wanted(self.requirement or self.module) and is_met(self)
        ),
        patch.object(imports, "package_available", lambda name: is_wanted(name) and package_available(name)),
    ):
        import torchmetrics  # noqa: F401


@contextmanager
def uncollected() -> Iterator[None]:
    """What is imported within, where it is the first time, is looked through for garbage neither now nor later."""
    if gc.get_freeze_count():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
