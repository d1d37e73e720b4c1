"""A service that a command asks instead of what is here."""

import contextlib
from collections.abc import Iterator

from service.client import Client, NoAnswer, ServiceError, StrangeAnswer
from service.settings import client_key


@contextlib.contextmanager
def asked(url: str, key: str | None) -> Iterator[Client]:
    """A client of the service at this URL; what it answers wrongly becomes a ValueError of one line.

    Args:
        url: of the service.
        key: for it; that of the environment where it is left out.
    """
    try:
        with Client(url, key or client_key()) as client:
            yield client
    except (NoAnswer, StrangeAnswer) as error:
        raise ValueError(f"url must be that of a running service, got {url!r} ({error.detail})") from None
    except ServiceError as error:
        raise ValueError(error.detail) from None
