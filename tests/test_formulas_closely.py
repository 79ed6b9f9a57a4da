"""Formulas where a wrong number would not be noticed: weights alone, middle axes, shapes, modes, names."""

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers, losses, ops, testing
from fastnet._kernels.errors import RuleError
from tests.sampling import every_second

X = np.random.default_rng(0).normal(size=(5, 4))


@pytest.fixture(autouse=True)
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


def layer_of(call, *weights, **made):
    """A layer with these weights, (name, shape), and this call."""

    def build(self, input_shape):
        for name, shape in weights:
            setattr(self, name, self.add_weight(name=name, shape=shape, initializer="ones"))

    def init(self, **more):
        layers.Layer.__init__(self, **more)
        for name, make in made.items():
            setattr(self, name, make())

    return type("Mine", (layers.Layer,), {"call": call, "build": build, "__init__": init, "__module__": __name__})()


FORMULAS = {
    "exponential": (lambda s, x: x * s.w + ops.exp(s.w), lambda w, x: x * w + np.exp(w)),
    "one minus": (lambda s, x: s.w * x + (1.0 - s.w) * ops.tanh(x), lambda w, x: w * x + (1 - w) * np.tanh(x)),
    "square": (lambda s, x: x + s.w * s.w, lambda w, x: x + w * w),
    "power and minus": (lambda s, x: x - (-s.w) ** 2, lambda w, x: x - w**2),
    "numpy": (lambda s, x: x * np.maximum(s.w, 0.5), lambda w, x: x * np.maximum(w, 0.5)),
    "softplus": (lambda s, x: x * ops.softplus(s.w), lambda w, x: x * np.log1p(np.exp(w))),
    "condition": (lambda s, x: ops.where(s.w > 2.0, x, -x), lambda w, x: np.where(w > 2, x, -x)),
}


@pytest.mark.filterwarnings("ignore:.*no gradient reaches 'w'")  # of a condition
@pytest.mark.parametrize("shape", [(), (1,), (4,), (1, 4)])
@pytest.mark.parametrize("name", every_second(FORMULAS))
def test_formulas_of_weights_follow_the_weights(name, shape):
    call, expected = FORMULAS[name]
    layer = layer_of(call, ("w", shape))
    model = fastnet.Sequential([layers.Input((4,)), layer])
    model.compile("sgd", "mse")
    y = np.random.default_rng(1).normal(size=X.shape)
    for value in (1.5, 3.0):
        layer.w.assign(np.full(shape, value))
        np.testing.assert_allclose(model.predict(X, verbose=0), expected(value, X), rtol=1e-12)
        found = np.sum(model.gradients(X, y)[layer.name]["w"])
        ends = [np.square(expected(value + step, X) - y).mean() for step in (1e-6, -1e-6)]
        assert found == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("call", [
    lambda s, x: x * float(s.w), lambda s, x: x * s.w.numpy(), lambda s, x: x * np.asarray(s.w),
])  # fmt: skip
def test_elements_of_weights_are_not_read(call):
    layer = layer_of(call, ("w", ()))
    with pytest.raises(RuleError, match=r"weight 'mine.*/w' are read or set"):
        fastnet.Sequential([layers.Input((4,)), layer])


def test_a_weight_is_an_array_again_behind_the_call():
    layer = layer_of(lambda s, x: x * s.w, ("w", (4,)))
    fastnet.Sequential([layers.Input((4,)), layer])
    assert (layer.w + 1.0).tolist() == [2.0] * 4 and float(layer.w[0]) == 1.0


SQUARES = np.random.default_rng(2).normal(size=(3, 4, 4))
MIDDLE = {
    "differences": (X, lambda x: x[:, :, None] - x[:, None, :]),
    "new axis": (X, lambda x: x[:, None, :] * 2.0),
    "means of steps": (SQUARES, lambda x: ops.mean(x, axis=-1)[:, None, :] * x),
    "products": (X, lambda x: ops.sum(ops.tanh(x[:, :, None] * x[:, None, :]), axis=-1)),
    "neighbours": (SQUARES, lambda x: x[:, 1:] * x[:, :-1]),
    "two means": (SQUARES, lambda x: ops.mean(ops.mean(x, axis=-1), axis=-1, keepdims=True)),
}


@pytest.mark.parametrize("name", every_second(MIDDLE))
def test_middle_axes(name):
    data, function = MIDDLE[name]
    np.testing.assert_allclose(layer_of(lambda s, x: function(x))(data), function(data), rtol=1e-12)
    testing.check_layer(lambda: layer_of(lambda s, x: function(x)), data.shape[1:])


def test_targets_of_other_rows():
    loss = losses.get(lambda t, p: ops.square(t[:, None, :] - p))
    p = SQUARES[[0, 1, 2, 0, 1]]
    np.testing.assert_allclose(loss(X, p), np.square(X[:, None, :] - p).mean(), rtol=1e-12)


@pytest.mark.parametrize("function", [
    lambda x: x / x.shape[-1], lambda x: x * np.sqrt(x.shape[-1]), lambda x: 2.0 * x if len(x.shape) == 2 else 3.0 * x,
])  # fmt: skip
def test_elements_that_depend_on_the_shape(function):
    for data in (X, X[:, :3], SQUARES):
        for made in (layers.Activation(function), layers.Lambda(function)):
            np.testing.assert_allclose(made(data), function(data), rtol=1e-12)
    assert isinstance(activations.get(lambda x: x + 1.0), activations.Activation)


def test_layers_within_are_applied_in_the_mode_of_the_call():
    frozen = layer_of(lambda s, x: s.bn(x, training=False), bn=layers.BatchNormalization)
    with pytest.raises(RuleError, match="training=False in a call whose training is True"):
        model = fastnet.Sequential([layers.Input((4,)), frozen])
        model.compile("sgd", "mse")
        model.fit(X, X, verbose=0)
    as_it_is = type(
        "AsItIs",
        (layers.Layer,),
        {
            "__init__": lambda self: (layers.Layer.__init__(self), setattr(self, "drop", layers.Dropout(0.5)))[0],
            "call": lambda self, x, training=None: self.drop(x, training=training),
            "__module__": __name__,
        },
    )()
    assert (as_it_is(np.ones((4, 50)), training=True) == 0).any() and (as_it_is(np.ones((4, 50))) == 1).all()
    with pytest.raises(RuleError, match="is given a mask .* give a truth value for each step, of shape"):
        layer_of(lambda s, x: s.inner(x, mask=x > 0), inner=lambda: layers.Activation("relu"))(X)


class Base(layers.Layer):
    def build(self, input_shape):
        self.a = self.add_weight(name="a", shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.a


class Derived(Base):
    def build(self, input_shape):
        super().build(input_shape)
        self.b = self.add_weight(name="b", shape=(input_shape[-1],), initializer="ones")

    def call(self, x):
        return x * self.a + 2.0 * self.b


class Inherits(Base):
    pass


class Widened(layers.Dense):
    def build(self, input_shape):
        super().build(input_shape)
        self.gain = self.add_weight(name="gain", shape=(self.units,), initializer="ones")

    def call(self, x):
        return self.gain * (ops.matmul(x, self.kernel) + self.bias)


class Mixin:
    def build(self, input_shape):
        self.m = self.add_weight(name="m", shape=(input_shape[-1],), initializer="ones")


class Mixed(Mixin, layers.Layer):
    def call(self, x):
        return 3.0 * x * self.m


def test_classes_that_build_on_others():
    assert np.array_equal(Derived()(X), X + 2.0) and np.array_equal(Inherits()(X), X)
    assert np.array_equal(Mixed()(X), 3.0 * X)
    layer = Widened(3)
    assert layer(X).shape == (5, 3) and [w.name for w in layer.weights] == ["kernel", "bias", "gain"]
    built = Derived()
    built.build((None, 4))
    assert built.built and len(built.weights) == 2


@pytest.mark.parametrize("function", [
    lambda x: x * np.ones((1, 1)),
    lambda x: x + np.arange(4.0)[None],
    lambda x: ops.abs(ops.sum(x > 0, axis=-1, keepdims=True)) * x[:, :1],
    lambda x: ops.split(x, [1, 9], axis=-1)[0] + ops.split(x, [-1], axis=-1)[1],
    lambda x: x // 0.25 + x % 0.3,
    lambda x: ops.logaddexp(x, -np.inf),
    lambda x: ops.logsumexp(ops.where(x > 99.0, x, -np.inf), axis=-1, keepdims=True),
    lambda x: ops.reshape(ops.sum(ops.cast(x > 0, "float64"), axis=-1), (-1, 1)) * x,
])  # fmt: skip
def test_odd_formulas_are_numpys(function):
    for data in (X, np.ones((3, 4)), X[:1]):
        with np.errstate(divide="ignore"):
            expected = function(data)
        np.testing.assert_allclose(layers.Lambda(function)(data), expected, rtol=1e-12)


def test_losses_within_losses():
    class Scaled(losses.Loss):
        def __init__(self, **more):
            super().__init__(**more)
            self.inner = losses.Huber(0.5)

        def call(self, y_true, y_pred):
            return 2.0 * self.inner(y_true, y_pred)

    loss = Scaled()
    t = X + 3.0
    assert loss(t, X) == pytest.approx(2 * losses.Huber(0.5)(t, X))
    loss.inner.delta = 2.0
    assert loss(t, X) == pytest.approx(2 * losses.Huber(2.0)(t, X))
    absolute = losses.get(lambda t, p: ops.abs(t - p))
    both = losses.get(lambda t, p: ops.sqrt(absolute(t, p)) + losses.mean_squared_error(t, p))
    expected = np.sqrt(np.abs(t - X).mean()) + np.square(t - X).mean(-1)  # a loss object is one number of the batch
    np.testing.assert_allclose(both.per_row(t, X), expected, rtol=1e-12)

    class Both(losses.Loss):
        def call(self, y_true, y_pred):
            return ops.abs(y_true - y_pred)

        @staticmethod
        def gradient(y_true, y_pred):
            return 0.0

    with pytest.raises(ValueError, match="defines gradient beside a call of arrays"):
        Both()


def test_rules_may_have_any_names():
    def a(y_true, y_pred):
        return (y_true - y_pred) ** 2

    def v0(y_true, y_pred):
        return abs(y_true - y_pred)

    first, second = losses.FunctionLoss(a), losses.FunctionLoss(v0)
    both = losses.get(lambda t, p: first(t, p) + second(t, p))
    expected = np.square(X - 1).mean(-1) + np.abs(X - 1).mean(-1)
    np.testing.assert_allclose(both.per_row(np.ones_like(X), X), expected, rtol=1e-12)


def test_gradients_of_activations_at_kinks_and_far_out():
    """JAX's, except those of hard_tanh at ±1, which are those of fastnet's activation; σ has one of 0, not NaN."""
    points = np.array([-np.inf, -1000.0, -3.0, -1.0, 0.0, 1.0, 3.0, 6.0, 1000.0])
    s, scale, alpha = 0.5 + 0.5 * np.tanh(points / 2), 1.0507009873554805, 1.6732632423543772
    expected = {
        "sigmoid": s * (1 - s),
        "selu": scale * np.where(points > 0, 1.0, alpha * np.exp(np.minimum(points, 0.0))),
        "relu6": [0, 0, 0, 0, 0, 1, 1, 0, 0],
        "hard_sigmoid": [0, 0, 0, 1 / 6, 1 / 6, 1 / 6, 0, 0, 0],
        "hard_tanh": [0, 0, 0, 0, 1, 0, 0, 0, 0],
    }
    layer = layer_of(lambda s, x: ops.stack([getattr(ops, name)(x) for name in expected], axis=-1))
    model = fastnet.Sequential([layers.Input((1,)), layer])
    for i, (name, wanted) in enumerate(expected.items()):
        dy = np.zeros((len(points), 1, len(expected)))
        dy[:, 0, i] = 2.0
        found = model.gradients(points[:, None], gradient=dy)["input"][:, 0]
        np.testing.assert_allclose(found, 2 * np.asarray(wanted), rtol=1e-12, atol=1e-15, err_msg=name)
