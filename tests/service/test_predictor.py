import threading
from concurrent.futures import wait

import pytest
import torch

from service.predictor import Predictor, QueueFull
from stn import Classifier, InputConfig, ModelConfig, Normalise, build_model
from stn.networks import Network

IMAGES = InputConfig(channels=1, height=8, width=8, mean=(0.0,), std=(1.0,))


class Waiting(torch.nn.Module):
    """Class layers that wait for their cue and remember the size of every batch."""

    def __init__(self) -> None:
        super().__init__()
        self.cue = threading.Event()
        self.started = threading.Event()
        self.sizes: list[int] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.started.set()
        assert self.cue.wait(10)
        self.sizes.append(len(images))
        return images.flatten(1)[:, :3]


def waiting_model() -> tuple[Classifier, Waiting]:
    layers = Waiting()
    network = Network(trunk=layers, channels=3, size=(1, 1), head=torch.nn.Identity(), features=3)
    return Classifier(None, Normalise((0.0,), (1.0,)), network, torch.nn.Identity()), layers


def image(value: float = 0.0) -> torch.Tensor:
    return torch.full((1, 8, 8), value)


def test_what_arrives_while_a_batch_runs_makes_up_the_next_one() -> None:
    model, network = waiting_model()
    predictor = Predictor(model, max_batch=4, max_waiting=100)
    first = predictor.submit([image()])[0]
    assert network.started.wait(10)
    rest = [predictor.submit([image()])[0] for _ in range(6)]
    network.cue.set()
    wait([first, *rest], 10)
    predictor.close()
    assert network.sizes == [1, 4, 2]


def test_each_image_gets_its_own_answer() -> None:
    torch.manual_seed(0)
    model = build_model(ModelConfig(filters=(4,), units=8), IMAGES, 3).eval()
    predictor = Predictor(model, max_batch=16, max_waiting=100)
    images = torch.rand(40, 1, 8, 8)
    futures = predictor.submit(list(images))
    expected = model(images).logits.softmax(-1)
    for future, row in zip(futures, expected, strict=True):
        torch.testing.assert_close(future.result(10).probabilities, row.detach())
    predictor.close()


def test_more_than_may_wait_is_refused_and_room_comes_back() -> None:
    model, network = waiting_model()
    predictor = Predictor(model, max_batch=4, max_waiting=3)
    futures = predictor.submit([image()] * 2)
    with pytest.raises(QueueFull):
        predictor.submit([image()] * 2)
    futures += predictor.submit([image()])
    with pytest.raises(QueueFull):
        predictor.submit([image()])
    network.cue.set()
    wait(futures, 10)
    predictor.submit([image()])[0].result(10)
    predictor.close()


def test_closing_answers_what_waits() -> None:
    model, network = waiting_model()
    predictor = Predictor(model, max_batch=2, max_waiting=100)
    futures = [predictor.submit([image()])[0] for _ in range(7)]
    network.cue.set()
    predictor.close()
    assert all(future.done() for future in futures)


def test_an_error_in_the_network_reaches_who_asked_and_the_next_image_is_answered() -> None:
    model = build_model(ModelConfig(filters=(4,), units=8), IMAGES, 3).eval()
    predictor = Predictor(model, max_batch=16, max_waiting=100)
    with pytest.raises(ValueError, match="images must have"):
        predictor.submit([torch.zeros(2, 8, 8)])[0].result(10)
    assert predictor.submit([image()])[0].result(10).probabilities.sum() == pytest.approx(1)
    predictor.close()


def test_an_image_whose_client_went_away_is_not_computed() -> None:
    model, network = waiting_model()
    predictor = Predictor(model, max_batch=4, max_waiting=100)
    first = predictor.submit([image()])[0]
    assert network.started.wait(10)
    gone, kept = predictor.submit([image()])[0], predictor.submit([image()])[0]
    assert gone.cancel()
    network.cue.set()
    wait([first, kept], 10)
    predictor.close()
    assert network.sizes == [1, 1]
