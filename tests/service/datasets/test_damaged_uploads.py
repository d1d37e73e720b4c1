"""Uploads that were damaged anywhere, in hundreds of ways: taken in part or refused, and never anything else."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from service.datasets.refusals import RefusedUpload
from tests.service.datasets.conftest import Check
from tests.service.datasets.test_arrays import IMAGES, LABELS, npz
from tests.service.datasets.zips import good, zipped

Damage = Callable[[random.Random, bytearray], None]


def _flip(chance: random.Random, data: bytearray) -> None:
    for _ in range(chance.randint(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)


def _cut(chance: random.Random, data: bytearray) -> None:
    del data[chance.randrange(len(data)) :]


def _drop(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    del data[start : start + chance.randint(1, 50)]


def _repeat(chance: random.Random, data: bytearray) -> None:
    start = chance.randrange(len(data))
    data[start:start] = data[start : start + chance.randint(1, 200)]


def _flip_in_the_directory(chance: random.Random, data: bytearray) -> None:
    start = data.find(b"PK\1\2")
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(start, len(data))] = chance.choice([0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)])


DAMAGES: list[Damage] = [_flip, _cut, _drop, _repeat, _flip_in_the_directory, _flip_in_the_directory]


def damaged(whole: bytes, seed: int) -> bytes:
    chance, data = random.Random(seed), bytearray(whole)
    chance.choice(DAMAGES)(chance, data)
    return bytes(data)


@pytest.mark.parametrize(
    ("whole", "count"),
    [(zipped(good(4)), 300), (npz(images=IMAGES, labels=LABELS, class_names=["cat", "dog"]), 150)],
    ids=["zip", "npz"],
)
def test_a_damaged_file_is_taken_in_part_or_refused(checked: Check, tmp_path: Path, whole: bytes, count: int) -> None:
    outcomes = {"taken": 0, "refused": 0}
    for seed in range(count):
        try:
            found = checked(damaged(whole, seed))
        except RefusedUpload:
            outcomes["refused"] += 1
        else:
            outcomes["taken"] += 1
            assert found.report.images == sum(found.report.classes.values())
            assert found.report.kind == "npz" or len(found.files) == found.report.images
        assert {path.name for path in tmp_path.iterdir()} <= {"file", "set"}
    assert min(outcomes.values()) > 0


def test_over_http_it_is_201_or_422_and_nothing_else_stays(client: TestClient, home: Path) -> None:
    headers = {"Content-Type": "application/zip"}
    for seed in range(12):
        answer = client.post("/v1/datasets?name=photos", content=damaged(zipped(good(4)), seed), headers=headers)
        assert answer.status_code in (201, 422), answer.text
        assert (client.delete("/v1/datasets/photos").status_code == 204) == (answer.status_code == 201)
        assert list((home / "datasets").iterdir()) == []
