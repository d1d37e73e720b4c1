import asyncio
import gc
import math
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from service.predicting.outputs import WHOLE, Outputs
from service.predicting.predictor import Predictor
from service.predicting.work import Stages
from service.problems import Problem


class Waiting:
    """A network that waits for its cue and remembers the size of every batch; its probabilities are the first pixels."""

    def __init__(self) -> None:
        self.cue = threading.Event()
        self.started = threading.Event()
        self.sizes: list[int] = []
        self.details: list[bool] = []
        self.thetas: list[list[float] | None] = []

    def __call__(self, images: np.ndarray, details: bool = False, theta: np.ndarray | None = None) -> Outputs:
        self.started.set()
        assert self.cue.wait(10)
        self.sizes.append(len(images))
        self.details.append(details)
        self.thetas.append(None if theta is None else theta[:, 0].tolist())
        if np.isnan(images).any():
            raise ValueError("images must be finite")
        outline = np.broadcast_to(WHOLE, (len(images), 4, 2))
        return Outputs(images.reshape(len(images), -1)[:, :3], images, None, None, outline)


def image(value: float = 0.0, kind: type = np.float32) -> np.ndarray:
    return np.full((1, 2, 2), value, kind)


def first_pixels(outputs: Outputs, _stages: Stages) -> list[float]:
    return outputs.probabilities[:, 0].tolist()


def run(test: Callable[[Predictor, Waiting], Awaitable[Any]], max_batch: int = 4, max_waiting: int = 100) -> Waiting:
    network = Waiting()
    predictor = Predictor(network, max_batch=max_batch, max_waiting=max_waiting)

    async def main() -> None:
        async with asyncio.timeout(20):
            await test(predictor, network)

    try:
        asyncio.run(main())
    finally:
        network.cue.set()
        predictor.close()
    return network


async def begun(network: Waiting) -> None:
    assert await asyncio.to_thread(network.started.wait, 10)


def test_what_arrives_while_a_batch_runs_makes_up_the_next_one() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        first = predictor.submit([image()], first_pixels)
        await begun(network)
        rest = [predictor.submit([image()], first_pixels) for _ in range(6)]
        network.cue.set()
        await asyncio.gather(first, *rest)

    assert run(test).sizes == [1, 4, 2]


def test_the_images_of_a_request_stay_in_one_batch() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        first = predictor.submit([image()], first_pixels)
        await begun(network)
        rest = [predictor.submit([image(0.5)] * 3, first_pixels) for _ in range(3)]
        network.cue.set()
        assert await asyncio.gather(first, *rest) == [[0.0], *[[0.5] * 3] * 3]

    assert run(test).sizes == [1, 3, 3, 3]


def test_each_request_gets_the_answers_of_its_own_images_and_bytes_are_scaled() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        network.cue.set()
        futures = [predictor.submit([image(n, np.uint8), image(n / 255)], first_pixels) for n in range(40)]
        for n, answer in enumerate(await asyncio.gather(*futures)):
            assert answer == pytest.approx([n / 255] * 2, abs=1e-7)

    run(test, max_batch=16)


def test_more_than_may_wait_is_refused_and_room_comes_back() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        futures = [predictor.submit([image()] * 2, first_pixels)]
        for refused in (lambda: predictor.submit([image()] * 2, first_pixels), lambda: predictor.check_room(2)):
            with pytest.raises(Problem) as error:
                refused()
            assert (error.value.status, error.value.headers) == (429, {"Retry-After": "1"})
        futures.append(predictor.submit([image()], first_pixels))
        with pytest.raises(Problem):
            predictor.submit([image()], first_pixels)
        network.cue.set()
        await asyncio.gather(*futures)
        assert await predictor.submit([image()] * 3, first_pixels) == [0.0] * 3

    run(test, max_waiting=3)


def test_closing_answers_what_waits() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        futures = [predictor.submit([image(n)], first_pixels) for n in range(7)]
        network.cue.set()
        await asyncio.to_thread(predictor.close)
        assert await asyncio.gather(*futures) == [[float(n)] for n in range(7)]

    run(test)


def test_a_predictor_that_nobody_refers_to_answers_what_waits_and_ends() -> None:
    before = set(threading.enumerate())

    async def test(_predictor: Predictor, _network: Waiting) -> None:
        network = Waiting()
        predictor = Predictor(network, max_batch=4, max_waiting=100)
        mine = set(threading.enumerate()) - before
        future = predictor.submit([image(0.5)], first_pixels)
        del predictor
        gc.collect()
        network.cue.set()
        assert await future == [0.5]
        for thread in mine - {thread for thread in mine if thread.name.startswith("asyncio")}:
            await asyncio.to_thread(thread.join, 10)
            assert not thread.is_alive() or thread in threads_of_the_other

    async def with_other(predictor: Predictor, network: Waiting) -> None:
        threads_of_the_other.update(set(threading.enumerate()) - before)
        before.update(threads_of_the_other)
        await test(predictor, network)

    threads_of_the_other: set[threading.Thread] = set()
    run(with_other)


def test_an_error_in_the_network_reaches_who_asked_and_the_next_image_is_answered() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        network.cue.set()
        with pytest.raises(ValueError, match="images must be finite"):
            await predictor.submit([image(float("nan"))], first_pixels)
        assert await predictor.submit([image(0.5)], first_pixels) == [0.5]

    run(test)


def test_an_error_in_encoding_reaches_that_request_alone() -> None:
    def fail(outputs: Outputs, stages: Stages) -> None:
        raise KeyError("encoding")

    async def test(predictor: Predictor, network: Waiting) -> None:
        bad, good = predictor.submit([image()], fail), predictor.submit([image(0.5)], first_pixels)
        network.cue.set()
        with pytest.raises(KeyError, match="encoding"):
            await bad
        assert await good == [0.5]

    run(test)


def test_work_whose_client_went_away_is_not_computed_and_gives_its_room_back() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        first = predictor.submit([image()], first_pixels)
        await begun(network)
        gone, kept = predictor.submit([image()], first_pixels), predictor.submit([image()], first_pixels)
        gone.cancel()
        await asyncio.sleep(0)
        assert predictor.unanswered == 2
        network.cue.set()
        await asyncio.gather(first, kept)

    assert run(test).sizes == [1, 1]


def test_past_its_deadline_work_is_answered_504_at_once_and_not_computed() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        first = predictor.submit([image()], first_pixels)
        await begun(network)
        late = predictor.submit([image()], first_pixels, deadline=time.monotonic() + 0.05)
        kept = predictor.submit([image()], first_pixels, deadline=time.monotonic() + 60)
        with pytest.raises(Problem) as error:
            await late
        assert error.value.status == 504
        assert not first.done()
        network.cue.set()
        await asyncio.gather(first, kept)

    assert run(test).sizes == [1, 1]


def test_details_are_computed_for_a_batch_in_which_somebody_asks_for_them() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        network.cue.set()
        await predictor.submit([image()], first_pixels)
        await predictor.submit([image()], first_pixels, details=True)

    assert run(test).details == [False, True]


@pytest.mark.parametrize("on_loop", [True, False])
def test_images_with_a_theta_of_their_own_go_through_the_network_apart(on_loop: bool) -> None:
    network = Waiting()
    network.cue.set()
    predictor = Predictor(network, 16, 100, on_loop=on_loop)

    async def main() -> None:
        futures = []
        for index in range(5):
            theta = np.full(3, index, np.float32) if index % 2 else None
            futures.append(predictor.submit([image(index)] * 2, first_pixels, theta=theta))
        assert await asyncio.gather(*futures) == [[index] * 2 for index in range(5)]

    try:
        asyncio.run(main())
    finally:
        predictor.close()
    given = [theta for theta in network.thetas if theta is not None]
    assert sum(given, []) == [1, 1, 3, 3]
    if on_loop:
        assert (network.sizes, network.thetas) == ([6, 4], [None, [1, 1, 3, 3]])


def test_the_stages_of_a_request_follow_each_other() -> None:
    async def test(predictor: Predictor, network: Waiting) -> None:
        network.cue.set()
        stages = await predictor.submit([image()] * 2, lambda _outputs, stages: stages)
        assert stages.arrived <= stages.taken <= stages.gathered <= stages.inferred
        assert stages.batch == 2

    run(test)


def run_on_loop(test: Callable[[Predictor], Awaitable[Any]], max_batch: int = 4, max_waiting: int = 100) -> list[int]:
    """The sizes of the batches of a predictor without threads."""
    network = Waiting()
    network.cue.set()
    before = threading.active_count()
    predictor = Predictor(network, max_batch, max_waiting, on_loop=True)
    assert threading.active_count() == before
    asyncio.run(asyncio.wait_for(test(predictor), 20))
    predictor.close()
    assert predictor.unanswered == 0
    return network.sizes


def test_on_the_loop_what_came_in_one_turn_is_a_batch_and_the_rest_follows() -> None:
    async def test(predictor: Predictor) -> None:
        sizes = (1, 2, 3, 1, 1, 4)
        futures = [predictor.submit([image(n)] * size, first_pixels) for n, size in enumerate(sizes)]
        assert await asyncio.gather(*futures) == [[float(n)] * size for n, size in enumerate(sizes)]
        assert await predictor.submit([image(0.5)], first_pixels) == [0.5]

    assert run_on_loop(test) == [3, 4, 1, 4, 1]


def test_on_the_loop_what_comes_while_others_are_read_joins_their_batch() -> None:
    async def test(predictor: Predictor) -> None:
        first = predictor.submit([image()], first_pixels)
        await asyncio.sleep(0)
        second = predictor.submit([image()], first_pixels)
        await asyncio.gather(first, second)

    assert run_on_loop(test) == [2]


def test_on_the_loop_one_image_is_read_in_its_turn_and_answered_in_it() -> None:
    class Value:
        def __init__(self, value: float) -> None:
            self.value = value

        def find(self) -> None:
            if self.value < 0:
                raise Problem(400, "not there")

        def decode(self) -> np.ndarray:
            if self.value > 1:
                raise Problem(422, "damaged")
            return image(self.value)

    async def test(predictor: Predictor) -> None:
        told: list[object] = []
        for value, deadline in ((0.25, math.inf), (0.5, time.monotonic() - 1), (0.75, math.inf)):
            predictor.tell(Value(value), first_pixels, told.append, deadline, False)
        for value in (2.0, -1.0):
            predictor.tell(Value(value), first_pixels, told.append, math.inf, False)
        last = predictor.submit([image(1.0)], first_pixels)
        assert predictor.unanswered == 6
        last.add_done_callback(lambda _: told.append("the next turn"))
        assert await last == [1.0]
        problems = [each.status for each in told[:3] if isinstance(each, Problem)]
        assert problems == [504, 400, 422]
        assert told[3:] == [[0.25], [0.75], "the next turn"]

    assert run_on_loop(test, max_batch=8) == [3]


def test_on_the_loop_errors_reach_who_asked_and_work_that_nobody_waits_for_is_dropped() -> None:
    def fail(outputs: Outputs, stages: Stages) -> None:
        raise KeyError("encoding")

    async def test(predictor: Predictor) -> None:
        gone = predictor.submit([image()], first_pixels)
        gone.cancel()
        late = predictor.submit([image()], first_pixels, deadline=time.monotonic() - 1)
        bad, good = predictor.submit([image()], fail), predictor.submit([image(0.5)], first_pixels)
        with pytest.raises(KeyError, match="encoding"):
            await bad
        assert await good == [0.5]
        with pytest.raises(Problem) as error:
            await late
        assert error.value.status == 504
        broken = predictor.submit([image(float("nan"))], first_pixels)
        with pytest.raises(ValueError, match="images must be finite"):
            await broken
        with pytest.raises(Problem) as error:
            [predictor.submit([image()], first_pixels) for _ in range(5)]
        assert error.value.status == 429

    assert run_on_loop(test, max_waiting=4)[:2] == [2, 1]


@pytest.mark.parametrize("on_loop", [True, False])
def test_a_deadline_that_passes_while_the_network_works_is_answered_504(on_loop: bool) -> None:
    def slow(images: np.ndarray, details: bool = False, theta: np.ndarray | None = None) -> Outputs:
        time.sleep(0.1)
        return Outputs(
            images.reshape(len(images), -1)[:, :3], images, None, None, np.zeros((len(images), 4, 2), np.float32)
        )

    async def test() -> None:
        late = predictor.submit([image()], first_pixels, deadline=time.monotonic() + 0.03)
        good = predictor.submit([image(0.5)], first_pixels)
        with pytest.raises(Problem) as error:
            await late
        assert error.value.status == 504
        assert await good == [0.5]

    predictor = Predictor(slow, 4, 100, on_loop=on_loop)
    asyncio.run(asyncio.wait_for(test(), 20))
    predictor.close()
