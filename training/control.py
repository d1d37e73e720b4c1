"""A run that ends when it is asked to."""

import pytorch_lightning as pl
import torch

from training.align_module import AlignmentModule
from training.attempts import Attempt, Fenced
from training.checkpoints import Last
from training.module import ClassificationModule

NOTHING, STOP, PAUSE, FENCED = range(4)
CODES = {None: NOTHING, "stop": STOP, "pause": PAUSE}


class Control(pl.Callback):
    """Looks after every batch what the first process is asked to do, for all that train together.

    Either way a checkpoint is written first, before the validation that a stop ends with: a run that goes on from it after
    all is as if it had never been stopped.
    """

    def __init__(self, attempt: Attempt | None, last: Last) -> None:
        self.attempt = attempt
        self.last = last
        self.stopped = False

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: object) -> None:
        if self.attempt is None:
            return
        asked = self._asked(trainer, self.attempt)
        if asked == FENCED:
            raise Fenced("the run folder belongs to a later attempt")
        if asked == NOTHING or not self.last.is_lawful(trainer):
            return
        assert isinstance(pl_module, ClassificationModule | AlignmentModule)
        self.last.save(trainer, pl_module)
        if asked == PAUSE:
            raise KeyboardInterrupt
        self.stopped = trainer.should_stop = True

    def _asked(self, trainer: pl.Trainer, attempt: Attempt) -> int:
        code = _code(attempt) if trainer.is_global_zero else NOTHING
        if trainer.world_size == 1:
            return code
        mine = torch.tensor(code, device=trainer.strategy.root_device)
        return int(trainer.strategy.reduce(mine, reduce_op="sum"))


def _code(attempt: Attempt) -> int:
    try:
        return CODES[attempt.asked()]
    except Fenced:
        return FENCED
