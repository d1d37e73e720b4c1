"""What is answered where the service cannot write to its folders."""

import contextlib
import errno
import logging
from collections.abc import Iterator

from service.problems import Problem
from training.storage.places import NotExclusive, StorageUnavailable

log = logging.getLogger(__name__)

FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def explained(folder: str) -> Iterator[None]:
    """A Problem where the `folder` folder cannot be written: 507 where its disk is full, 409 where that is not allowed, 503
    where it lies on shared storage that does not answer."""
    try:
        yield
    except StorageUnavailable as error:
        log.warning("%s", error)
        detail = f"the storage of the {folder} does not answer: try again"
        raise Problem(503, detail, {"Retry-After": "5"}) from error
    except NotExclusive as error:
        detail = f"the storage of the {folder} cannot take anything new safely: it has no conditional writes"
        raise Problem(409, detail) from error
    except OSError as error:
        if error.errno in FULL:
            raise Problem(507, f"the disk of the {folder} folder is full") from error
        if error.errno in _FORBIDDEN:
            raise Problem(409, f"the service may not write to its {folder} folder") from error
        raise
