"""A trained network, from a run folder, finished or not, or from a model file."""

import json
import pickle
from pathlib import Path
from typing import NamedTuple

import torch

from stn import Classifier, ModelInfo, OtherTask, build_model, load_model, read_model_info
from stn.config import from_dict
from training.config import DataConfig, TrainingConfig
from training.data import DATASETS
from training.data.datamodule import DataModule
from training.runs import read_config


class Trained(NamedTuple):
    """A network, what is known of it, and the run that it comes from."""

    name: str
    model: Classifier
    info: ModelInfo
    file: Path
    """Where the weights were read."""
    config: TrainingConfig | None
    """Of its run; None where only a model file is known."""
    run: Path | None


def read_trained(path: Path) -> Trained:
    """The best weights of this run folder so far, or the network of this model file.

    Raises:
        ValueError: the path is neither, or what lies there cannot be read.
    """
    if path.is_file():
        run = path.parent if path.name == "model.safetensors" and (path.parent / "config.json").exists() else None
        if run is None:
            name = (
                path.parent.name if path.stem.isdecimal() else path.stem
            )  # NAME/VERSION.safetensors is a served model
            return Trained(name, load_model(path), read_model_info(path), path, None, None)
        path = run
    if not (path / "config.json").is_file():
        raise ValueError(f"model must be a run folder or a model file, got {str(path)!r}")
    config = read_config(path / "config.json")
    if config.task != "classify":
        raise OtherTask(path, config.task)
    file = path / "model.safetensors"
    if file.exists():
        return Trained(config.name, load_model(file), read_model_info(file), file, config, path)
    return _unfinished(path, config)


def own_data(trained: Trained) -> TrainingConfig:
    """The config whose data and distortion are the network's own.

    A model file without a run names its data set, which is looked for in `data`, and, unless it is an older one, how that
    was distorted.

    Raises:
        ValueError: the data are one's own pictures, of which a model file does not know where they lie.
    """
    if trained.config is not None:
        return trained.config
    name = trained.info.provenance.get("data", "")
    if name not in DATASETS or name in ("folder", "npz"):
        raise ValueError(
            f"data must be given for {str(trained.file)!r}, which does not say where its pictures lie: "
            f"--data.name folder --data.root PHOTOS, or --data.name with one of {', '.join(DATASETS)}"
        )
    stored = trained.info.provenance.get("config")
    if stored is None:
        return TrainingConfig(name="evaluation", seed=seed_of(trained), data=DataConfig(name=name))  # type: ignore[arg-type]
    try:
        return from_dict(TrainingConfig, json.loads(stored))
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{trained.file}: the config of its training cannot be read ({error}); give data.name"
        ) from None


def seed_of(trained: Trained) -> int:
    """The seed of its run, which decides what is validation; 0 where it is not known."""
    seed = trained.info.provenance.get("seed", "0")
    return trained.config.seed if trained.config else int(seed) if seed.isdecimal() else 0


def _unfinished(run: Path, config: TrainingConfig) -> Trained:
    """The best checkpoint; what a model file would say of it is read from the run's data."""
    file = run / "checkpoints" / "best.ckpt"
    if not file.exists():
        raise ValueError(f"run must have a model file or a checkpoint, got {str(run)!r}, which has not got that far")
    data = DataModule(config)
    info = ModelInfo(
        config=config.model,
        input=data.input,
        class_names=data.class_names,
        provenance={"checkpoint": file.name, "seed": str(config.seed), "data": config.data.name},
    )
    model = build_model(info.config, info.input, len(info.class_names))
    try:
        state = torch.load(file, weights_only=True, map_location="cpu")["state_dict"]
        own = {name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")}
        model.load_state_dict(own)
    except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error) or "it is damaged").splitlines()[0]
        raise ValueError(f"{file} must be a checkpoint of the run's network ({reason})") from None
    return Trained(config.name, model.eval(), info, file, config, run)
