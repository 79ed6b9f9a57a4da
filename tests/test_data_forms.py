"""The same data in other forms: a vector of one feature, lists of one input, batches of other dtypes."""

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .given_streams import X, Y, bits, generator, model, pieces, trained
from .test_bad_input import refuses


def one_feature(built):
    fastnet.utils.set_random_seed(1)
    net = fastnet.Sequential([layers.Input((1,))] * built + [layers.Dense(1)])
    net.compile("sgd", "mse")
    return net


CALLS = {
    "fit": lambda net, x, y: net.fit(x, y, verbose=0).history["loss"],
    "validation": lambda net, x, y: net.fit(x, y, validation_data=(x, y), verbose=0).history["val_loss"],
    "split": lambda net, x, y: net.fit(x, y, validation_split=0.5, verbose=0).history["val_loss"],
    "evaluate": lambda net, x, y: net.evaluate(x, y, verbose=0),
    "predict": lambda net, x, y: net.predict(x, verbose=0).tolist(),
    "call": lambda net, x, y: net(x).tolist(),
    "predict_on_batch": lambda net, x, y: net.predict_on_batch(x).tolist(),
    "train_on_batch": lambda net, x, y: [net.train_on_batch(x, y) for _ in range(2)],
    "test_on_batch": lambda net, x, y: net.test_on_batch(x, y),
    "batches": lambda net, x, y: net.fit([(x, y)] * 2, verbose=0).history["loss"],
    "generator": lambda net, x, y: net.fit(generator([(x, y)] * 2), verbose=0).history["loss"],
    "predict batches": lambda net, x, y: net.predict(generator([(x,)] * 2), verbose=0).tolist(),
}


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("call", CALLS)
def test_a_vector_is_a_column_for_one_feature(call, built):
    x, y = np.arange(8.0), 2 * np.arange(8.0)
    assert CALLS[call](one_feature(built), x, y) == CALLS[call](one_feature(built), x[:, None], y[:, None])


def test_one_number_a_sample_stays_a_number():
    net = fastnet.Sequential([layers.Input(()), layers.Reshape((1,)), layers.Dense(1)])
    assert net.predict(np.arange(3.0), verbose=0).shape == (3, 1)
    images = fastnet.Sequential([layers.Input((4, 4, 1)), layers.Flatten()])
    assert images.predict(np.ones((2, 4, 4)), verbose=0).shape == (2, 16)
    refuses(lambda: one_feature(True).predict(np.ones((2, 2))), "(n, 1)", "(2, 2)")


FORMS = {
    "lists": lambda x, y: ([x], [y]),
    "dictionaries": lambda x, y: ({"x": x}, {"y": y}),
    "tuples": lambda x, y: ((x,), (y,)),
    "a list of targets": lambda x, y: (x, [y]),
}


@pytest.mark.parametrize("built", [False, True])
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("rows", [1, 8])
def test_the_one_input_and_output_in_a_list_or_a_dictionary(call, form, built, rows):
    if call == "split" and rows == 1:
        pytest.skip("one row cannot be divided")
    if rows == 1 and not built and form in ("lists", "tuples"):
        pytest.skip("an array of one row may be a sample of two axes: nothing tells which")
    x, y = X[:rows], Y[:rows]

    def net():
        fastnet.utils.set_random_seed(1)
        made = fastnet.Sequential([layers.Input((3,))] * built + [layers.Dense(2)])
        made.compile("sgd", "mse")
        return made

    assert CALLS[call](net(), *FORMS[form](x, y)) == CALLS[call](net(), x, y)


def test_pairs_in_lists():
    assert trained(([X], [Y])) == trained(X, Y)
    got = trained([X], [Y], validation_data=([X], [Y]), sample_weight=[np.ones(29)])
    assert got == trained(X, Y, validation_data=(X, Y), sample_weight=np.ones(29))
    refuses(lambda: model().fit(X, {"a": Y, "b": Y}), "y must be the data of one output", "['a', 'b']")
    refuses(lambda: model().fit([X, X], Y), "samples")


def test_rows_of_numpy_numbers():
    rows = [tuple(row) for row in X]
    assert isinstance(rows[0][0], np.float32)
    assert trained(rows, list(Y)) == trained(X, Y)
    assert np.array_equal(model().predict(rows), model().predict(X))


@pytest.mark.parametrize("place", [1, 3])
@pytest.mark.parametrize("dtype", ["float64", "float16", "int64", "bool"])
def test_batches_of_another_dtype_are_converted(dtype, place):
    def batches(convert):
        x = np.rint(X)
        x[8 * place :] = x[8 * place :] > 0
        found = [(x, y.copy(), np.ones(len(x), np.float32)) for x, y in pieces(x=x)]
        return [tuple(a.astype(convert) for a in b) if k == place else b for k, b in enumerate(found)]

    def weights(convert):
        net = model()
        given = batches(convert)
        given[place] = (given[place][0], Y[8 * place : 8 * place + 8], given[place][2])
        net.fit(generator(given), verbose=0)
        return bits(net)

    assert weights(dtype) == weights("float32")


@pytest.mark.parametrize("first", ["int64", "bool", "uint8", "float16"])
def test_a_dtype_that_cannot_hold_a_batch(first):
    small, large = np.ones((8, 3), first), np.full((8, 3), 1e6 + 0.5, np.float32)
    parts = ["Batch 2 of the generator", f"x is float32, and {first}", "one dtype", "astype('float32')"]
    refuses(lambda: model().fit(generator([(small, Y[:8]), (large, Y[:8])]), verbose=0), *parts)
    labels = [np.zeros(8, np.uint8), np.full(8, 1.0)]
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.fit(generator([(X[:8], y) for y in labels]), verbose=0)


@pytest.mark.parametrize("labels", [["no", "yes"] * 4, np.array(["no", "yes"] * 4)], ids=["list", "array"])
def test_labels_that_are_texts(labels):
    model = fastnet.Sequential([layers.Input((1,)), layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    refuses(lambda: model.fit(np.ones(8), labels), "y must hold real numbers", "strings", "np.unique(y, return_inverse")
    model.fit(np.ones(8), np.unique(labels, return_inverse=True)[1], verbose=0)


def test_nan_of_one_column_and_of_several_axes():
    x = np.ones((3, 1))
    x[1] = np.nan
    with pytest.raises(fastnet.NonFiniteError, match="row 1 of x holds NaN or infinity, as"):
        one_feature(True).fit(x, np.zeros(3), verbose=0)
    model = fastnet.Sequential([layers.Flatten(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((3, 2, 2))
    x[2, 1, 0] = np.inf
    with pytest.raises(fastnet.NonFiniteError, match=r"row 2 of x holds NaN or infinity in column \(1, 0\)"):
        model.fit(x, np.zeros(3), verbose=0)


def test_masked_arrays():
    """Values behind a mask, which are often huge, were taken as they are."""
    values = np.ma.masked_greater(np.array([[1.0, 2.0], [3.0, 1e20]]), 1e9)
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    for call in (model.predict, lambda x: model.fit(x, np.ones(2), verbose=0), lambda x: model.fit(np.ones((2, 2)), x)):
        with pytest.raises(ValueError, match=r"[xy] is a masked array, 1 of .* fill them, [xy]\.f"):
            call(values)
    np.testing.assert_array_equal(model.predict(values[:1]), model.predict(values.data[:1]))
    model.fit(values.filled(0.0), np.ones(2), verbose=0)
