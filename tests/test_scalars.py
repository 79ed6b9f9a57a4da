"""Numbers given as arrays without axes, wherever a number is taken."""

import functools
import json

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, constraints, initializers, layers, losses, metrics, optimizers, regularizers


@functools.total_ordering
class Scalar:
    """What arrays of other libraries have in common."""

    shape = ()

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value

    def __array__(self, dtype=None, copy=None):
        return np.array(self.value, dtype)

    def __float__(self):
        return float(self.value)

    def __index__(self):
        return int(self.value)

    def __eq__(self, other):
        return self.value == other

    def __lt__(self, other):
        return self.value < other


MAKERS = {
    "Dense": lambda n: layers.Dense(n(3), use_bias=n(False)),
    "Dropout": lambda n: layers.Dropout(n(0.5), seed=n(1)),
    "BatchNormalization": lambda n: layers.BatchNormalization(axis=n(-1), momentum=n(0.9), epsilon=n(1e-3)),
    "LeakyReLU": lambda n: layers.LeakyReLU(n(0.5)),
    "Rescaling": lambda n: layers.Rescaling(n(2.0), offset=n(1)),
    "Reshape": lambda n: layers.Reshape((n(2), n(3))),
    "Input": lambda n: layers.Input((n(3),), batch_size=n(2)),
    "Adam": lambda n: optimizers.Adam(n(1e-3), beta_1=n(0.8), clipnorm=n(1.0), use_ema=n(True)),
    "SGD": lambda n: optimizers.SGD(n(1), momentum=n(0.5), gradient_accumulation_steps=n(2)),
    "ExponentialDecay": lambda n: optimizers.schedules.ExponentialDecay(n(0.1), n(10), n(0.9)),
    "PiecewiseConstantDecay": lambda n: optimizers.schedules.PiecewiseConstantDecay([n(1)], [n(0.1), n(0.2)]),
    "Huber": lambda n: losses.Huber(delta=n(2.0)),
    "BinaryCrossentropy": lambda n: losses.BinaryCrossentropy(from_logits=n(True), label_smoothing=n(0.1)),
    "L2": lambda n: regularizers.L2(n(0.1)),
    "MaxNorm": lambda n: constraints.MaxNorm(n(2.0), axis=n(0)),
    "Constant": lambda n: initializers.Constant(n(2.0)),
    "RandomUniform": lambda n: initializers.RandomUniform(n(-1.0), n(1.0), seed=n(3)),
    "AUC": lambda n: metrics.AUC(num_thresholds=n(10)),
    "Precision": lambda n: metrics.Precision(thresholds=n(0.5), top_k=n(None)),
    "TopK": lambda n: metrics.TopKCategoricalAccuracy(k=n(2)),
}


@pytest.mark.parametrize("kind", [np.array, Scalar])
@pytest.mark.parametrize("name", MAKERS)
def test_arguments_of_objects(name, kind):
    def scalar(value):
        return value if value is None else kind(value)

    made, plain = (MAKERS[name](n) for n in (scalar, lambda value: value))
    configs = [{**json.loads(json.dumps(each.get_config())), "name": ""} for each in (made, plain)]
    assert configs[0] == configs[1]


@pytest.mark.parametrize("kind", [np.array, Scalar])
def test_arguments_of_methods(kind):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(2)])
    model.compile(optimizers.SGD(0.1), "mse", loss_weights=kind(2.0))
    model.optimizer.learning_rate = kind(0.05)
    assert model.optimizer.learning_rate == pytest.approx(0.05)
    x, y = np.ones((8, 3)), np.ones((8, 2))
    early = callbacks.EarlyStopping(patience=kind(2), min_delta=kind(0.1))
    rate = callbacks.LearningRateScheduler(lambda epoch: kind(0.1))
    history = model.fit(
        x, y, batch_size=kind(4), epochs=kind(2), validation_split=kind(0.25), callbacks=[early, rate], verbose=kind(0),
        initial_epoch=kind(0), steps_per_epoch=kind(1), validation_freq=kind(1), shuffle=kind(True),
    )  # fmt: skip
    assert len(history.history["val_loss"]) == 2
    assert model.predict(x, batch_size=kind(4), steps=kind(1), verbose=0).shape == (4, 2)
    assert model.get_layer(index=kind(0)) is model.layers[0]


def test_a_weight_without_axes_is_no_number():
    class Scaled(layers.Layer):
        def make_weights(self, input_shape):
            self.scale = self.add_weight("scale", (), "ones")

        def forward(self, plan, x):
            return x

    layer = Scaled()
    layer.build((None, 2))
    assert layer.weights == [layer.scale]
    with pytest.raises(ValueError, match="'d' .*units"):
        layers.Dense(np.array([3]), name="d")
