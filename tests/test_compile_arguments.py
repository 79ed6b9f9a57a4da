"""What `compile` takes for the one output of a model, what it refuses, and what metrics given to it know afterwards."""

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics, optimizers

X, Y = np.arange(10.0).reshape(5, 2) / 10, np.ones((5, 1))


def model():
    return fastnet.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones", name="out")])


def logs(**given):
    net = model()
    net.compile("sgd", **given)
    return net.fit(X, Y, batch_size=2, shuffle=False, verbose=0).history


@pytest.mark.parametrize("loss", [["mse"], {"out": "mse"}, ("mse",), {"any": losses.MeanSquaredError()}])
def test_a_loss_in_a_list_or_a_dictionary(loss):
    assert logs(loss=loss) == logs(loss="mse")


@pytest.mark.parametrize("given", [{"out": "mae"}, {"out": ["mae"]}, [["mae"]], ["mae"], ("mae",), "mae"])
def test_metrics_in_lists_and_dictionaries(given):
    assert logs(loss="mse", metrics=given) == logs(loss="mse", metrics=["mae"])
    assert list(logs(loss="mse", weighted_metrics=given)) == ["loss", "mae"]


def test_several_metrics_and_none():
    assert list(logs(loss="mse", metrics=[["mae", "mse"]])) == ["loss", "mae", "mse"]
    for nothing in ({}, [], None):
        assert list(logs(loss="mse", metrics=nothing)) == ["loss"]


@pytest.mark.parametrize("weight", [2.0, [2.0], {"out": 2.0}, np.float32(2), np.int64(2)])
def test_a_loss_weight(weight):
    net = model()
    net.compile("sgd", "mse", loss_weights=weight)
    assert net.evaluate(X, Y, verbose=0) == pytest.approx(2 * ((X.sum(1) - 1) ** 2).mean(), rel=1e-6)


@pytest.mark.parametrize(
    "given, problem",
    [
        ({"loss": {"a": "mse", "b": "mse"}}, "loss must be given for one output"),
        ({"loss": []}, "loss must be given for one output"),
        ({"loss": "mse", "loss_weights": [1.0, 2.0]}, "loss_weights must be given for one output"),
        ({"loss": "mse", "metrics": [None]}, "a metric in metrics is a name.*received None"),
        ({"loss": "mse", "weighted_metrics": [None]}, "a metric in weighted_metrics"),
        ({"loss": "mse", "metrics": 3}, "A metric is a name.*received 3"),
        ({"loss": "mse", "metrics": [{"a": 1, "b": 2}]}, "A metric is a name.*class_name"),
        ({"loss": "mse", "metrics": {"a": "mae", "b": "mae"}}, "metrics must be given for one output"),
        ({"loss": {"foo": 1}}, "A loss is a name.*received 1"),
        ({"loss": "mse", "optimizer": {}}, "An optimizer is a name.*class_name.*received"),
    ],
    ids=str,
)
def test_what_is_refused(given, problem):
    net = model()
    with pytest.raises(ValueError, match=problem):
        net.compile(**given)
    assert net.loss is None and net.optimizer is None


def test_none_is_none_as_in_keras():
    assert losses.get(None) is metrics.get(None) is optimizers.get(None) is None
    net = model()
    net.compile("sgd", loss=None)
    with pytest.raises(RuntimeError, match="compile was given no loss"):
        net.fit(X, Y, verbose=0)


@pytest.mark.parametrize("module", [losses, metrics, optimizers])
def test_a_dictionary_that_describes_nothing(module):
    with pytest.raises(
        ValueError, match=r"a description with a class_name, as `serialize` gives; received \{'foo': 1\}"
    ):
        module.deserialize({"foo": 1})


@pytest.mark.parametrize("make", [metrics.MeanAbsoluteError, metrics.RootMeanSquaredError, metrics.R2Score])
def test_a_metric_knows_the_pass_it_has_counted(make):
    metric, net = make(), model()
    net.compile("sgd", "mse", metrics=[metric])
    history = net.fit(X, Y, batch_size=2, verbose=0).history
    assert metric.result() == history[metric.name][0]
    _, value = net.evaluate(X, Y, batch_size=2, verbose=0)
    other = make()
    other.update_state(Y, net.predict(X, verbose=0))
    assert metric.result() == value == pytest.approx(other.result(), rel=1e-6)
    _, value = net.train_on_batch(X[:3], Y[:3])
    assert metric.result() == value
    metric.reset_state()
    assert net.evaluate(X, Y, verbose=0)[1] == pytest.approx(make()(Y, net.predict(X, verbose=0)), rel=1e-6)
