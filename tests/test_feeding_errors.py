"""Batches that do not fit, data that cannot be, and what iterables raise."""

import traceback

import numpy as np
import pytest

import fastnet
from fastnet import layers

from .given_streams import Dataset, Oops, X, Y, bits, generator, model, pieces

pytestmark = pytest.mark.usefixtures("no_thread_is_left", "pulled")


def raising(after):
    yield from pieces()[:after]
    raise Oops("disk on fire")


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("workers", [1, 3])
def test_what_a_generator_raises_reaches_the_user(after, workers):
    class Broken(Dataset):
        def __getitem__(self, index):
            if index == after:
                raise Oops("disk on fire")
            return super().__getitem__(index)

    for data, place in ((raising(after), "in raising"), (Broken(pieces(), workers=workers), "in __getitem__")):
        net, by_hand = model(), model()
        with pytest.raises(Oops, match="disk on fire") as caught:
            net.fit(data, shuffle=False, verbose=0)
        assert place in "".join(traceback.format_exception(caught.value))
        for batch in pieces()[:after]:
            by_hand.train_on_batch(*batch)
        assert bits(net) == bits(by_hand)  # the batches before it were used
        net.fit(X, Y, verbose=0)
        assert np.isfinite(net.predict(raising(3), steps=3, verbose=0)).all()


WRONG = {
    "columns": ((np.ones((8, 4), np.float32), Y[:8]), ["(n, 3)", "(8, 4)"]),
    "targets": ((X[:8], np.ones((8, 5), np.float32)), ["targets of shape", "(n, 5)"]),
    "rows": ((X[:8], Y[:7]), ["8 and 7"]),
    "no rows": ((X[:0], Y[:0]), ["at least one sample"]),
    "a number": ((1.0, Y[:8]), ["a number"]),
    "no y": ((X[:8],), ["no y"]),
    "objects": ((np.full((8, 3), None), Y[:8]), ["real numbers", "objects"]),
    "text": (("abc", Y[:8]), ["real numbers"]),
    "four": ((X, Y, None, None), ["4 items"]),
    "none": ((), ["0 items"]),
    "a dictionary": ({"x": X}, ["no y"]),
    "two inputs": (({"a": X, "b": X}, Y), ["x must be the data of one input", "['a', 'b']"]),
}


@pytest.mark.parametrize("place", [1, 2, 4])
@pytest.mark.parametrize("what", WRONG)
def test_a_batch_that_does_not_fit(what, place):
    batch, parts = WRONG[what]
    net = model()
    batches = pieces()
    batches.insert(place - 1, batch)
    with pytest.raises(ValueError) as caught:
        net.fit(generator(batches), verbose=0)
    for part in [f"Batch {place} of the generator", *parts]:
        assert part in str(caught.value)
    assert np.isfinite(net.predict(X)).all()
    net.fit(generator(pieces()), verbose=0)


def test_labels_of_every_batch_are_looked_at():
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    net.compile("sgd", fastnet.losses.SparseCategoricalCrossentropy(from_logits=True))
    batches = [(X[:8], np.zeros(8, int)), (X[:8], np.array([0, 1, 0, 7, 0, 0, 0, 0]))]
    with pytest.raises(ValueError, match="Batch 2 of the generator.*labels from 0 to 1.*received 7.*row 3"):
        net.fit(generator(batches), verbose=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: net.fit(generator([])), "generator yields no batch"),
        (lambda net: net.fit([]), "no y"),
        (lambda net: net.fit(Dataset([])), "Dataset yields no batch"),
        (lambda net: net.fit(generator(pieces()), Y), "x is a generator.*give no y"),
        (lambda net: net.evaluate(Dataset(pieces()), Y), "x is a Dataset.*give no y"),
        (lambda net: net.fit(generator(pieces()), validation_split=0.5), "validation_split needs arrays"),
        (lambda net: net.fit(X, Y, validation_data=generator([])), "generator yields no batch"),
        (lambda net: net.fit(X, Y, validation_data=generator([(X[:, :2], Y)])), "Batch 1 of the generator"),
    ],
)
def test_data_that_cannot_be(call, message):
    net = model()
    with pytest.raises(ValueError, match=message):
        call(net)
    net.fit(X, Y, verbose=0)


def test_a_deferred_model_is_built_by_the_first_batch():
    net = fastnet.Sequential([layers.Dense(2)])
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Batch 1"):
        net.fit(generator([(X, Y[:3])]), verbose=0)
    assert not net.built
    net.fit(generator(pieces()), verbose=0)
    assert net.input_shape == (None, 3)
    later = fastnet.Sequential([layers.Dense(2)])
    assert later.predict(generator(pieces())).shape == (29, 2)


@pytest.mark.parametrize("where", ["x", "y"])
def test_nan_in_a_batch_names_its_row(where):
    x, y = X.copy(), Y.copy()
    (x if where == "x" else y)[19, 1] = np.nan
    net, by_hand = model(), model()
    with pytest.raises(fastnet.NonFiniteError, match=f"Step 3: .*row 3 of {where}"):
        net.fit(pieces(x=x, y=y), verbose=0)
    for batch in pieces()[:2]:
        by_hand.train_on_batch(*batch)
    assert bits(net) == bits(by_hand)


def test_an_overflow_in_batches_gives_finite_weights_back():
    net = model()
    net.optimizer.learning_rate = 1e30
    with pytest.raises(fastnet.NonFiniteError):
        net.fit(generator(pieces() * 50), verbose=0)
    assert np.isfinite(net.predict(X)).all()
