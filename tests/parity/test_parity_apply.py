"""`apply` on plain variables gives Keras's numbers, for every optimizer and what they all share."""

import numpy as np
import pytest

import fastnet
from fastnet.engine.variable import Variable
from tests.parity.test_parity_optimizers import CASES, TOLERANCE, assert_close

keras = pytest.importorskip("keras")
SHAPES = {"hidden/kernel": (6, 5), "hidden/bias": (5,), "output/kernel": (5, 3), "output/bias": (3,)}
STEPS = 7


def run(optimizer, weights, gradients):
    for each in gradients:
        optimizer.apply(each, weights)
    return [np.asarray(w) for w in weights]


@pytest.mark.parametrize("floatx", ["float64"], indirect=True)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_same_as_keras(case, floatx):
    rng = np.random.default_rng(5)
    starts = [rng.uniform(-1, 1, shape) for shape in SHAPES.values()]
    gradients = [[rng.normal(size=shape) for shape in SHAPES.values()] for _ in range(STEPS)]
    theirs = []
    for path, start in zip(SHAPES, starts, strict=True):
        with keras.name_scope(path.split("/")[0]):
            theirs.append(keras.Variable(start, dtype=floatx, name=path.split("/")[1]))
    ours = [Variable(start, path.split("/")[1], path=path) for path, start in zip(SHAPES, starts, strict=True)]
    expected = run(case.make(keras), theirs, gradients)
    assert_close(run(case.make(fastnet), ours, gradients), expected, TOLERANCE[floatx])
    if case.exclude is None and case.cls != "Muon":  # arrays have no names
        arrays = [start.copy() for start in starts]
        assert_close(run(case.make(fastnet), arrays, gradients), expected, TOLERANCE[floatx])
