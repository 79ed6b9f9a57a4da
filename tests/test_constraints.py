"""Constraints against numpy, by themselves and after updates."""

import numpy as np
import pytest

import fastnet
from fastnet import constraints, layers


class AtMost(constraints.Constraint):
    """A user's own."""

    def __init__(self, limit):
        self.limit = limit

    @staticmethod
    def project(w, limit):
        return limit if w > limit else w


def norms(w, axis):
    return np.sqrt(np.square(w).sum(axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=True))


def min_max(w, low, high, rate, axis):
    n = norms(w, axis)
    return w * (rate * np.clip(n, low, high) + (1 - rate) * n) / (1e-7 + n)


def max_norm(w, most, axis):
    return w * np.clip(norms(w, axis), 0, most) / (1e-7 + norms(w, axis))


CASES = {  # name: (constraint, what becomes of w)
    "max norm": (constraints.MaxNorm(0.7), lambda w: max_norm(w, 0.7, 0)),
    "max norm of rows": (constraints.MaxNorm(2, axis=1), lambda w: max_norm(w, 2, 1)),
    "max norm, last axis": (constraints.MaxNorm(1, axis=-1), lambda w: max_norm(w, 1, -1)),
    "max norm of all": (constraints.MaxNorm(1, axis=[0, 1]), lambda w: max_norm(w, 1, [0, 1])),
    "unit norm": (constraints.UnitNorm(), lambda w: w / (1e-7 + norms(w, 0))),
    "min max norm": (constraints.MinMaxNorm(2.0, 3.0, 0.3), lambda w: min_max(w, 2, 3, 0.3, 0)),
    "min max norm of rows": (constraints.MinMaxNorm(0.5, 1.0, axis=1), lambda w: min_max(w, 0.5, 1, 1, 1)),
    "non negative": (constraints.NonNeg(), lambda w: np.maximum(w, 0)),
    "own": (AtMost(0.25), lambda w: np.minimum(w, 0.25)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (3, 64), (7, 131), (97, 65)])
@pytest.mark.parametrize("name", CASES)
def test_what_becomes_of_an_array(name, shape, dtype):
    constraint, wanted = CASES[name]
    w = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    got = constraint(w)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, wanted(w.astype(float)), rtol=2e-5 if dtype == "float32" else 1e-12, atol=1e-12)


AXES = [(0, (6,)), ([0, 1, 2], (2, 3, 5, 4)), (1, (2, 70, 67)), ([1, 2], (2, 3, 4))]


@pytest.mark.parametrize(("axis", "shape"), AXES)
def test_axes_of_other_shapes(axis, shape):
    w = np.random.default_rng(1).standard_normal(shape)
    np.testing.assert_allclose(constraints.UnitNorm(axis)(w), w / (1e-7 + norms(w, axis)), rtol=1e-12)


def test_of_odd_numbers():
    np.testing.assert_array_equal(constraints.UnitNorm()(np.zeros((3, 2))), np.zeros((3, 2)))
    np.testing.assert_array_equal(constraints.NonNeg()([np.nan, -np.inf, np.inf, -0.0]), [np.nan, 0, np.inf, 0])
    got = constraints.MaxNorm(1.0)([[1.0, np.nan], [1.0, 1.0]])
    assert np.isfinite(got[:, 0]).all() and np.isnan(got[:, 1]).all()


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_every_update_is_followed_by_it(optimizer):
    rng = np.random.default_rng(2)
    dense = layers.Dense(3, kernel_constraint=constraints.MaxNorm(0.5), bias_constraint="non_neg", dtype="float64")
    model = fastnet.Sequential([layers.Input((4,), dtype="float64"), dense])
    model.compile(optimizer, "mse")
    model.fit(rng.standard_normal((16, 4)) * 5, rng.standard_normal((16, 3)) * 5 - 9, epochs=3, batch_size=4, verbose=0)
    kernel, bias = model.get_weights()
    assert (norms(kernel, 0) <= 0.5 * (1 + 1e-12)).all() and norms(kernel, 0).max() > 0.49
    assert (bias == 0).all()  # the targets would have it far below


def test_bad_arguments_are_explained():
    for make, message in [
        (lambda: constraints.MaxNorm(-1), "max_value must be a number that is at least 0"),
        (lambda: constraints.MaxNorm(1, axis="0"), "axis must be an integer"),
        (lambda: constraints.MinMaxNorm(2, 1), "must not be above"),
        (lambda: constraints.MinMaxNorm(rate=2), "rate must be a number that is at least 0"),
        (lambda: constraints.get("maxnorm2"), "Unknown constraint"),
        (lambda: constraints.get(1.0), "A constraint is a name, a Constraint, a function of an array or None"),
        (lambda: constraints.MaxNorm(1, axis=2)(np.ones((2, 2))), "neighbouring axes"),
        (lambda: constraints.MaxNorm(1, axis=[0, 2])(np.ones((2, 2, 2))), "neighbouring axes"),
    ]:
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="staticmethod"):

        class Wrong(constraints.Constraint):
            def project(self, w):
                return w


def test_a_subclass_of_a_norm_may_be_array_code():
    """Its ``__call__`` was ignored in training: the norm's kernel ran."""

    class Zero(constraints.MaxNorm):
        def __call__(self, w):
            return w * 0.0

    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, kernel_constraint=Zero())])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
    assert (model.get_weights()[0] == 0).all() and (Zero()(np.ones((3, 2))) == 0).all()


def test_the_base_class_leaves_weights_as_they_are():
    class Named(constraints.Constraint):
        pass

    w = np.array([[-0.0, np.nan], [np.inf, 3.0]])
    for constraint in (constraints.Constraint(), Named()):
        np.testing.assert_array_equal(constraint(w), w)
        assert constraint.get_config() == {}
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2, kernel_constraint=constraints.Constraint())])
    model.compile("sgd", "mse")
    model.fit(np.ones((4, 3)), np.ones((4, 2)), verbose=0)
