"""Where the `stn` command begins: nothing is imported before Ctrl-C is answered in good order."""


def main() -> int:
    """The exit code of `service.cli.main`; 130 where it was interrupted while it was still being imported."""
    try:
        from service.cli import main as run

        return run()
    except KeyboardInterrupt:
        return 130
    except ModuleNotFoundError as error:
        import sys

        sys.stderr.write(f"error: {error.name} is missing: install the extras, stn[training,service]\n")
        return 2
