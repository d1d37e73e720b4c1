"""The service's log: lines of text for a terminal, or one JSON object a line for whatever collects logs.

No line holds what a client sent in a body, nor a key.
"""

import json
import logging
import sys
import warnings
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Literal

LogFormat = Literal["text", "json"]

request_id: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that is being answered; each is answered in a context of its own."""
model: ContextVar[str | None] = ContextVar("model", default=None)
"""The model that it asks."""
key_name: ContextVar[str | None] = ContextVar("key_name", default=None)
"""The name of the key it came with, never the key."""

_requests = logging.getLogger("service.requests")


def set_up(log_format: LogFormat, log_requests: bool) -> None:
    """Write the log of this process, uvicorn's and warnings included, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if log_format == "json" else logging.Formatter("%(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.captureWarnings(True)
    warnings.filterwarnings(
        "ignore", module=r"PIL\."
    )  # they tell what pictures hold, and Python remembers each for ever
    for name in ("service", "training", "uvicorn"):
        logging.getLogger(name).setLevel(logging.INFO)
    _requests.setLevel(logging.INFO if log_requests else logging.ERROR)


def request(method: str, route: str, status: int, seconds: float) -> None:
    """Write the line of a request that was answered, where requests are logged or it failed with 500.

    `route` is the template of its path, never the path itself.
    """
    level = logging.ERROR if status == 500 else logging.INFO
    if not _requests.isEnabledFor(level):
        return
    fields = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1e3, 3),
        "model": model.get(),
        "key": key_name.get(),
    }
    known = {name: value for name, value in fields.items() if value is not None}
    arguments = method, route, status, seconds * 1e3, request_id.get()
    _requests.log(level, "%s %s %d in %.1f ms, request %s", *arguments, extra={"fields": known})


class JsonLines(logging.Formatter):
    """A record as a JSON object: time, level, logger, message, the request's id, and what the record adds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if (current := request_id.get()) is not None:
            line["request_id"] = current
        line.update(getattr(record, "fields", {}))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
