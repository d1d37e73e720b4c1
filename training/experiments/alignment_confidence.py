"""The confidence of an aligner fitted anew, all else left as it is: on pairs of 8 to 64 pixels, half of which do not belong
together.

    python -m training.experiments.alignment_confidence MODEL train.npz OUTPUT --steps 600

train.npz is that of `alignment_pictures`. What a run of training does along with all else, done for a network that is ready.
"""

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import stn
from stn.align_confidence import Confidence
from training.align_confidence import confidence_examples, shrunk
from training.pair_config import PairConfig
from training.pairs import draw_pairs, make_pairs

SEED, BATCH = 0, 24
EPOCHS, RATE, TOGETHER = 80, 3e-2, 256
_PLAIN = PairConfig(brightness=0.0, contrast=(1.0, 1.0), noise=0.0, occlusion=0.0)
_STILL = PairConfig(rotation=0.0, scale=(1.0, 1.0), shift=0.0, perspective=0.0, noise=0.03, occlusion=0.0)
CONFIGS = (
    PairConfig(view=0.67),
    PairConfig(view=0.67),
    dataclasses.replace(_PLAIN, view=0.67),
    PairConfig(),
    _PLAIN,
    PairConfig(view=0.67, rotation=10, scale=(0.9, 1.1), shift=0.08, perspective=0.05, noise=0.02),
    _STILL,
)
"""How pairs are made, each of them for a part of the batches."""
_MIDDLE = 64
"""Side of the middle of a picture that pairs with black beyond their edges are made of; a thing fills it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("pictures", type=Path, help="train.npz")
    parser.add_argument("output", type=Path)
    parser.add_argument(
        "--steps", type=int, default=600, help=f"of {BATCH} pairs, and as many that do not belong together"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    aligner, info = stn.load_aligner(options.model), stn.read_aligner_info(options.model)
    with np.load(options.pictures) as file:
        pictures, kinds = torch.from_numpy(file["images"]), torch.from_numpy(file["labels"])
    evidence, wanted = collected(aligner, pictures, kinds, options.steps)
    aligner.confidence = fitted(evidence, wanted)
    scores = {name: score for name, score in info.scores.items() if name != "test/confidence_error"}  # that of before
    command = f"python -m training.experiments.alignment_confidence, {options.steps} steps"
    provenance = {**info.provenance, "confidence": command}
    stn.save_model(options.output, aligner, dataclasses.replace(info, scores=scores, provenance=provenance))


def collected(aligner: stn.Aligner, pictures: Tensor, kinds: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Evidence on pairs and whether each was laid right; most batches are of one kind of picture."""
    chance = torch.Generator().manual_seed(SEED)
    parts = []
    for _ in range(steps):
        some = torch.randint(len(pictures), (8 * BATCH,), generator=chance)
        if float(torch.rand((), generator=chance)) < 0.7:
            kind = int(torch.randint(int(kinds.max()) + 1, (), generator=chance))
            some = (kinds == kind).nonzero().flatten()
            some = some[torch.randint(len(some), (BATCH,), generator=chance)]
        config = CONFIGS[int(torch.randint(len(CONFIGS), (), generator=chance))]
        batch = pictures[some[:BATCH], None].float() / 255
        edge = 0 if config.view < 1 else (batch.shape[3] - _MIDDLE) // 2
        batch = shrunk(batch[:, :, edge : batch.shape[2] - edge, edge : batch.shape[3] - edge], config, chance)
        drawn = draw_pairs(config, (batch.shape[2], batch.shape[3]), BATCH, chance)
        moving, fixed = make_pairs(batch, drawn, config)
        parts.append(confidence_examples(aligner, moving, fixed, drawn, torch.ones(BATCH, dtype=torch.bool)))
    return torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])


def fitted(evidence: Tensor, wanted: Tensor) -> Confidence:
    torch.manual_seed(SEED)
    confidence = Confidence()
    optimizer = torch.optim.Adam(confidence.parameters(), RATE, weight_decay=1e-5)
    steps = EPOCHS * -(-len(evidence) // TOGETHER)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(EPOCHS):
        for some in torch.randperm(len(evidence)).split(TOGETHER):
            loss = F.binary_cross_entropy_with_logits(confidence(evidence[some]), wanted[some])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return confidence.eval()


if __name__ == "__main__":
    main()
