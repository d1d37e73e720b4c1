"""What streams about a job: where it is to go on when it breaks off, and what its bytes say; nothing is sent here."""

import time
from collections.abc import Iterator
from typing import Any

import httpx2
from pydantic import ValidationError

from service.client.calls import Call
from service.client.connection import Connection
from service.client.errors import NoAnswer, StrangeAnswer
from service.client.job_calls import job_path
from service.client.retries import Lost
from service.jobs.schemas import JobEvent

SILENCE = 45.0
"""Seconds after which a stream is dead; the service says something every 15."""
LOG_SILENCE = 300.0
"""Likewise; of a log nothing comes while nothing is written, so it is asked for again without any harm."""
_CONNECT = 5.0
_LASTING = 5.0
"""A connection that lasted so many seconds was a good one."""


class Lines:
    """Cuts bytes, as they come, into lines without their ends."""

    def __init__(self) -> None:
        self.rest = b""

    def add(self, chunk: bytes) -> list[bytes]:
        *lines, self.rest = (self.rest + chunk).split(b"\n")
        return lines


class EventStream:
    """The events of a job after one, in order and each once, over as many connections as it takes."""

    def __init__(self, job_id: str, after: int) -> None:
        self.path = f"{job_path(job_id)}/events"
        self.last = after
        self.ended = False
        """The job has, and all its events were read."""
        self._lines = Lines()
        self._fields: dict[str, str] = {}

    def request(self) -> dict[str, Any]:
        """The arguments of `build_request` for what is still to come."""
        self._lines, self._fields = Lines(), {}
        headers = {"Accept": "text/event-stream", "Last-Event-ID": str(self.last)}
        return {
            "method": "GET",
            "url": self.path,
            "headers": headers,
            "timeout": httpx2.Timeout(_CONNECT, read=SILENCE),
        }

    def read(self, chunk: bytes) -> Iterator[JobEvent]:
        """The events that are whole with these bytes."""
        for line in self._lines.add(chunk):
            if not line:
                fields, self._fields = self._fields, {}
                yield from self._event(fields)
            else:
                name, _, value = line.decode().partition(":")
                self._fields[name] = value.removeprefix(" ")

    def _event(self, fields: dict[str, str]) -> Iterator[JobEvent]:
        if fields.get("event") == "end":
            self.ended = True
        elif "id" in fields:
            try:
                event = JobEvent.model_validate_json(fields.get("data", ""))
            except ValidationError as error:
                raise StrangeAnswer(200, f"the answer is not one of this service: {error}") from None
            if event.id > self.last:
                self.last = event.id
                yield event


class LogStream:
    """What a job's processes have written, from one place on."""

    def __init__(self, job_id: str, tail: int | None) -> None:
        self.path = f"{job_path(job_id)}/logs"
        self.tail = tail
        self.place: int | None = None
        """How far it was read; None before the first answer, which says where the tail begins."""
        self._lines = Lines()

    def request(self, follow: bool) -> dict[str, Any]:
        """The arguments of `build_request` for what is still to come."""
        query = {"follow": str(follow).lower()}
        if self.place is not None:
            query["after"] = str(self.place)
        elif self.tail is not None:
            query["tail"] = str(self.tail)
        return {
            "method": "GET",
            "url": self.path,
            "params": query,
            "timeout": httpx2.Timeout(_CONNECT, read=LOG_SILENCE),
        }

    def begin(self, response: httpx2.Response) -> None:
        """An answer comes."""
        if self.place is None:
            self.place = int(response.headers.get("x-stn-offset", 0))

    def read(self, chunk: bytes) -> list[str]:
        """The lines that are whole with these bytes."""
        self.place = (self.place or 0) + len(chunk)
        return [line.decode(errors="replace") for line in self._lines.add(chunk)]

    def rest(self) -> list[str]:
        """The last line, where it has no end."""
        return [self._lines.rest.decode(errors="replace")] if self._lines.rest else []


class Patience:
    """How long a stream that breaks off is asked for again, without anything new in between.

    Args:
        connection: what the client was told.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._call: Call[None] = Call("GET", "/v1/jobs", lambda _: None)
        self._since = 0.0
        self.progress()

    def progress(self) -> None:
        """Something new came."""
        self._attempts = self._connection.attempts(self._call, None)

    def connected(self) -> None:
        self._since = time.monotonic()

    def pause(self, outcome: httpx2.Response | httpx2.RequestError | None) -> float:
        """Seconds to wait before it is asked for again.

        Args:
            outcome: an answer that is none, an error, or None where the service closed the stream.

        Raises:
            ServiceError: it is not to be asked for again.
        """
        if isinstance(outcome, httpx2.Response):
            ended: httpx2.Response | Lost = outcome
        else:
            if self._since and time.monotonic() - self._since > _LASTING:
                self.progress()
            ended = _broken(outcome)
        self._since = 0.0
        pause = self._attempts.pause(ended)
        if pause is None:
            self._call.result(ended)
            raise NoAnswer(None, "there is no stream")
        return pause


def _broken(error: httpx2.RequestError | None) -> Lost:
    """It may go on where it was, whatever happened."""
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        return Lost(error, False)
    return Lost(httpx2.RemoteProtocolError(str(error) if error else "the stream was closed"), False)
