"""How the C library keeps memory for the tensors of a training process."""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""Settings of glibc's `mallopt`. Source: its manual page."""


def keep_memory() -> None:
    """Keep freed memory for the next step, and ask for it in huge pages; call it before torch is imported.

    By default glibc returns every large tensor to the kernel when it is freed, and the kernel hands the next one out in
    zeroed pages of 4 kB: on the CPU up to a quarter of a training step. Where there is another C library, or an operator
    chose otherwise by environment variables, nothing is changed.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # torch asks for huge pages
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None and not any(name.startswith("MALLOC_") for name in os.environ):
        mallopt(M_MMAP_MAX, 0)  # large blocks too come from the heap,
        mallopt(M_TRIM_THRESHOLD, -1)  # which never shrinks
