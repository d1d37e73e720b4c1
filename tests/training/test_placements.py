"""The comparison of where a transformer may stand."""

import json
from pathlib import Path

import pytest
import torch

from stn import InputConfig
from stn.invariance import report
from tests.training.test_data import write_mnist
from training.experiments.invariance import main, table
from training.experiments.placements import MOVED, PARAMETERS, PLACEMENTS, Placed, Placement, build_placed


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("size", sorted({moved.size for moved in MOVED.values() if moved.size}))
def test_all_networks_have_as_many_parameters(placement: Placement, size: tuple[int, int]) -> None:
    shape = InputConfig(channels=1, height=size[0], width=size[1], mean=(0.1,), std=(0.3,))
    model = build_placed(placement, shape, 10)
    assert sum(values.numel() for values in model.parameters()) == pytest.approx(PARAMETERS, rel=0.03)
    logits, transformed = model(torch.rand(2, 1, *size))
    assert logits.shape == (2, 10)
    assert (transformed is None) == (placement == "none")
    if transformed:  # it starts as the identity
        torch.testing.assert_close(transformed.theta, model.transformer.transform.identity().expand(2, -1))


def test_classifiers_behind_a_transformer_are_equal() -> None:
    """Their localization nets make up for what a placement has less of."""
    shape = InputConfig(channels=1, height=32, width=32, mean=(0.1,), std=(0.3,))

    def classifier(placement: Placement) -> int:
        named = build_placed(placement, shape, 10).named_parameters()
        return sum(values.numel() for name, values in named if not name.startswith("transformer."))

    assert len({classifier(placement) for placement in PLACEMENTS if placement != "none"}) == 1


def test_a_transformer_on_feature_maps_is_measured_where_it_stands() -> None:
    shape = InputConfig(channels=1, height=24, width=24, mean=(0.1,), std=(0.3,))
    model = Placed(1, shape, 10, 8)
    (turned,) = report(model, torch.rand(3, 1, 24, 24), torch.arange(3), ["rotation"]).measured
    # Fresh, it is the identity: in pixels of the input, whatever the size of the maps.
    torch.testing.assert_close(turned.model.spread, turned.identity.spread.expand(3), atol=1e-4, rtol=0)


@pytest.mark.slow
def test_a_cell_that_was_cut_short_goes_on_to_the_same_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path, 600, 60)
    places = ["--data", str(tmp_path), "--placements", "depth-1", "--movements", "rotation", "--seeds", "0"]
    arguments = [*places, "--steps", "4", "--checkpoint-every", "2"]

    def rows(name: str) -> list[dict[str, object]]:
        found = json.loads((tmp_path / name / "invariance-placements.json").read_text())
        return [{key: value for key, value in row.items() if key != "seconds"} for row in found]

    assert main([*arguments, "--runs", str(tmp_path / "a"), "--results", str(tmp_path / "one")]) == 0
    with monkeypatch.context() as patch:
        steps: list[int] = []
        original = torch.optim.AdamW.step

        def stop(self: torch.optim.AdamW, *arguments: object) -> object:
            steps.append(1)
            if len(steps) == 4:
                raise KeyboardInterrupt
            return original(self, *arguments)

        patch.setattr(torch.optim.AdamW, "step", stop)
        assert main([*arguments, "--runs", str(tmp_path / "b"), "--results", str(tmp_path / "two")]) == 130
    assert not (tmp_path / "two").exists()
    assert main([*arguments, "--runs", str(tmp_path / "b"), "--results", str(tmp_path / "two")]) == 0
    assert rows("two") == rows("one")
    assert "| rotation | depth-1 | 4 | 1 |" in (tmp_path / "two" / "invariance-placements.md").read_text()
    assert main([*arguments, "--runs", str(tmp_path / "c"), "--results", str(tmp_path / "two")]) == 0
    assert not (tmp_path / "c").exists()  # it is in the table


def test_the_table_has_means_over_the_seeds() -> None:
    spread = {"model": 2.0, "held": 3.0, "perfect": 0.0}
    row = {"movement": "scale", "placement": "input", "steps": 5, "spread": spread, "parameters": 200_000}
    text = table([{**row, "error": 1.0}, {**row, "error": 2.0}])
    assert "| scale | input | 5 | 2 | 1.50 (1.00 to 2.00) | 2.00 | 3.00 | 0.00 | 200,000 |" in text
