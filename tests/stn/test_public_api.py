import subprocess
import sys

import stn


def test_every_public_name_exists_and_is_named_once() -> None:
    assert len(set(stn.__all__)) == len(stn.__all__)
    assert all(hasattr(stn, name) for name in stn.__all__)


def test_importing_the_library_imports_neither_lightning_nor_fastapi_nor_pillow() -> None:
    code = "import stn, sys; print([m for m in ('pytorch_lightning', 'fastapi', 'PIL', 'torchvision') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
