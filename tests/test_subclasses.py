"""Users' subclasses: hooks of Keras's that fastnet does not call, and ``__init__`` with other arguments."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import (
    constraints,
    extend,
    hooks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
    saving,
)

X, Y = np.linspace(-1, 1, 12, dtype="float32").reshape(4, 3), np.ones((4, 1), "float32")
BASES = {
    "layer": layers.Dense,
    "model": fastnet.Sequential,
    "loss": losses.MeanSquaredError,
    "function loss": losses.FunctionLoss,
    "optimizer": optimizers.Adam,
    "regularizer": regularizers.L2,
    "constraint": constraints.MaxNorm,
}


CALLED = {*hooks.AT_COMPILE, ("layer", "call")}  # a layer's class may define call
AT_ONCE = [(kind, name) for kind in hooks.HOOKS for name in hooks.HOOKS[kind] if not {name, (kind, name)} & CALLED]


@pytest.mark.parametrize("kind, method", AT_ONCE)
def test_a_hook_that_is_not_called_is_refused(kind, method):
    def define(*bases, **body):
        return type("Mine", bases, body)

    def hook(self, *args, **more):
        raise AssertionError

    with pytest.raises(TypeError, match=f"class Mine defines {method}, which fastnet does not call: ") as caught:
        define(BASES[kind], **{method: hook})
    assert str(caught.value).endswith(f"{hooks.HOOKS[kind][method]}.")
    with pytest.raises(TypeError, match=method):
        define(define(**{method: hook}), BASES[kind])  # by a mixin
    define(BASES[kind], other_method=hook)


@pytest.mark.parametrize("method", hooks.AT_COMPILE)
def test_a_step_is_refused_by_compile(method):
    class Mixin:
        pass

    setattr(Mixin, method, lambda self, data: {})
    for bases in ((Mixin, fastnet.Sequential), (type("Parent", (Mixin, fastnet.Sequential), {}),)):
        model = type("Mine", bases, {})([layers.Input((3,)), layers.Dense(1)])
        assert model.predict(X, verbose=0).shape == (4, 1)
        with pytest.raises(
            TypeError, match=f"model class Mine defines {method}, which fastnet does not call: steps are"
        ):
            model.compile("sgd", "mse")
        assert not model.compiled


def test_a_hook_of_an_object_is_refused():
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, name="out")], name="m")
    with pytest.raises(AttributeError, match="The model 'm' was given train_step, which fastnet does not call: steps"):
        model.train_step = lambda data: {}
    with pytest.raises(AttributeError, match="'out'.* was given call, which fastnet does not call: define call"):
        model.layers[0].call = lambda x: x


def test_a_mask_with_keras_arguments_is_refused():
    with pytest.raises(TypeError, match=r"compute_mask\(self, x, mask=None\); in fastnet it is compute_mask\(self, p"):

        class Mine(layers.Dense):
            def compute_mask(self, x, mask=None):
                return mask


def test_a_formula_replaces_that_of_the_parent():
    class Cubic(losses.BinaryCrossentropy):  # whose targets lie in 0 to 1
        def __init__(self):
            super().__init__(name="cubic")

        @staticmethod
        def call(y_true, y_pred):
            return abs(y_pred - y_true) ** 3

    assert Cubic()([[0.0, 5.0]], [[2.0, 5.0]]) == 4.0

    class OfArrays(losses.MeanSquaredError):
        def call(self, y_true, y_pred):
            return y_pred

    assert OfArrays()([[0.0, 5.0]], [[2.0, 5.0]]) == 3.5


class Hidden(layers.Dense):
    def __init__(self, units):
        super().__init__(units, activation="relu", kernel_regularizer="l2")


class Named(layers.Dense):
    """Its description has a key of another name than the attribute."""

    def __init__(self, width, **more):
        super().__init__(width, activation="relu", **more)

    def get_config(self):
        return super().get_config() | {"width": self.units}


class Half(layers.Dropout):
    def __init__(self):
        layers.Dropout.__init__(self, 0.5, seed=3)


class Block(layers.Residual):
    def __init__(self, units, **more):
        super().__init__([layers.Dense(units, "relu"), layers.Dense(3)], **more)
        self.units = units


class Wide(layers.Parallel):
    def __init__(self, units):
        super().__init__([layers.Dense(units), [layers.Dense(2), layers.Dense(1)]], merge="concat")
        self.units = units


class Net(fastnet.Sequential):
    def __init__(self, units):
        super().__init__([layers.Dense(units, "relu"), layers.Dense(1)])
        self.units = units


LAYERS = [lambda: Hidden(2), lambda: Named(2, name="a"), Half, lambda: Block(2, name="b"), lambda: Wide(2)]


@pytest.mark.parametrize("make", LAYERS)
def test_a_layer_with_other_arguments(make, tmp_path):
    layer = make()
    model = fastnet.Sequential([layers.Input((3,)), layer, layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.fastnet")
    loaded = saving.load_model(tmp_path / "model.fastnet", {type(layer).__name__: type(layer)})
    for other in (loaded, copy.deepcopy(model)):
        assert type(other.layers[0]) is type(layer) and other.layers[0].name == layer.name
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    assert models.clone_model(model).layers[0].get_config() == layer.get_config()


def test_the_arguments_of_the_parent_are_converted_and_checked():
    layer = Hidden(2)
    assert layer.activation.name == "relu" and isinstance(layer.kernel_regularizer, regularizers.L2)
    layer.activation = "tanh"
    assert layer.activation.name == "tanh" and layer.changes == 1
    layer.trainable = False
    restored = Hidden.from_config(layer.get_config())
    assert restored.name == layer.name and restored.trainable is False
    with pytest.raises(ValueError, match=r"hidden.*: activation: .*'tanhh'.*tanh"):
        layer.activation = "tanhh"


def test_a_description_names_the_argument_that_is_not_an_attribute():
    class Lost(layers.Dense):
        def __init__(self, width):
            super().__init__(width)

    with pytest.raises(NotImplementedError, match="Lost does not keep its argument 'width' as self.width"):
        Lost(2).get_config()


def test_a_network_with_other_arguments(tmp_path):
    model = Net(2)
    model.compile("sgd", "mse")
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "model.fastnet")
    for other in (saving.load_model(tmp_path / "model.fastnet", {"Net": Net}), copy.deepcopy(model)):
        assert type(other) is Net and other.units == 2 and other.name == model.name
        np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))
    model.trainable = False
    assert models.clone_model(model).trainable_weights == []


class Smooth(losses.Huber):
    def __init__(self, width):
        super().__init__(delta=width, reduction="sum")
        self.width = width


class Careful(optimizers.Adam):
    def __init__(self, rate):
        super().__init__(learning_rate=rate, beta_1=0.5, weight_decay=0.01)
        self.rate = rate


class Sure(metrics.Precision):
    def __init__(self, limit):
        super().__init__(thresholds=limit, name="sure")
        self.limit = limit


def test_a_loss_an_optimizer_and_a_metric_with_other_arguments(tmp_path):
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1, "sigmoid")])
    model.compile(Careful(0.1), Smooth(0.3), metrics=[Sure(0.25)])
    model.fit(X, Y, verbose=0)
    model.optimizer.learning_rate = 0.2
    model.save(tmp_path / "model.fastnet")
    custom = {cls.__name__: cls for cls in (Careful, Smooth, Sure)}
    loaded = saving.load_model(tmp_path / "model.fastnet", custom)
    assert (loaded.loss.delta, loaded.loss.reduction, loaded.optimizer.beta_1) == (0.3, "sum", 0.5)
    assert loaded.optimizer.learning_rate == 0.2 and loaded.metrics[0].limit == 0.25
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)
    for each in (model, loaded):
        each.fit(X, Y, verbose=0)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


def test_arguments_of_the_parent_of_a_loss_and_an_optimizer_can_be_set():
    loss = Smooth(0.3)
    loss.delta = 2.0
    assert loss([[0.0]], [[1.0]]) == 0.5 and loss.changes == 1
    with pytest.raises(ValueError, match="Smooth: delta"):
        loss.delta = -1.0
    optimizer = Careful(0.1)
    optimizer.beta_1, optimizer.weight_decay = 0.25, None
    assert optimizer.parameters["beta_1"] == 0.25 and optimizer.weight_decay is None and optimizer.changes == 2
    with pytest.raises(ValueError, match="clipnorm"):
        optimizer.clipnorm = -1.0
    assert optimizer.clipnorm is None and optimizer.rate == 0.1


def test_a_forward_of_a_network_is_asked():
    class Twice(fastnet.Sequential):
        def forward(self, plan, x):
            y = super().forward(plan, x)
            return plan.combine(extend.Add(), y, y)

    given = [layers.Input((3,)), layers.Dense(1, name="out")]
    model, plain = Twice(given), fastnet.Sequential(given)
    np.testing.assert_allclose(model.predict(X, verbose=0), 2 * plain.predict(X, verbose=0), rtol=1e-6)


def squared(x):
    return x * x


def cubed_error(y_true, y_pred, factor=1.0):
    return factor * abs(y_pred - y_true) ** 3


class Penalty(regularizers.L2):
    def __init__(self, strength):
        super().__init__(l2=strength)
        self.strength = strength


class Bound(constraints.MaxNorm):
    def __init__(self):
        super().__init__(max_value=1.5)


class Small(initializers.RandomNormal):
    def __init__(self, scale):
        super().__init__(stddev=scale, seed=3)
        self.scale = scale


class Halving(optimizers.schedules.ExponentialDecay):
    def __init__(self, rate):
        super().__init__(rate, 10, 0.5)
        self.rate = rate


class Squared(layers.Lambda):
    def __init__(self, **more):
        super().__init__(squared, **more)


class Known(layers.Normalization):
    def __init__(self, width):
        super().__init__(mean=np.zeros(width), variance=np.full(width, 4.0))
        self.width = width


class Cubed(losses.FunctionLoss):
    def __init__(self, factor):
        super().__init__(cubed_error, name="cubed", factor=factor)


class MeanCubed(metrics.MeanMetricWrapper):
    def __init__(self, name="mean_cubed", **more):
        super().__init__(cubed_error, name=name, **more)


OTHERS = [
    (Penalty(0.5), lambda item: item([2.0])),
    (Bound(), lambda item: item([[3.0], [4.0]])),
    (Small(0.5), lambda item: item((3, 2))),
    (Halving(0.5), lambda item: item(20)),
    (Squared(name="s"), lambda item: item(X)),
    (Known(3), lambda item: item(X)),
    (Cubed(2.0), lambda item: item(Y, 2 * Y)),
    (MeanCubed(), lambda item: item(Y, 2 * Y)),
]


@pytest.mark.parametrize("item, use", OTHERS, ids=[type(item).__name__ for item, _ in OTHERS])
def test_any_other_class_with_other_arguments(item, use):
    description = saving.serialize_keras_object(item)
    again = saving.deserialize_keras_object(description, {type(item).__name__: type(item)})
    assert type(again) is type(item) and again.get_config() == item.get_config()
    np.testing.assert_array_equal(use(again), use(item))
