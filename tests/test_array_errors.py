"""Mistakes in functions and classes of users: each is refused in a sentence that names it and the remedy."""

import re

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics, ops, optimizers

UNMADE = "__init__ must call super().__init__(**more) first"


def train(layer=None, optimizer="sgd", loss="mse", metric=None):
    model = fastnet.Sequential([layers.Input((3,)), layer or layers.Dense(1), layers.Dense(1)])
    before = [w.numpy() for w in model.weights]
    model.compile(optimizer, loss, metrics=[metric] if metric else None)
    try:
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    finally:
        assert all((w.numpy() == value).all() for w, value in zip(model.weights, before, strict=True))


class LayerWithoutParent(layers.Layer):
    def __init__(self):
        self.units = 3


class LossWithoutParent(losses.Loss):
    def __init__(self):
        self.factor = 2.0

    def call(self, y_true, y_pred):
        return self.factor * ops.abs(y_true - y_pred)


class MetricWithoutParent(metrics.Metric):
    def __init__(self):
        self.count = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count += 1

    def result(self):
        return self.count


class Optimizer(optimizers.Optimizer):
    def __init__(self):
        super().__init__(0.1)


class OptimizerWithoutParent(optimizers.Optimizer):
    def __init__(self):
        self.rate = 0.1

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, self.rate * gradient)


class Returns(Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        return variable - learning_rate * gradient


class Nothing(layers.Layer):
    pass


class ReturnsNone(layers.Layer):
    def call(self, x):
        x * 2


class ReturnsTwo(layers.Layer):
    def call(self, x):
        return x, 2 * x


class OfRows(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=input_shape)

    def call(self, x):
        return x * self.w


class MadeInCall(layers.Layer):
    def call(self, x):
        return x @ self.add_weight(shape=(3, 2))


class Uncounted(metrics.Metric):
    def result(self):
        return 1.0


class Unread(metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train(LayerWithoutParent()), f"LayerWithoutParent.{UNMADE}"),
        (lambda: train(loss=LossWithoutParent()), f"LossWithoutParent.{UNMADE}"),
        (lambda: train(metric=MetricWithoutParent()), f"MetricWithoutParent.{UNMADE}"),
        (lambda: train(optimizer=OptimizerWithoutParent()), f"OptimizerWithoutParent.{UNMADE}"),
        (lambda: Optimizer(), "class defines update_step(self, gradient, variable, learning_rate), or gives a row"),
        (lambda: train(optimizer=Returns()), "returns a value, which nothing reads: assign it"),
        (
            lambda: train(Nothing()),
            "Nothing defines neither call(self, x), which is array code, nor forward(self, plan",
        ),
        (lambda: train(ReturnsNone()), "Layer 'returns_none' (ReturnsNone): call cannot be compiled: it returns None"),
        (lambda: train(ReturnsTwo()), "it returns a tuple of arrays, and must return one array."),
        (lambda: train(OfRows()), "(OfRows): the shape of 'variable' must be a tuple of sizes, received (None, 3)."),
        (lambda: train(MadeInCall()), "call makes the weight 'variable': make it in build(input_shape)."),
        (lambda: train(layers.Dense(1, kernel_regularizer=lambda w: None)), "it returns None"),
        (lambda: train(layers.Dense(1, kernel_constraint=lambda w: [w, w])), "it returns a list of arrays"),
        (lambda: train(loss=lambda y_true, y_pred: {"loss": y_pred}), "it returns a dict of arrays"),
        (lambda: train(metric=Uncounted()), "Uncounted defines neither update_state nor size"),
        (lambda: train(metric=Unread()), "Unread defines neither result nor value"),
    ],
)
def test_a_mistake_of_a_class(make, message):
    with pytest.raises(Exception, match=re.escape(message)):
        make()


def mean_if(y_true, y_pred):
    return y_true - y_pred if ops.mean(y_pred) > 0 else y_pred - y_true


def test_a_function_that_is_neither_array_code_nor_a_rule():
    """The default of an argument of what it calls (``axis=None``) is no number."""
    with pytest.raises(fastnet.RuleError, match=r"write ops.where.* two numbers: .* defaults are not numbers"):
        losses.get(mean_if)


@pytest.mark.parametrize(
    "get", [lambda: losses.get(lambda t, y: ops.sum(y)), lambda: layers.Dense(1, activation=ops.sum)]
)
def test_what_a_lambda_cannot_be_goes_without_saying(get):
    with pytest.raises(fastnet.RuleError, match="mixes samples") as caught:
        get()
    assert "def name" not in str(caught.value)
