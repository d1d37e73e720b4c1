import json

import pytest

from stn import InputConfig, ModelConfig
from stn.config import from_dict, to_dict


def test_a_config_survives_json() -> None:
    config = ModelConfig(transform="similarity", size=(20, 30), filters=(4, 5, 6))
    assert from_dict(ModelConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tranform": "affine"}, "tranform is not a field of ModelConfig; fields are"),
        ({"transform": "afine"}, "transform must be one of affine, attention, similarity, got 'afine'"),
        ({"units": "many"}, "units must be a whole number, got 'many'"),
        ({"units": True}, "units must be a whole number, got True"),
        ({"units": 1.5}, "units must be a whole number, got 1.5"),
        ({"units": 0}, r"units must be in \[1, 65536\], got 0"),
        ({"filters": []}, "filters must be 1 to 8 numbers"),
        ({"filters": 3}, "filters must be a list, got 3"),
        ({"size": [3]}, "size must be a list of 2"),
        ({"size": [0, 4]}, r"size must be in \[1, 4096\]"),
        ([], "ModelConfig must be an object of named fields"),
    ],
)
def test_a_wrong_value_is_refused_with_its_field_rule_and_value(values: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(ModelConfig, values)


def test_the_path_of_a_nested_field_is_named() -> None:
    with pytest.raises(ValueError, match="input.mean must be 3 numbers"):
        from_dict(InputConfig, {"channels": 3, "height": 9, "width": 9, "mean": [0.5], "std": [1.0] * 3}, "input")


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="input.height is missing"):
        from_dict(InputConfig, {"channels": 1, "width": 9, "mean": [0.5], "std": [1.0]}, "input")


@pytest.mark.parametrize("mean", [float("nan"), float("inf")])
def test_a_mean_that_is_not_finite_is_refused(mean: float) -> None:
    with pytest.raises(ValueError, match="mean must be finite"):
        InputConfig(channels=1, height=9, width=9, mean=(mean,), std=(1.0,))
