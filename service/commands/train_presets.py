"""`stn train`: a preset, and what differs from it."""

from functools import partial
from pathlib import Path
from typing import Annotated

from tyro.conf import arg
from tyro.extras import SubcommandApp

from service.commands.arguments import Run, later
from service.settings import Settings
from training.config import TrainingConfig
from training.presets import PRESETS


def train_commands(defaults: Settings) -> SubcommandApp:
    """A verb for each preset, with all fields of its config, and one to resume a run."""
    app = SubcommandApp()

    @app.command(name="resume", is_default=True, help="Go on with an interrupted run: stn train --resume RUN.")
    def resume(resume: Path) -> Run:
        """Go on with an interrupted run.

        Args:
            resume: Its run folder; it goes on from checkpoints/last.ckpt.
        """
        return partial(later, "train", "resume", resume, defaults)

    for name, preset in PRESETS.items():

        def train(config: Annotated[TrainingConfig, arg(name="")] = preset()) -> Run:  # noqa: B008
            return partial(later, "train", "train", config, defaults)

        app.command(name=name, help=preset.__doc__)(train)
    return app
