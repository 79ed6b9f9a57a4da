"""Losses in array code that read the whole batch, trained for 3 epochs beside the same code with Keras's operations."""

import numpy as np
import pytest

import fastnet
from fastnet import ops
from tests import batch_loss_cases as cases

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.parametrize("floatx", ["float64"], indirect=True)

ROWS, BATCH, EPOCHS = 21, 8, 3  # the last batch has 5 rows
LIBRARIES = (fastnet, ops), (keras, keras.ops)


def trained(library, loss, shape, sample_weight):
    """The losses of the epochs, that of all rows, and the weights."""
    rng, units = np.random.default_rng(3), int(np.prod(shape))
    kernels = [rng.normal(size=(4, units)), rng.normal(size=units)]
    net = [library.layers.Input((4,)), library.layers.Dense(units, "sigmoid"), library.layers.Reshape(shape)]
    model = library.Sequential(net if len(shape) > 1 else net[:2])
    model.compile(library.optimizers.SGD(0.5), loss)
    model.set_weights(kernels)
    x, y = rng.normal(size=(ROWS, 4)), rng.integers(0, 2, (ROWS, *shape)).astype("float64")
    given = {"batch_size": BATCH, "verbose": 0, "sample_weight": sample_weight}
    history = model.fit(x, y, epochs=EPOCHS, shuffle=False, **given)
    return [*history.history["loss"], model.evaluate(x, y, **given)], model.get_weights()


def compare(make, shape=(3,), weighted=False):
    """Compare both libraries; ``make`` gives a loss from a library and its operations."""
    weights = np.random.default_rng(4).uniform(0, 2, ROWS) if weighted else None
    ours, theirs = (trained(library, make(library, o), shape, weights) for library, o in LIBRARIES)
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-9)
    for found, wanted in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("function", cases.ALL, ids=lambda f: f.__name__)
def test_functions(floatx, function):
    compare(lambda k, o: lambda t, p: function(k, o, t, p))


@pytest.mark.parametrize("function", [*cases.OF_BATCH, cases.circles_of_rows], ids=lambda f: f.__name__)
def test_weights_of_samples(floatx, function):
    compare(lambda k, o: lambda t, p: function(k, o, t, p), weighted=True)


@pytest.mark.parametrize("function", cases.OF_IMAGES, ids=lambda f: f.__name__)
def test_images(floatx, function):
    compare(lambda k, o: lambda t, p: function(k, o, t, p), (4, 3, 2))


def test_overlaps_of_samples(floatx):
    """Dice of each channel of a sample beside the crossentropy of places."""

    def make(k, o):
        return lambda t, p: k.losses.BinaryCrossentropy()(t, p) + k.losses.Dice(axis=(1, 2))(t, p)

    compare(make, (4, 3, 2))


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight"])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("name, more", [
    ("Dice", {}), ("Tversky", {"alpha": 0.3}), ("Hinge", {}), ("SquaredHinge", {}), ("Dice", {"axis": -1}),
])  # fmt: skip
def test_subclasses(floatx, name, more, weighted, reduction):
    def make(k, o):
        class Mine(getattr(k.losses, name)):
            def call(self, y_true, y_pred):
                return super().call(y_true, y_pred) + 0.3 * o.mean(o.square(y_true - y_pred))

        return Mine(reduction=reduction, **more)

    compare(make, weighted=weighted)


def test_a_subclass_of_the_circle_loss(floatx):
    def make(k, o):
        class Mine(k.losses.Circle):
            def call(self, y_true, y_pred):
                return 0.1 * super().call(y_true[:, 0], o.normalize(y_pred)) + o.mean(o.square(y_pred), axis=-1)

        return Mine(gamma=3.0)

    compare(make)
