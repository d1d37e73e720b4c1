import subprocess
import sys

import pytest

MODULES = [
    "service.commands.cli",
    "service.commands.worker",
    "service.datasets.check",
    "service.jobs.form",
    "service.predicting.images",
    "stn.config",
    "stn.identities",
    "stn.model_info",
    "stn.whole_file",
    "training.attempts",
    "training.child",
    "training.config",
    "training.decoding",
    "training.experiments.cells",
    "training.failures",
    "training.jobs.deletion",
    "training.invariance_config",
    "training.jobs.store",
    "training.jobs.worker",
    "training.own_pictures",
    "training.plain_png",
    "training.presets",
    "training.recipes",
    "training.runs",
]


@pytest.mark.parametrize("module", MODULES)
def test_torch_is_not_imported_where_a_server_can_do_without(module: str) -> None:
    code = f"import sys, {module}; print('torch' in sys.modules)"
    assert printed(code) == "False\n"


def test_a_training_process_does_not_look_through_what_it_imported() -> None:
    code = "; ".join(
        (
            "import gc, sys",
            "from training.light_imports import uncollected",
            "seen = []",
            "gc.callbacks.append(lambda phase, info: seen.append(phase))",
            "manager = uncollected()",
            "manager.__enter__()",
            "import stn.build",
            "manager.__exit__(None, None, None)",
            "print(gc.isenabled(), gc.get_freeze_count() > 100_000, seen)",
        )
    )
    assert printed(code) == "True True []\n"


def test_a_training_process_imports_no_library_it_can_do_without() -> None:
    code = "; ".join(
        (
            "import sys, warnings",
            "from training.light_imports import import_torchmetrics_alone",
            "import_torchmetrics_alone()",
            "import training.fit",
            "print(*{'matplotlib', 'onnxruntime', 'pandas', 'scipy', 'sklearn', 'torchvision'} & set(sys.modules))",
            "import torchvision, scipy.signal, matplotlib",
            "from torchmetrics.utilities.imports import RequirementCache",
            "print(bool(RequirementCache('scipy')), bool(RequirementCache(module='matplotlib')))",
        )
    )
    assert printed(code) == "\nTrue True\n"


def printed(code: str) -> str:
    """What this prints in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
