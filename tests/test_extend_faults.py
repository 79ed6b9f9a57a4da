"""What layers of one's own may not do to what others read, and to gradients: refused with the layer's name."""

from __future__ import annotations

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.extend import read, update, write

X = np.random.default_rng(0).standard_normal((8, 4))


@extend.elementwise
def double(y: update):
    y = y * 2.0


@extend.elementwise
def twice(x: read, y: write):
    y = x * 2.0


class Twice(layers.Layer):
    """y = 2 x, in several right and wrong ways."""

    def __init__(self, fault=None, **more):
        super().__init__(**more)
        self.fault = fault

    def forward(self, plan, x):
        if self.fault == "writes x":
            plan.call(double, y=x)
            return x
        y = plan.like(x)
        plan.call(twice, x=x, y=y)
        return y

    def backward(self, plan, dy, x, y):
        if self.fault == "writes dy":
            plan.call(double, y=dy)
            return dy
        dx = plan.like(x)
        plan.call(twice, x=dy, y=dx)
        return None if self.fault == "no gradient" else dx


class Holder(layers.Layer):
    """Applies layers that it holds somewhere."""

    def __init__(self, where, **more):
        super().__init__(**more)
        self.where, inner = where, layers.Dense(4)
        self.found = {
            "attribute": inner,
            "list": [inner],
            "dictionary": {"a": inner},
            "part of a part": fastnet.Sequential([inner]),
            "list of lists": [[inner]],
            "forward": None,
        }[where]

    def forward(self, plan, x):
        part = {
            "attribute": lambda: self.found,
            "list": lambda: self.found[0],
            "dictionary": lambda: self.found["a"],
            "part of a part": lambda: self.found.layers[0],
            "list of lists": lambda: self.found[0][0],
            "forward": lambda: layers.Dense(4),
        }[self.where]()
        return plan.apply(part, x)


def fitted(layer):
    model = fastnet.Sequential([layers.Input((4,)), layers.Dense(4), layer, layers.Dense(4)])
    model.compile("sgd", "mse")
    model.fit(X, X, verbose=0)
    return model


@pytest.mark.parametrize("around", [lambda layer: layer, layers.Residual], ids=["alone", "in a residual"])
@pytest.mark.parametrize(("fault", "message"), [
    ("writes x", "Twice.forward writes to a view that it did not make"),
    ("writes dy", "Twice.backward writes to a view that it did not make"),
    ("no gradient", "'twice.*': backward returned None"),
])  # fmt: skip
def test_faults_of_a_layer_are_told(around, fault, message):
    with pytest.raises(ValueError, match=message):
        fitted(around(Twice(fault)))
    fitted(around(Twice()))


class Around(layers.Layer):
    """Applies a layer, and calls templates beside it, in several right and wrong ways."""

    def __init__(self, way, **more):
        super().__init__(**more)
        self.way, self.inner, self.after = way, layers.Dense(4), layers.ReLU()

    def forward(self, plan, x):
        if self.way == "writes x":
            plan.call(double, y=x)
        if self.way == "reads x":
            y = plan.like(x)
            plan.call(twice, x=x, y=y)
            return plan.combine(extend.Add(), plan.apply(self.inner, y), x)
        y = plan.apply(self.inner, x)
        if self.way == "writes a result":
            plan.call(double, y=y)
        if self.way == "writes a part of a result":
            plan.call(double, y=y.slice(-1, 1, 3))
        factor = plan.like(y)
        plan.call(extend.fill, y=factor, number=0.5)
        return plan.apply(self.after, plan.combine(extend.Multiply(), y, factor))


@pytest.mark.parametrize("around", [lambda layer: layer, layers.Residual], ids=["alone", "in a residual"])
@pytest.mark.parametrize(
    ("way", "error", "message"),
    [
        ("writes x", ValueError, "Around.forward writes to a view that it did not make"),
        ("writes a result", ValueError, "Around.forward writes to a view that it did not make"),
        ("writes a part of a result", ValueError, "Around.forward writes to a view that it did not make"),
        ("reads x", NotImplementedError, "Layer 'around.*its forward calls the template 'twice' on"),
    ],
)
def test_calls_beside_those_of_the_layers_that_are_applied(around, way, error, message):
    with pytest.raises(error, match=message):
        fitted(around(Around(way)))
    model = fastnet.Sequential([layers.Input((4,)), around(Around(way))])
    if way == "reads x":  # nothing goes back
        assert model.predict(X, verbose=0).shape == X.shape
    else:
        with pytest.raises(error, match=message):
            model.predict(X, verbose=0)


def test_a_constant_beside_the_layers_that_are_applied():
    """The gradient passes by it: it is that of half the product."""
    fastnet.testing.check_layer(lambda: Around("right"), (4,))


@pytest.mark.parametrize("where", ["attribute", "list", "dictionary", "part of a part", "list of lists"])
def test_layers_that_are_held(where):
    assert len(fitted(Holder(where)).trainable_weights) == 6


def test_a_layer_that_is_not_held():
    with pytest.raises(ValueError, match=r"Layer 'dense.*does not hold it.*Make it in __init__"):
        fitted(Holder("forward"))


@pytest.mark.parametrize(
    ("axis", "start", "stop"), [(0, -2, 0), (0, 0, 4), (0, 2, 1), (2, 0, 1), (-3, 0, 1), (1, 5, 6)]
)
def test_slices_stay_within(axis, start, stop):
    view = Plan(False, "float32").buffer((3, 5))
    with pytest.raises(ValueError, match=r"shape \(3, 5\) has no elements"):
        view.slice(axis, start, stop)


def test_buffers_that_cannot_be():
    plan = Plan(False, "float32")
    for shape, dtype in [((-5,), None), ((2, -1), None), ((3,), "float16"), ((3,), "bool")]:
        with pytest.raises(ValueError, match="no buffer of shape"):
            plan.buffer(shape, dtype)


def test_products_of_other_things():
    plan = Plan(False, "float64")
    x, y = plan.buffer((3,)), plan.buffer((2,))
    w, single = Variable(np.ones((3, 2)), "w"), Variable(np.ones((3, 2), "f"), "v")
    whole = plan.buffer((3,), "int32")
    for operands, message in [
        ((x, single, y), "product: .* b v.* is float32 and c is float64"),
        ((whole, w, y), "product: .* a .*int32"),
        ((whole, whole, plan.buffer((2,), "int32")), "must be float32, or all float64"),
        ((None, w, y), "product: a must be a view or a weight, received None"),
        ((x, np.ones((3, 2)), y), "product: b must be"),
        ((x, w, y, np.ones(2)), "product: bias must be"),
    ]:
        with pytest.raises(TypeError, match=message):
            plan.product(*operands)
    assert not plan.launches


def test_bindings_that_do_not_fit():
    layer, plan = layers.Dense(2, dtype="float64"), Plan(False, "float64")
    plan.apply(layer, plan.buffer((3,)))
    for other, message in [(np.ones((3, 5)), r"shape \(3, 5\)"), (np.ones((3, 2), "f"), "float32")]:
        with pytest.raises(ValueError, match=f"'dense.*/kernel' of shape .*cannot be replaced by .*{message}"):
            bind(plan, weights={layer.kernel: Variable(other, "other")})
    for options in ({"rows": -1}, {"rows": 33}):
        with pytest.raises(ValueError, match="cannot be bound"):
            bind(plan, **options)
    with pytest.raises(ValueError, match="no device 'tpu'"):
        bind(plan, device="tpu")


def test_averages_move_in_the_order_of_the_forward():
    """A normalization that stands in a network twice, against numpy."""
    normalization = layers.BatchNormalization(momentum=0.9, dtype="float64")
    dense = layers.Dense(4, dtype="float64", kernel_initializer="ones")
    model = fastnet.Sequential([layers.Input((4,), dtype="float64"), normalization, dense, normalization])
    model.compile("sgd", "mse")
    model.train_on_batch(X, np.zeros((8, 4)))
    mean, variance, x = np.zeros(4), np.ones(4), X
    for _ in range(2):
        mean, variance = 0.9 * mean + 0.1 * x.mean(0), 0.9 * variance + 0.1 * x.var(0)
        x = ((x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)) @ np.ones((4, 4))
    np.testing.assert_allclose(normalization.moving_mean.numpy(), mean, rtol=0, atol=1e-12)
    np.testing.assert_allclose(normalization.moving_variance.numpy(), variance, rtol=1e-12)


class OwnSequential(fastnet.Sequential):
    """A container outside the package: its forward may apply the layers that it holds."""


class OwnResidual(layers.Residual):
    """As above."""


class OwnParallel(layers.Parallel):
    """As above."""


@pytest.mark.parametrize("make", [
    lambda: OwnSequential([layers.Dense(4)]),
    lambda: OwnResidual(OwnSequential([layers.Dense(4)]), layers.Dense(4)),
    lambda: OwnParallel([layers.Dense(4), OwnResidual(layers.BatchNormalization())], merge="add"),
])  # fmt: skip
def test_containers_of_ones_own_apply_what_they_hold(make):
    assert len(fitted(make()).trainable_weights) > 4
