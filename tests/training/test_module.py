"""What Lightning is given: loss, penalties, learning rates. Every test trains for real."""

import warnings
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F

from stn import Classifier, InputConfig, ModelConfig, build_model
from training.config import OptimizerConfig, TrainerConfig, TrainingConfig
from training.data.batches import FixedBatches
from training.module import ClassificationModule
from training.stepping import lay_out_states

IMAGES = InputConfig(channels=1, height=16, width=16, mean=(0.5,), std=(0.3,))
STEPS, BATCH = 6, 8


def config(**fields: Any) -> TrainingConfig:
    return TrainingConfig(
        name="small",
        model=ModelConfig(**{"filters": (4,), "units": 8, **fields}),
        optimizer=OptimizerConfig(learning_rate=1e-2),
        trainer=TrainerConfig(max_epochs=1, batch_size=BATCH, accelerator="cpu"),
    )


def batches() -> FixedBatches:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(STEPS * BATCH, 1, 16, 16, generator=generator)
    labels = torch.randint(3, (STEPS * BATCH,), generator=generator)
    return FixedBatches(images, labels, torch.arange(len(labels)), BATCH, lambda images, _: images)


def fresh(settings: TrainingConfig) -> Classifier:
    torch.manual_seed(0)
    return build_model(settings.model, IMAGES, 3)


def train(
    settings: TrainingConfig, steps: int = STEPS, model: Classifier | None = None
) -> tuple[ClassificationModule, pl.Trainer]:
    """One short run with Lightning, and a validation."""
    module = ClassificationModule(model or fresh(settings), settings, 3, STEPS)
    trainer = quiet_trainer(steps)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
        trainer.fit(module, batches())
        trainer.validate(module, batches(), verbose=False)
    return module, trainer


def quiet_trainer(steps: int) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu",
        max_steps=steps,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def test_by_default_a_run_is_a_plain_loop_to_the_bit() -> None:
    settings = config()
    module, trainer = train(settings)
    model = fresh(settings).to(memory_format=torch.channels_last)
    rate = settings.optimizer.learning_rate
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=rate, total_steps=STEPS)
    for images, labels, *_ in batches():
        optimizer.zero_grad()
        F.cross_entropy(model(images).logits, labels, label_smoothing=0.1).backward()
        optimizer.step()
        schedule.step()
    assert len(trainer.optimizers[0].param_groups) == 1
    assert all(
        torch.equal(ours, plain) for ours, plain in zip(module.model.parameters(), model.parameters(), strict=True)
    )
    assert "train/penalty" not in trainer.callback_metrics


@pytest.mark.parametrize("localization", ["conv", "shared"])
def test_the_localization_net_and_nothing_else_gets_its_learning_rate_factor(localization: str) -> None:
    settings = config(localization=localization, localization_rate=0.25)
    before = fresh(settings)
    whole, _ = train(config(localization=localization), steps=1)
    scaled, trainer = train(settings, steps=1)

    def moved(module: ClassificationModule, name: str) -> torch.Tensor:
        return module.model.get_parameter(name) - before.get_parameter(name)

    for name, _ in before.named_parameters():
        factor = 0.25 if name.startswith("transformer.localization.") else 1.0
        # One step of AdamW is proportional to its rate; float32 keeps some 1e-7 of weights below 1.
        torch.testing.assert_close(moved(scaled, name), factor * moved(whole, name), atol=2e-7, rtol=1e-3)
    assert (
        moved(
            whole,
            "transformer.localization.theta.bias"
            if localization == "shared"
            else "transformer.localization.1.theta.bias",
        )
        .abs()
        .sum()
        > 0
    )
    groups = {group["max_lr"]: len(group["params"]) for group in trainer.optimizers[0].param_groups}
    assert groups == {
        1e-2: len([name for name, _ in before.named_parameters() if "localization" not in name]),
        1e-2 * 0.25: len([name for name, _ in before.named_parameters() if "localization" in name]),
    }


def test_a_localization_net_of_rate_zero_stays_as_it_was() -> None:
    settings = config(localization_rate=0.0)
    module, _ = train(settings)
    before = fresh(settings)
    still = {name for name, value in module.model.named_parameters() if torch.equal(value, before.get_parameter(name))}
    assert still == {name for name, _ in before.named_parameters() if "localization" in name}


def test_the_gradient_factor_scales_the_gradient_of_the_localization_net_alone() -> None:
    plain, scaled = (fresh(config(gradient_factor=factor)) for factor in (1.0, 0.5))
    images, labels, *_ = next(iter(batches()))
    for model in (plain, scaled):
        F.cross_entropy(model(images).logits, labels).backward()
    for name, parameter in plain.named_parameters():
        factor = 0.5 if "localization" in name else 1.0
        torch.testing.assert_close(scaled.get_parameter(name).grad, factor * parameter.grad)  # but for rounding


@pytest.mark.parametrize("penalty", ["outside_penalty", "identity_penalty"])
def test_a_penalty_is_part_of_the_loss_and_logged(penalty: str) -> None:
    settings = config(**{penalty: 2.0})
    with_penalty, without = (
        train(each, steps=1, model=_zoomed_out(fresh(each)))[1].callback_metrics for each in (settings, config())
    )
    transformer = _zoomed_out(fresh(settings)).transformer
    images, *_ = next(iter(batches()))
    expected = transformer.penalty(transformer(images)).detach()
    assert expected > 0.1
    torch.testing.assert_close(with_penalty["train/penalty"], expected)  # but for rounding
    torch.testing.assert_close(with_penalty["train/loss"] - without["train/loss"], expected)  # but for rounding
    assert "train/penalty" not in without


def _zoomed_out(model: Classifier) -> Classifier:
    with torch.no_grad():
        model.transformer.localization[1].theta.bias.mul_(1.5)
    return model


def test_a_penalty_keeps_the_grid_near_the_identity() -> None:
    def distance(weight: float) -> float:
        module, trainer = train(config(identity_penalty=weight, localization_rate=20.0))
        if weight:
            assert trainer.callback_metrics["train/penalty"] >= 0
        theta = module.model(batches().images).transformed.theta
        return float((theta.detach() - torch.tensor([1.0, 0, 0, 0, 1, 0])).abs().mean())

    assert distance(1000.0) < distance(0.0) / 2


def test_a_network_without_a_transformer_trains_with_the_same_settings() -> None:
    module, trainer = train(config(transform="none", outside_penalty=1.0, localization_rate=0.5))
    assert module.model.transformer is None
    assert "train/penalty" not in trainer.callback_metrics
    assert len(trainer.optimizers[0].param_groups) == 1


def test_the_validation_loss_is_the_cross_entropy_alone() -> None:
    settings = config(outside_penalty=5.0)
    module = ClassificationModule(_zoomed_out(fresh(settings)), settings, 3, STEPS)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="pytorch_lightning|lightning_fabric|torchmetrics")
        (metrics,) = quiet_trainer(1).validate(module, batches(), verbose=False)
    images, labels = batches().images, batches().labels
    with torch.no_grad():
        expected = F.cross_entropy(module.eval().model(images).logits, labels)
    assert metrics["val/loss"] == pytest.approx(float(expected))


def test_what_an_optimiser_remembers_gets_the_layout_of_its_weights() -> None:
    conv = torch.nn.Conv2d(3, 4, 5)
    optimizer = torch.optim.AdamW(conv.parameters(), fused=True)
    conv(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
    before = {name: value.clone() for name, value in optimizer.state[conv.weight].items()}
    conv.to(memory_format=torch.channels_last)
    lay_out_states(optimizer)
    state = optimizer.state[conv.weight]
    assert state["exp_avg"].stride() == state["exp_avg_sq"].stride() == conv.weight.stride()
    assert all(torch.equal(state[name], value) for name, value in before.items())
    conv(torch.rand(2, 3, 8, 8)).sum().backward()
    optimizer.step()
