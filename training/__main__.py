"""`python -m training`: one training run in this process."""

import argparse
import logging
import signal
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.config import TrainingConfig

log = logging.getLogger("training")


def main(arguments: list[str] | None = None) -> int:
    """Exit code: 0 when the model is written, 2 for a mistake in config or data, 130 when interrupted."""
    # Started in the background by a shell, a process ignores Ctrl-C; this one is stopped by it in good order.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        # Only now, so that Ctrl-C during the long imports ends in good order too.
        from training.runs import hold

        run, config = _prepare(_parse(arguments))
        with hold(run):
            _set_up_logging(run)
            _train(config, run)
    except KeyboardInterrupt:
        return 130
    except (ValueError, OSError) as error:
        log.debug("the run ended with an error", exc_info=True)
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    from training.presets import PRESETS

    parser = argparse.ArgumentParser(
        prog="python -m training",
        description="Train a spatial transformer classifier and write a run folder with checkpoints and model file.",
    )
    parser.add_argument(
        "config", nargs="?", help=f"a preset ({', '.join(PRESETS)}) or a JSON file with a whole training config"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder for new run folders (default: runs)")
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="RUN",
        help="go on with this run folder, from its last checkpoint where it has one",
    )
    options = parser.parse_args(arguments)
    if (options.config is None) == (options.resume is None):
        parser.error("name either a preset or config file, or --resume RUN")
    return options


def _prepare(options: argparse.Namespace) -> "tuple[Path, TrainingConfig]":
    from training.presets import PRESETS
    from training.runs import create_run, read_config

    if options.resume is not None:
        return options.resume, read_config(options.resume / "config.json")
    config = PRESETS[options.config]() if options.config in PRESETS else read_config(Path(options.config))
    return create_run(options.runs, config), config


def _train(config: "TrainingConfig", run: Path) -> None:
    """Import and run Lightning without its advertisements and its advice on data loaders."""
    warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
    from training.fit import fit

    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    fit(config, run)


def _set_up_logging(run: Path) -> None:
    log.setLevel(logging.DEBUG)
    terminal, file = logging.StreamHandler(), logging.FileHandler(run / "log.txt")
    terminal.setLevel(logging.INFO)
    file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    log.addHandler(terminal)
    log.addHandler(file)


if __name__ == "__main__":
    sys.exit(main())
