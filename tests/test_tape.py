"""The tape: layers and results that are used twice, frozen weights, indices, what may not be lost."""
# ruff: noqa: F821  (templates are read as text)

import numpy as np
import pytest

import fastnet
from fastnet import extend, initializers, layers, losses, optimizers, testing
from fastnet._kernels.kinds import read, read_int32, size, write
from fastnet.engine import operations
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Source
from fastnet.layers.layer import Layer
from fastnet.testing.kernel_checks import _check_layer_gradients
from fastnet.testing.plans import LayerRun
from fastnet.training.step import lower


@pytest.fixture
def float64():
    fastnet.config.set_floatx("float64")
    yield
    fastnet.config.set_floatx("float32")


class Composite(Layer):
    """Its parts are told, and so is what it does with them."""

    def __init__(self, do, *parts, **more):
        super().__init__(**more)
        self.do, self.inner = do, list(parts)

    def forward(self, plan, x):
        return self.do(plan, x, *self.inner)


def twice_in_a_row(plan, x, dense):
    return plan.apply(dense, plan.apply(dense, x))


def twice_side_by_side(plan, x, dense):
    return plan.combine(operations.Multiply(), plan.apply(dense, x), plan.apply(dense, x))


def result_read_twice(plan, x, first, second):
    y = plan.apply(first, x)
    return plan.combine(operations.Add(), plan.apply(second, y), y)


def result_read_thrice_by_one(plan, x, dense):
    y = plan.apply(dense, x)
    return plan.combine(operations.Multiply(), y, y, y)


def input_read_four_times(plan, x, dense):
    y = plan.combine(operations.Concatenate(), x, plan.apply(dense, x))
    return plan.combine(operations.Concatenate(), y, plan.combine(operations.Maximum(), x, plan.apply(dense, x)))


def average_and_layers_behind(plan, x, first, second):
    y = plan.combine(operations.Average(), plan.apply(first, x), x, plan.apply(second, x))
    return plan.apply(second, y)


def dense(units=4, **more):
    return layers.Dense(units, activation="tanh", **more)


NETWORKS = {
    twice_in_a_row: lambda: [dense()],
    twice_side_by_side: lambda: [dense(3)],
    result_read_twice: lambda: [dense(), dense()],
    result_read_thrice_by_one: lambda: [dense(5)],
    input_read_four_times: lambda: [dense()],
    average_and_layers_behind: lambda: [dense(), dense()],
}


@pytest.mark.parametrize("do", NETWORKS, ids=lambda do: do.__name__)
def test_gradients_of_weights_and_input_meet_central_differences(do):
    run, rng = LayerRun(lambda: Composite(do, *NETWORKS[do]()), "float64", (4,), 5), np.random.default_rng(0)
    x, dy = rng.standard_normal((5, 4)), rng.standard_normal((5, *run.y.shape))
    report = testing.running.Report(do.__name__)
    _check_layer_gradients(report, run, x, dy, run(x, dy))
    assert len(report.lines) == 1 + 2 * len(NETWORKS[do]())  # the input; the kernel and the bias of each layer


@pytest.mark.parametrize("make", [
    lambda d, e: [d, d], lambda d, e: [d, e, d], lambda d, e: [fastnet.Sequential([d, e]), e, d],
    lambda d, e: [layers.Residual([d, layers.Residual(d, e)])], lambda d, e: [layers.Parallel([d, e, d], "multiply")],
], ids=["twice", "with another between", "in a network", "in residuals", "in parallel"])  # fmt: skip
def test_a_layer_of_networks_that_is_used_again(make, float64):
    """The gradients of its weights are added: one step of SGD against differences of the loss."""
    d, e = (dense(name=name) for name in "de")
    model = fastnet.Sequential([layers.Input((4,)), *make(d, e)])
    model.compile(optimizers.SGD(1.0), "mse")
    rng = np.random.default_rng(0)
    x, y, h = rng.standard_normal((7, 4)), rng.standard_normal((7, *model.output_shape[1:])), 1e-5
    start = [rng.standard_normal(w.shape) for w in model.weights]
    assert len(start) == 2 * len({id(layer) for layer in (d, e) if layer.built})
    model.set_weights(start)
    model.train_on_batch(x, y)
    after = model.get_weights()
    for place, weight in enumerate(start):
        for index in np.ndindex(weight.shape):
            values = []
            for sign in (1, -1):
                model.set_weights(start)
                model.weights[place].array[index] += sign * h
                values.append(model.evaluate(x, y, verbose=0))
            # Differences are off by h² f‴ / 6 and by rounding over h: 1e-10 each.
            gradient = weight[index] - after[place][index]
            assert gradient == pytest.approx((values[0] - values[1]) / (2 * h), rel=1e-6, abs=1e-8)


def plan_of(model, join=False):
    """The plan of a training step."""
    model.compile("sgd", "mse")
    model.optimizer.build(model.trainable_weights)
    x, y = (Source(np.zeros((8, *shape[1:]), "f")).signature for shape in (model.input_shape, model.output_shape))
    return lower(model, "train", 8, x, y, losses.get("mse"), (), model.optimizer, join).plan


def backward_of(plan):
    return [(launch.label, launch.name) for launch in plan.launches if launch.phase == "backward"]


def test_frozen_weights_cost_no_launch():
    model = fastnet.Sequential([layers.Input((4,)), *(dense(name=name) for name in "abc")])
    every = [("c", "chain_rule"), ("c", "product"), ("c", "sum_rows"), ("c", "product")]
    last, middle = every, [(name.replace("c", "b"), what) for name, what in every]
    first = [("a", "chain_rule"), ("a", "sum_rows"), ("a", "product")]  # data need no gradient
    assert backward_of(plan_of(model)) == [*last, *middle, *first]
    model.layers[1].trainable = False
    assert backward_of(plan_of(model)) == [*last, ("b", "chain_rule"), ("b", "product"), *first]
    model.layers[0].trainable = False  # nothing in front of c is trained: it goes back no further
    assert backward_of(plan_of(model)) == [("c", "chain_rule"), ("c", "sum_rows"), ("c", "product")]
    model.trainable = True
    model.layers[2].kernel.trainable = False
    assert ("c", "sum_rows") in backward_of(plan_of(model))
    assert backward_of(plan_of(model)).count(("c", "product")) == 1  # dx, and no gradient of the kernel


def test_a_frozen_branch_goes_back_by_the_other_way():
    frozen = dense(name="frozen", trainable=False)
    model = fastnet.Sequential([layers.Input((4,)), dense(name="a"), layers.Residual(frozen), dense(name="c")])
    assert [what for name, what in backward_of(plan_of(model)) if name == "frozen"] == ["chain_rule", "product"]
    model = fastnet.Sequential([layers.Input((4,)), layers.Residual(frozen), dense(name="c")])
    assert {name for name, _ in backward_of(plan_of(model))} == {"c"}


def test_a_weight_that_is_used_once_has_one_gradient_and_no_sum():
    run = LayerRun(lambda: Composite(twice_in_a_row, dense()), "float64", (4,), 5)
    gradients = run.run.plan.gradients
    assert [len(found) for found in gradients.values()] == [2, 2]
    run = LayerRun(dense, "float64", (4,), 5)
    assert [len(found) for found in run.run.plan.gradients.values()] == [1, 1]
    assert not any(launch.name == "add" for launch in run.run.plan.launches)


def test_a_gradient_that_nobody_wrote():
    class Forgetful(layers.Dense):
        def backward(self, plan, dy, x, y):
            return dy

    model = fastnet.Sequential([layers.Input((4,)), Forgetful(4, name="forgetful")])
    with pytest.raises(ValueError, match="forgetful.* has no gradient: .*backward"):
        plan_of(model)


def test_a_slice_between_layers_may_not_lose_a_gradient():
    def sliced(plan, x, first, second):
        return plan.apply(second, plan.apply(first, x).slice(-1, 0, 2))

    with pytest.raises(ValueError, match="gradient of it would be lost"):
        LayerRun(lambda: Composite(sliced, dense(), dense()), "float64", (4,), 5)


def test_names_that_are_saved_are_taken_once():
    class Twice(Layer):
        def forward(self, plan, x):
            plan.save(x=x)
            plan.save(x=x)
            return x

        def backward(self, plan, dy, x, y):
            return dy

    plan = Plan(True, "float32", 5)
    with pytest.raises(RuntimeError, match="has saved 'x' already"):
        plan.apply(Twice(name="twice"), plan.buffer((4,)))


def test_what_is_saved_belongs_to_a_call():
    """A layer that draws noise may be used twice: each call has its own, and goes back with it."""
    run = LayerRun(lambda: Composite(twice_side_by_side, layers.Dropout(0.5)), "float64", (40,), 50)
    y, dx = run(np.ones((50, 40)), np.ones((50, 40)))
    kept = (y > 0).mean()
    assert 0.2 < kept < 0.3  # by both masks, which keep a half each
    np.testing.assert_array_equal(dx, 2 * y)  # y = x m · x n, and dx = 2 x m n


# ---- a layer of indices


@extend.template("n", cost="width")
def look_up(x: read_int32["n"], table: read["tokens, width"], y: write["n, width"], width: size, lo, hi):
    for r in range(lo, hi):
        for j in range(width):
            y[r, j] = table[x[r], j]


@extend.template("tokens", cost="n * width")
def look_up_gradient(
    x: read_int32["n"], dy: read["n, width"], dtable: write["tokens, width"], n: size, width: size, lo, hi
):
    for token in range(lo, hi):
        for j in range(width):
            dtable[token, j] = 0.0
        for r in range(n):
            if x[r] == token:
                for j in range(width):
                    dtable[token, j] += dy[r, j]


class Embedding(Layer):
    """(steps, 1) of indices → (steps, width)."""

    reads = "int32"
    supports_masking = True

    def __init__(self, tokens, width, **more):
        super().__init__(**more)
        self.tokens, self.width = tokens, width

    def sample_output_shape(self, input_shape):
        return (*input_shape[:-1], self.width)

    def make_weights(self, input_shape):
        self.table = self.add_weight("table", (self.tokens, self.width), initializers.RandomNormal(seed=3))

    def forward(self, plan, x):
        y = plan.buffer(self.sample_output_shape(x.shape))
        plan.call(look_up, x=x, table=self.table, y=y)
        return y

    def backward(self, plan, dy, x, y):
        if (dtable := plan.gradient(self.table)) is not None:
            plan.call(look_up_gradient, x=x, dy=dy, dtable=dtable)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("before", [[], [layers.Identity], [layers.Masking], [layers.Masking, layers.Identity]])
def test_a_layer_of_indices_trains_as_its_formula(before, dtype):
    """As the first layer, behind one of numbers, and with a mask: a step of SGD with numpy."""
    rng, steps, tokens = np.random.default_rng(0), 4, 5
    embedding = Embedding(tokens, 3, dtype=dtype)
    model = fastnet.Sequential([layers.Input((steps, 1)), *(make() for make in before), embedding])
    model.compile(optimizers.SGD(1.0), "mse")
    x, t = rng.integers(0, tokens, (6, steps, 1)), rng.standard_normal((6, steps, 3))
    table = embedding.table.numpy().astype(float)
    counts = (x[..., 0] != 0) if layers.Masking in before else np.ones((6, steps))
    error = (table[x[..., 0]] - t) * counts[..., None]
    dtable = np.zeros_like(table)
    np.add.at(dtable, x[..., 0], 2 * error / 3 / counts.sum())
    rounding = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_array_equal(model.predict(x, verbose=0), embedding.table.numpy()[x[..., 0]])
    assert model.evaluate(x, t, batch_size=6, verbose=0) == pytest.approx(
        (error**2).mean(-1).sum() / counts.sum(), rel=rounding
    )
    assert model.train_on_batch(x, t)
    np.testing.assert_allclose(embedding.table.numpy(), table - dtable, rtol=rounding, atol=rounding)


def test_layers_behind_indices_get_gradients_and_those_before_get_none():
    """Indices that a float layer computes have no gradient: its weights stay."""
    first, last = layers.Dense(1, kernel_initializer="ones", name="first"), layers.Dense(2, name="last")
    model = fastnet.Sequential([layers.Input((4, 1)), first, Embedding(5, 3), last])
    model.compile(optimizers.SGD(1.0), "mse")
    before = model.get_weights()
    rng = np.random.default_rng(0)
    first.trainable = False
    model.train_on_batch(rng.integers(0, 5, (6, 4, 1)), rng.standard_normal((6, 4, 2)))
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True, True]
