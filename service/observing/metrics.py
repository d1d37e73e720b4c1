"""What the service counts of itself; `docs/monitoring.md` says what each number means.

`request`, `stage`, `stages`, `batch` and `refused` are called on the way of every request: each takes about a microsecond.
A scrape sees what they counted once `publish` was called.
"""

import math
import platform
import threading
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

from service.observing import resources
from service.observing.tally import Distribution, Tally
from training.jobs.states import STATES, State

Stage = Literal["decode", "queue", "batch", "infer", "encode"]
Reason = Literal["queue_full", "deadline", "rate_limit", "client_gone"]

STAGES: tuple[Stage, ...] = ("decode", "queue", "batch", "infer", "encode")
REASONS: tuple[Reason, ...] = ("queue_full", "deadline", "rate_limit", "client_gone")

SECONDS = (50e-6, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the buckets of times."""
REGISTRY = CollectorRegistry()
"""The numbers of this process."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_TURNED_AWAY = frozenset({429, 503})
_SIZES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

# Otherwise every counter and histogram has one more series, with the time it was made.
disable_created_metrics()


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=REGISTRY)


def _histogram(name: str, meaning: str, label: str, bounds: tuple[float, ...]) -> Distribution:
    return Distribution(Histogram(name, meaning, (label,), buckets=bounds, registry=REGISTRY), bounds)


def _gauge(
    name: str, meaning: str, *labels: str, over_workers: Literal["livesum", "livemax", "livemostrecent"] = "livesum"
) -> Gauge:
    return Gauge(name, meaning, labels, registry=REGISTRY, multiprocess_mode=over_workers)


_requests = Tally(_counter("stn_requests", "Requests answered.", "route", "method", "status"))
_request_seconds = _histogram(
    "stn_request_seconds", "From the head of a request to the end of its answer.", "route", SECONDS
)
_stage_seconds = _histogram("stn_stage_seconds", "Stages of a prediction.", "stage", SECONDS)
_batch_images = _histogram("stn_batch_images", "Images in a pass through the network.", "model", _SIZES)
_images = Tally(_counter("stn_images", "Images predicted.", "model"))
_refused = Tally(_counter("stn_refused", "Requests that got no prediction.", "reason"))
_queue = _gauge("stn_queue_images", "Images that wait for their prediction.")
_models = _gauge("stn_models_loaded", "Versions of models in memory.", over_workers="livemax")
_device = _gauge("stn_device_memory_bytes", "Memory of a GPU that torch holds.", "device")
_jobs = _gauge("stn_jobs", "Training jobs.", "state", over_workers="livemostrecent")
_workers = _gauge("stn_workers", "Processes that answer requests.")
_build = _gauge("stn_build_info", "Always 1.", "version", "python", over_workers="livemax")
_memory = _gauge("process_resident_memory_bytes", "Memory of the processes.")
_files = _gauge("process_open_fds", "Open files and connections.")
_processor = _counter("process_cpu_seconds", "Processor time spent.")
_processor_seconds = 0.0
_publishing = threading.Lock()

# At zero from the start, so that a rate can be taken of the first one, too.
for _reason in REASONS:
    _refused.add((_reason,), 0.0)
for _name in STAGES:
    _stage_seconds.add_all(_name, ())


def request(route: str, method: str, status: int, seconds: float | None) -> None:
    """Count a request that was answered; `route` is the template of its path, never the path itself.

    How long it took is left out where it was turned away, and None for a stream: neither says how long an answer takes.
    """
    _requests.add((route, method if method in _METHODS else "other", status))
    if status not in _TURNED_AWAY and seconds is not None:
        _request_seconds.add(route, seconds)


def stage(name: Stage, seconds: float) -> None:
    """How long a request spent in a stage."""
    _stage_seconds.add(name, seconds)


def stages(name: Stage, seconds: Iterable[float]) -> None:
    """How long each request of a batch spent in a stage."""
    _stage_seconds.add_all(name, seconds)


def batch(model: str, size: int) -> None:
    """Count the images of a pass through this model's network."""
    _batch_images.add(model, float(size))
    _images.add((model,), float(size))


def refused(reason: Reason) -> None:
    """Count a request that got no prediction for this reason."""
    _refused.add((reason,))


def jobs(counts: Mapping[State, int] | None) -> None:
    """How many jobs are in each state, as a scrape finds them; None where the database does not answer."""
    for state in STATES:
        _jobs.labels(state).set(math.nan if counts is None else counts.get(state, 0))


def publish(waiting: int, models: int) -> None:
    """Make what was counted visible to a scrape, with the images that wait and the versions of models in memory."""
    with _publishing:
        for counted in (_requests, _request_seconds, _stage_seconds, _batch_images, _images, _refused):
            counted.publish()
        _queue.set(waiting)
        _models.set(models)
        _workers.set(1)
        _build.labels(*_versions()).set(1)
        _memory.set(resources.memory())
        _files.set(resources.open_files())
        global _processor_seconds  # a counter takes what was added, the system tells the sum
        before, _processor_seconds = _processor_seconds, resources.processor_seconds()
        _processor.inc(_processor_seconds - before)
        for device, taken in resources.device_memory().items():
            _device.labels(device).set(taken)


@cache
def _versions() -> tuple[str, str]:
    return version("stn"), platform.python_version()
