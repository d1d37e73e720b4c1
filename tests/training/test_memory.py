"""What a training process sets for itself: memory that is kept for the next step, threads that do not spin for long."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
from training.memory import keep_memory
keep_memory()
import resource
import torch
for step in range(6):
    if step == 2:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(1 << 23)  # 32 MiB
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(**environment: str) -> int:
    """How often the kernel handed out a page while four tensors of 8,192 pages were made, one after another."""
    base = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "THP_"))}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=base | environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep memory")
def test_the_next_step_gets_the_memory_of_the_last_unless_an_operator_chose_otherwise() -> None:
    assert page_faults() < 100
    assert page_faults(MALLOC_MMAP_THRESHOLD_="131072", THP_MEM_ALLOC_ENABLE="0") > 8192


@pytest.mark.parametrize(("given", "spins"), [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7")])
def test_threads_do_not_spin_for_long_unless_an_operator_chose_otherwise(given: dict[str, str], spins: str) -> None:
    script = "import contextlib, os\nfrom training.__main__ import main\n"
    script += "with contextlib.suppress(SystemExit):\n    main(['--help'])\nprint(os.environ['GOMP_SPINCOUNT'])"
    base = {name: value for name, value in os.environ.items() if name != "GOMP_SPINCOUNT"}
    done = subprocess.run([sys.executable, "-c", script], env=base | given, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == spins
