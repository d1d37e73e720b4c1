"""Which pictures a step takes: a function of the seed and the step alone."""

import dataclasses
from collections import Counter

import pytest
import pytorch_lightning as pl
import torch

from training.config import DataConfig, DistortionConfig, TrainerConfig, TrainingConfig
from training.data.batches import FixedBatches, Order, Parts, TrainingBatches
from training.data.datamodule import DataModule
from training.points import control_points
from training.recipes import DISTORTIONS


@pytest.mark.parametrize("batch_size", [1, 7, 10, 25])
def test_every_pass_takes_every_picture_once(batch_size: int) -> None:
    members = torch.tensor([3, 5, 8, 9, 11, 20, 21, 22, 30, 31])
    order = Order(members, batch_size, seed=0)
    taken = torch.cat([order[step] for step in range(70)])
    for start in range(0, 70 * batch_size - 10, 10):
        assert taken[start : start + 10].sort().values.tolist() == members.tolist()
    assert taken[:10].tolist() != taken[10:20].tolist()


def test_a_step_takes_the_same_pictures_whatever_was_asked_for_before() -> None:
    members = torch.arange(50)
    in_turn = [Order(members, 16, seed=1)[step] for step in range(9)]
    order = Order(members, 16, seed=1)
    for step in (8, 0, 3, 7, 3):
        assert torch.equal(order[step], in_turn[step])
    assert not torch.equal(Order(members, 16, seed=2)[0], in_turn[0])


def test_batches_go_on_at_any_step_and_are_shared_by_rows() -> None:
    images, labels = torch.arange(40, dtype=torch.uint8).view(-1, 1, 1, 1), torch.arange(40) % 4
    order = Order(torch.arange(40), 8, seed=0)
    whole = list(TrainingBatches(images, labels, order, Parts(12, 5, 5), lambda: 0, slice(None)))
    assert [batch.step for batch in whole] == list(range(12))
    later = list(TrainingBatches(images, labels, order, Parts(12, 5, 5), lambda: 9, slice(None)))
    assert [batch.images.tolist() for batch in later] == [batch.images.tolist() for batch in whole[9:]]
    halves = [
        list(TrainingBatches(images, labels, order, Parts(12, 5, 5), lambda: 0, slice(rank, None, 2)))
        for rank in (0, 1)
    ]
    for batch, first, second in zip(whole, *halves, strict=True):
        assert torch.equal(batch.labels[0::2], first.labels)
        assert torch.equal(batch.images[1::2], second.images)


def test_fixed_batches_are_distorted_once_and_kept() -> None:
    calls: Counter[int] = Counter()

    def brighter(images: torch.Tensor, number: int) -> torch.Tensor:
        calls[number] += 1
        return images + 10 * number

    images, labels = torch.zeros(30, 1, 1, 1, dtype=torch.uint8), torch.arange(30)
    for keep, expected in ((True, 1), (False, 2)):
        calls.clear()
        batches = FixedBatches(images, labels, torch.arange(1, 30, 2), 6, brighter, keep)
        for _ in range(2):
            assert [int(batch.images.max()) for batch in batches] == [0, 10, 20]
        assert torch.cat([batch.labels for batch in batches]).tolist() == list(range(1, 30, 2))
        assert calls[0] == expected + (not keep)


def config(**fields: object) -> TrainingConfig:
    return TrainingConfig(name="x", data=DataConfig(), **fields)


def test_the_test_pictures_are_the_same_for_every_seed_and_the_validations_are_not_learnt_from() -> None:
    first, second = (DataModule(config(seed=seed, distortion=DISTORTIONS["TC"])) for seed in (0, 1))
    for one, other in zip(first.test, second.test, strict=True):
        assert torch.equal(one.images, other.images)
        assert torch.equal(one.labels, other.labels)
    validation = torch.cat(first.validation.parts)
    assert not set(validation.tolist()) & set(first.members.tolist())
    assert not set(first.members.tolist()) & set(torch.cat(first.test.parts).tolist())
    assert not torch.equal(first.members, second.members)


def test_training_pictures_alone_are_bent_further() -> None:
    plain, bent = (DataModule(config(distortion=DistortionConfig(training_elastic=pixels))) for pixels in (0.0, 2.0))
    for one, other in zip([*plain.validation, *plain.test], [*bent.validation, *bent.test], strict=True):
        assert torch.equal(one.images, other.images)
    drawn = []
    for module in (plain, bent):
        module.trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
        drawn.append(module.on_after_batch_transfer(next(iter(module.train_dataloader())), 0))
    assert torch.equal(drawn[0].labels, drawn[1].labels)
    assert drawn[0].drawn is not None
    assert drawn[1].drawn is not None
    assert drawn[0].drawn.spline is None
    assert drawn[1].drawn.spline is not None
    points = drawn[1].drawn.spline.unflatten(1, (16, 2))
    pixels = (points - control_points(torch.float32, torch.device("cpu"))) * plain.images.shape[-1] / 2
    assert float(pixels.std()) == pytest.approx(2.0, rel=0.2)


def test_a_set_beyond_the_memory_budget_is_not_kept() -> None:
    streamed = dataclasses.replace(config(), data=DataConfig(memory=0.0))
    kept, read = DataModule(config()), DataModule(streamed)
    assert not kept.streams
    assert read.streams
    for one, other in zip(kept.test, read.test, strict=True):
        assert torch.equal(one.images, other.images)


@pytest.mark.parametrize(
    ("trainer", "steps", "between"),
    [
        (TrainerConfig(max_epochs=3, batch_size=128), 30, 10),
        (TrainerConfig(max_epochs=3, batch_size=2000), 3, 2),
        (TrainerConfig(max_steps=77, batch_size=128), 77, 10),
        (TrainerConfig(max_steps=77, validate_every=25), 77, 25),
    ],
)
def test_epochs_and_steps_become_a_number_of_steps(trainer: TrainerConfig, steps: int, between: int) -> None:
    data = DataModule(config(trainer=trainer, distortion=DistortionConfig()))
    assert (data.steps, data.steps_between_validations) == (steps, between)
