"""Seeds and small helpers."""

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from fastnet import random, utils


def test_seeds_follow_from_the_seed_alone():
    random.set_seed(5)
    first = [random.next_seed() for _ in range(100)]
    random.set_seed(5)
    assert [random.next_seed() for _ in range(100)] == first
    utils.set_random_seed(6)
    other = [random.next_seed() for _ in range(100)]
    assert len({*first, *other}) == 200
    assert all(0 <= seed < 2**63 for seed in first + other)
    # 200 draws of 63 bits: every bit was seen as 0 and as 1, but with a chance of 63 * 2 ** -199.
    assert not np.bitwise_and.reduce(first + other)
    assert np.bitwise_or.reduce(first + other) == 2**63 - 1


def test_seed_is_numpys_seed_sequence():
    random.set_seed(7)
    expected = [
        np.random.SeedSequence(7, spawn_key=(n,)).generate_state(1, np.uint64)[0] >> np.uint64(1) for n in range(3)
    ]
    assert [random.next_seed() for _ in range(3)] == expected


def test_unseeded_is_new_every_time():
    random.set_seed(None)
    first = random.next_seed()
    random.set_seed(None)
    assert random.next_seed() != first


def test_seeding_leaves_others_alone():
    import random as python

    before = python.getstate(), np.random.get_state()[1].tolist()
    utils.set_random_seed(1)
    random.next_seed()
    assert (python.getstate(), np.random.get_state()[1].tolist()) == before


def test_seeds_from_threads_are_distinct():
    random.set_seed(1)
    drawn = []
    threads = [threading.Thread(target=lambda: drawn.extend(random.next_seed() for _ in range(50))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    random.set_seed(1)
    assert sorted(drawn) == sorted(random.next_seed() for _ in range(200))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("seed", "same"), [("None", False), ("3", True)])
def test_forked_children(seed, same):
    """Without a seed every worker draws its own; with one, they go on from it alike."""
    code = f"""
import os
from fastnet import random
random.set_seed({seed})
random.next_seed()
read, write = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        os.write(write, b"%d\\n" % random.next_seed())
        os._exit(0)
    os.wait()
os.write(write, b"%d\\n" % random.next_seed())
print(len(set(os.read(read, 1000).split())))
"""
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == (1 if same else 3)


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, np.float32(1)])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="integer >= 0"):
        utils.set_random_seed(seed)


def test_no_seed():
    with pytest.raises(ValueError, match="None was received"):
        utils.set_random_seed(None)


CATEGORIES = [
    ([0, 2, 1], None),
    ([0, 2, 1], 5),
    (3, None),
    (np.zeros((2, 3, 1), np.int32), 2),
    (np.arange(6, dtype=np.uint8).reshape(2, 3), None),
    ([[4]], None),
    ([1.9, 0.2], None),
    ([True, False], None),
    (np.zeros((0,), int), 3),
    (np.zeros((0, 4), int), 3),
]


@pytest.mark.parametrize(("x", "classes"), CATEGORIES)
def test_to_categorical(x, classes):
    got = utils.to_categorical(x, classes)
    labels = np.array(x, int)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    count = classes or int(labels.max()) + 1
    assert got.shape == (*labels.shape, count)
    assert got.dtype == np.float64
    for index in np.ndindex(labels.shape):
        assert got[index].tolist() == [1.0 if c == labels[index] else 0.0 for c in range(count)]


@pytest.mark.peers
@pytest.mark.parametrize(("x", "classes"), CATEGORIES)
def test_to_categorical_is_keras(x, classes):
    import keras

    expected = keras.utils.to_categorical(x, classes)
    got = utils.to_categorical(x, classes)
    assert np.array_equal(got, expected)
    assert got.dtype == expected.dtype


@pytest.mark.parametrize(
    ("x", "classes", "message"),
    [
        ([0, 3], 3, r"must lie in \[0, 3\), but x goes from 0 to 3"),
        ([-1, 1], None, r"must lie in \[0, 2\), but x goes from -1 to 1"),
        ([], None, "give num_classes"),
        ([0.0, math.nan], 3, "NaN or inf"),
        ([math.inf], None, "NaN or inf"),
    ],
)
def test_to_categorical_errors(x, classes, message):
    with pytest.raises(ValueError, match=message):
        utils.to_categorical(x, classes)


def test_to_categorical_needs_no_square_of_the_classes():
    assert utils.to_categorical([123_456], 1_000_000)[0].nonzero()[0] == [123_456]
