"""Formulas of several axes in array code: each takes the module of operations, ours or Keras's, and data (n, 5, 3)."""

import numpy as np

_KERNEL = np.random.default_rng(1).normal(size=(5, 3))
_SQUARE = _KERNEL @ _KERNEL.T
_MATRIX = np.random.default_rng(2).normal(size=(3, 4))


def differences(o, x):
    x = o.sum(x, axis=-1)
    return x[:, :, None] - x[:, None, :]


def softmax_of_steps(o, x):
    return o.softmax(x, axis=1)


def standardized_samples(o, x):
    mean, variance = o.moments(x, axes=(1, 2), keepdims=True)
    return (x - mean) * o.rsqrt(variance + 1e-3)


def standardized_steps(o, x):
    return (x - o.mean(x, axis=1, keepdims=True)) / (o.std(x, axis=1, keepdims=True) + 0.1)


def squeeze_and_excite(o, x):
    return x * o.sigmoid(o.mean(x, axis=1))[:, None, :]


def constants_of_samples(o, x):
    return o.tanh(x * _KERNEL + 0.5) * _KERNEL[:, :1]


def largest_of_all(o, x):
    return o.max(x, axis=(1, 2))[:, None] * o.min(x, axis=1)


def transposed(o, x):
    return o.transpose(o.square(x), (0, 2, 1)) + o.swapaxes(x, 1, 2)


def moved(o, x):
    return o.moveaxis(x[:, :, None, :], -1, 1) * 2.0


def every_second(o, x):
    return x[:, ::2] * x[:, ::-2, ::-1]


def chosen(o, x):
    return o.take(x, [2, 0, 2, 1], axis=1) + o.take(x, np.array([0, 1, 1]), axis=-1)[:, 1:]


def repeats(o, x):
    return o.repeat(x, 2, axis=1) + o.tile(x, (1, 2, 1))


def flips(o, x):
    return o.flip(x, axis=1) * o.roll(x, 2, axis=1) + o.flip(x, axis=(1, 2))


def paddings(o, x):
    ahead = o.pad(x, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    return x - 0.5 * ahead + o.pad(x, ((0, 0), (1, 1), (0, 0)), mode="reflect")[:, 2:]


def padded_by_a_number(o, x):
    return o.pad(x, ((0, 0), (0, 0), (2, 1)), constant_values=0.5) ** 2


def stacked(o, x):
    a, b = x[:, :, 0], x[:, :, 1]
    return o.stack([a * b, a + b, o.tanh(a)], axis=1)


def side_by_side(o, x):
    return o.concatenate([o.relu(x), x[:, :2] * 2.0], axis=1)


def running_sums(o, x):
    return o.cumsum(x, axis=1) * o.cumsum(x * x, axis=-1)


def gram(o, x):
    return o.matmul(x, o.transpose(x, (0, 2, 1))) / 3.0


def attention(o, x):
    scores = o.matmul(x, o.swapaxes(x, 1, 2)) / 3.0**0.5
    return o.matmul(o.softmax(scores, axis=-1), x)


def equations(o, x):
    return o.einsum("bik,bjk->bij", x, o.tanh(x)) + o.einsum("bik,bjk->bj", x, x)[:, None, :]


def equations_of_constants(o, x):
    return o.einsum("bik,ko->boi", x, _MATRIX) + o.einsum("bik,ik->bi", x, _KERNEL)[:, None, :]


def constant_products(o, x):
    return o.matmul(o.exp(0.1 * x), _MATRIX)


def distances(o, x):
    return o.sqrt(o.sum(o.square(x[:, :, None, :] - x[:, None, :, :]), axis=-1) + 0.01)


def one_hots(o, x):
    at = o.argmax(x, axis=-1)
    return o.one_hot(at, 3) * x + o.cast(at, "float64")[:, :, None]


def along_an_axis(o, x):
    return o.take_along_axis(x, o.cast(o.argmin(x, axis=-1, keepdims=True), "int32"), axis=-1) * x


def triangles(o, x):
    scores = o.matmul(x, o.transpose(x, (0, 2, 1)))
    return o.tril(scores) + 0.5 * o.triu(scores, 1)


def neighbours(o, x):
    return o.diff(x, axis=1)


def flattened(o, x):
    flat = o.reshape(x, (-1, 15))
    return flat - o.mean(flat, axis=-1, keepdims=True)


def regrouped(o, x):
    return o.max(o.reshape(x, (-1, 3, 5)), axis=1) + o.sum(x, axis=-1)


def products_of_steps(o, x):
    return o.prod(x + 2.0, axis=1)


def lengths(o, x):
    return x / (o.norm(x, axis=1, keepdims=True) + 0.1)


def steps_along_an_axis(o, x):
    at = o.cast(o.argmax(x, axis=1, keepdims=True), "int32")
    return o.take_along_axis(x, at - 2, axis=1) * o.take_along_axis(x, o.concatenate([at, at - 1], axis=1), axis=1)


def one_hots_of_steps(o, x):
    return x * o.one_hot(o.cast(o.argmax(x, axis=1), "int32"), 5, axis=1)


def equations_of_three(o, x):
    lengths = o.einsum("...k,...k", x, x)[:, :1, None]
    return o.einsum("bik,...kl,bjl->bij", x, np.ones((3, 4)), o.matmul(x, _MATRIX)) + lengths


def traces_and_diagonals(o, x):
    square = o.einsum("bik,bjk->bij", x, o.tanh(x))
    trace = o.einsum("bii->b", square)[:, None, None]
    return o.einsum("...ii->...i", square)[:, :, None] * o.einsum("bij,ii->bji", square, _SQUARE) + trace


def entries_of_constants(o, x):
    return o.take(_KERNEL, o.cast(o.argmax(x, axis=1), "int32"), axis=0) * x[:, :3]


CASES = [
    differences, softmax_of_steps, standardized_samples, standardized_steps, squeeze_and_excite, constants_of_samples,
    largest_of_all, transposed, moved, every_second, chosen, repeats, flips, paddings, padded_by_a_number, stacked,
    side_by_side, running_sums, gram, attention, equations, equations_of_constants, constant_products, distances,
    one_hots, along_an_axis, triangles, neighbours, flattened, regrouped, products_of_steps, lengths,
    steps_along_an_axis, one_hots_of_steps, equations_of_three, entries_of_constants,
    traces_and_diagonals,
]  # fmt: skip
