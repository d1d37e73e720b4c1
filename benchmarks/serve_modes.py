"""What `serve.py` measures of this service alone: overload, new versions, several processes, memory."""

import argparse
import itertools
import json
import shutil
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serve_model import multipart_requests, pictures, raw_requests, write_model
from serve_setup import PATH, PICTURES, Setup
from servers import Server, faults, load, rate_of, start_load, watched
from tqdm import tqdm


def overload(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """The capacity, in a closed loop; then four times as much is offered over four times the connections, or a crowd."""
    connections, files = options.connections, _multipart(setup)
    crowd = options.crowd or 4 * connections
    waiting = options.max_waiting or connections
    with setup.service(max_waiting=str(waiting)) as server:
        used = [server.used()]
        process = start_load(server.port, files, setup.load_core, connections, 10.0)
        capacity = watched(process, 10.0, "capacity")
        used.append(server.used())
        rate = 4 * rate_of(capacity)
        process = start_load(server.port, files, setup.load_core, crowd, options.seconds, rate)
        offered = watched(process, options.seconds, "overload")
        used.append(server.used())
    for report, (before, after) in zip((capacity, offered), itertools.pairwise(used), strict=True):
        report["processor_ms"] = 1e3 * (after - before) / max(report["accepted"], 1)
    throughput, tail = rate_of(offered) / rate_of(capacity), offered["p99_ms"] / capacity["p99_ms"]
    print(f"\nQueue of {waiting}. Capacity at {connections} connections: {_told(capacity)}")
    print(f"{rate:.0f}/s offered over {crowd} connections: {_told(offered)}")
    print(f"{offered['unsent']} requests found no free connection and were not sent.")
    print(f"Accepted, of the capacity: {throughput:.2f} (wanted: 0.9 to 1.1).")
    print(f"p99 of the accepted, over that at capacity: {tail:.2f} (wanted: at most 2).")
    computed = [f"{report['processor_ms']:.2f}" for report in (capacity, offered)]
    print(
        f"The server computed {computed[0]} ms for each accepted request at capacity, {computed[1]} ms under overload."
    )
    return {
        "max_waiting": waiting,
        "crowd": crowd,
        "capacity": capacity,
        "offered_per_second": rate,
        "overload": offered,
    }


def swap(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """Latency at a fixed rate, and while versions of the model are put into the folder."""
    files, count = _multipart(setup), int(options.seconds // options.every)
    beside = [setup.folder / f"{index}.safetensors" for index in range(count)]
    for path in beside:
        write_model(path, note=path.stem)
    put = iter(beside)

    def each_second(second: int) -> None:
        if second % options.every == 1 and (path := next(put, None)):
            _put(path, setup.model)

    rate = options.rate or 1000.0
    arguments = setup.load_core, options.connections, options.seconds, rate
    with setup.service() as server:
        quiet = watched(start_load(server.port, files, *arguments), options.seconds, "one version")
        swapping = watched(start_load(server.port, files, *arguments), options.seconds, "new versions", each_second)
        last = _newest(server, files[0].read_bytes(), count + 1)
    print(f"\n{rate:.0f}/s offered. One version: {_told(quiet)}")
    print(f"{count} new versions: {_told(swapping)}")
    print(
        f"Version that answered in the end: {last} of {count + 1}. Failures: {faults(swapping) + swapping['unsent']:.0f}."
    )
    return {"rate": rate, "versions": count, "answering": last, "quiet": quiet, "swapping": swapping}


def workers(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """Requests per second of one process and of several, in turns."""
    files, counts = _multipart(setup), (1, options.workers)
    rounds: dict[int, list[dict[str, Any]]] = {count: [] for count in counts}
    for _, count in tqdm(list(itertools.product(range(options.rounds), counts)), desc="rounds"):
        with setup.service(*(["--workers", str(count)] if count > 1 else [])) as server:
            report = load(server.port, files, setup.load_core, options.connections, options.seconds)
        rounds[count].append(report)
    rates = {count: statistics.median(map(rate_of, reports)) for count, reports in rounds.items()}
    print()
    for count, reports in rounds.items():
        print(f"{count} workers: {rates[count]:.0f}/s ({', '.join(f'{rate_of(report):.0f}' for report in reports)})")
    print(f"{rates[options.workers] / rates[1]:.2f} times one (wanted for 2 on 2 cores: 1.7).")
    return {"rounds": rounds}


def soak(setup: Setup, options: argparse.Namespace) -> dict[str, Any]:
    """Memory of the service over time, while it is sent good pictures, in forms and alone, and damaged ones."""
    seconds, memory = 60 * options.minutes, []
    images = pictures(PICTURES)
    requests = [*multipart_requests(PATH, images), *raw_requests(PATH, images)]
    damaged = raw_requests(PATH, [images[0][:-40], b"\x89PNG" + bytes(100), b"GIF89a", b""])
    files = setup.files("soak", [*requests, *damaged])
    with setup.service() as server:
        start = time.monotonic()

        def sample(second: int) -> None:
            if second % 5 == 0:
                memory.append({"seconds": round(time.monotonic() - start, 1), "mib": round(server.memory(), 2)})

        sample(0)
        process = start_load(server.port, files, setup.load_core, 32, seconds, options.rate)
        report = watched(process, seconds, "soak", sample)
        right = server.ask(requests[0])[0] == 200
    _print_memory(memory)
    print(f"{report['sent']} requests: {_told(report)} The one after them was {'right' if right else 'wrong'}.")
    return {"memory": memory, "load": report, "right_afterwards": right}


def _multipart(setup: Setup) -> list[Path]:
    return setup.files("multipart", multipart_requests(PATH, pictures(PICTURES)))


def _put(path: Path, model: Path) -> None:
    """Lay a file beside the model as its next version, whole."""
    taken = [int(file.stem) for file in model.parent.glob("[0-9]*.safetensors")]
    hidden = model.with_name(".new")
    shutil.copyfile(path, hidden)
    hidden.rename(model.with_stem(str(max(taken) + 1)))


def _newest(server: Server, request: bytes, expected: int) -> int:
    """The version that answers, once it is the expected one or that has taken too long."""
    end = time.monotonic() + 20
    while True:
        version: int = json.loads(server.ask(request)[1])["version"]
        if version == expected or time.monotonic() > end:
            return version
        time.sleep(0.5)


def _told(report: dict[str, Any]) -> str:
    statuses = ", ".join(f"{rate:.0f}/s answered {status}" for status, rate in report["statuses"].items())
    latency = "" if report["p50_ms"] is None else f"; p50 {report['p50_ms']:.3g}, p99 {report['p99_ms']:.3g}, "
    latency += "" if report["p50_ms"] is None else f"most {report['max_ms']:.3g} ms"
    return f"{statuses}{latency}; {report['failed']} cut off, {report['wrong']} wrong."


def _print_memory(memory: Sequence[dict[str, float]]) -> None:
    """How it grew, the first tenth left out: caches fill."""
    settled = memory[len(memory) // 10 :]
    first, last = settled[0], settled[-1]
    hours = max(last["seconds"] - first["seconds"], 1) / 3600
    most = max(sample["mib"] for sample in memory)
    print(
        f"\nMemory after {first['seconds']:.0f} s: {first['mib']:.1f} MiB, after {last['seconds']:.0f} s: "
        f"{last['mib']:.1f} MiB, at most {most:.1f} MiB; {(last['mib'] - first['mib']) / hours:+.1f} MiB an hour."
    )
