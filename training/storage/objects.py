"""An object store as shared storage."""

import contextlib
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

from training.storage.places import NotExclusive, Stat, Storage, StorageUnavailable, explained

_PROBE = ".conditional-writes"
_PATIENCE = {"connect_timeout": 5, "read_timeout": 10, "retries": {"max_attempts": 0}}
"""Of botocore, in seconds; s3fs tries again itself."""
_TRIES = 2


class ObjectStorage(Storage):
    """An object store, by what fsspec has for its URL; `s3://` needs s3fs, `gs://` gcsfs.

    Address and credentials are those of the environment, as the store's own tools read them (`AWS_ENDPOINT_URL`,
    `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` ...).
    """

    def __init__(self, url: str) -> None:
        try:
            from fsspec.core import url_to_fs

            is_s3 = url.startswith(("s3://", "s3a://"))
            options: dict[str, Any] = {"config_kwargs": _PATIENCE} if is_s3 else {}
            self._files, self._root = url_to_fs(url, skip_instance_cache=True, use_listings_cache=False, **options)
            if is_s3:
                self._files.retries = _TRIES
        except ImportError as error:
            raise ValueError(f"storage {url} needs a package that is not installed: {error}") from None
        except ValueError as error:
            raise ValueError(f"storage must be a path or a URL that fsspec knows, got {url!r} ({error})") from None
        self._root, self.url = self._root.rstrip("/"), url.rstrip("/")
        self._is_exclusive: bool | None = None

    def list(self, prefix: str) -> dict[str, Stat]:
        with explained(self.url):
            self._files.invalidate_cache()
            try:
                found = self._files.find(self._path(prefix.rstrip("/")), detail=True)
            except FileNotFoundError as error:
                raise StorageUnavailable(f"the storage {self.url} is not there") from error
            inside = len(self._root) + 1
            keys = {path[inside:]: _told(info) for path, info in found.items() if info["type"] == "file"}
            return {key: stat for key, stat in keys.items() if key.startswith(prefix)}

    def read(self, key: str, start: int = 0, end: int | None = None) -> bytes:
        with explained(self.url):
            return bytes(self._files.cat_file(self._path(key), start=start or None, end=end))

    def put(self, key: str, source: Path) -> None:
        with explained(self.url):
            self._files.put_file(str(source), self._path(key))

    def put_new(self, key: str, source: Path) -> None:
        if not self._knows_exclusion():
            raise NotExclusive(f"the storage {self.url} does not refuse to write what is there (If-None-Match: *)")
        with explained(self.url):
            self._files.put_file(str(source), self._path(key), mode="create")

    def delete(self, key: str) -> None:
        with explained(self.url), contextlib.suppress(FileNotFoundError):
            self._files.rm_file(self._path(key))

    def remove_unfinished(self, before: float) -> None:
        """Nothing: an object is there when it is whole, and a bucket's lifecycle rule deletes uploads that broke off."""

    def _download(self, key: str, target: Path) -> None:
        with explained(self.url):
            self._files.get_file(self._path(key), str(target))

    def _knows_exclusion(self) -> bool:
        """Whether the store refuses to write what is there: some take the condition and do not look at it."""
        if self._is_exclusive is None:
            with tempfile.NamedTemporaryFile() as probe:
                for _ in range(2):  # the object may be there already
                    try:
                        with explained(self.url):
                            self._files.put_file(probe.name, self._path(_PROBE), mode="create")
                    except FileExistsError:
                        self._is_exclusive = True
                        return True
            self._is_exclusive = False
        return self._is_exclusive

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"


def _told(info: dict[str, Any]) -> Stat:
    """What fsspec tells of a file, whose names differ from store to store."""
    modified = next((info[name] for name in ("LastModified", "mtime", "updated", "created") if info.get(name)), 0.0)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    seconds = modified.timestamp() if isinstance(modified, datetime) else float(modified)
    tag = next((str(info[name]) for name in ("ETag", "etag", "md5Hash", "generation") if info.get(name)), str(seconds))
    return Stat(int(info["size"]), seconds, tag.strip('"'))
