"""Models that train without an error, but not as they were meant: one warning each, which says what to do."""

import warnings

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics

X = np.linspace(0, 1, 24, dtype=np.float32).reshape(8, 3)
ONE_HOT, LABELS, REAL = np.eye(2)[[0, 1] * 4], np.array([0, 1] * 4), np.linspace(-3, 3, 8)


def model(units, activation, loss, given=None, softmax=None):
    """A compiled network; ``softmax`` is the name of a layer behind it."""
    last = [] if softmax is None else [layers.Softmax(name=softmax)]
    net = fastnet.Sequential([layers.Input((3,)), layers.Dense(units, activation, name="top"), *last])
    net.compile("sgd", loss, metrics=given)
    return net


LOGITS = losses.BinaryCrossentropy(from_logits=True)
SPARSE = losses.SparseCategoricalCrossentropy(from_logits=True)
MISTAKES = {
    "sigmoid and logits": ((1, "sigmoid", LOGITS), LABELS, "from_logits=True.*sigmoid.*'top'"),
    "softmax and logits": ((2, "softmax", SPARSE), LABELS, "from_logits=True.*softmax.*'top'"),
    "Softmax and logits": ((2, None, SPARSE, None, "s"), LABELS, "softmax.*'s'"),
    "binary": ((1, None, "binary_crossentropy"), LABELS, "takes probabilities.*'top'.*activation='sigmoid'"),
    "categorical": ((2, None, "categorical_crossentropy"), ONE_HOT, "'top'.*activation='softmax'.*from_logits"),
    "sparse": ((2, None, "sparse_categorical_crossentropy"), LABELS, "activation='softmax'"),
    "one unit": ((1, "softmax", "mse"), LABELS, "softmax of the one unit of layer 'top' is always 1.*sigmoid"),
    "accuracy": ((1, None, "mse", ["accuracy"]), REAL, "accuracy.*regression.*metrics=\\['mae'\\]"),
    "accuracy of a class": ((1, None, "mse", [metrics.BinaryAccuracy()]), REAL, "accuracy.*regression"),
    "accuracy of one-hot classes": ((1, None, "mse", ["categorical_accuracy"]), REAL, "accuracy.*regression"),
    "generalized": ((2, None, losses.CategoricalGeneralizedCrossEntropy()), LABELS, "takes probabilities.*'softmax'"),
    "classes cut off": (
        (1, "sigmoid", "mse", [metrics.MeanIoU(2)]),
        LABELS,
        "'mean_io_u' reads predictions as classes.*'top' gives probabilities.*BinaryIoU",
    ),
    "divergence": ((2, None, "kl_divergence"), ONE_HOT, "takes probabilities.*'top'.*activation='softmax'\\.$"),
}
RIGHT = {
    "logits": ((1, None, LOGITS), LABELS),
    "probabilities": ((1, "sigmoid", "binary_crossentropy", ["accuracy"]), LABELS),
    "softmax": ((2, "softmax", "categorical_crossentropy", ["accuracy"]), ONE_HOT),
    "Softmax": ((2, None, "sparse_categorical_crossentropy", None, "softmax"), LABELS),
    "regression": ((1, None, "mse", ["mae"]), REAL),
    "classes of rows": ((2, "softmax", "mse", [metrics.OneHotMeanIoU(2)]), ONE_HOT),
    "classes at a threshold": ((1, "sigmoid", "mse", [metrics.BinaryIoU()]), LABELS),
    "squares of classes": ((1, "sigmoid", "mse", ["accuracy"]), LABELS),
}


def warned(call):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    return [each for each in caught if "Probably a mistake" in str(each.message)]


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_once(name):
    arguments, y, message = MISTAKES[name]
    net = model(*arguments)
    with pytest.warns(UserWarning, match=f"Probably a mistake: .*{message}") as caught:
        net.fit(X, y, verbose=0)
    assert caught[0].filename == __file__ and len(caught) == 1
    assert not warned(lambda: net.fit(X, y, verbose=0)) and not warned(lambda: net.evaluate(X, y, verbose=0))
    net.compile("sgd", net.loss, metrics=net.compiled_metrics.given[0])
    assert len(warned(lambda: net.train_on_batch(X, y))) == 1


@pytest.mark.parametrize("name", RIGHT)
def test_no_warning_where_nothing_is_wrong(name):
    arguments, y = RIGHT[name]
    net = model(*arguments)
    assert not warned(lambda: net.fit(X, y, verbose=0))


def test_a_missing_flatten():
    net = fastnet.Sequential([layers.Dense(4), layers.Dense(2, "softmax")])
    net.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="Flatten"):
        net.fit(np.ones((8, 5, 5)), LABELS)
    net.compile("sgd", "mse")
    with pytest.raises(ValueError, match="Flatten"):
        net.fit(np.ones((8, 5, 5)), ONE_HOT)


def test_data_that_are_not_scaled():
    x = 255 * X
    net = model(1, None, "mse")
    with pytest.warns(
        UserWarning, match=r"loss has risen from .* to .*up to 255: .*Rescaling\(1 / 255\).*Normalization"
    ):
        net.fit(x, REAL, epochs=3, verbose=0)
    net, told = model(1, None, "mse"), []
    look = fastnet.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs: told.append(len(caught)))
    with pytest.warns(UserWarning, match="loss has risen") as caught:
        net.fit(x, REAL, epochs=4, callbacks=[look], verbose=0)
    assert told == [0, 0, 1, 1] and len(caught) == 1  # behind the second epoch
    net = model(1, None, "mse")
    with pytest.raises(fastnet.NonFiniteError, match=r"up to 255: .*Rescaling\(1 / 255\)"):
        net.fit(x, REAL, epochs=100, verbose=0)
    net = model(1, None, "mse")
    assert not warned(lambda: net.fit(X, REAL, epochs=3, verbose=0))
