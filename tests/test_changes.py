"""What a callback changes counts from the next step on, or is refused there; see `settable`, `engine.changes`.

The steps of a training are compared with those of one whose plans are dropped after the change: a step of a plan from
before it would differ.
"""

import itertools
import operator
import re

import numpy as np
import pytest

import fastnet
from fastnet import activations, callbacks, constraints, extend, layers, losses, metrics, optimizers, regularizers
from fastnet.layers.layer import Layer
from fastnet.settable import argument_names

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)).astype("f"), (RNG.random((12, 1)) > 0.5).astype("f")
HOOKS = (
    *("on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"),
    *("on_test_begin", "on_test_batch_begin", "on_test_batch_end", "on_test_end"),
)


def once(hook, change, forget):
    """A callback that changes the model in this hook, the second time where it comes again."""
    calls = itertools.count(hook == "on_train_begin")

    def act(self, *given, **more):
        if next(calls) == 1:
            change(self.model)
            if forget:
                self.model._trainer.plans.forget()

    return type("Change", (callbacks.Callback,), {hook: act})()


def leaky(x, slope=0.5):
    return slope * x if x < 0 else x


class Scaled(losses.Loss):
    def __init__(self, scale=0.5, **more):
        super().__init__(**more)
        self.factor = scale  # an argument of the formula, but not of the class

    @staticmethod
    def call(y_true, y_pred, factor):
        return factor * (y_true - y_pred) * (y_true - y_pred)


class Decay(regularizers.Regularizer):
    def __init__(self, strength=0.1):
        self.strength = strength

    @staticmethod
    def penalty(w, strength):
        return strength * w * w


class Times(layers.Layer):
    """y = scale · x; it counts its plans."""

    def __init__(self, **more):
        super().__init__(**more)
        self.scale, self.count = 1.0, 0

    def forward(self, plan, x):
        self.count += 1
        y = plan.like(x)
        plan.call(extend.scale, x=x, y=y, factor=self.scale)
        return y

    def backward(self, plan, dy, x, y):
        dx = plan.like(x)
        plan.call(extend.scale, x=dy, y=dx, factor=self.scale)
        return dx


def network():
    dense = layers.Dense(
        4, activations.leaky_relu, kernel_regularizer="l2", activity_regularizer=Decay(), kernel_constraint="max_norm"
    )
    inner = fastnet.Sequential([layers.Dense(3), layers.BatchNormalization()])
    given = [layers.Input((3,)), dense, layers.Dropout(0.3), inner, Times(), layers.Dense(1, "sigmoid")]
    net = fastnet.Sequential(given, seed=1)
    counted = ["accuracy", "binary_accuracy", metrics.BinaryAccuracy(name="object"), losses.Huber()]
    net.compile(optimizers.Adam(0.01), Scaled(), metrics=counted)
    return net


def trained(hook="", change=None, forget=False):
    """The logs of an epoch after the other, with those of validation, and the weights after them."""
    net = network()
    given = [once(hook, change, forget)] if hook else []
    history = net.fit(X, Y, batch_size=4, epochs=3, verbose=0, callbacks=given, validation_data=(X, Y)).history
    return repr((history, [w.tolist() for w in net.get_weights()]))


@pytest.fixture(scope="module")
def unchanged():
    return trained()


def attribute(path, value):
    """A change of an attribute: "1.kernel.trainable" is of the model's layer 1."""

    def change(model):
        *parts, name = path.split(".")
        owner = model
        for part in parts:
            owner = owner.layers[int(part)] if part.isdigit() else getattr(owner, part)
        setattr(owner, name, value)

    return change


COUNTED = {
    "0.activation": "relu",
    "0.activity_regularizer": "l1",
    "0.activity_regularizer.strength": 1.0,
    "0.kernel": np.ones((3, 4)),
    "0.kernel.trainable": False,
    "0.kernel.regularizer": None,
    "0.kernel.constraint": constraints.MaxNorm(0.1),
    "0.kernel_regularizer.l2": 1.0,
    "0.kernel_constraint.max_value": 0.1,
    "0.trainable": False,
    "1.rate": 0.8,
    "2.trainable": False,
    "2.1.trainable": False,
    "2.1.momentum": 0.1,
    "2.1.epsilon": 0.5,
    "3.scale": 0.25,
    "loss.factor": 3.0,
    "loss.reduction": "sum",
    "loss.compiled_weight": 3.0,
    "optimizer.learning_rate": 0.5,
    "optimizer.beta_1": 0.1,
    "optimizer.weight_decay": 0.3,
    "optimizer.clipnorm": 1e-3,
    "optimizer.iterations": 100,
}


CHANGES = {path: attribute(path, value) for path, value in COUNTED.items()}
CHANGES["metrics.loss.delta"] = lambda model: setattr(model.metrics[3].loss, "delta", 0.1)


@pytest.mark.parametrize("path", CHANGES)
def test_a_change_counts_from_the_next_step_on(path, unchanged):
    for hook in ("on_epoch_begin", "on_train_batch_end"):
        seen = trained(hook, CHANGES[path])
        assert seen != unchanged
        assert seen == trained(hook, CHANGES[path], forget=True), hook


@pytest.mark.parametrize("hook", HOOKS)
def test_in_every_hook(hook, unchanged):
    def change(model):
        for path in ("1.rate", "0.kernel.trainable", "loss.factor", "optimizer.beta_1", "0.kernel_regularizer.l2"):
            CHANGES[path](model)

    seen = trained(hook, change)
    assert seen != unchanged
    assert seen == trained(hook, change, forget=True)


def test_the_batch_that_begins_is_the_next_step():
    """By hand: a rate that is set before a batch decides its step; so does a weight of the loss."""
    for path, value in (("optimizer.learning_rate", 0.25), ("loss.compiled_weight", 0.5)):
        net = fastnet.Sequential([layers.Input((1,)), layers.Dense(1, use_bias=False, kernel_initializer="ones")])
        net.compile(optimizers.SGD(0.5), "mse")
        owner, name = path.split(".")

        class Set(callbacks.Callback):
            def on_train_batch_begin(self, batch, logs=None, owner=owner, name=name, value=value):
                setattr(getattr(self.model, owner), name, value)

        net.fit([[1.0]], [[0.0]], verbose=0, callbacks=[Set()])
        assert net.get_weights()[0].item() == 0.5


def test_training_and_validation_of_an_epoch_are_of_one_network():
    net = fastnet.Sequential([layers.Input((1,)), Times(), layers.Dense(1, kernel_initializer="ones")])
    net.compile(optimizers.SGD(0.0), "mse")
    grow = once("on_epoch_begin", lambda model: setattr(model.layers[0], "scale", 3.0), False)
    one = np.ones((1, 1)), np.zeros((1, 1))
    history = net.fit(*one, epochs=3, verbose=0, callbacks=[grow], validation_data=one).history
    assert history["loss"] == history["val_loss"] == [1.0, 9.0, 9.0]


def of_metric(place):
    return lambda model: setattr(model.metrics[place], "threshold", 0.9)


REFUSED = {
    "metric by name": (of_metric(1), "The metric 'binary_accuracy': threshold is 0.5 and stays so"),
    "accuracy": (of_metric(0), "The metric 'accuracy': threshold is 0.5 and stays so"),
    "metric": (of_metric(2), "The metric 'object': threshold is 0.5 and stays so"),
    "penalty out of range": (attribute("0.kernel_regularizer.l2", -1.0), "l2 must be a number"),
    "penalty": (attribute("0.kernel_regularizer", "l1"), "kernel_regularizer is .* and stays so"),
    "activation": (attribute("0.activation.negative_slope", 0.5), r"Give the layer another one: activation.having"),
    "activation's numbers": (
        lambda model: operator.setitem(model.layers[0].activation.parameters, "negative_slope", 0.5),
        "Set the attribute instead",
    ),
    "optimizer's numbers": (
        lambda model: operator.setitem(model.optimizer.parameters, "beta_1", 0.5),
        "Set the attribute instead",
    ),
    "size": (attribute("0.units", 5), "units is 4 and stays so"),
    "state": (attribute("optimizer.use_ema", True), "use_ema cannot be changed"),
    "weight": (lambda model: model.layers[0].add_weight("more", (1,), "ones"), "its weights are made; add 'more'"),
    "loss": (lambda model: setattr(model, "loss", "mse"), "being trained"),
    "compile": (lambda model: model.compile("sgd", "mse"), "being trained"),
    "layers": (lambda model: model.layers[2].add(layers.Dense(1)), "being trained"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_count_is_refused(name):
    change, message = REFUSED[name]
    with pytest.raises((ValueError, AttributeError, TypeError, RuntimeError), match=message):
        trained("on_epoch_begin", change)


GIVEN = {  # what a layer's class needs, and the shape of a sample
    "ActivityRegularization": ((0.1, 0.1), (4,)),
    **{
        f"{kind}{n}D": ((2,), (3,) * n + (2,))
        for n in (1, 2, 3)
        for kind in ("AdaptiveAveragePooling", "AdaptiveMaxPooling", "AveragePooling", "MaxPooling", "UpSampling")
    },
    **{
        f"{kind}{n}D": ((), (3,) * n + (2,))
        for n in (1, 2, 3)
        for kind in ("Cropping", "GlobalAveragePooling", "GlobalMaxPooling", "ZeroPadding")
    },
    **{f"SpatialDropout{n}D": ((0.3,), (3,) * n + (2,)) for n in (1, 2, 3)},
    "CenterCrop": ((2, 2), (3, 3, 2)),
    "Resizing": ((2, 2), (3, 3, 2)),
    "Activation": (("tanh",), (4,)),
    "AlphaDropout": ((0.3,), (4,)),
    "CategoryEncoding": ((4,), (1,)),
    "Conv1D": ((4, 3), (5, 2)),
    "Conv1DTranspose": ((4, 3), (5, 2)),
    "Conv2D": ((4, 3), (5, 4, 2)),
    "Conv2DTranspose": ((4, 3), (3, 4, 2)),
    "Conv3D": ((4, 2), (3, 4, 3, 2)),
    "Conv3DTranspose": ((4, 2), (2, 3, 2, 2)),
    "Dense": ((4,), (4,)),
    "DepthwiseConv1D": ((3,), (5, 2)),
    "DepthwiseConv2D": ((3,), (5, 4, 2)),
    "Dropout": ((0.3,), (4,)),
    "EinsumDense": (("bf,fu->bu", 4), (4,)),
    "GaussianDropout": ((0.3,), (4,)),
    "GaussianNoise": ((0.3,), (4,)),
    "GroupNormalization": ((2,), (4,)),
    "Lambda": ((leaky,), (4,)),
    "Masking": ((0.0,), (2, 4)),
    "Normalization": ((-1, 0.5, 2.0), (4,)),
    "Parallel": (([layers.Identity()],), (4,)),
    "Permute": (((2, 1),), (2, 4)),
    "RandomBrightness": ((0.1,), (2, 3, 1)),
    "RandomContrast": ((0.1,), (2, 3, 1)),
    "RandomCrop": ((1, 2), (2, 3, 1)),
    "RandomFlip": ((), (2, 3, 1)),
    "RandomGaussianBlur": ((), (2, 3, 1)),
    "RandomRotation": ((0.1,), (2, 3, 1)),
    "RandomShear": ((0.1,), (2, 3, 1)),
    "RandomTranslation": ((0.1, 0.1), (2, 3, 1)),
    "RandomZoom": ((0.1,), (2, 3, 1)),
    "RepeatVector": ((2,), (4,)),
    "Rescaling": ((0.5,), (4,)),
    "Reshape": (((2, 2),), (4,)),
    "Residual": ((layers.Identity(),), (4,)),
    "SeparableConv1D": ((4, 3), (5, 2)),
    "SeparableConv2D": ((4, 3), (5, 4, 2)),
    "SpectralNormalization": (lambda: (layers.Dense(3),), (4,)),
    "Wrapper": ((layers.Identity(),), (4,)),
}
CLASSES = sorted(
    name for name, cls in vars(layers).items()
    if isinstance(cls, type) and issubclass(cls, Layer) and name == cls.__name__
    and name not in ("Layer", "InputLayer", "Network", "Sequential")
)  # fmt: skip


def marked(name):
    is_of_images = re.search(r"[123]D|^Random|^Resizing|^CenterCrop", name)
    return pytest.param(name, marks=pytest.mark.thorough if is_of_images else pytest.mark.slow)


@pytest.mark.filterwarnings("ignore:.*does not support masking")
@pytest.mark.parametrize("name", [marked(name) for name in CLASSES])
def test_every_argument_of_every_layer(name):
    """Each is refused, or the next step is that of a new plan."""
    given, shape = GIVEN.get(name, ((), (4,)))
    x = np.random.default_rng(1).integers(0, 3, size=(6, *shape)).astype("f")

    def steps(argument, value, forget):
        arguments = given() if callable(given) else given  # a layer with weights must be a new one each time
        net = fastnet.Sequential([layers.Input(shape), getattr(layers, name)(*arguments), layers.Flatten()], seed=1)
        net.add(layers.Dense(1))
        net.compile("sgd", "mse")
        net.train_on_batch(x, np.ones((6, 1)))
        setattr(net.layers[0], argument, value)
        if forget:
            net._trainer.plans.forget()
        return net.train_on_batch(x, np.ones((6, 1))), [w.tolist() for w in net.get_weights()]

    for argument in argument_names(getattr(layers, name)):
        for value in (0.2, True, False, 3, "l1"):
            try:
                seen = steps(argument, value, False)
            except ValueError:
                continue
            assert repr(seen) == repr(steps(argument, value, True)), (argument, value)


@pytest.mark.parametrize("hook", ["on_predict_batch_begin", "on_predict_batch_end"])
def test_a_prediction_goes_on_where_a_callback_changes_a_layer(hook):
    """The plan is another one from then on, and writes into the same array."""
    net = fastnet.Sequential([layers.Input((2,)), layers.Dense(1, kernel_initializer="ones")])
    x = np.array([[-1.0, -2.0], [1.0, 2.0], [-3.0, 0.0], [-4.0, 1.0], [5.0, 6.0]])
    plain = net.predict(x, verbose=0)

    def change(batch, logs=None):
        if batch == 1:
            net.layers[0].activation = "relu"

    callback = fastnet.callbacks.Callback()
    setattr(callback, hook, change)
    seen = net.predict(x, batch_size=1, verbose=0, callbacks=[callback])
    unchanged = 1 if hook == "on_predict_batch_begin" else 2
    assert np.array_equal(seen[:unchanged], plain[:unchanged])
    assert np.array_equal(seen[unchanged:], np.maximum(plain[unchanged:], 0))
