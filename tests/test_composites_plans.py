"""What composites cost: sums and concatenations stand in the launch in front of them; bits do not depend on threads."""

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Plan
from fastnet.testing.running import threads

BRANCHES = {
    "product": lambda: layers.Dense(8),
    "activation": lambda: layers.Dense(8, activation="tanh"),
    "formula": lambda: layers.ELU(),
}


def launches(make, **more):
    """The forward launches of a layer and of its plan as text."""
    layer = make()
    layer.connect((8,))
    plan = Plan(False, "float32", 32)
    y = plan.apply(layer, plan.buffer((8,)))
    plan.results.append(y)
    fuse(plan)
    return len(plan.launches), str(plan)


@pytest.mark.parametrize("name", BRANCHES)
def test_a_residual_sum_is_no_launch(name):
    alone, _ = launches(BRANCHES[name])
    count, text = launches(lambda: layers.Residual(BRANCHES[name]()))
    assert count == alone, text
    assert "add" in text


@pytest.mark.parametrize("name", BRANCHES)
def test_a_concatenation_is_no_launch(name):
    alone, _ = launches(BRANCHES[name])
    count, text = launches(lambda: layers.Parallel([BRANCHES[name]() for _ in range(3)]))
    assert count == 3 * alone, text


@pytest.mark.parametrize("merge", ["add", "multiply", "maximum"])
def test_a_merge_stands_behind_the_last_product(merge):
    count, text = launches(lambda: layers.Parallel([layers.Dense(8), layers.Dense(8)], merge))
    assert count == 2, text


def test_the_same_bits_on_any_number_of_threads():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(600, 64)).astype("f"), rng.normal(size=(600, 5)).astype("f")

    def trained(count):
        fastnet.utils.set_random_seed(1)
        block = layers.Residual([layers.Dense(96, activation="relu"), layers.Dropout(0.2), layers.Dense(64)])
        branches = [[layers.Dense(40), layers.BatchNormalization()], layers.Dense(30, activation="tanh"), block]
        net = fastnet.Sequential([layers.Input((64,)), block, layers.Parallel(branches), layers.Dense(5)])
        net.compile("adam", "mse")
        with threads(count):
            net.fit(x, y, batch_size=200, epochs=3, verbose=0)
        return b"".join(w.tobytes() for w in net.get_weights())

    assert trained(1) == trained(2)
