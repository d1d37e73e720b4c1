import json

import pytest

from stn.config import from_dict, to_dict
from training.config import TrainingConfig
from training.presets import PRESETS


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_survives_json(name: str) -> None:
    config = PRESETS[name]()
    assert from_dict(TrainingConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("distortion", {"rotation": 400}, r"distortion.rotation must be in \[0, 180\] degrees, got 400"),
        ("distortion", {"scale": [1.2, 0.7]}, "distortion.scale must be two factors"),
        ("optimizer", {"learning_rate": -1}, r"optimizer.learning_rate must be in \(0, 10\), got -1"),
        ("optimizer", {"learnin_rate": 1}, "optimizer.learnin_rate is not a field of OptimizerConfig"),
        ("trainer", {"max_epochs": 0}, "trainer.max_epochs must be in"),
        ("trainer", {"accelerator": "tpu"}, "trainer.accelerator must be one of auto, cpu, gpu, got 'tpu'"),
        ("data", {"name": "digit"}, "data.name must be one of digits, mnist, .*, got 'digit'"),
        ("data", {"validation": 0}, r"data.validation must be in \(0, 0.5\]"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path_rule_and_value(
    section: str, values: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(TrainingConfig, {"name": "x", section: values})


@pytest.mark.parametrize("name", ["", "a b", "../x", "a" * 65, "é"])
def test_a_name_that_could_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name must be 1 to 64 letters"):
        TrainingConfig(name=name)
