"""What a run tells while it trains: a bar or lines, a metrics file, pictures."""

import json
import logging
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import TensorBoardLogger
from torchvision.transforms.functional import pil_to_tensor
from tqdm import tqdm

from training.data.datamodule import DataModule
from training.module import ClassificationModule
from training.pictures import sample_sheet

log = logging.getLogger(__name__)


class Progress(pl.Callback):
    """One bar over the whole training on a terminal; elsewhere a line every few seconds and at the end."""

    def __init__(self, title: str, seconds_between_lines: float = 5.0) -> None:
        self.title = title
        self.seconds_between_lines = seconds_between_lines
        self.bar: tqdm[Any] | None = None
        self.last_line = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if sys.stderr.isatty():
            total = int(trainer.estimated_stepping_batches)
            columns, rows = shutil.get_terminal_size()  # sensible where the terminal does not know its own
            self.bar = tqdm(
                desc=self.title, total=total, initial=trainer.global_step, unit="step", ncols=columns, nrows=rows
            )

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if self.bar is not None:
            self.bar.update(trainer.global_step - self.bar.n)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        text = "loss {:.4f}, validation accuracy {:.2%}".format(
            trainer.callback_metrics["train/loss"], trainer.callback_metrics["val/accuracy"]
        )
        if self.bar is not None:
            self.bar.set_postfix_str(f"epoch {epoch}/{epochs}, {trainer.callback_metrics['val/accuracy']:.1%} right")
        elif time.monotonic() - self.last_line > self.seconds_between_lines or epoch == epochs:
            log.info("epoch %d/%d, %s", epoch, epochs, text)
            self.last_line = time.monotonic()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._close()

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        self._close()

    def _close(self) -> None:
        if self.bar is not None:
            self.bar.close()


class MetricsFile(pl.Callback):
    """Appends the numbers of every epoch to `metrics.jsonl`; a resumed run first drops the epochs it will repeat."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        lines = self.path.read_text().splitlines(keepends=True) if self.path.exists() else []
        self.path.write_text("".join(line for line in lines if _epoch(line) <= trainer.current_epoch))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        line = {"time": time.time(), "epoch": trainer.current_epoch + 1, "step": trainer.global_step, **values}
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _epoch(line: str) -> float:
    """The epoch of a line; infinite for one that a kill cut short."""
    try:
        return int(json.loads(line)["epoch"])
    except (ValueError, KeyError):
        return float("inf")


class Samples(pl.Callback):
    """A picture of what the network makes of a few test images, after epoch 1, 2, 4, 8 ... and at the end."""

    def __init__(self, folder: Path, count: int = 8) -> None:
        self.folder = folder
        self.count = count

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch & (epoch - 1) and epoch != trainer.max_epochs:
            return
        assert isinstance(pl_module, ClassificationModule)
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, DataModule)
        images = data.test.images[: self.count].to(pl_module.device)
        pl_module.eval()
        sheet = sample_sheet(pl_module.model, images, data.class_names)
        pl_module.train()
        self.folder.mkdir(exist_ok=True)
        sheet.save(self.folder / f"epoch-{epoch:04d}.png")
        if isinstance(trainer.logger, TensorBoardLogger):
            trainer.logger.experiment.add_image("samples", pil_to_tensor(sheet), epoch)
