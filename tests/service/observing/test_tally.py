"""Numbers counted in plain Python are those that prometheus_client would have counted."""

import random
import threading

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.observing.tally import Distribution, Tally

BOUNDS = (0.1, 0.2, 0.5)


def histogram(registry: CollectorRegistry) -> Histogram:
    return Histogram("seconds", "Seconds.", ["stage"], buckets=BOUNDS, registry=registry)


def without_sum(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_sum" not in line]


def test_a_distribution_is_the_histogram_of_prometheus_client() -> None:
    expected, found = CollectorRegistry(), CollectorRegistry()
    theirs, ours = histogram(expected), Distribution(histogram(found), BOUNDS)
    values = [*BOUNDS, 0.0, 7.0, *(random.Random(0).random() for _ in range(200))]
    for value in values:
        theirs.labels("a").observe(value)
        ours.add("a", value)
    theirs.labels("b").observe(0.2)
    ours.add_all("b", [0.2])
    ours.publish()
    assert without_sum(found) == without_sum(expected)
    total = found.get_sample_value("seconds_sum", {"stage": "a"})
    assert total is not None
    assert abs(total - sum(values)) < 1e-9  # the values are added in another order


def test_what_was_handed_over_is_not_handed_over_again() -> None:
    registry = CollectorRegistry()
    counted = Tally(Counter("images", "Images.", ["model"], registry=registry))
    times = Distribution(histogram(registry), BOUNDS)
    for _ in range(2):
        counted.add(("tiny",), 3.0)
        times.add_all("a", [0.1, 0.3])
        counted.publish()
        times.publish()
        times.publish()
    assert registry.get_sample_value("images_total", {"model": "tiny"}) == 6
    assert registry.get_sample_value("seconds_count", {"stage": "a"}) == 4


def test_threads_that_count_while_others_publish_lose_nothing() -> None:
    registry = CollectorRegistry()
    counted = Tally(Counter("images", "Images.", ["model"], registry=registry))
    times = Distribution(histogram(registry), BOUNDS)

    def count() -> None:
        for number in range(5000):
            counted.add(("tiny",))
            times.add("a", 0.3)
            if number % 500 == 0:
                counted.publish()
                times.publish()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted.publish()
    times.publish()
    assert registry.get_sample_value("images_total", {"model": "tiny"}) == 20_000
    assert registry.get_sample_value("seconds_count", {"stage": "a"}) == 20_000
    assert registry.get_sample_value("seconds_bucket", {"stage": "a", "le": "0.5"}) == 20_000
