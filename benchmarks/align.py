"""How well and how fast pictures are laid on each other: stn, OpenCV's ECC, ORB with RANSAC, kornia's ImageRegistrator.

    pip install opencv-python-headless kornia scikit-image; apt-get install dataset-fashion-mnist
    python -m benchmarks.align MODEL.safetensors --json results/align.json

The same held-out pairs for all, one after the other on one thread. Distances are those of 8x8 points of the fixed image from
where they belong in the moving one, averaged over a pair, in its pixels. Where a way finds nothing, nothing is moved. Times
are those of the processor, not of the clock, so that others who use the machine do not count.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

import stn
from benchmarks.align_pairs import Pairs, clothes, photographs
from benchmarks.align_peers import Way, ecc, orb, ours, ours_at_once, registrator, still
from benchmarks.machine import machine
from training.align_loss import points_like

TOGETHER = 64
"""Pairs of a batch."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--clothes", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--pairs", type=int, default=192, help="of each kind")
    parser.add_argument("--slow-pairs", type=int, default=48, help="of each kind, for ways that take over 0.1 s a pair")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    aligner = stn.load_aligner(options.model)
    sets = {
        "Fashion-MNIST 28x28": clothes(options.clothes, options.pairs, options.seed),
        "photographs 128x128": photographs(options.pairs, options.seed),
    }
    ways: dict[str, tuple[Way, bool]] = {
        "nothing is moved": (still, False),
        "stn.Aligner": (ours(aligner), False),
        "stn.align, refined 50 ms": (ours(aligner, 0.05), False),
        "OpenCV ECC, 50 steps, 1e-4": (ecc(50, 1e-4), False),
        "OpenCV ECC, 5000 steps, 1e-10": (ecc(5000, 1e-10), True),
        "OpenCV ORB + RANSAC": (orb(), False),
        "kornia ImageRegistrator": (registrator(5, 1e-3, 100), True),
        "kornia ImageRegistrator, rate 1e-2, 300 steps": (registrator(5, 1e-2, 300), True),
    }
    rows = []
    for kind, pairs in sets.items():
        rows.append(_row(kind, f"stn.Aligner, {TOGETHER} at once", *_at_once(aligner, pairs), pairs))
        _print(rows[-1])
        for name, (way, slow) in ways.items():
            rows.append(
                _row(kind, name, *_one_by_one(way, pairs, options.slow_pairs if slow else options.pairs), pairs)
            )
            _print(rows[-1])
    report = {
        "machine": machine("torch", "opencv-python-headless", "kornia", "scikit-image"),
        "model": options.model.name,
        "pairs": options.pairs,
        "seed": options.seed,
        "rows": rows,
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")


def _one_by_one(way: Way, pairs: Pairs, count: int) -> tuple[list[np.ndarray | None], float]:
    """What is found, and milliseconds a pair."""
    way(pairs.moving[0], pairs.fixed[0])  # what is made once does not count
    return _timed(
        lambda: [way(moving, fixed) for moving, fixed in zip(pairs.moving[:count], pairs.fixed, strict=False)]
    )


def _at_once(aligner: stn.Aligner, pairs: Pairs) -> tuple[list[np.ndarray | None], float]:
    starts = range(0, len(pairs.moving), TOGETHER)
    ours_at_once(aligner, pairs.moving[:TOGETHER], pairs.fixed[:TOGETHER])

    def all_pairs() -> list[np.ndarray | None]:
        batches = (slice(start, start + TOGETHER) for start in starts)
        return [matrix for part in batches for matrix in ours_at_once(aligner, pairs.moving[part], pairs.fixed[part])]

    return _timed(all_pairs)


def _timed(work: Callable[[], list[np.ndarray | None]]) -> tuple[list[np.ndarray | None], float]:
    start = time.process_time()
    found = work()
    return found, 1000 * (time.process_time() - start) / len(found)


def _row(kind: str, name: str, found: list[np.ndarray | None], milliseconds: float, pairs: Pairs) -> dict[str, Any]:
    points = points_like(torch.zeros(1, dtype=torch.float64))
    truth = pairs.truth(points.float()).double().numpy()[: len(found)]  # (N, M, 2)
    wide = np.concatenate([points.numpy(), np.ones((len(points), 1))], axis=1)
    matrices = np.stack([np.eye(3) if matrix is None else matrix for matrix in found])
    rows = np.einsum("nij,mj->nmi", matrices, wide)
    divisor = rows[..., 2:]
    placed = rows[..., :2] / np.where(np.abs(divisor) < 1e-6, 1e-6, divisor)
    side = pairs.fixed.shape[1]
    off = np.linalg.norm(placed - truth, axis=-1).mean(1) * side / 2
    return {
        "pairs_of": kind,
        "way": name,
        "pairs": len(found),
        "found_nothing": sum(matrix is None for matrix in found),
        "median_px": round(float(np.median(off)), 3),
        "p95_px": round(float(np.quantile(off, 0.95)), 2),
        "within_2px": round(float((off < 2).mean()), 4),
        "ms_a_pair": round(milliseconds, 3),
    }


def _print(row: dict[str, Any]) -> None:
    cells = [row["pairs_of"], row["way"], row["pairs"], row["median_px"], row["p95_px"]]
    print("|", " | ".join(map(str, [*cells, f"{100 * row['within_2px']:.1f} %", row["ms_a_pair"]])), "|", flush=True)


if __name__ == "__main__":
    main()
