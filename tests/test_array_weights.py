"""Formulas of weights, and weights that meet data of several shapes; losses whose numbers are not those of rows.

The oracle is NumPy, which computes the same functions of plain arrays, and central differences of it.
"""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops
from fastnet.testing.running import threads
from tests.sampling import every_second

RNG = np.random.default_rng(3)


@pytest.fixture
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


class Formula(layers.Layer):
    def __init__(self, function, shape):
        super().__init__(name="formula")
        self.function, self.weight_shape = function, shape

    def build(self, input_shape):
        self.w = self.add_weight(shape=self.weight_shape, name="w")

    def call(self, x):
        return self.function(x, self.w)


def differences(function, x, step=1e-5):
    """The gradient of a number by an array."""
    found = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        moved = []
        for sign in (1.0, -1.0):
            at = x.copy()
            at[index] += sign * step
            moved.append(function(at))
        found[index] = (moved[0] - moved[1]) / (2 * step)
    return found


FACTOR = RNG.normal(size=(2, 3))
SEVERAL_SHAPES = {
    "steps and their sum": (lambda x, w: x * w + ops.tanh(ops.sum(x, axis=1, keepdims=True) * w), (5, 3), (3,)),
    "a step of several": (lambda x, w: x + w + x[:, :1] * w, (5, 3), (3,)),
    "folded in between": (lambda x, w: ops.sum(x * w, axis=1) * w, (5, 3), (3,)),
    "one number": (lambda x, w: ops.sum(x * w, axis=-1, keepdims=True) * w + x * w, (5, 3), ()),
    "one number by samples": (lambda x, w: ops.sum(x * w, axis=(1, 2)) * w, (5, 3), ()),
    "of size 1": (lambda x, w: ops.sum(x * w, axis=-1, keepdims=True) * w + x[:, :1] * w, (5, 1), (1,)),
    "its formula": (lambda x, w: (lambda e: ops.sum(x * e, axis=1) * e)(ops.exp(w)), (5, 3), (3,)),
    "its row": (lambda x, w: x * w[0] + w[1], (5, 3), (2, 3)),
    "its row, of pictures": (lambda x, w: ops.tanh(x * w[0] + w[1]) * w[0], (2, 5, 3), (2, 3)),
    "its elements": (lambda x, w: x * w[0] + w[1] * ops.sum(x, axis=1, keepdims=True), (5, 3), (2,)),
    "over its length": (lambda x, w: x * (w / ops.norm(w)) + ops.sum(x, axis=1, keepdims=True) * w, (5, 3), (3,)),
    "with an axis in front": (lambda x, w: x * w, (5, 3), (1, 5, 3)),
    "of steps of pictures": (lambda x, w: x * w, (2, 5, 3), (5, 1)),
}
MOVED = {
    "a transpose": (lambda x, w: x + ops.transpose(w), (2, 3), (3, 2)),
    "a permutation": (lambda x, w: x * ops.transpose(w, (2, 0, 1)), (3, 2, 4), (2, 4, 3)),
    "a reshaped factor": (lambda x, w: ops.matmul(x, ops.reshape(w, (3, 4))), (3,), (12,)),
    "a vector": (lambda x, w: ops.matmul(ops.tanh(x), w), (4, 3), (3,)),
    "steps": (lambda x, w: ops.matmul(x, w[:, ::2]) * ops.matmul(x, w[:, 1::2]), (3,), (3, 4)),
    "chosen": (lambda x, w: x + ops.take(w, np.arange(5)[:, None] - np.arange(3) + 2, axis=0), (5, 3), (7,)),
    "elements by their numbers": (lambda x, w: x + ops.take(w, [[0, 3, 5], [4, 4, 1]]), (2, 3), (2, 3)),
    "circulant": (lambda x, w: ops.matmul(x, ops.stack([ops.roll(w, i, axis=0) for i in range(3)])), (3,), (3,)),
    "side by side": (lambda x, w: ops.matmul(x, ops.concatenate([w, w * w, np.eye(3)[:, :1]], axis=1)), (3,), (3, 2)),
    "padded": (lambda x, w: ops.matmul(x, ops.pad(w, ((0, 1), (1, 0)), constant_values=0.5)), (3,), (2, 3)),
    "repeated": (lambda x, w: x * ops.repeat(w, 2, axis=0) + ops.tile(ops.flip(w), 2), (6,), (3,)),
    "running sums": (lambda x, w: x * ops.cumsum(w, axis=0) - ops.cumsum(w, axis=-1), (3, 2), (3, 2)),
    "broadcast": (lambda x, w: x * ops.broadcast_to(w, (5, 3)), (5, 3), (1, 3)),
    "an equation with its steps": (lambda x, w: ops.einsum("bik,ik->b", x, w), (5, 3), (5, 3)),
    "an equation with heads": (lambda x, w: ops.einsum("bik,hkl->bhil", x, w), (5, 3), (2, 3, 4)),
    "products with heads": (lambda x, w: ops.matmul(x, w) + ops.matmul(x[:, :1], w[:1]), (2, 4, 3), (2, 3, 5)),
    "a constant by a weight": (lambda x, w: ops.matmul(x, ops.matmul(FACTOR, w) @ FACTOR), (2,), (3, 2)),
    "weights alone": (lambda x, w: x * ops.einsum("ij,kj,j->i", w, w, FACTOR[0]) + ops.matmul(w, w[0]), (4,), (4, 3)),
    "an equation of three": (lambda x, w: ops.einsum("...i,ij,...j->...", x, w, x[..., ::-1]), (5, 3), (3, 3)),
    "entries at computed indices": (
        lambda x, w: (
            x[:, :1] * ops.take(w, ops.argmax(x, axis=-1), axis=0)
            + ops.take(w * w, ops.argmin(x, axis=-1) - 3, axis=0)[:, ::-1]
        ),
        (3,),
        (5, 2),
    ),
    "entries at indices of weights": (
        lambda x, w: (
            ops.take(x, ops.argmax(w, axis=0), axis=1) * ops.take(w, ops.argmin(w, axis=0) - 2, axis=-1)[1]
            + ops.take(x * ops.sum(w), ops.argmin(w, axis=-1), axis=-1)[:, 2:, 1:]
            + ops.take(FACTOR, ops.argmax(w, axis=-1)[::-1], axis=1)[0, :3]
        ),
        (5, 3),
        (4, 3),
    ),
    "several indices of weights, and one": (
        lambda x, w: (
            ops.take(x, ops.stack([ops.argmax(w, axis=0), ops.argmin(w, axis=0)]), axis=1)
            + ops.take(x, ops.argmax(w[0], axis=0), axis=1)[:, None, None]
            + ops.take(w, ops.argmax(w, axis=0) + 3)
        ),
        (5, 3),
        (4, 3),
    ),
    "diagonals and traces": (
        lambda x, w: (
            ops.einsum("bi,iji->bj", x, w) * ops.einsum("iii,iji->j", w, w * w) + ops.einsum("bi,ijj->bi", x, w)
        ),
        (3,),
        (3, 3, 3),
    ),
    "an equation with a vector": (lambda x, w: ops.einsum("bik,k->bi", x, w), (5, 3), (3,)),
}
#: more than ten operands of one loop
MANY = {
    "many results": (
        lambda x, w: sum((i + 1) * ops.tanh((x * (i + 1)) @ w) for i in range(13)), (3,), (3, 2)
    ),
    "many numbers of rows": (
        lambda x, w: (x @ w) * sum((i + 1) * ops.tanh((x * i) @ w[:, :1]) for i in range(12)), (3,), (3, 2)
    ),
    "many constants": (
        lambda x, w: sum(ops.tanh(x * (np.arange(3.0) + i) + w[i % 2] * i) for i in range(12)), (5, 3), (2, 3)
    ),
}  # fmt: skip
CASES = SEVERAL_SHAPES | MOVED | MANY


@pytest.mark.parametrize("name", every_second(CASES))
def test_values_and_gradients(float64, name):
    function, shape, weight_shape = CASES[name]
    x, w = RNG.normal(size=(2, *shape)), RNG.normal(size=weight_shape)
    model = fastnet.Sequential([layers.Input(shape), Formula(function, weight_shape)])
    model.set_weights([w])
    expected = function(x, w)
    np.testing.assert_allclose(model.predict(x, verbose=0), expected, rtol=1e-12, atol=1e-12)
    dy = RNG.normal(size=expected.shape)
    found = model.gradients(x, gradient=dy)
    by_weight = differences(lambda at: np.sum(function(x, at) * dy), w)
    np.testing.assert_allclose(found["formula"]["w"], by_weight, rtol=1e-6, atol=1e-7)
    by_data = differences(lambda at: np.sum(function(at, w) * dy), x)
    np.testing.assert_allclose(found["input"], by_data, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("token", [
    lambda w, rows: ops.broadcast_to(w, (rows, 1, 3)), lambda w, rows: ops.repeat(w, rows, axis=0),
    lambda w, rows: ops.tile(w, (rows, 1, 1)), lambda w, rows: ops.tile(w[0], (rows, 1, 1)),
    lambda w, rows: w + ops.zeros((rows, 1, 3)), lambda w, rows: w * ops.ones([rows, 1, 3]),
    lambda w, rows: w * ops.full((rows, 1, 1), 2.0), lambda w, rows: w + ops.broadcast_to(np.arange(3.0), (rows, 1, 3)),
    lambda w, rows: w + ops.repeat(np.ones((1, 1, 3)), rows, axis=0),
])  # fmt: skip
def test_a_weight_for_each_sample(token):
    """Arrays as long as the batch, of whose rows `shape` tells: a token in front of the steps."""

    def function(x, w):
        return ops.concatenate([token(w, ops.shape(x)[0]), x], axis=1)

    layer = Formula(function, (1, 1, 3))
    x = RNG.normal(size=(2, 4, 3)).astype("float32")
    y = layer(x)
    np.testing.assert_allclose(y, function(x, layer.w.numpy()), rtol=1e-6)  # of a sum in float32


KERNEL = RNG.normal(size=(3, 3))
LOSSES = {
    "steps of unequal weight": (lambda t, p: ops.mean(ops.square(t - p), axis=-1) * np.arange(1.0, 5.0), (4, 3)),
    "softmax over steps": (lambda t, p: ops.sum(ops.square(t - ops.softmax(p, axis=1)), axis=-1), (5, 3)),
    "one number a sample": (lambda t, p: 1 - ops.sum(t * p, axis=(1, 2)) / ops.sum(t * t + p * p, axis=(1, 2)), (4, 3)),
    "mean of means": (lambda t, p: ops.mean(ops.mean(ops.abs(t - p), axis=-1), axis=-1), (4, 3)),
    "of pictures": (lambda t, p: ops.mean(ops.square(t - p), axis=(2, 3)) * np.array([1.0, 3.0]), (2, 5, 3)),
    "running sums of pictures": (lambda t, p: ops.mean(ops.cumsum(ops.square(t - p), axis=1), axis=-1), (2, 5, 3)),
    "a constant matrix": (lambda t, p: ops.sum(ops.matmul(t - p, KERNEL.T @ KERNEL) * (t - p), axis=-1), (3,)),
}


@pytest.mark.parametrize("weighted", [True, pytest.param(False, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(float64, name, weighted):
    function, shape = LOSSES[name]
    t, p = RNG.normal(size=(2, 5, *shape))
    weights = np.array([1.0, 2.0, 0.0, 0.5, 3.0]) if weighted else np.ones(5)

    def expected(at):
        return np.mean(function(t, at).reshape(5, -1).mean(axis=1) * weights)

    model = fastnet.Sequential([layers.Input(shape), layers.Activation("linear")])
    model.compile("sgd", losses.get(function))
    given = (p, t, weights) if weighted else (p, t)
    np.testing.assert_allclose(model.gradients(*given)["input"], differences(expected, p), rtol=1e-6, atol=1e-8)
    found = model.evaluate(p, t, sample_weight=weights if weighted else None, verbose=0)
    np.testing.assert_allclose(found, expected(p), rtol=1e-12)


def functions_of_numpy(x):
    """Arguments that NumPy's functions have, on symbolic arrays too."""
    total = np.sum(x, axis=-1, dtype=np.float64) + np.mean(x, axis=-1, dtype=np.float64)
    clipped = np.clip(x, a_min=-0.5, a_max=1.0) + np.clip(x, None, 0.3) + np.round(x, 1)
    either = ops.where((x > 0) ^ (x < 1), x, 0.0)
    return clipped + either + total[:, None] + np.std(x, axis=-1, ddof=1, keepdims=True) + np.var(x, 1, ddof=1)[:, None]


def test_arguments_of_numpy(float64):
    x = RNG.normal(size=(4, 3))
    np.testing.assert_allclose(Formula(lambda x, w: functions_of_numpy(x), ())(x), functions_of_numpy(x), rtol=1e-12)


def test_orders_and_parameters(float64):
    x = RNG.normal(size=(4, 3))

    def function(x, w):
        return ops.norm(x, ord=3, axis=-1, keepdims=True) * ops.leaky_relu(x, 0.3) + ops.round(x, 2)

    np.testing.assert_allclose(Formula(function, ())(x), function(x, None), rtol=1e-12)
    expected = np.linalg.norm(x, 3, axis=-1, keepdims=True) * np.where(x > 0, x, 0.3 * x) + np.round(x, 2)
    np.testing.assert_allclose(function(x, None), expected, rtol=1e-12)


@pytest.mark.parametrize("call, message", [
    (lambda x: ops.norm(x, ord=1, axis=(1, 2)), "is one of matrices"),
    (lambda x: ops.transpose(x, (0, 5, 1)), "name each axis once"),
    (lambda x: ops.swapaxes(x, 1, 7), r"axes \[1, 7\]"),
    (lambda x: ops.moveaxis(x, 1, 7), r"axes \[1, 7\]"),
    (lambda x: ops.expand_dims(x, 7), "give an axis of the result"),
    (lambda x: ops.mean(x, axis=(1, 1)), "name each axis once"),
    (lambda x: ops.dot(x, x), "mixes samples"),
    (lambda x: np.sum(x, axis=-1, initial=2.0), "it takes .x, axis, keepdims"),
    (lambda x: ops.pad(x, ((0, 0), (1, 1))), "for each axis"),
    (lambda x: ops.repeat(x, [1, 2], axis=1), "a number for each entry"),
    (lambda x: x + ops.repeat(np.ones((2, 1)), ops.shape(x)[0], axis=0), r"give a weight or an array of shape \(1, "),
    (lambda x: x + ops.zeros((3, ops.shape(x)[0])), "the rows of the batch come first"),
    (lambda x: ops.tile(x, (ops.shape(x)[0], 1, 1)), "as often as there are rows in the batch"),
    (lambda x: ops.roll(x, 1, axis=(1, 2)), "give an axis of the samples"),
    (lambda x: ops.take(x, ops.argmax(x, axis=-1), axis=1), "write ops.take_along_axis, which keeps samples apart"),
    (lambda x: ops.take(x, ops.argmax(x, axis=-1)), "write ops.take_along_axis, which keeps samples apart"),
    (lambda x: ops.take(np.ones((4, 3)), ops.argmax(x, axis=-1), axis=1), "another axis in front of the batch"),
    (lambda x: ops.take(np.ones((4, 3)), ops.argmax(x, axis=-1), axis=2), "axis 0, to which ops.moveaxis brings it"),
    (lambda x: ops.take_along_axis(x, ops.argmax(x, axis=-1), axis=1), "give indices of as many axes"),
    (lambda x: ops.matmul(x[:, 0], np.ones((4, 3, 2))), "multiply data"),
    (lambda x: ops.matmul(x, np.ones((4, 3, 2))), "would move the axis of the batch"),
    (lambda x: ops.einsum("bij...j,j->b", x, np.ones(3)), "does not fit shapes"),
    (lambda x: ops.einsum("bii->b", x), "does not fit shapes"),
    (lambda x: ops.einsum("bbi->b", x), "does not fit shapes"),
    (lambda x: ops.einsum("bij->bii", x), "those of the result each once"),
    (lambda x: ops.einsum("bij,j,k->bi", x, np.ones(3)), "for 2 arrays"),
    (lambda x: ops.one_hot(x[:, 0], 3, axis=0), "in front of the batch"),
])  # fmt: skip
def test_what_is_refused(call, message):
    with pytest.raises(fastnet.RuleError, match=message):
        Formula(lambda x, w: call(x), ())(np.ones((2, 5, 3)))


def test_a_weight_made_in_call():
    class Late(layers.Layer):
        def call(self, x):
            return x * self.add_weight(shape=(3,), name="late")

    with pytest.raises(fastnet.RuleError, match=r"call makes the weight 'late': make it in build"):
        fastnet.Sequential([layers.Input((3,)), Late()])


def test_exponents_less_a_number_of_other_axes(float64):
    """A quotient of exponentials is a softmax of x only where the number that is taken off belongs to its sum."""

    def penalty(w):
        e = ops.exp(w - ops.mean(w, axis=1, keepdims=True))
        return ops.sum(ops.square(e / ops.sum(e, axis=0, keepdims=True)))

    w = RNG.normal(size=(3, 4))
    dense = layers.Dense(4, use_bias=False, kernel_regularizer=penalty, name="dense")
    model = fastnet.Sequential([layers.Input((3,)), dense])
    model.set_weights([w])
    model.compile("sgd", "mse")
    found = model.gradients(np.zeros((2, 3)), np.zeros((2, 4)))["dense"]["kernel"]
    np.testing.assert_allclose(found, differences(penalty, w), rtol=1e-6, atol=1e-8)


def test_indices_outside_give_nan_and_no_gradient(float64):
    x = np.array([[0.0], [-1.0], [5.0], [-6.0], [4.0], [np.nan], [np.inf], [4.0]])
    w = RNG.normal(size=(5, 2))
    model = fastnet.Sequential([layers.Input((1,)), Formula(lambda x, w: ops.take(w, x[:, 0], axis=0), (5, 2))])
    model.set_weights([w])
    outside = np.full((1, 2), np.nan)
    expected = np.concatenate([w[[0, 4]], outside, outside, w[[4]], outside, outside, w[[4]]])
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    dy = RNG.normal(size=(8, 2))
    wanted = np.zeros((5, 2))
    wanted[0], wanted[4] = dy[0], dy[1] + dy[4] + dy[7]
    np.testing.assert_array_equal(model.gradients(x, gradient=dy)["formula"]["w"], wanted)


def test_indices_of_weights_outside_give_nan_and_no_gradient(float64):
    at = np.array([0.0, -5.0, 5.0, np.nan, -6.0, 4.0])
    model = fastnet.Sequential([layers.Input((5, 3)), Formula(lambda x, w: ops.take(x + 0.0 * w[0], w, axis=1), (6,))])
    model.set_weights([at])
    x, dy = RNG.normal(size=(2, 5, 3)), RNG.normal(size=(2, 6, 3))
    outside = np.full((2, 2, 3), np.nan)
    expected = np.concatenate([x[:, [0, 0]], outside, outside[:, :1], x[:, 4:]], axis=1)
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    found = model.gradients(x, gradient=dy)
    by_data = np.zeros_like(x)
    by_data[:, 0], by_data[:, 4] = dy[:, 0] + dy[:, 1], dy[:, 5]
    np.testing.assert_allclose(found["input"], by_data, rtol=1e-12)
    np.testing.assert_array_equal(found["formula"]["w"], 0.0)


def test_an_index_along_an_axis_of_samples_gives_nan_outside(float64):
    index = np.array([[0.0, 2.0, -3.0], [3.0, 1.5, -4.0], [np.nan, np.inf, -1.0]])
    w, nan = np.array([2.0, 3.0, 5.0]), np.nan
    call = Formula(lambda x, w: ops.take_along_axis(x[:, 0] * w, x[:, 1], axis=-1), (3,))
    model = fastnet.Sequential([layers.Input((2, 3)), call])
    model.set_weights([w])
    x = np.stack([np.ones((3, 3)), index], axis=1)
    expected = [[2.0, 5.0, 2.0], [nan, 3.0, nan], [nan, nan, 5.0]]
    np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
    dy = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0], [64.0, 128.0, 256.0]])
    found = model.gradients(x, gradient=dy)["formula"]["w"]
    np.testing.assert_array_equal(found, [1.0 + 4.0, 16.0, 2.0 + 256.0])


def test_the_gradient_of_entries_has_the_same_bits_on_any_number_of_threads():
    x = RNG.integers(0, 7, size=(300, 11)).astype("f")
    dy = RNG.normal(size=(300, 11, 40)).astype("f")
    model = fastnet.Sequential([layers.Input((11,)), Formula(lambda x, w: ops.take(w, x, axis=0), (7, 40))])
    found = []
    for count in (1, 2):
        with threads(count):
            found.append(model.gradients(x, gradient=dy)["formula"]["w"])
    assert np.array_equal(*found)
