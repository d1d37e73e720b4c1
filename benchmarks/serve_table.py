"""The table of `serve.py`: this service, its peers, and the ceiling."""

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from serve_rows import EMPTY, OURS, Row, start_rows
from serve_setup import Setup
from serve_targets import TARGETS, Cells
from servers import HERE, faults, load, pinned, rate_of
from tqdm import tqdm

CONNECTIONS = (1, 32, 128)


def table(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """All cells, the ratios and the pieces of a request; prints them."""
    parts = _parts(setup)
    with ExitStack() as stack:
        rows, tried = start_rows(setup, stack, options.seconds)
        cells = _measure(rows, setup, options.rounds, options.seconds)
    _print_cells(cells)
    for settings, rate in tried.items():
        print(f"(c) with batches of {settings.replace(' ', ' and a wait of ')} s: {rate:.0f}/s at 32 connections")
    _print_targets(cells)
    _print_ceiling(cells, parts)
    return {
        "litserve": {"requests_per_second_by_batch_and_seconds": tried},
        "cells": [
            {"requests": kind, "server": name, "connections": connections, "rounds": reports}
            for (kind, name, connections), reports in cells.items()
        ],
        "ratios": {target.text: target.of_rounds(cells) for target in TARGETS},
        "seconds_of_parts": parts,
    }


def _measure(rows: Sequence[Row], setup: Setup, rounds: int, seconds: float) -> Cells:
    cells = defaultdict(list)
    turns = list(itertools.product(CONNECTIONS, rows))
    shuffle = random.Random(0).shuffle  # who came before is another each time
    with tqdm(desc="rounds", total=rounds * len(turns), unit="cell") as progress:
        for _ in range(rounds):
            shuffle(turns)
            for connections, row in turns:
                with row.server.running():
                    before = row.server.used()
                    report = load(row.server.port, row.files, setup.load_core, connections, seconds)
                    report["processor_ms"] = 1e3 * (row.server.used() - before) / max(report["accepted"], 1)
                cells[row.kind, row.server.name, connections].append(report)
                progress.update()
    return dict(sorted(cells.items()))


def _parts(setup: Setup) -> dict[str, float]:
    """Seconds of each piece of a request, on the core that the servers had."""
    command = [sys.executable, str(HERE / "serve_parts.py"), "--model", str(setup.model)]
    with pinned(setup.server_core):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    parts: dict[str, float] = json.loads(done.stdout)
    return parts


def _print_cells(cells: Cells) -> None:
    print("\nRequests per second; p50 and p99 in ms; in brackets what the server computed for a request, in ms.\n")
    header = ["requests", "server", *(f"{count} connections" for count in CONNECTIONS)]
    print(f"| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for kind, name in dict.fromkeys((kind, name) for kind, name, _ in cells):
        line = [_in_words(cells[kind, name, connections]) for connections in CONNECTIONS]
        print(f"| {' | '.join([kind, name, *line])} |")
    for (kind, name, connections), reports in cells.items():
        if bad := sum(map(faults, reports)):
            print(f"{name}, {kind}, {connections} connections: {bad:.0f} requests were not answered rightly.")
        if max(report["busy"] for report in reports) > 0.8:
            print(f"{name}, {kind}, {connections} connections: the load generator was the limit.")


def _in_words(reports: Sequence[Mapping[str, Any]]) -> str:
    rate = statistics.median(map(rate_of, reports))
    half, most, computed = (_median(reports, name) for name in ("p50_ms", "p99_ms", "processor_ms"))
    return f"{rate:.0f}/s; {half:.3g}, {most:.3g}; ({computed:.2f})"


def _median(reports: Sequence[Mapping[str, Any]], name: str) -> float:
    """Over the rounds; nan where nothing was accepted in one."""
    return statistics.median(float("nan") if report[name] is None else report[name] for report in reports)


def _print_targets(cells: Cells) -> None:
    print("\n| | median (each round) | wanted | |\n|---|---|---|---|")
    for target in TARGETS:
        if ratios := target.of_rounds(cells):
            each = ", ".join(f"{ratio:.2f}" for ratio in ratios)
            wanted = f"{'at least' if target.at_least else 'at most'} {target.bound:.3g}"
            met = "reached" if target.is_met(ratios) else "missed"
            print(f"| {target.text} | {statistics.median(ratios):.2f} ({each}) | {wanted} | {met} |")


def _print_ceiling(cells: Cells, parts: Mapping[str, float]) -> None:
    print("\nWhat a request costs, each piece alone on one core, in microseconds.\n")
    empty = statistics.median(rate_of(report) for report in cells["multipart", EMPTY, 32])
    pieces = {"HTTP and ASGI, (a) at 32 connections": 1 / empty, **parts}
    total = sum(pieces.values())
    print("| piece | microseconds |\n|---|---|")
    for name, seconds in {**pieces, "all": total}.items():
        print(f"| {name} | {1e6 * seconds:.0f} |")
    reached = statistics.median(rate_of(report) for report in cells["multipart", OURS, 32])
    print(
        f"\nCeiling: {1 / total:.0f}/s. Reached at 32 connections: {reached:.0f}/s, {total * reached:.0%} of it; "
        f"the rest is {1e6 * (1 / reached - total):.0f} microseconds a request."
    )
