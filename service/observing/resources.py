"""What this process takes of the machine."""

import os
import sys
import time
from pathlib import Path

_PROCESS = Path("/proc/self")


def memory() -> int:
    """Resident memory in bytes; 0 where the system has no /proc."""
    try:
        return int((_PROCESS / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def open_files() -> int:
    """Open files and connections; 0 where the system has no /proc."""
    try:
        return len(os.listdir(_PROCESS / "fd"))
    except OSError:
        return 0


def processor_seconds() -> float:
    """Processor time of all threads since the process began."""
    return time.process_time()


def device_memory() -> dict[str, int]:
    """Bytes that torch holds on each GPU, by the device's name; nothing where torch was not imported or uses none."""
    torch = sys.modules.get("torch")
    is_initialized = getattr(getattr(torch, "cuda", None), "is_initialized", None)
    if (
        torch is None or is_initialized is None or not is_initialized()
    ):  # another thread may be importing torch just now
        return {}
    return {f"cuda:{index}": torch.cuda.memory_reserved(index) for index in range(torch.cuda.device_count())}
