import json
import typing

import pytest

from stn import KERNELS, LOCALIZATIONS, TRANSFORMS, InputConfig, ModelConfig
from stn.config import from_dict, to_dict


def test_a_config_survives_json() -> None:
    config = ModelConfig(
        transform="similarity",
        size=(20, 30),
        filters=(4, 5, 6),
        bounds={"scale": (0.5, 2.0), "x*": (-1.0, 1.0)},
        padding="constant",
        background=(0.5,),
        batch_norm=False,
        dropout=0.5,
    )
    assert from_dict(ModelConfig, json.loads(json.dumps(to_dict(config)))) == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tranform": "affine"}, "tranform is not a field of ModelConfig; fields are"),
        (
            {"transform": "afine"},
            "transform must be one of none, affine, attention, .*, thin_plate_spline, got 'afine'",
        ),
        ({"units": "many"}, "units must be a whole number, got 'many'"),
        ({"units": True}, "units must be a whole number, got True"),
        ({"units": 1.5}, "units must be a whole number, got 1.5"),
        ({"units": 0}, r"units must be in \[1, 65536\], got 0"),
        ({"filters": []}, "filters must be 1 to 8 numbers"),
        ({"filters": 3}, "filters must be a list, got 3"),
        ({"size": [3]}, "size must be a list of 2"),
        ({"size": [0, 4]}, r"size must be in \[1, 4096\]"),
        ({"size": [4097, 4]}, r"size must be in \[1, 4096\]"),
        ({"classifier": "st_cnn"}, "classifier must be one of fcn, cnn, convnet, tutorial, resnet18, .*, got 'st_cnn'"),
        ({"classifier": "cnn", "filters": [8]}, r"filters must be 2 numbers for classifier cnn, got \(8,\)"),
        ({"lattice": [1, 4]}, r"lattice must be in \[2, 32\], got \(1, 4\)"),
        ({"localization": "vit"}, "localization must be one of conv, dense, shared, tutorial, got 'vit'"),
        ({"localization_filters": 0}, r"localization_filters must be in \[1, 4096\], got 0"),
        ({"localization_units": 0}, r"localization_units must be in \[1, 65536\], got 0"),
        ({"localization_pooled": [0, 1]}, r"localization_pooled must be in \[1, 64\]"),
        ({"localization_rate": -0.5}, r"localization_rate must be in \[0, 1000\], got -0.5"),
        ({"gradient_factor": float("nan")}, r"gradient_factor must be in \[0, 1000\], got nan"),
        ({"outside_penalty": -1}, r"outside_penalty must be in \[0, 1000000\], got -1.0"),
        ({"identity_penalty": float("inf")}, r"identity_penalty must be in \[0, 1000000\], got inf"),
        ({"iterations": 0}, r"iterations must be in \[1, 16\], got 0"),
        ({"iterations": 2, "localization": "shared"}, "iterations must be 1 where the localization is shared, got 2"),
        ({"kernel": "cubic"}, "kernel must be one of integer, bilinear, bicubic, catmull_rom, lanczos3, got 'cubic'"),
        ({"padding": "edge"}, "padding must be one of zeros, border, reflection, constant, got 'edge'"),
        ({"padding": "constant"}, "background must be given for padding constant only, got None"),
        ({"background": [0.5]}, r"background must be given for padding constant only, got \(0.5,\)"),
        ({"padding": "constant", "background": [2]}, r"background must be in \[0, 1\], got \(2.0,\)"),
        ({"padding": "constant", "background": []}, r"background must be at least 1 number, got \(\)"),
        ({"antialias": 9}, r"antialias must be in \[1, 8\], got 9"),
        ({"pool": 0}, r"pool must be in \[1, 64\], got 0"),
        ({"dropout": 1}, r"dropout must be in \[0, 1\), got 1.0"),
        ({"batch_norm": "yes"}, "batch_norm must be true or false, got 'yes'"),
        (
            {"transform": "none", "theta_to_classes": True},
            "theta_to_classes must be false where there is no transformer",
        ),
        ({"bounds": [1]}, r"bounds must be an object of named values, got \[1\]"),
        ({"bounds": {"scale": 2}}, "bounds.scale must be a list, got 2"),
        ({"bounds": {"scale": [1, 2, 3]}}, "bounds.scale must be a list of 2"),
        ({"bounds": {"scale": [1, "2"]}}, "bounds.scale must be a number, got '2'"),
        (
            {"bounds": {"scale": [2, 1]}},
            r"bounds.scale must be two finite numbers, the smaller first, got \(2.0, 1.0\)",
        ),
        ({"bounds": {"scale": [1, float("inf")]}}, "bounds.scale must be two finite numbers"),
        ({"bounds": {str(name): [0, 1] for name in range(65)}}, "bounds must be at most 64 ranges"),
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


def test_the_config_names_every_transform_kernel_and_localization_net() -> None:
    hints = typing.get_type_hints(ModelConfig)
    assert set(typing.get_args(hints["transform"])) == {"none", *TRANSFORMS}
    assert set(typing.get_args(hints["kernel"])) == set(KERNELS)
    assert set(typing.get_args(typing.get_args(hints["localization"])[0])) == set(LOCALIZATIONS)


def test_a_whole_number_may_have_a_decimal_point() -> None:
    units = from_dict(ModelConfig, {"units": 16.0}).units
    assert (units, type(units)) == (16, int)
