"""How a command of an experiment begins and ends."""

import logging
import sys
from collections.abc import Callable

from training.child import interruptible
from training.experiments.train_in import ChildFailed


def experiment(work: Callable[[], int]) -> int:
    """The work's exit code: 2, with a line, for a mistake in arguments or data or a run that failed, 130 interrupted."""

    def told() -> int:
        logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
        try:
            return work()
        except (ValueError, OSError, ChildFailed) as error:
            sys.stderr.write(f"error: {error}\n")
            return 2

    return interruptible(told)
