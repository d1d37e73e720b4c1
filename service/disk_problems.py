"""What is answered where the service cannot write to its folders."""

import contextlib
import errno
from collections.abc import Iterator

from service.problems import Problem

FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def explained(folder: str) -> Iterator[None]:
    """A Problem where the `folder` folder cannot be written: 507 where its disk is full, 409 where that is not allowed."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise Problem(507, f"the disk of the {folder} folder is full") from error
        if error.errno in _FORBIDDEN:
            raise Problem(409, f"the service may not write to its {folder} folder") from error
        raise
