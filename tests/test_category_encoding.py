"""CategoryEncoding against numpy, and what it says of numbers that are none of its tokens."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

RNG = np.random.default_rng(0)


def encoded(x, tokens, mode):
    """By counting, number by number."""
    if mode == "one_hot":
        rows = np.array([[float(v == token) for token in range(tokens)] for v in x.ravel()])
        return rows.reshape(*(x.shape[:-1] if x.ndim > 1 and x.shape[-1] == 1 else x.shape), tokens)
    counts = np.array([[float(list(row).count(token)) for token in range(tokens)] for row in x])
    return counts if mode == "count" else np.minimum(counts, 1)


CASES = [
    *[("one_hot", shape, 5) for shape in [(4,), (4, 1), (3, 7), (2, 3, 1), (67, 2, 3)]],
    *[("multi_hot", shape, tokens) for shape in [(1, 1), (67, 3), (5, 41)] for tokens in (1, 7)],
    *[("count", shape, tokens) for shape in [(1, 1), (67, 3), (5, 41)] for tokens in (1, 7)],
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float64", "float16"])
@pytest.mark.parametrize(("mode", "shape", "tokens"), CASES, ids=str)
def test_modes(mode, shape, tokens, dtype):
    x = RNG.integers(0, tokens, shape)
    layer = layers.CategoryEncoding(tokens, mode)
    y = layer(x.astype(dtype))
    np.testing.assert_array_equal(y, encoded(x, tokens, mode))
    assert y.dtype == "float32" and y.shape == layer.compute_output_shape(shape)
    model = fastnet.Sequential([layers.CategoryEncoding(np.int64(tokens), mode, dtype="float64")])
    np.testing.assert_array_equal(model.predict(x.astype(dtype), verbose=0), y)


def test_true_and_false_are_categories():
    x = np.array([[True, False], [False, False]])
    np.testing.assert_array_equal(layers.CategoryEncoding(2, "count")(x), [[1, 1], [2, 0]])


@pytest.mark.parametrize("number", [4, -1, 0.5, np.nan, np.inf, 1e30, 2**40])
@pytest.mark.parametrize(
    "before", [[], ["Identity()"], ["Flatten()", "Reshape((1, 2))", "Permute((2, 1))", "Flatten()"]]
)
def test_numbers_out_of_range_are_told_before_anything_runs(number, before):
    encoding = layers.CategoryEncoding(4, name="tokens")
    moved = [eval(f"layers.{text}") for text in before]
    model = fastnet.Sequential([*moved, encoding, layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = np.array([[0, 1], [2, 3], [0, 0]]), np.ones(3)
    x = x.astype(float) if isinstance(number, float) else x
    x[1, 1] = number
    rows = [(x[:1], y[:1]), (x[1:], y[1:])]
    for call in (
        lambda: encoding(x), lambda: model(x), lambda: model.predict(x, verbose=0), lambda: model.predict(x, verbose=1),
        lambda: model.fit(x, y, verbose=0), lambda: model.fit(x[:1], y[:1], validation_data=(x, y), verbose=0),
        lambda: model.evaluate(x, y, verbose=0), lambda: model.train_on_batch(x, y), lambda: model.fit(rows, verbose=0),
        lambda: model.predict([(x[1:],)], verbose=0), lambda: model.profile(x, y),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"'tokens' .* from 0 to 3 .* in row [01] of x") as caught:
            call()
        assert f"received {x[1, 1]} in row" in str(caught.value)
    assert model.optimizer.iterations == 0
    with pytest.raises(ValueError, match="Batch 2 of the list"):
        model.fit(rows, verbose=0)


def test_data_that_another_layer_computes_are_cut_off_or_nan():
    x = np.array([[0.0, 2.9], [-1.5, 0.0], [9.0, 1.0]])
    model = fastnet.Sequential([layers.Rescaling(1.0, 0.5), layers.CategoryEncoding(4, "count"), layers.Dense(1)])
    part = fastnet.Sequential(model.layers[:2])
    np.testing.assert_array_equal(part.predict(x, verbose=0), [[1, 0, 0, 1], [np.nan] * 4, [np.nan] * 4])
    model.compile("sgd", "mse")
    with pytest.raises(fastnet.NonFiniteError, match="category_encoding"):
        model.fit(x, np.ones(3), verbose=0)


def test_it_trains_as_the_rows_that_it_stands_for():
    x, y = RNG.integers(0, 6, (37, 4)), RNG.standard_normal(37)
    results = []
    for data, before in ((x, [layers.CategoryEncoding(6, "count")]), (encoded(x, 6, "count"), [])):
        fastnet.utils.set_random_seed(3)
        model = fastnet.Sequential([*before, layers.Dense(3, activation="tanh"), layers.Dense(1)])
        model.compile("adam", "mse")
        history = model.fit(data, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
        results.append((history.history["loss"], *model.get_weights()))
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_no_gradient_passes_through():
    model = fastnet.Sequential([layers.Dense(2, name="before"), layers.CategoryEncoding(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="passes no gradient on"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0)
    model.layers[0].trainable = False
    model.layers[0].build((None, 2))
    model.layers[0].set_weights([np.eye(2), np.zeros(2)])
    assert np.isfinite(model.fit(np.ones((4, 2)), np.ones(4), verbose=0).history["loss"]).all()


@pytest.mark.parametrize(("make", "message"), [
    (lambda: layers.CategoryEncoding(), "num_tokens must be an integer from 1 to 16777216, received None"),
    (lambda: layers.CategoryEncoding(0), "num_tokens"),
    (lambda: layers.CategoryEncoding(2.5), "num_tokens"),
    (lambda: layers.CategoryEncoding(2, "int"), "output_mode must be 'one_hot', 'multi_hot' or 'count', received"),
    (lambda: layers.CategoryEncoding(2, sparse=True), "sparse is not supported"),
    (lambda: layers.CategoryEncoding(2)([[0, 1]], count_weights=[[0.5, 0.5]]), "count_weights is not supported"),
    (lambda: layers.CategoryEncoding(2).connect((3, 4)), r"one axis, \(n,\); received samples of shape \(3, 4\)"),
    (lambda: layers.CategoryEncoding(2, "count").connect(()), "one axis"),
])  # fmt: skip
def test_bad_arguments_are_explained(make, message):
    with pytest.raises(ValueError, match=message):
        make()
