"""Who can reach the service: this machine alone, or others."""

from ipaddress import ip_address

from service.settings import Settings


def is_loopback(name: str) -> bool:
    """Whether this address, or the name localhost, is of this machine alone."""
    if name.lower() == "localhost":
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def is_private(settings: Settings) -> bool:
    """Whether only this machine reaches the service: by where its port is published, or else by where it listens."""
    if settings.publish:
        return is_loopback(settings.publish.rpartition(":")[0])  # a port alone is published on every address
    return is_loopback(settings.host)


def check_reach(settings: Settings, has_keys: bool) -> None:
    """Refuse to be reached by others without keys, unless everybody is allowed in so many words.

    Raises:
        ValueError: with both ways out.
    """
    if has_keys or settings.allow_anonymous or is_private(settings):
        return
    field, value = ("publish", settings.publish) if settings.publish else ("host", settings.host)
    raise ValueError(
        f"{field} must be a loopback address such as 127.0.0.1 while there are no keys, got {value!r}: make a key with "
        "`stn keys create NAME --scopes predict`, or let everybody in with --allow-anonymous (STN_ALLOW_ANONYMOUS=true)"
    )
