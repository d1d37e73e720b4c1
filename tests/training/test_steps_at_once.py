"""Several steps in one of Lightning's batches: the same steps, for less work around each."""

import bisect
import dataclasses
import json
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from stn import ModelConfig
from tests.training.runs import same_weights, small, stop_after, trained
from training.config import DistortionConfig, TrainerConfig, TrainingConfig
from training.data.batches import Order, Parts, TrainingBatches
from training.data.datamodule import DataModule
from training.fit import fit
from training.runs import create_run

pytestmark = pytest.mark.filterwarnings("ignore")  # Lightning's, which a run is silent about


@pytest.mark.parametrize(
    ("parts", "ends"),
    [
        (Parts.of(steps=5, between=3, most=1), [1, 2, 3, 4, 5]),
        (Parts.of(steps=20, between=10, most=4), [3, 6, 10, 13, 16, 20]),
        (Parts.of(steps=20, between=10, most=50), [5, 10, 15, 20]),
        (Parts.of(steps=11, between=4, most=3), [2, 4, 6, 8, 10, 11]),
        (Parts.of(steps=3, between=10**9, most=50), [3]),
    ],
)
def test_steps_are_parted_so_that_batches_end_where_validations_are(parts: Parts, ends: list[int]) -> None:
    assert [parts.end(number) for number in range(1, parts.total + 1)] == ends
    assert [parts.done(step) for step in range(ends[-1] + 1)] == [
        bisect.bisect(ends, step) for step in range(ends[-1] + 1)
    ]


def test_the_longest_run_begins_like_any_other() -> None:
    """What is kept of its batches does not grow with their number."""
    parts = Parts.of(steps=10**9, between=235, most=1)
    members = torch.arange(40)
    batches = TrainingBatches(members, members, Order(members, 8, seed=0), parts, lambda: 10**8, slice(None))
    assert len(batches) == parts.total == 10**9
    assert next(iter(batches)).step == parts.done(10**8) == 10**8


def test_a_batch_holds_the_pictures_of_its_steps_in_their_order() -> None:
    images, labels = torch.arange(40, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(40)
    order = Order(labels, 8, seed=0)
    for rank, world in ((0, 1), (1, 2)):
        rows = slice(rank, None, world)
        one_by_one = list(TrainingBatches(images, labels, order, Parts(12, 6, 6), lambda: 2, rows))
        together = list(TrainingBatches(images, labels, order, Parts(12, 6, 2), lambda: 2, rows))
        assert [batch.step for batch in together] == [2, 3, 6, 9]
        for field in ("images", "labels"):
            first, second = (torch.cat([getattr(batch, field) for batch in each]) for each in (one_by_one, together))
            assert torch.equal(first, second)


def plain(**trainer: int) -> TrainingConfig:
    """Whatever is drawn for the pictures of a batch differs; so nothing is."""
    model = ModelConfig(filters=(4, 8), units=16, dropout=0.3, identity_penalty=0.1)
    settings = small(**{"max_steps": 30, "validate_every": 12, "patience": 50, **trainer})
    return dataclasses.replace(settings, model=model, distortion=DistortionConfig())


@pytest.fixture(scope="module")
def one_by_one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("runs"), plain())


def lines(run: Path) -> list[dict[str, float]]:
    found = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "time"} for line in found]


def test_steps_in_one_batch_end_with_the_weights_of_steps_one_by_one(one_by_one: Path, tmp_path: Path) -> None:
    together = trained(tmp_path, plain(steps_at_once=5))
    assert same_weights(one_by_one, together)
    assert [line["step"] for line in lines(together)] == [12, 24, 30]
    for first, second in zip(lines(together), lines(one_by_one), strict=True):
        assert first == pytest.approx(second, rel=1e-5)  # sums of losses in another order


@pytest.mark.parametrize("together", [1, 5])
def test_tensorboard_has_every_number_at_its_step(one_by_one: Path, tmp_path: Path, together: int) -> None:
    run = one_by_one if together == 1 else trained(tmp_path, plain(steps_at_once=together))
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    for name in ("train/loss", "val/accuracy"):
        assert [event.step for event in events.Scalars(name)] == [12, 24, 30]
    assert [event.step for event in events.Scalars("test/accuracy")] == [30]
    assert [event.step for event in events.Images("samples")] == [12, 24, 30]


def test_a_run_goes_on_where_steps_are_parted_otherwise(one_by_one: Path, tmp_path: Path) -> None:
    run = create_run(tmp_path, plain(checkpoint_every=2))
    for stop, together in ((6, 5), (15, 1), (26, 5)):
        stop_after(stop, plain(checkpoint_every=2, steps_at_once=together), run)
    fit(plain(), run)
    assert same_weights(one_by_one, run)
    assert [line["step"] for line in lines(run)] == [12, 24, 30]


def test_distortions_are_drawn_for_all_pictures_of_a_batch() -> None:
    trainer = TrainerConfig(batch_size=16, max_steps=8, validate_every=8, steps_at_once=4, accelerator="cpu")
    data = DataModule(dataclasses.replace(small(), trainer=trainer))
    assert data.parts == Parts(8, 8, 2)
    assert DataModule(dataclasses.replace(small(), trainer=dataclasses.replace(trainer, steps_at_once=None))).parts == (
        Parts(8, 8, 8)
    )
