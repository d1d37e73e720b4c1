"""Takes steps of `training` without end and prints the time at the end of each; see train.py."""

# ruff: noqa: E402
from training.memory import keep_memory

keep_memory()  # as `python -m training` does, before torch is imported

import argparse
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from torch import Tensor
from train_peer import SIDE, TutorialNet

import stn
from stn.convolution import Conv2d
from stn.pooling import MaxPool2d
from training.config import DataConfig, OptimizerConfig, TrainerConfig, TrainingConfig
from training.data.datamodule import DataModule
from training.module import ClassificationModule
from training.recipes import DISTORTIONS
from training.trainer import make_trainer


class OurNet(TutorialNet):
    """The same layers with this library's sampler, convolution and pooling, channels last; normalised behind the sampler.

    Two things are as in `stn.networks.tutorial`, for the same numbers with less work: channels are dropped behind the
    pooling; and the last row and column of the second convolution, which pooling drops, are not computed: the straightened
    image is cut by the two rows and columns that reach nothing else.
    """

    def __init__(self, mean: float, std: float) -> None:
        super().__init__(Conv2d, MaxPool2d)
        self.generator = stn.GridGenerator("affine", (SIDE, SIDE))
        self.normalise = stn.Normalise((mean,), (std,))
        self.transformer = None

    def straighten(self, images: Tensor, theta: Tensor) -> Tensor:
        return self.normalise(stn.warp(images, theta, self.generator)[..., : SIDE - 2, : SIDE - 2])

    def second(self, images: Tensor) -> Tensor:
        return self.drop(self.pool(self.conv2(images)))

    def forward(self, images: Tensor) -> stn.Classified:  # type: ignore[override]
        return stn.Classified(super().forward(images), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("loop", choices=("plain", "lightning"))
    parser.add_argument(
        "--root", required=True, help="folder with MNIST/raw, or of PNG files in a folder for each class"
    )
    parser.add_argument("--name", default="mnist", choices=("mnist", "folder"))
    parser.add_argument("--memory", type=float, default=4.0, help="GiB, see data.memory")
    parser.add_argument("--precision", default="float32", help="see trainer.precision")
    parser.add_argument("--batch-size", type=int, required=True)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    config = _config(options)
    data = DataModule(config)
    if options.loop == "plain":
        _plain(config, data)
    else:
        _through_lightning(config, data)


def _tell() -> None:
    """That a step ends now."""
    print(time.perf_counter(), flush=True)


def _config(options: argparse.Namespace) -> TrainingConfig:
    size = (28, 28) if options.name == "folder" else None
    return TrainingConfig(
        name="tutorial",
        data=DataConfig(name=options.name, root=options.root, download=False, memory=options.memory, size=size),
        distortion=DISTORTIONS["RTS"],
        optimizer=OptimizerConfig(
            name="sgd", learning_rate=0.01, schedule="constant", weight_decay=0.0, label_smoothing=0.0
        ),
        trainer=TrainerConfig(
            max_steps=10**9,
            validate_every=10**9,
            batch_size=options.batch_size,
            accelerator="cpu",
            precision=options.precision,
            checkpoint_every=10**9,
        ),
    )


def _module(config: TrainingConfig, data: DataModule) -> ClassificationModule:
    net = OurNet(data.input.mean[0], data.input.std[0])
    return ClassificationModule(net, config, 10, data.steps)  # type: ignore[arg-type]


def _plain(config: TrainingConfig, data: DataModule) -> None:
    """The batches and the network of ours in the shortest loop there is."""
    module = _module(config, data)
    model = module.model.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, fused=True)
    data.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_model_summary=False)
    for batch in data.train_dataloader():
        batch = data.on_after_batch_transfer(batch, 0)
        optimizer.zero_grad()
        F.nll_loss(model(batch.images).logits, batch.labels).backward()
        optimizer.step()
        _tell()


def _through_lightning(config: TrainingConfig, data: DataModule) -> None:
    """A real run, with all that `stn train` hangs on the trainer."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(config, Path(folder), data, _Told())
        trainer.fit(_module(config, data), datamodule=data)


class _Told(pl.Callback):
    def on_train_batch_end(self, *_: Any) -> None:
        _tell()


if __name__ == "__main__":
    main()
