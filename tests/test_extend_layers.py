"""Layers with kernels of their own and layers of layers: what `testing.check_layer` proves, and what it finds."""

import re

import numpy as np
import pytest

import fastnet
from fastnet import extend, layers, regularizers, testing
from fastnet.testing.plans import LayerRun, scatter_weights
from fastnet.testing.running import check_single_precision

SIZES = (3, 5)


@extend.template("n", grain=16, cost="width")
def sums(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total


@extend.template("n", grain=16, cost="width")
def sums_gradient(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width - 1, -1, -1):
            total = total + x[r, j]
            y[r, j] = total


class Sums(layers.Layer):
    """Running sums along the last axis; its kernels may be replaced by wrong ones."""

    supports_masking = True
    kernel, gradient = sums, sums_gradient

    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(type(self).kernel, x=x, y=y)
        return y

    def backward(self, plan, dy, x, y):
        if not x.needs_gradient:
            return None
        dx = plan.like(x)
        plan.call(type(self).gradient, x=dy, y=dx)
        return dx


class Block(layers.Layer):
    """x + dense(sums(x)), with a layer that is applied twice."""

    def __init__(self, part=None, **more):
        super().__init__(**more)
        self.sums = Sums()
        self.dense = part or layers.Dense(5, activation="tanh", name="inner")

    def forward(self, plan, x):
        y = plan.apply(self.dense, plan.apply(self.sums, x))
        return plan.combine(extend.Add(), x, plan.apply(self.dense, y))


def test_a_loop_of_its_own_is_proved():
    report = testing.check_layer(Sums, SIZES)
    assert "parts" in dict(report.lines)
    assert "2 loops" in dict(report.lines)["parts"]


def test_the_weights_of_parts_are_proved():
    lines = dict(testing.check_layer(Block, SIZES).lines)
    assert {"gradient of input", "gradient of inner/kernel", "gradient of inner/bias"} <= set(lines)


def test_a_block_trains_as_its_formula():
    block = Block(layers.Dense(5, name="inner", dtype="float64"), dtype="float64")
    block.sums = Sums(dtype="float64")
    model = fastnet.Sequential([layers.Input((5,), dtype="float64"), block])
    model.compile(fastnet.optimizers.SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    x, t = rng.standard_normal((7, 5)), rng.standard_normal((7, 5))
    model.build((None, 5))
    w, b = (v.copy() for v in model.get_weights())
    model.fit(x, t, batch_size=7, epochs=1, shuffle=False, verbose=0)
    s = np.cumsum(x, axis=1)
    y = s @ w + b
    d = 2 * (x + y @ w + b - t) / t.size
    dw, db = y.T @ d + s.T @ (d @ w.T), d.sum(axis=0) + (d @ w.T).sum(axis=0)
    for got, wanted in zip(model.get_weights(), (w - 0.1 * dw, b - 0.1 * db), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=0, atol=1e-12)


def wrong(**kernels):
    return type("Wrong", (Sums,), kernels)


@extend.template("n", grain=16, cost="width")
def leaves_out(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width - 1, -1, -1):
            total = total + x[r, j]
            if total > 0.0:
                y[r, j] = total


@extend.template("n", grain=16, cost="n * width")
def writes_others(x: extend.read["n, width"], y: extend.write["n, width"], n: extend.size, width: extend.size, lo, hi):
    for r in range(n + 0 * (hi - lo)):
        total = 0.0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total


@extend.template("n", grain=16, cost="width")
def reads_others(x: extend.read["n, width"], y: extend.update["n, width"], n: extend.size, width: extend.size, lo, hi):
    for r in range(lo, hi):
        total = 0.0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total
    for r in range(lo, hi):
        if y[n - 1 - r, 0] != x[n - 1 - r, 0]:
            y[r, 0] = x[r, 0] + 1.0
        else:
            y[r, 0] = x[r, 0]


@extend.template("n", grain=16, cost="width")
def counts_in_integers(x: extend.read["n, width"], y: extend.write["n, width"], width: extend.size, lo, hi):
    for r in range(lo, hi):
        total = 0
        for j in range(width):
            total = total + x[r, j]
            y[r, j] = total


@pytest.mark.parametrize(("kernels", "message"), [
    ({"gradient": sums}, "gradient of input is .*, but differences give"),
    ({"gradient": leaves_out}, "gradient of input is .*, but differences give"),
    ({"kernel": writes_others}, r"writes the same elements for range\(0, \d+\) and for range"),
    ({"kernel": reads_others}, "it reads what another part writes"),
    ({"kernel": counts_in_integers}, "the float32 kernel counts_in_integers_float32 computes in double"),
])  # fmt: skip
def test_a_wrong_loop_is_found(kernels, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_layer(wrong(**kernels), SIZES)


def test_elements_that_are_never_written_are_found():
    """A gradient of 0 that is not written: memory that was 0 hides it from differences."""

    @extend.template("n", cost="width")
    def first(x: extend.read["n, width"], y: extend.write["n"], width: extend.size, lo, hi):
        for r in range(lo, hi):
            y[r] = x[r, 0] + 0.0 * x[r, width - 1]

    @extend.template("n", cost="width")
    def first_gradient(dy: extend.read["n"], dx: extend.write["n, width"], width: extend.size, lo, hi):
        for r in range(lo, hi):
            dx[r, 0] = dy[r]

    class First(layers.Layer):
        def sample_output_shape(self, input_shape):
            return input_shape[:-1]

        def forward(self, plan, x):
            y = plan.buffer(x.shape[:-1])
            plan.call(first, x=x, y=y)
            return y

        def backward(self, plan, dy, x, y):
            dx = plan.like(x)
            plan.call(first_gradient, dy=dy, dx=dx)
            return dx

    message = "the kernel first_gradient_float32 leaves 13104 of 16380 elements of 'dx' as they were"
    with pytest.raises(AssertionError, match=re.escape(message)):
        testing.check_layer(First, (5,))


def test_a_shape_that_is_not_kept_is_found():
    class Longer(Sums):
        def sample_output_shape(self, input_shape):
            return (*input_shape[:-1], 6)

    message = "forward gives (3, 5), but sample_output_shape((3, 5)) is (3, 6)"
    with pytest.raises(AssertionError, match=re.escape(message)):
        testing.check_layer(Longer, SIZES)


def test_a_wrong_part_is_found_by_its_weight():
    class Careless(layers.Dense):
        def backward(self, plan, dy, x, y):
            dx = super().backward(plan, dy, x, y)
            plan.call(extend.scale, x=dy.view((5,)), y=plan.like(dy), factor=2.0)
            for gradient in plan.gradients.pop(self.bias):
                plan.call(extend.fill, y=gradient.view, number=1.0)
                plan.gradients.setdefault(self.bias, []).append(gradient)
            return dx

    with pytest.raises(AssertionError, match="gradient of careless/bias is 2, but differences give"):
        testing.check_layer(lambda: Block(Careless(5, name="careless")), (5,))


@pytest.mark.slow
def test_penalties_on_activities_are_part_of_what_is_differentiated():
    def factory():
        return Block(layers.Dense(5, activity_regularizer=regularizers.L2(0.3), name="penalized"))

    assert "gradient of penalized/kernel" in dict(testing.check_layer(factory, (5,)).lines)
    run = LayerRun(factory, "float64", (5,), 4)
    x, dy = np.ones((4, 5)), np.zeros((4, 5))
    assert run.loss(x, dy) > 0


def test_epilogues_are_searched_for_double_instructions():
    """A formula behind a product is a part of no launch of its own."""

    class Doubled(layers.Layer):
        def __init__(self, **more):
            super().__init__(**more)
            self.dense = layers.Dense(8)
            self.square = layers.Activation("tanh")

        def forward(self, plan, x):
            return plan.apply(self.square, plan.apply(self.dense, x))

    run = LayerRun(Doubled, "float32", (8,), 16)
    behind = [launch.epilogue for launch in run.run.plan.launches if launch.epilogue is not None]
    assert behind
    report = testing.Report("epilogues")
    check_single_precision(report, run.run.plan)
    kernels = {launch.kernel for launch in run.run.plan.launches if hasattr(launch.kernel, "source")}
    assert f"in {len(kernels | {one.kernel for one in behind})} kernels" in dict(report.lines)["float32"]


@extend.elementwise
def times(x: extend.read, factor: extend.read["column"], y: extend.write):
    y = x * factor


@extend.fold
def sum_of_products(x: extend.read, dy: extend.read, by: extend.real, total: extend.write["column"]):
    total = by * x * dy


class Factor(layers.Layer):
    """y = x · factor; its gradients may be replaced by wrong ones."""

    by, keeps_dy, constraint = 1.0, False, None

    def make_weights(self, input_shape):
        self.factor = self.add_weight("factor", input_shape[-1:], "ones", constraint=self.constraint)

    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(times, x=x, factor=self.factor, y=y)
        return y

    def backward(self, plan, dy, x, y):
        plan.call(sum_of_products, x=x, dy=dy, by=self.by, total=plan.gradient(self.factor))
        if self.keeps_dy:
            return dy
        dx = plan.like(x)
        plan.call(times, x=dy, factor=self.factor, y=dx)
        return dx


def test_a_gradient_that_is_right_for_ones_alone_is_found():
    testing.check_layer(Factor, (5,))
    careless = type("Careless", (Factor,), {"keeps_dy": True})
    with pytest.raises(AssertionError, match="gradient of input is .*, but differences give"):
        testing.check_layer(careless, (5,))


def test_a_gradient_that_zeros_behind_it_would_hide_is_found():
    def factory(by):
        first = type("Scaled", (Factor,), {"by": by})()
        return layers.Residual([first, layers.Dense(5, kernel_initializer="zeros")])

    testing.check_layer(lambda: factory(1.0), (5,))
    with pytest.raises(AssertionError, match="gradient of .*factor is .*, but differences give"):
        testing.check_layer(lambda: factory(3.0), (5,))


def test_weights_of_a_checked_layer_keep_their_constraints():
    class Averaged(Factor):
        constraint = "non_neg"

        def make_weights(self, input_shape):
            super().make_weights(input_shape)
            self.average = self.add_weight("average", input_shape[-1:], "ones", trainable=False)

    layer = Averaged()
    layer.build((None, 50))
    scatter_weights(layer)
    factor, average = layer.get_weights()
    assert ((factor >= 1.25) & (factor <= 1.75)).all()
    assert (average == 1).all()
    free = Factor()
    free.build((None, 50))
    scatter_weights(free)
    moved = free.get_weights()[0] - 1
    assert ((abs(moved) >= 0.25) & (abs(moved) <= 0.75)).all()
    assert (moved > 0).any()
    assert (moved < 0).any()


class Given(layers.Layer):
    """Its forward returns what it is told to."""

    def __init__(self, given, **more):
        super().__init__(**more)
        self.given = given

    def forward(self, plan, x):
        return self.given(x)

    def backward(self, plan, dy, x, y):
        return dy


class Composite(Given):
    backward = layers.Layer.backward


@pytest.mark.parametrize("kind", [Given, Composite])
@pytest.mark.parametrize(("given", "named"), [(lambda x: None, "None"), (lambda x: (x, x), "tuple")])
def test_a_forward_returns_one_view(kind, given, named):
    message = rf"Layer 'wrong' \({kind.__name__}\): forward must return one view, the result, and returned {named}"
    with pytest.raises(TypeError, match=message):
        kind(given, name="wrong")(np.ones((2, 3)))
    with pytest.raises(TypeError, match=message):
        testing.check_layer(lambda: kind(given, name="wrong"), (3,))


def test_a_layer_calls_the_init_of_its_base():
    class Forgetful(Sums):
        def __init__(self):
            self.units = 3

    message = re.escape("Forgetful.__init__ must call super().__init__(**more) first")
    for use in (lambda: Forgetful()(np.ones((2, 3))), lambda: fastnet.Sequential([layers.Input((3,)), Forgetful()])):
        with pytest.raises(AttributeError, match=message):
            use()


def test_a_mistake_in_a_property_of_a_layer_is_shown():
    class Careless(Sums):
        @property
        def width(self):
            return self.input_shape.last

    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'last'"):
        _ = Careless().width


def test_a_run_without_inputs():
    plan = extend.Plan(training=False, dtype="float64")
    with pytest.raises(ValueError, match="run_once takes the number of rows from its inputs, and received none"):
        extend.run_once(plan, {}, plan.buffer((3,)))


ONE = layers.Dense(3, name="one")


@pytest.mark.parametrize(("factory", "shape", "error", "message"), [
    (ONE, (5,), TypeError, "takes a function that makes a new layer, received <Dense one>"),
    ("dense", (5,), TypeError, "takes a function that makes a new layer, received 'dense'"),
    (lambda: None, (5,), TypeError, "the function must return a layer, and returned None"),
    (lambda: ONE, (5,), ValueError, "a new layer at each call; <Dense one> came twice"),
    (lambda: layers.Dense(3), 5, ValueError, "a tuple of positive sizes such as (784,), received 5"),
    (lambda: layers.Dense(3), (None, 5), ValueError, "input_shape must be a tuple of positive sizes"),
])  # fmt: skip
def test_the_arguments_of_check_layer(factory, shape, error, message):
    with pytest.raises(error, match=re.escape(message)):
        testing.check_layer(factory, shape)
