"""Where the `stn` command begins: nothing is imported before Ctrl-C and SIGTERM are answered in good order."""

import os
import signal


def main() -> int:
    """The exit code of `service.commands.cli.main`; 130 where it was interrupted, also while it was still being imported."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        from service.commands.cli import main as run

        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        import sys

        sys.stderr.write(f"error: {error.name} is missing: install the extras, stn[training,service]\n")
        return 2


def _leave(*_: object) -> None:
    """Packages that are interrupted while they are imported may catch it, and go on by half."""
    os._exit(130)
