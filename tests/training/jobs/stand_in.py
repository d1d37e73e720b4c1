"""Stands in for `python -m training` where the worker is tested and not what it starts: it trains nothing, and keeps to all
that a worker and a training process agree on. A step takes a hundredth of a second.

What it is to do wrong is said by the seed of the config: 1 crashes at each start, 2 finds a mistake, 3 a full disk, 4 hears
no signal and reads no file, 5 ends without a result, 6 crashes once, 7 cannot
download something, 8 finds a mistake at step 200, 9 and 10 stand still once at step 5, the one waiting, the other at work.
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

from training.attempts import Attempt, Fenced
from training.failures import leave_word
from training.jobs.identity import Process, find, is_alive
from training.runs import Held, hold, is_finished, set_aside, write_json


def main() -> int:
    _, _, folder, _, number = sys.argv
    run, attempt = Path(folder), Attempt(Path(folder), int(number))
    config = json.loads((run / "config.json").read_text())
    deaf = config["seed"] in (4, 9)
    signal.signal(signal.SIGTERM, signal.SIG_IGN if deaf else lambda *_: sys.exit(130))
    try:
        if is_finished(run):
            return 0
        with hold(run, patience=20.0):
            attempt.check()
            set_aside(run)
            return train(run, attempt, config, deaf)
    except (Fenced, Held):
        return 4


def train(run: Path, attempt: Attempt, config: dict, deaf: bool) -> int:
    write_down(run, attempt)
    last, steps = run / "checkpoints" / "last.ckpt", config["trainer"]["max_steps"]
    last.parent.mkdir(exist_ok=True)
    first = int(last.read_text()) if last.exists() else 0
    for step in range(first, steps):
        write_json(
            run / "progress.json", {"attempt": attempt.number, "phase": "training", "step": step, "steps": steps}
        )
        if (code := wrong(config["seed"], len((run / "starts.jsonl").read_text().splitlines()), step)) is not None:
            if code:
                sys.stderr.write("error: what is wrong\n")
                leave_word(attempt, code, "what is wrong")
            return code
        asked = None if deaf else attempt.asked()
        if asked is not None and step > first:
            last.write_text(str(step))
        if asked == "pause":
            return 130
        if asked == "stop":
            return end(run, attempt, "stopped", step)
        select.select([], [], [], 0.01)  # libfaketime breaks time.sleep where the clock jumps
        if step % 10 == 9:
            with (run / "metrics.jsonl").open("a") as file:
                file.write(json.dumps({"step": step, "val/loss": 1 / (step + 1)}) + "\n")
    return end(run, attempt, "succeeded", steps)


def write_down(run: Path, attempt: Attempt) -> None:
    """That it began, with those that began before and live."""
    me = find(os.getpid())
    with (run / "starts.jsonl").open("a+") as file:
        file.seek(0)
        earlier = [Process(*json.loads(line)["process"]) for line in file]
        end = time.monotonic() + 1.0  # one that has let go of the folder takes a moment to end
        while any(map(is_alive, earlier)) and time.monotonic() < end:
            time.sleep(0.02)
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        start = {"attempt": attempt.number, "process": me, "gpus": gpus, "others": [*filter(is_alive, earlier)]}
        file.write(json.dumps(start) + "\n")


def wrong(seed: int, starts: int, step: int) -> int | None:
    if seed == 1 or (seed == 6 and starts == 1):
        os.kill(os.getpid(), signal.SIGSEGV)
    if seed in (9, 10) and (starts, step) == (1, 5):
        while True:
            select.select([], [], [], 0.0 if seed == 10 else 3600.0)
    if seed == 8:
        return 2 if step == 200 else None
    return {2: 2, 3: 3, 5: 0, 7: 5}.get(seed)


def end(run: Path, attempt: Attempt, status: str, steps: int) -> int:
    attempt.check()
    write_json(run / "result.json", {"status": status, "scores": {"steps": float(steps)}, "attempt": attempt.number})
    return 0


if __name__ == "__main__":
    sys.exit(main())
