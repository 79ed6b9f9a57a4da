"""ReLU's derivative is taken behind max pooling, where there are fewer elements; the gradients stay the same."""

import numpy as np
import pytest

import fastnet
from fastnet import layers
from fastnet.testing.plans import LayerRun


def launches(factory, shape):
    return [launch.name for launch in LayerRun(factory, "float64", shape, 3).run.plan.launches]


STACKS = {
    "a convolution's": lambda: [layers.Conv2D(3, 2, activation="relu"), layers.MaxPooling2D()],
    "overlapping windows": lambda: [layers.Conv2D(3, 2, activation="relu"), layers.MaxPooling2D(3, 1, "same")],
    "a layer of its own": lambda: [layers.Conv2D(3, 2), layers.ReLU(), layers.MaxPooling2D()],
    "read twice": lambda: [
        layers.Conv2D(3, 2, activation="relu"), layers.Residual(layers.MaxPooling2D(3, 1, "same")), layers.ReLU(),
    ],
    "ReLU of ReLU": lambda: [layers.Conv2D(3, 2, activation="relu"), layers.ReLU(), layers.MaxPooling2D()],
    "another activation": lambda: [layers.Conv2D(3, 2, activation="tanh"), layers.MaxPooling2D()],
    "a depthwise convolution's": lambda: [layers.DepthwiseConv2D(2, activation="relu"), layers.MaxPooling2D()],
}  # fmt: skip


@pytest.mark.parametrize("name", STACKS)
def test_gradients_meet_differences(name):
    """Of the input, along a direction, where no sum is near 0 and no two elements of a window are near each other."""
    rng = np.random.default_rng(2)
    x, direction = rng.standard_normal((2, 3, 5, 6, 2))
    fastnet.utils.set_random_seed(4)
    run = LayerRun(lambda: fastnet.Sequential(STACKS[name]()), "float64", x.shape[1:], 3)
    dy = rng.standard_normal((3, *run.y.shape))
    step = 1e-6
    higher, lower = ((run(x + sign * step * direction, dy)[0] * dy).sum() for sign in (1, -1))
    assert (run(x, dy)[1] * direction).sum() == pytest.approx((higher - lower) / (2 * step), rel=1e-6)


def test_it_is_taken_once():
    behind = launches(lambda: fastnet.Sequential(STACKS["a convolution's"]()), (5, 6, 2))
    assert sum("chain_rule" in name for name in behind) == 1
    assert behind.index(next(n for n in behind if "chain_rule" in n)) < behind.index("tiled_max_pooling_gradient")
