"""Many models in one launch, a block of threads each, with their own weights, seeds and rates."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, optimizers, testing
from fastnet.testing.populations import Population

RATES = [0.1, 0.01, 0.3]
ROWS, BATCH = 20, 5


def model(number):
    made = fastnet.Sequential(
        [layers.Input((6,)), layers.Dense(9, "relu"), layers.Dropout(0.2), layers.Dense(3)], seed=number
    )
    made.compile(optimizers.Adam(RATES[number]), losses.SparseCategoricalCrossentropy(from_logits=True))
    return made


def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(ROWS, 6)).astype("f"), rng.integers(0, 3, ROWS)


@pytest.mark.parametrize("count", [1, 3])
def test_models_train_side_by_side(count):
    x, y = data()
    alone = [model(number) for number in range(count)]
    for each in alone:
        each.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)
    with testing.machine_gpu() as gpu:
        together = [model(number) for number in range(count)]
        for each in together:
            each.device = "cuda"
        population = Population(gpu, together, x, y, BATCH)
        population.send()
        population.run(ROWS // BATCH)
        population.fetch()
    for one, other in zip(alone, together, strict=True):
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
            assert np.array_equal(a, b)
