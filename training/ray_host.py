"""`python -m training.ray_host --storage URL --job ID --attempt N`: the training that `python -m training` is, on a machine
that shares nothing with the worker of the job but the storage; see `training.hosted`.

The training runs in a process of its own, which knows nothing of the storage.
"""

import argparse
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from training.attempts import Attempt, Fenced
from training.child import ended, kill_group, start_module
from training.failures import exit_code, leave_word
from training.hosted import LOOK, Far, Hosted, Told, add_places, hosted
from training.jobs.environment import clean
from training.jobs.ray_placed import NO_STORAGE
from training.storage.places import StorageUnavailable

log = logging.getLogger("training.ray_host")

FENCED = 4
"""Exit code of a training whose run folder is another attempt's: it publishes no more."""

GRACE = 20.0
"""Seconds that a training may take to end that is not wanted any more, and a storage to answer that is told of a mistake."""


def main(arguments: list[str] | None = None) -> int:
    """Exit code: that of `python -m training`, negative for a signal; 73 where the storage cannot be reached."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    options = _parse(arguments)
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())
    with hosted(Far(options.storage, options.home, options.most_bytes), options.job, options.attempt, told) as here:
        return finished(here, trained_apart)


def finished(here: Hosted, train: Callable[[Hosted], int]) -> int:
    """The exit code of the training in a run folder that was brought here, once all that it wrote is published.

    Args:
        train: the exit code of the training, during which the storage is asked and told.
    """
    try:
        here.bring()
        code = train(here)
        if code != FENCED:
            here.finish()
        return code
    except StorageUnavailable:
        return NO_STORAGE
    except Told:
        return 130
    except Fenced as error:
        log.warning("%s", error)
        return FENCED
    except (ValueError, OSError) as error:
        log.warning("%s", error)
        with contextlib.suppress(OSError, Told, Fenced):
            here.run.mkdir(exist_ok=True)
            with (here.run / "console.txt").open("a") as console:
                console.write(f"error: {error}\n")
            leave_word(Attempt(here.run, here.attempt), exit_code(error, here.run), str(error))
            here.until_it_answers(here.publisher.publish, GRACE)
        return exit_code(error, here.run)


def trained_apart(here: Hosted) -> int:
    """The exit code of the training in a process of its own."""
    if here.told.is_set():
        raise Told
    with (here.run / "console.txt").open("ab") as console:
        child = start_module(
            *("training", "--resume", str(here.run), "--attempt", str(here.attempt)),
            stdout=console,
            stderr=console,
            env=clean(os.environ),
        )
    is_told = False
    try:
        while (code := ended(child)) is None:
            if here.told.is_set() and not is_told:  # Ray tells all that it sees, but not what only just began
                child.send_signal(signal.SIGTERM)
                is_told = True
            here.exchange()
            time.sleep(LOOK)
        return code
    except BaseException:
        _end(child)
        raise


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Interrupt it, and kill it where that does not help."""
    child.send_signal(signal.SIGTERM)
    until = time.monotonic() + GRACE
    while ended(child) is None:
        if time.monotonic() >= until:
            kill_group(child.pid)
        time.sleep(0.1)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.ray_host", description="Go on with a job whose run lies on shared storage."
    )
    parser.add_argument("--job", required=True, metavar="ID", help="the job")
    parser.add_argument("--attempt", type=int, required=True, metavar="N", help="the number of this start of the job")
    add_places(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    code = main()
    if code < 0:  # as the training did, so that Ray says by which signal
        with contextlib.suppress(OSError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
