"""What `GET /v1/training/config` says may be posted as it is."""

import json

import httpx2
import pytest
from jsonschema import Draft202012Validator

from service.jobs.form import training_form
from service.jobs.wanted import SECTIONS
from stn.config import from_dict
from training.config import TrainingConfig
from training.presets import PRESETS

FORM = json.loads(json.dumps(training_form()))


def test_the_schema_is_whole_and_says_what_every_field_means() -> None:
    schema = FORM["schema"]
    Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == {"name", "seed", "task", *SECTIONS}
    assert schema["required"] == ["name"]
    for name, part in schema["$defs"].items():
        assert part["description"], name
        for field, described in part["properties"].items():
            assert described["description"], (name, field)
            assert "default" in described, (name, field)
    data, trainer = (schema["$defs"][name]["properties"] for name in ("DataConfig", "TrainerConfig"))
    assert {"root", "cache"}.isdisjoint(data)
    assert "nodes" not in trainer
    assert schema["$defs"]["OptimizerConfig"]["properties"]["name"]["enum"] == ["adamw", "sgd"]


def test_the_schema_says_which_numbers_a_field_may_hold() -> None:
    for section in SECTIONS:
        part = FORM["schema"]["properties"][section]["$ref"].rpartition("/")[2]
        for name, field in FORM["schema"]["$defs"][part]["properties"].items():
            for choice in field.get("anyOf", [field]):
                numbers = choice.get("prefixItems", [choice.get("items", choice)])
                ranges = [number for number in numbers if number.get("type") in ("number", "integer")]
                for number in ranges:
                    ends = {key: value for key, value in number.items() if "imum" in key}
                    assert {"minimum", "exclusiveMinimum"} & set(ends), (section, name)
                    for key, end in ends.items():
                        out = end if "exclusive" in key else end - 1 if "inimum" in key else end + 1
                        value = out if "prefixItems" not in choice and "items" not in choice else [out] * len(ranges)
                        with pytest.raises(ValueError, match=rf"{section}\.{name} must be"):
                            from_dict(TrainingConfig, {"name": "x", section: {name: value}})


@pytest.mark.parametrize("preset", FORM["presets"], ids=lambda preset: preset["name"])
def test_a_preset_fits_the_schema_and_becomes_a_job(api: httpx2.Client, preset: dict) -> None:
    assert preset["description"] == PRESETS[preset["name"]].__doc__
    Draft202012Validator(FORM["schema"]).validate(preset["config"])
    whole = {"name": "mine", **preset["config"]}
    whole["data"] = {"name": "digits", **whole["data"]}
    by_name = {"preset": preset["name"], "name": whole["name"], "data": {"name": whole["data"]["name"]}}
    shown = [api.post("/v1/jobs", json=body) for body in (whole, by_name)]
    assert [answer.status_code for answer in shown] == [202, 202]
    assert shown[0].json()["config"] == shown[1].json()["config"]


def test_it_is_served_with_the_data_sets_that_everybody_knows(api: httpx2.Client) -> None:
    got = api.get("/v1/training/config").json()
    assert got == FORM
    assert "digits" in got["datasets"] and not {"folder", "npz"} & set(got["datasets"])
    assert [preset["name"] for preset in got["presets"]] == list(PRESETS)
    assert (
        next("name" in preset["config"]["data"] for preset in got["presets"] if preset["name"] == "pictures") is False
    )
