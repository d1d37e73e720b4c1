"""What seeing inside costs: microseconds for each number that a request leaves behind.

    python benchmarks/metrics.py

It measures on one core, alone and as one of several processes that share their numbers in a folder: prometheus_client
itself, what the service does instead, a line of the log, and a span. Prints a table of the best of many short rounds, for
other work on the machine only makes a round longer.
"""

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

ROUNDS, TIMES = 100, 1000


def main() -> None:
    alone = _measured({})
    with tempfile.TemporaryDirectory() as folder:
        shared = _measured({"PROMETHEUS_MULTIPROC_DIR": folder})
    print(f"{'microseconds':<64}{'alone':>8}{'shared':>8}")
    for name, seconds in alone.items():
        print(f"{name:<64}{seconds * 1e6:>8.2f}{shared[name] * 1e6:>8.2f}")


def _measured(environment: dict[str, str]) -> dict[str, float]:
    """In a process of its own, for prometheus_client chooses when it is imported."""
    command = [sys.executable, __file__, "measure"]
    done = subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, text=True, check=True)
    return {name: float(value) for name, _, value in (line.partition("\t") for line in done.stdout.splitlines())}


def _measure() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cases = _cases()
    best = dict.fromkeys((name for name, _, _ in cases), float("inf"))
    for _ in range(ROUNDS):
        for name, function, times in cases:
            best[name] = min(best[name], _seconds(function, times))
    for name, seconds in best.items():
        print(f"{name}\t{seconds}")


def _cases() -> list[tuple[str, Callable[[], object], int]]:
    from prometheus_client import CollectorRegistry, Counter, Histogram

    from service.observing import logs, metrics, tracing
    from service.observing.exposition import expose

    registry = CollectorRegistry()
    bounds = metrics.SECONDS
    histogram = Histogram("a_seconds", "A.", ["stage"], buckets=bounds, registry=registry).labels("infer")
    counter = Counter("b", "B.", ["route", "method", "status"], registry=registry).labels("/v1/predict", "POST", "200")

    def everything() -> None:
        for stage in metrics.STAGES:
            metrics.stage(stage, 0.0015)
        metrics.request("/v1/predict", "POST", 200, 0.003)

    def everything_in_batches() -> None:
        metrics.stage("decode", 0.0015)
        metrics.stages("queue", waited)
        metrics.stages("batch", waited)
        metrics.stages("infer", waited)
        metrics.batch("tiny", 32)
        metrics.stage("encode", 0.0015)

    waited = [0.0015] * 32
    logging.basicConfig(handlers=[logging.StreamHandler(open(os.devnull, "w"))])  # noqa: SIM115
    logging.getLogger().handlers[0].setFormatter(logs.JsonLines())
    logging.getLogger("service.requests").setLevel(logging.ERROR)
    traces = tracing.start("http://127.0.0.1:9")
    tracer = traces.provider.get_tracer("a")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)

    def span() -> None:
        with tracer.start_as_current_span("POST /v1/predict") as current:
            for stage in metrics.STAGES:
                tracing.stage(current, stage, 0.0015)

    return [
        ("prometheus_client: Histogram.observe", lambda: histogram.observe(0.0015), TIMES),
        ("prometheus_client: Counter.inc", counter.inc, TIMES),
        ("metrics.stage", lambda: metrics.stage("infer", 0.0015), TIMES),
        ("metrics.stages, of 32 requests", lambda: metrics.stages("infer", waited), TIMES // 20),
        ("metrics.request", lambda: metrics.request("/v1/predict", "POST", 200, 0.003), TIMES),
        ("a request: five stages, count, latency", everything, TIMES // 10),
        ("a batch of 32: stages of all, images", everything_in_batches, TIMES // 20),
        ("metrics.publish, for a scrape or every half second", lambda: metrics.publish(0, 1), 10),
        ("a scrape, for one route", lambda: expose(""), 2),
        ("logs.request, off", lambda: logs.request("POST", "/v1/predict", 200, 0.003, "tiny"), TIMES),
        ("logs.request, on, JSON, to /dev/null", lambda: logs.request("POST", "/v1/predict", 500, 0.003, "tiny"), 200),
        ("tracing.current and tracing.stage, off", lambda: tracing.stage(tracing.current.get(), "infer", 0.1), TIMES),
        ("a span with five stages, sampled", span, 50),
    ]


def _seconds(function: Callable[[], object], times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    _measure() if sys.argv[1:] == ["measure"] else main()
