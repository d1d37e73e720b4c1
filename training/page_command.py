"""What the commands have in common that judge a trained network and write a page: arguments, exit codes, progress."""

import argparse
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from training.child import interruptible

log = logging.getLogger("training")

SECONDS_BETWEEN_LINES = 5.0
"""Of progress, where there is no terminal."""


def run_command(command: Callable[[argparse.Namespace], None], options: Callable[[], argparse.Namespace]) -> int:
    """Exit code: 0 when the page is written, 2 for a mistake in arguments or data, 130 when interrupted."""

    def run() -> int:
        try:
            parsed = options()
            warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
            log.setLevel(logging.INFO)
            log.addHandler(logging.StreamHandler())
            command(parsed)
        except (ValueError, OSError) as error:
            sys.stderr.write(f"error: {error}\n")
            return 2
        return 0

    return interruptible(run)


def page_parser(program: str, does: str, config: str, output: str, prints: str) -> argparse.ArgumentParser:
    """Its arguments: `model`, `config`, `output` and `json`.

    Args:
        program: the module that is run.
        does: what the command does.
        config: what CONFIG.json holds.
        output: where the page goes by default.
        prints: what `--json` prints.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=does)
    parser.add_argument(
        "model", type=Path, metavar="RUN_OR_MODEL", help="a run folder, finished or not, or a model file"
    )
    parser.add_argument("config", nargs="?", type=Path, metavar="CONFIG.json", help=config)
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"folder for the page (default: {output} in this folder)",
    )
    parser.add_argument("--json", action="store_true", help=f"print {prints} as JSON")
    return parser


@contextmanager
def counted(name: str, done: str, total: int) -> Iterator[Callable[[int], None]]:
    """What is told how many pictures are done: it shows a bar on a terminal and logs a line every few seconds elsewhere.

    Args:
        name: of the bar.
        done: what is logged, of how many pictures and of how many in all: `evaluated %d of %d pictures`.
        total: how many there are.
    """
    from tqdm import tqdm

    if sys.stderr.isatty():
        columns, rows = shutil.get_terminal_size()
        with tqdm(desc=name, total=total, unit="picture", ncols=columns, nrows=rows) as bar:
            yield lambda count: (bar.update(count), None)[1]
        return
    count, last = 0, time.monotonic()

    def tell(more: int) -> None:
        nonlocal count, last
        count += more
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            log.info(done, count, total)
            last = time.monotonic()

    yield tell
