import ast
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import stn


def run(code: str) -> str:
    """What the code prints in a Python of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_every_public_name_exists_and_is_named_once() -> None:
    assert len(set(stn.__all__)) == len(stn.__all__)
    assert all(hasattr(stn, name) for name in stn.__all__)


def test_a_name_that_is_imported_late_is_public_and_type_checkers_find_it_in_the_same_module() -> None:
    assert set(stn._MODULE_OF) <= set(stn.__all__)
    assert not set(stn._MODULES) & set(stn._MODULE_OF)
    (checked,) = (
        node
        for node in ast.parse(Path(stn.__file__).read_text()).body
        if ast.unparse(node).startswith("if TYPE_CHECKING")
    )
    seen = {
        name.name: str(node.module)
        for node in ast.walk(checked)
        if isinstance(node, ast.ImportFrom)
        for name in node.names
    }
    assert seen == {name: f"stn.{module}" for name, module in stn._MODULE_OF.items()}


def test_importing_the_library_imports_neither_lightning_nor_fastapi_nor_pillow() -> None:
    others = "('pytorch_lightning', 'fastapi', 'PIL', 'torchvision')"
    assert run(f"from stn import *; import sys; print([m for m in {others} if m in sys.modules])") == "[]\n"


@pytest.mark.parametrize(
    "imports",
    [
        "import stn",
        "from stn import InputConfig, ModelConfig, ModelFileError, ModelInfo, read_model_info",
        "import stn.config, stn.model_info, stn.whole_file",
    ],
)
def test_what_model_files_say_is_read_without_torch(imports: str) -> None:
    code = f"{imports}\nimport sys, stn\n"
    code += "name = stn.read_model_info('service/models/shipped/handwriting.safetensors').class_names[0]\n"
    assert run(f"{code}print(name, 'torch' in sys.modules)") == "0 False\n"


def test_every_way_to_a_public_name_gives_the_same() -> None:
    code = (
        "import stn\n"
        "assert set(stn.__all__) <= set(dir(stn))\n"
        "late = stn.SpatialTransformer\n"
        "from stn import *\n"
        "from stn import SpatialTransformer as imported, spatial_transformer\n"
        "assert late is SpatialTransformer is imported is spatial_transformer.SpatialTransformer\n"
        "print(stn.transforms.TRANSFORMS is TRANSFORMS, vars(stn)['SpatialTransformer'] is late)"
    )
    assert run(code) == "True True\n"


def test_what_is_made_of_the_library_can_be_pickled() -> None:
    config = stn.ModelConfig(transform="similarity")
    layer = stn.TRANSFORMS["affine"]()
    assert pickle.loads(pickle.dumps(config)) == config
    assert type(pickle.loads(pickle.dumps(layer))) is stn.Affine


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'stn' has no attribute 'SpatialTransfomer'"):
        _ = stn.SpatialTransfomer
    with pytest.raises(ImportError, match="cannot import name 'sampel'"):
        from stn import sampel  # noqa: F401
