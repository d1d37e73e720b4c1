"""The file of keys: who may ask, and for what. It holds no key, only the SHA-256 of each."""

import fcntl
import hashlib
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from service.access.scopes import Scope

PREFIX = "stn_"
"""Every key begins so, for programs that look for secrets in places where they should not be."""


class Key(BaseModel):
    """What is kept of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")
    """Whose it is; shown in logs."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the whole key. A slow hash would protect passwords that can be guessed; of 256 random bits there is no guessing."""
    created: AwareDatetime
    expires: AwareDatetime | None = None
    rate: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Requests per second, instead of the service's setting."""


class _Keys(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: tuple[Key, ...]


def digest(key: bytes) -> bytes:
    """The SHA-256 by which a key is known."""
    return hashlib.sha256(key).digest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of this file.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not a file of keys, or others may write it.
    """
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o022:
            raise ValueError(f"the keys file must be writable by its owner alone (chmod 600), got {str(path)!r}")
        text = file.read()
    try:
        keys = _Keys.model_validate_json(text).keys
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise ValueError(f"the keys file cannot be read, {str(path)!r}: {place}: {first['msg']}") from None
    for field in ("name", "sha256"):
        if len({getattr(key, field) for key in keys}) < len(keys):
            raise ValueError(f"the keys file must have each {field} once, got {str(path)!r}")
    return keys


def create_key(
    path: Path, name: str, scopes: tuple[Scope, ...], expires: float | None = None, rate: float | None = None
) -> str:
    """A new key, written into the file by its hash; it cannot be shown again.

    Args:
        path: The file, made where there is none yet.
        name: Whose key it is; one that the file does not have.
        scopes: What it allows.
        expires: Days until it is worth nothing; never where it is left out.
        rate: Requests per second.
    """
    secret = PREFIX + secrets.token_urlsafe(32)
    now = datetime.now(UTC).replace(microsecond=0)
    if expires is not None and not 0 < expires <= 36500:
        raise ValueError(f"expires must be in (0, 36500] days, got {expires:g}")
    try:
        key = Key(
            name=name,
            scopes=tuple(dict.fromkeys(scopes)),
            sha256=digest(secret.encode()).hex(),
            created=now,
            expires=None if expires is None else now + timedelta(days=expires),
            rate=rate,
        )
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{first['loc'][0]}: {first['msg']}, got {first['input']!r}") from None

    def add(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        if any(known.name == name for known in keys):
            raise ValueError(f"name must be one that no key has, got {name!r}; `stn keys revoke {name}` frees it")
        return (*keys, key)

    _change(path, add)
    return secret


def revoke_key(path: Path, name: str) -> None:
    """Take the key of this name out of the file. The file stays, and asks for keys, when its last one goes."""

    def remove(keys: tuple[Key, ...]) -> tuple[Key, ...]:
        left = tuple(key for key in keys if key.name != name)
        if len(left) == len(keys):
            known = ", ".join(key.name for key in keys) or "none"
            raise ValueError(f"name must be that of a key ({known}), got {name!r}")
        return left

    _change(path, remove)


def _change(path: Path, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path):
        try:
            keys = read_keys(path)
        except FileNotFoundError:
            keys = ()
        _write(path, _Keys(keys=change(keys)).model_dump_json(indent=2, exclude_none=True) + "\n")


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Alone among those who change the file; the lock is a file of its own, as the other one is replaced."""
    handle = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)
        os.close(handle)


def _write(path: Path, text: str) -> None:
    """Replace the file at once, so that a reader sees the old or the new one; readable by its owner alone."""
    handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # made with mode 0600
    try:
        with open(handle, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        Path(beside).unlink(missing_ok=True)  # there only where it did not take the other's place
