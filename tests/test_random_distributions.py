"""The further distributions of `fastnet.random`: moments, limits, seeds, and what is refused."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, random

COUNT = 100_000
# The mean and the deviation of a truncated standard normal, with its density φ and 0.9545 of the normal's mass.
PHI_AT_2, MASS = 0.05399096651318806, 0.9544997361036416
DRAWS = {  # name → (draw, mean, deviation), the moments from the distribution's definition
    "truncated_normal": (
        lambda **more: random.truncated_normal((COUNT,), 3.0, 2.0, **more), 3.0, 2 * np.sqrt(1 - 4 * PHI_AT_2 / MASS)
    ),
    "gamma": (lambda **more: random.gamma((COUNT,), 0.5, **more), 0.5, np.sqrt(0.5)),
    "beta": (lambda **more: random.beta((COUNT,), 3.0, 2.0, **more), 0.6, 0.2),
    "binomial": (lambda **more: random.binomial((COUNT,), 9, 0.3, **more), 2.7, np.sqrt(1.89)),
}  # fmt: skip
DRAWS_OF_INTEGERS = {
    "randint": (lambda **more: random.randint((COUNT,), -3, 4, **more), 0.0, 2.0),
    "categorical": (
        lambda **more: random.categorical(np.log([[1.0, 0.0, 3.0]]), COUNT, **more)[0], 1.5, np.sqrt(0.75)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", [*DRAWS, *DRAWS_OF_INTEGERS])
@pytest.mark.filterwarnings("ignore:divide by zero")  # log 0: a class that is never drawn
def test_moments_and_seeds(name):
    draw, mean, deviation = (DRAWS | DRAWS_OF_INTEGERS)[name]
    x = np.asarray(draw(seed=1), np.float64)
    # within 5 standard errors of the mean; the deviation's standard error is at most as large for these
    np.testing.assert_allclose([x.mean(), x.std()], [mean, deviation], atol=5 * deviation / np.sqrt(COUNT))
    assert (draw(seed=1) == draw(seed=1)).all() and (draw(seed=1) != draw(seed=2)).mean() > 0.3
    assert (draw() != draw()).mean() > 0.3
    seeds = random.SeedGenerator(1)
    assert (draw(seed=seeds) == draw(seed=1)).all() and (draw(seed=seeds) != draw(seed=1)).any()


@pytest.mark.parametrize("name", DRAWS)
def test_dtypes(name):
    draw = DRAWS[name][0]
    assert draw().dtype == np.float32 and draw(dtype="float64").dtype == np.float64
    with pytest.raises(ValueError, match=rf"random\.{name}: the dtype must be 'float32' or 'float64', received 'int8'"):
        draw(dtype="int8")


@pytest.mark.parametrize("name", DRAWS_OF_INTEGERS)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_dtypes_of_integers(name):
    draw = DRAWS_OF_INTEGERS[name][0]
    assert draw().dtype == np.int32 and draw(dtype=np.int64).dtype == np.int64
    for wrong in ("float32", None, "integer"):
        with pytest.raises(ValueError, match=rf"random\.{name}: dtype must be one of integers"):
            draw(dtype=wrong)


def test_limits():
    assert abs(random.truncated_normal((3, 500), seed=1)).max() <= 2
    assert set(random.randint((1000,), 254, 256, "uint8", 1).tolist()) == {254, 255}
    assert random.randint([2, 1], 5, 6).tolist() == [[5], [5]] and random.randint((), 5, 6) == 5
    assert random.categorical([[-np.inf, 0.0, -1e9]], 50).tolist() == [[1] * 50]
    assert random.categorical(np.zeros((0, 3)), 2).shape == (0, 2) and random.categorical([[7.0]], 0).shape == (1, 0)
    assert random.binomial((2, 3), [[0.0], [4.0]], [0.0, 1.0, 1.0]).tolist() == [[0, 0, 0], [0, 4, 4]]
    assert random.gamma((0, 2), [1.0, 2.0]).shape == (0, 2)


def test_shuffling_keeps_the_parts():
    x = np.arange(35.0).reshape(5, 7)
    rows, columns = random.shuffle(x, seed=1), random.shuffle(x, -1, seed=1)
    np.testing.assert_array_equal(np.sort(rows, 0), x)
    np.testing.assert_array_equal(np.sort(columns, 1), x)
    assert (np.diff(rows, axis=1) == 1).all() and (np.diff(columns, axis=0) == 7).all()
    assert (rows != x).any() and (columns != x).any() and (x == np.arange(35.0).reshape(5, 7)).all()
    assert (random.shuffle(x, seed=1) == rows).all() and random.shuffle(np.zeros((0, 2))).shape == (0, 2)


def test_dropout_of_all_and_with_a_shape():
    x = np.ones((2, 3, 5), "float32")
    assert (random.dropout(x, 1.0) == 0).all() and (random.dropout(x, 0) == 1).all()
    y = random.dropout(x, 0.5, (None, 1, 5), seed=1)
    assert y.shape == x.shape and set(np.unique(y)) == {0, 2} and (y == y[:, :1]).all() and (y != y[:, :, :1]).any()
    for wrong in ((2, 3), (2, 2, 5), (2, 3, 5, 1)):
        with pytest.raises(ValueError, match=r"noise_shape must have, for each axis of the shape \(2, 3, 5\)"):
            random.dropout(x, 0.5, wrong)
    with pytest.raises(ValueError, match="rate must be a number"):
        random.dropout(x, 1.5)


WRONG = [
    (lambda: random.randint((2,), 3, 3), "randint: maxval must be an integer from 4 to 2147483648, received 3"),
    (lambda: random.randint((2,), 0.5, 3), "randint: minval must be an integer"),
    (lambda: random.randint((2,), -1, 3, "uint8"), "randint: minval must be an integer of at least 0, received -1"),
    (lambda: random.randint((2,), 0, 300, "uint8"), "randint: maxval must be an integer from 1 to 256"),
    (lambda: random.randint((None, 3), 0, 3), "randint: shape must be a tuple of sizes, received"),
    (lambda: random.categorical([1.0, 2.0], 3), r"logits must have two axes, \(n, classes\), received shape \(2,\)"),
    (lambda: random.categorical([[np.nan, 1.0]], 3), "must have a finite number"),
    (lambda: random.categorical([[-np.inf, -np.inf]], 3), "must have a finite number"),
    (lambda: random.categorical(np.zeros((2, 0)), 3), "must have a finite number"),
    (lambda: random.categorical([[1.0]], -1), "num_samples must be an integer of at least 0"),
    (lambda: random.shuffle([1, 2], 1), "shuffle: axis must be an integer from -1 to 0, received 1"),
    (lambda: random.gamma((2,), [1.0, 0.0]), "gamma: alpha must be positive and finite"),
    (lambda: random.gamma((2,), np.ones(3)), r"gamma: alpha must broadcast to the shape \(2,\), received shape \(3,\)"),
    (lambda: random.beta((2,), 1.0, np.nan), "beta: beta must be positive and finite"),
    (lambda: random.binomial((2,), 1.5, 0.5), "counts must be whole numbers of at least 0, received 1.5"),
    (lambda: random.binomial((2,), np.inf, 0.5), "counts must be whole numbers of at least 0"),
    (lambda: random.binomial((2,), 2, np.nan), r"probabilities must lie in \[0, 1\]"),
]  # fmt: skip


@pytest.mark.parametrize(("draw", "message"), WRONG, ids=lambda case: case if isinstance(case, str) else "")
def test_what_is_refused(draw, message):
    with pytest.raises(ValueError, match=rf"random\..*{message}"):
        draw()


class Drawn(layers.Layer):
    def __init__(self, draw):
        super().__init__()
        self.draw = draw

    def call(self, x):
        return self.draw(x)


@pytest.mark.parametrize("draw", [
    random.shuffle, lambda x: random.categorical(x, 2), lambda x: random.gamma((4,), x),
    lambda x: random.binomial(4, 2, x),
])  # fmt: skip
def test_data_of_a_layer_are_refused(draw):
    with pytest.raises(
        fastnet.RuleError, match=r"random\..*symbolic array.*: draw with random.normal, uniform or drop"
    ):
        fastnet.Sequential([layers.Input((4,)), Drawn(draw)])
