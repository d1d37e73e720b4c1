"""What a run tells while it trains: a bar or lines, a metrics file, pictures."""

import json
import logging
import shutil
import statistics
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
from PIL import Image
from pytorch_lightning.loggers import TensorBoardLogger
from pytorch_lightning.utilities import rank_zero_only
from tqdm import tqdm

from stn.whole_file import written_beside
from training.data.datamodule import DataModule
from training.module import ClassificationModule
from training.pictures import sample_sheet

log = logging.getLogger(__name__)

Draw = Callable[[Any, DataModule, int], Image.Image]
"""From what Lightning trains, the data and a number of test images to a picture."""


class Progress(pl.Callback):
    """A bar over the whole training on a terminal; elsewhere and in the log, lines every few seconds.

    A validation has a line unless another had one just before.
    """

    def __init__(self, title: str, total: int, seconds_between_lines: float = 5.0) -> None:
        self.title = title
        self.total = total
        self.seconds_between_lines = seconds_between_lines
        self.bar: tqdm[Any] | None = None
        self.last_line = 0.0
        self.last_validation = 0.0

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.last_line = time.monotonic()
        if sys.stderr.isatty():
            columns, rows = shutil.get_terminal_size()  # sensible where the terminal does not know its own
            self.bar = tqdm(
                desc=self.title, total=self.total, initial=trainer.global_step, unit="step", ncols=columns, nrows=rows
            )

    @rank_zero_only
    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, *_: Any) -> None:
        if self.bar is not None:
            self.bar.update(trainer.global_step - self.bar.n)
        if time.monotonic() - self.last_line > self.seconds_between_lines:
            self._line("step %d/%d, loss %.4f in this step", trainer.global_step, self.total, float(outputs["loss"]))

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        metrics, step = trainer.callback_metrics, trainer.global_step
        if "train/loss" not in metrics:
            return
        loss, good = float(metrics["train/loss"]), quality(metrics, "val")
        if self.bar is not None:
            self.bar.set_postfix_str(f"loss {loss:.3f}, {good}")
        due = time.monotonic() - self.last_validation > self.seconds_between_lines
        if due or trainer.should_stop or step >= self.total:
            self._line("step %d/%d, loss %.4f, validation %s", step, self.total, loss, good)
            self.last_validation = self.last_line

    def _line(self, text: str, *values: int | float | str) -> None:
        """To the log file alone where there is a bar."""
        log.log(logging.INFO if self.bar is None else logging.DEBUG, text, *values)
        self.last_line = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def quality(metrics: Mapping[str, Any], stage: str) -> str:
    """How good the model is, in the words of its task."""
    if f"{stage}/accuracy" in metrics:
        return f"accuracy {100 * float(metrics[f'{stage}/accuracy']):.2f} %"
    distance, share = float(metrics[f"{stage}/distance"]), float(metrics[f"{stage}/within_1px"])
    return f"distance {distance:.2f} px, {100 * share:.1f} % within 1 px"


class Pace(pl.Callback):
    """How long steps take, and all of them together: a resumed run goes on counting."""

    def __init__(self) -> None:
        self.total = 0.0
        self.steps: deque[float] = deque(maxlen=1000)
        self.last, self.step = 0.0, 0

    def on_train_start(self, trainer: pl.Trainer, *_: Any) -> None:
        self.last, self.step = time.perf_counter(), trainer.global_step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        now, step = time.perf_counter(), trainer.global_step
        self.steps.append((now - self.last) / (step - self.step))
        self.total, self.last, self.step = self.total + now - self.last, now, step

    def median(self) -> float | None:
        """Seconds of a step in the last 1,000 batches; those with a validation before them do not move it."""
        return statistics.median(self.steps) if self.steps else None

    def state_dict(self) -> dict[str, Any]:
        return {"total": self.total}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.total = state_dict["total"]


class MetricsFile(pl.Callback):
    """Appends the numbers of every validation to `metrics.jsonl`; a resumed run first drops those it will repeat.

    No run goes on from a step that is validated, unless it was stopped there: that line is dropped too.

    Args:
        path: of the file.
        steps_per_epoch: of one pass over the training pictures.
        check: called before, and raises where nothing may be published any more.
    """

    def __init__(self, path: Path, steps_per_epoch: int, check: Callable[[], None] = lambda: None) -> None:
        self.path = path
        self.steps_per_epoch = steps_per_epoch
        self.check = check

    @rank_zero_only
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        with written_beside(self.path) as beside:
            beside.write_text("".join(line for line in lines if _step(line) < trainer.global_step))

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.check()
        values = {name: float(value) for name, value in trainer.callback_metrics.items() if name != "step"}
        epoch = round(trainer.global_step / self.steps_per_epoch, 3)
        line = {"time": time.time(), "epoch": epoch, "step": trainer.global_step, **values}
        try:
            with self.path.open("a") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:  # a full disk, which does not say of what
            raise OSError(error.errno, error.strerror, str(self.path)) from None


def _step(line: str) -> float:
    """The step of a line; infinite for one that a kill cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError):
        return float("inf")


class Samples(pl.Callback):
    """A picture of what the network makes of a few test images, at validations 1, 2, 4, 8 ... and at the end.

    Args:
        folder: where the pictures go.
        steps_between: from one validation to the next.
        draw: makes the picture of so many images.
        count: how many there are.
    """

    def __init__(self, folder: Path, steps_between: int, draw: Draw, count: int = 8) -> None:
        self.folder, self.steps_between, self.draw, self.count = folder, steps_between, draw, count

    @rank_zero_only
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        step = trainer.global_step
        validations = step // self.steps_between
        if validations & (validations - 1) and not trainer.should_stop:
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, DataModule)
        sheet = self.draw(pl_module, data, self.count)
        self.folder.mkdir(exist_ok=True)
        with written_beside(self.folder / f"step-{step:06d}.png") as beside:
            sheet.save(beside, "PNG")
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.add_image("samples", np.array(sheet), step, dataformats="HWC")


def class_sheet(module: ClassificationModule, data: DataModule, count: int) -> Image.Image:
    """The first images of the test, straightened and named."""
    images = data.test.first(count).to(module.device).float() / 255
    return sample_sheet(module.model, images, data.class_names)
