"""From the words of a command line to what is to be run."""

import contextlib
import importlib
import io
import re
from collections.abc import Callable
from typing import Any

from tyro.extras import SubcommandApp

from stn.config import to_dict

Run = Callable[[], int]
"""What a parsed command line does; its exit code."""


def parse(app: SubcommandApp, arguments: list[str]) -> Run:
    """What the arguments ask for; a mistake in them becomes a ValueError of one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            run: Run = app.cli(prog="stn", args=arguments)
            return run
    except SystemExit as exit_:
        if exit_.code:
            raise ValueError(_one_line(complaint.getvalue())) from None
        raise


def _one_line(box: str) -> str:
    """The message in tyro's box, without its frame and the help below it; a suggestion is kept."""
    lines = [line.strip("│ ") for line in box.splitlines()]
    rules = [index for index, line in enumerate(lines) if re.search("[─-]{5}", line)]  # lines or, in ASCII, dashes
    message = " ".join(lines[rules[0] + 1 : rules[1]]) if len(rules) > 1 else box
    message = re.sub(r"\[/?bold\]|`", "", message)
    message = re.sub(r"^Error parsing ([\w\s.-]*__[\w\s.-]*): ", _part, message)
    suggestions = [line.split()[0] for line in lines if re.match(r"--\w", line)]
    return f"{message} (did you mean {suggestions[0]}?)" if suggestions and "Unrecognized" in message else message


def _part(place: re.Match[str]) -> str:
    """The part of the config that a mistake is in, of tyro's name for the place, which may be broken at any letter."""
    name = re.sub(r"\s", "", place[1]).rpartition(".")[2]
    return "" if name in ("config", "__tyro-dummy-inner__") else f"{name}."


def given(config: Any, name: str, arguments: list[str]) -> dict[str, Any]:
    """The fields of a config that the command line has, as `--NAME.FIELD` or `--NAME.no-FIELD`."""
    texts = (re.match(rf"--{name}\.(?:no-)?([\w-]+)", argument) for argument in arguments)
    fields = {text[1].replace("-", "_") for text in texts if text}
    return {field: value for field, value in to_dict(config).items() if field in fields}


def later(module: str, function: str, *arguments: Any) -> int:
    """What this function of `service.commands` returns; its imports take seconds, so only what is run is imported."""
    code: int = getattr(importlib.import_module(f"service.commands.{module}"), function)(*arguments)
    return code
