"""The warnings for losses that train nothing, and for weights whose gradient something stops."""

import dataclasses

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, ops
from fastnet._kernels.templates import elementwise

X, Y = np.linspace(-1, 1, 21).reshape(7, 3), np.linspace(0, 1, 14).reshape(7, 2)


def trained(*middle, loss="mse", fits=1):
    """Which weights of a model change when it is trained."""
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(4, name="a"), *middle, layers.Dense(2, name="b")])
    model.compile("sgd", loss)
    before = [w.numpy().copy() for w in model.weights]
    for _ in range(fits):
        model.fit(X, Y, verbose=0)
    return [w.path for w, old in zip(model.weights, before, strict=True) if (w.numpy() != old).any()]


def of_targets(y_true, y_pred):
    return y_true * y_true


def counted(y_true, y_pred):
    if y_pred > y_true:
        return 1.0
    return 0.0


@pytest.mark.parametrize("loss", [
    of_targets,
    counted,
    lambda t, p: ops.mean(ops.square(t), axis=-1),
    lambda t, p: ops.mean(ops.square(t - ops.stop_gradient(p)), axis=-1),
    lambda t, p: ops.square(t[:, 0] - ops.cast(ops.argmax(p, axis=-1), "float32")),
    lambda t, p: ops.sqrt(ops.mean(ops.square(t - ops.round(p)))),
])  # fmt: skip
def test_a_loss_that_trains_nothing(loss):
    loss = losses.get(loss)
    with pytest.warns(UserWarning, match=f"The loss '{loss.name}': no gradient reaches y_pred") as found:
        assert trained(loss=loss, fits=2) == []
    assert len(found) == 1


@pytest.mark.parametrize("loss", [
    lambda t, p: ops.square(t[:, 0] - p[:, 0]),
    lambda t, p: ops.sqrt(ops.mean(ops.square(t - p))),
    lambda t, p: ops.where(p > t, ops.abs(t - p), 0.0) + ops.stop_gradient(p),
    losses.MeanSquaredError(), losses.Dice(),
])  # fmt: skip
def test_other_losses(loss):
    """Warnings are errors in tests."""
    assert trained(loss=loss)


def is_positive(x):
    return 1.0 if x > 0 else 0.0


class Stopped(layers.Layer):
    """A branch through which no gradient flows, beside its input."""

    def __init__(self, penalty=0.0, **more):
        super().__init__(**more)
        self.inner, self.penalty = layers.Dense(4, name="inner"), penalty

    def call(self, x):
        y = self.inner(x)
        if self.penalty:
            self.add_loss(self.penalty * ops.mean(ops.square(y)))
        return x + ops.stop_gradient(y)


@pytest.mark.parametrize("make, names", [
    (lambda: layers.Lambda(ops.stop_gradient), "'a/kernel', 'a/bias'"),
    (lambda: layers.Lambda(lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4)), "'a/kernel', 'a/bias'"),
    (lambda: layers.Activation(is_positive), "'a/kernel', 'a/bias'"),
    (lambda: layers.Dense(4, activation=lambda x: ops.sign(x), name="m"), "'a/kernel', 'a/bias', 'm/kernel', 'm/bias'"),
    (Stopped, "'inner/kernel', 'inner/bias'"),
])  # fmt: skip
def test_weights_whose_gradient_is_stopped(make, names):
    with pytest.warns(UserWarning, match=f"No gradient reaches the weights {names}: a layer behind") as found:
        changed = trained(make(), fits=2)
    assert len(found) == 1
    assert {"b/kernel", "b/bias"} <= set(changed) and not any(repr(path) in names for path in changed)


class StraightThrough(layers.Layer):
    """A step whose gradient passes as if it were none."""

    def __init__(self, **more):
        super().__init__(**more)
        self.activation = fastnet.activations.get(is_positive)

    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(elementwise.apply, f=self.activation.row.f, x=x, y=y, p=[])
        return y

    def backward(self, plan, dy, x, y):
        return dy


@pytest.mark.parametrize("make", [
    StraightThrough,
    lambda: Stopped(penalty=0.1),
    lambda: layers.BatchNormalization(),
    lambda: layers.Lambda(lambda x: x * ops.stop_gradient(x)),
    lambda: layers.Dense(4, activation="softmax"),
])  # fmt: skip
def test_weights_that_a_gradient_reaches(make):
    assert "a/kernel" in trained(make())


def test_weights_that_are_not_trained_are_not_named():
    layer = Stopped()
    layer.inner.trainable = False
    trained(layer)


@dataclasses.dataclass(eq=True)
class Half(losses.Loss):
    """A loss without a hash."""

    factor: float = 0.5

    def __post_init__(self):
        super().__init__(name="half")

    def call(self, y_true, y_pred):
        return self.factor * ops.mean(ops.square(y_true - y_pred), axis=-1)


def test_a_loss_without_a_hash():
    assert trained(loss=Half())


def test_a_loss_of_zeros_beside_one_that_a_layer_adds():
    stopped = Stopped(penalty=0.1)
    assert "inner/kernel" in trained(stopped, loss=lambda t, p: ops.zeros_like(p))
