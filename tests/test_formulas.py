"""Formulas of array code: operations and their adjoints, losses, activations, errors."""

import math

import numpy as np
import pytest

import fastnet
from fastnet import activations, layers, losses, ops, testing
from fastnet._kernels.errors import RuleError
from fastnet.engine.bind import bind
from fastnet.engine.plan import Plan
from fastnet.symbolic import folds, formulas
from fastnet.symbolic.gradient import gradients
from fastnet.symbolic.leaves import argument, constant
from fastnet.symbolic.order import ordered
from fastnet.symbolic.reshape import RESHAPE
from fastnet.symbolic.rows import RuleText
from fastnet.symbolic.rule_formulas import RuleFormula
from fastnet.symbolic.slices import SLICE
from tests import formula_cases as cases
from tests.sampling import every_second

STEP = 1e-6


def evaluated(root, given):
    """A formula of arrays, computed by NumPy: ``given`` has the value of each argument by its id."""
    values = dict(given)
    for x in ordered([root]):
        if id(x) in values:
            continue
        inputs = [values[id(y)] for y in x.inputs]
        if x.value is not None:
            values[id(x)] = x.value
        elif x.operation is SLICE:
            cuts = (slice(None), *(slice(start, stop) for start, stop in x.settings[1:]))
            values[id(x)] = inputs[0][cuts]
        elif x.operation is RESHAPE:
            values[id(x)] = inputs[0].reshape([-1 if size is None else size for size in x.shape])
        elif isinstance(x.operation, folds.Fold):
            axes, keepdims = x.settings
            values[id(x)] = x.operation.on_arrays(inputs[0], axis=axes, keepdims=keepdims)
        elif isinstance(x.operation, RuleFormula):
            values[id(x)] = np.vectorize(x.operation.rule)(*inputs)
        else:
            values[id(x)] = x.operation.on_arrays(*inputs)
    return values[id(root)]


def check_adjoint(function, arrays):
    """Compare the gradient of Σ weight · function(arguments) with central differences."""
    arguments = [argument((None, *a.shape[1:])) for a in arrays]
    y = constant(function(*arguments))
    given = {id(x): a for x, a in zip(arguments, arrays)}
    weight = np.random.default_rng(5).uniform(0.5, 1.5, np.shape(evaluated(y, given)))
    dy = argument(y.shape)
    found = {id(x): np.zeros_like(a) for x, a in zip(arguments, arrays)}
    for part, gradient in gradients(y, dy, arguments):
        whole = part.inputs[0] if part.operation is SLICE else part
        value = evaluated(gradient, given | {id(dy): weight})
        cuts = [slice(a, b) for a, b in part.settings[1:]] if part.operation is SLICE else []
        found[id(whole)][(slice(None), *cuts)] += value
    for x, a in zip(arguments, arrays):
        for index in np.ndindex(a.shape):
            ends = []
            for step in (STEP, -STEP):
                moved = a.copy()
                moved[index] += step
                ends.append((evaluated(y, given | {id(x): moved}) * weight).sum())
            expected = (ends[0] - ends[1]) / (2 * STEP)
            assert found[id(x)][index] == pytest.approx(expected, rel=1e-5, abs=1e-6), (function, index)


DOMAINS = {"arccosh": (1.2, 3.0), "arctanh": (-0.8, 0.8), "arcsin": (-0.8, 0.8), "arccos": (-0.8, 0.8)}
POSITIVE = ("log", "log2", "log10", "log1p", "sqrt", "rsqrt", "power")
DIFFERENTIABLE = [name for name, row in formulas.FORMULAS.items() if row.adjoint is not None]


@pytest.mark.parametrize("name", DIFFERENTIABLE)
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((1, 1), (1, 1)), ((5, 3), (5, 1)), ((2, 1), (2, 7))])
def test_adjoints_of_elements(name, shapes):
    operation, rng = formulas.FORMULAS[name], np.random.default_rng(3)
    low, high = DOMAINS.get(name, (0.3, 2.0) if name in POSITIVE else (-2.0, 2.0))
    arrays = [rng.uniform(low, high, shape) for shape in shapes]
    count = len(operation.letters) + (name == "like")
    if name == "where":
        check_adjoint(lambda a, b: formulas.where(a > b, a * b, a - 2.0 * b), arrays)
        return
    check_adjoint(lambda *given: operation(*given[:count]), arrays[:count] if count == 1 else arrays)


@pytest.mark.parametrize("fold", list(folds.FOLDS.values()), ids=lambda fold: fold.name)
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, 7)])
def test_adjoints_of_folds(fold, keepdims, shape):
    x = np.random.default_rng(4).uniform(0.5, 2.0, shape)
    check_adjoint(lambda a: fold(a * a, -1, keepdims), [x])


def test_the_gradient_of_a_product_with_zeros():
    x = np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 5.0, 3.0]])
    check_adjoint(lambda a: folds.prod(a, -1), [x])


@pytest.mark.parametrize("function", cases.LOSSES, ids=lambda f: f.__name__)
def test_adjoints_of_losses(function):
    rng = np.random.default_rng(6)
    check_adjoint(lambda t, p: function(ops, t, p), [rng.normal(size=(4, 3)), rng.normal(size=(4, 3))])


@pytest.mark.parametrize("name", formulas.FORMULAS)
def test_rules_of_elements_are_numpys_numbers(name):
    operation = formulas.FORMULAS[name]
    numbers = [-math.inf, -2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 2.5, math.inf, math.nan]
    count = max(1, len(operation.letters))
    for values in np.stack(np.meshgrid(*[numbers] * min(count, 2)), -1).reshape(-1, min(count, 2)):
        given = [float(v) for v in values][:count]
        if name == "where":
            given = [given[0] > 0, *given]
        names = [argument(()) for _ in given]
        for x, v in zip(names, given):
            x.is_bool = isinstance(v, bool)
        text = RuleText({id(x): letter for x, letter in zip(names, "xyz")})
        node = operation(*names)
        result = text.number(node)
        text.used = dict.fromkeys("xyz"[: len(names)])
        rule = text.rule("tried", [], [result])
        with np.errstate(all="ignore"):
            expected = float(operation.on_arrays(*map(np.float64, given))) if name != "like" else given[0]
        try:
            found = rule(*given)
            if isinstance(found, complex):  # of Python alone: NaN in a kernel
                continue
            found = float(found)
        except (ArithmeticError, ValueError):  # Python refuses what gives NaN or infinity in a kernel
            continue
        if name in ("mod", "floor_divide", "power") and not np.isfinite(given).all():
            continue
        assert found == pytest.approx(expected, rel=1e-13, nan_ok=True), (name, given)


def value_and_gradient(loss, t, p, weight=None):
    """The loss of each row and the gradient of the batch's by the predictions, as a step computes them."""
    plan = Plan(True, p.dtype.name, len(p))
    y_true, y_pred = plan.buffer(t.shape[1:], p.dtype.name), plan.buffer(p.shape[1:])
    given = {y_true: t, y_pred: p}
    row_weight = None
    if weight is not None:
        row_weight = plan.buffer((1,))
        given[row_weight] = weight.reshape(-1, 1).astype(p.dtype)
    values, dy = loss.values_and_gradient(plan, y_pred, y_true, row_weight)
    bound = bind(plan, pinned=[*given, values, dy])
    for view, array in given.items():
        bound.read(view, len(p))[...] = array
    bound.run(0, len(p), len(p), 1, 0.0)
    return bound.read(values, len(p)).copy().reshape(len(p)), bound.read(dy, len(p)).copy()


def as_rows(function, t, p):
    """What a loss gives for arrays, one number a row."""
    values = np.asarray(function(ops, t, p))
    return values.mean(-1) if values.ndim == p.ndim else values


@pytest.mark.parametrize("function", every_second(cases.LOSSES), ids=lambda f: f.__name__)
def test_losses_are_those_of_numpy(function):
    rng = np.random.default_rng(7)
    loss = losses.get(lambda t, p: function(ops, t, p))
    for rows in (1, 7, 130):
        t, p = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 3))
        weight = rng.uniform(0.1, 1.0, rows)
        for given in (None, weight):
            values, dy = value_and_gradient(loss, t, p, given)
            np.testing.assert_allclose(values, as_rows(function, t, p), rtol=1e-12, atol=1e-12)
            if rows > 7:
                continue
            factor = np.full(rows, 1 / rows) if given is None else given
            for index in np.ndindex(p.shape):
                ends = []
                for step in (STEP, -STEP):
                    moved = p.copy()
                    moved[index] += step
                    ends.append((as_rows(function, t, moved) * factor).sum())
                assert dy[index] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-5, abs=1e-7), index


@pytest.mark.parametrize("width", [1, 5, 64, 65, 1000])
def test_long_rows(width):
    rng = np.random.default_rng(8)
    t, p = rng.normal(size=(3, width)).astype("f"), rng.normal(size=(3, width)).astype("f")

    def loss(t, p):
        return ops.logsumexp(p, axis=-1) + ops.sqrt(ops.sum(ops.square(t - p), axis=-1))

    values, dy = value_and_gradient(losses.get(loss), t, p)
    t, p = t.astype("d"), p.astype("d")
    np.testing.assert_allclose(values, np.log(np.exp(p).sum(-1)) + np.sqrt(np.square(t - p).sum(-1)), rtol=3e-6)
    e = np.exp(p - p.max(-1, keepdims=True))
    expected = e / e.sum(-1, keepdims=True) + (p - t) / np.sqrt(np.square(t - p).sum(-1, keepdims=True))
    np.testing.assert_allclose(dy, expected / 3, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("function", every_second(cases.ACTIVATIONS), ids=lambda f: f.__name__)
def test_activations_and_their_gradients(function):
    rng = np.random.default_rng(9)
    x = rng.normal(size=(5, 6))
    activation = activations.get(lambda x: function(ops, x))
    np.testing.assert_allclose(activation(x), function(ops, x), rtol=1e-12, atol=1e-12)
    check_adjoint(lambda x: function(ops, x), [x])
    layer = layers.Activation(lambda x: function(ops, x), dtype="float64")
    model = fastnet.Sequential([layers.Input((6,)), layers.Dense(6, dtype="float64"), layer])
    model.compile("sgd", "mse")
    target = rng.normal(size=np.shape(activation(x)))
    found = model.gradients(x, target)["input"]
    index = (2, 3)
    ends = []
    for step in (STEP, -STEP):
        moved = x.copy()
        moved[index] += step
        ends.append(np.square(model.predict(moved, verbose=0) - target).mean())
    assert found[index] == pytest.approx((ends[0] - ends[1]) / (2 * STEP), rel=1e-4, abs=1e-9)


def test_a_mean_of_a_formula_has_the_bits_of_its_rule():
    def rule(y_true, y_pred):
        return (y_true - y_pred) * (y_true - y_pred)

    rng = np.random.default_rng(10)
    x, y = rng.normal(size=(64, 5)).astype("f"), rng.normal(size=(64, 3)).astype("f")
    histories = []
    for loss in (rule, lambda t, p: ops.mean((t - p) * (t - p), axis=-1), lambda t, p: np.square(t - p)):
        model = fastnet.Sequential([layers.Input((5,)), layers.Dense(3)], seed=1)
        model.compile("adam", loss)
        histories.append(model.fit(x, y, epochs=3, verbose=0).history["loss"])
    assert histories[0] == histories[1] == histories[2]


def test_sums_of_losses_and_objects():
    rng = np.random.default_rng(11)
    t, p = rng.normal(size=(6, 3)), rng.normal(size=(6, 3))
    given = losses.get(
        lambda t, p: (
            losses.mean_squared_error(t, p) + 0.1 * losses.Huber(0.5)(t, p) - 2 * losses.mean_absolute_error(t, p)
        )
    )
    expected = losses.mean_squared_error(t, p) + 0.1 * losses.huber(t, p, 0.5) - 2 * losses.mean_absolute_error(t, p)
    np.testing.assert_allclose(given.per_row(t, p), expected, rtol=1e-12)
    smoothed = losses.get(lambda t, p: losses.CategoricalCrossentropy(True, 0.2)(t, p) * 1.0)
    one_hot = np.eye(3)[[0, 1, 2, 0, 1, 2]]
    wanted = losses.CategoricalCrossentropy(True, 0.2, reduction=None)(one_hot, p)
    np.testing.assert_allclose(smoothed.per_row(one_hot, p), wanted, rtol=1e-12)


def test_a_loss_with_call():
    class Weighted(losses.Loss):
        def __init__(self, factor=2.0, **more):
            super().__init__(**more)
            self.factor = factor

        def call(self, y_true, y_pred):
            return self.factor * ops.mean(ops.square(y_true - y_pred), axis=-1)

    loss = Weighted()
    assert loss([[0.0, 0.0]], [[1.0, 2.0]]) == 5.0
    loss.factor = 4.0
    assert loss([[0.0, 0.0]], [[1.0, 2.0]]) == 10.0
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(2)])
    model.compile("sgd", loss)
    assert np.isfinite(model.fit(np.ones((4, 2)), np.ones((4, 2)), verbose=0).history["loss"][0])


def test_targets_of_another_shape_than_predictions():
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(2)], seed=3)
    model.compile("adam", lambda t, p: cases.gaussian(ops, t, p))
    rng = np.random.default_rng(12)
    x = rng.normal(size=(50, 2))
    for y in (rng.normal(size=(50, 1)), rng.normal(size=50)):
        history = model.fit(x, y, epochs=5, batch_size=16, verbose=0).history["loss"]
        assert history[-1] < history[0]
        assert model.evaluate(x, y, verbose=0) == pytest.approx(
            cases.gaussian(ops, y.reshape(50, 1), model.predict(x, verbose=0)).mean(), rel=1e-5
        )


def test_lambda_of_arrays():
    layer = layers.Lambda(lambda x, k: x[:, :2] * k, arguments={"k": 3.0})
    assert layer([[1.0, 2.0, 9.0]]).tolist() == [[3.0, 6.0]]
    model = fastnet.Sequential([layers.Input((4,)), layers.Lambda(lambda x: ops.sum(x, axis=-1, keepdims=True))])
    assert model.output_shape == (None, 1) and model.predict(np.ones((3, 4)), verbose=0).tolist() == [[4.0]] * 3


@pytest.mark.parametrize("function, input_shape, expected", [
    (lambda x: ops.mean(x, axis=1), (5, 3), lambda x: x.mean(1)),
    (lambda x: ops.expand_dims(ops.square(x), 1), (3,), lambda x: (x * x)[:, None]),
    (lambda x: x[:, -1], (5, 3), lambda x: x[:, -1]),
    (lambda x: x[:, :, None] * x[:, None], (3,), lambda x: x[:, :, None] * x[:, None]),
    (lambda x: ops.transpose(x, (0, 2, 1)), (2, 3), lambda x: x.transpose(0, 2, 1)),
    (lambda x: ops.reshape(ops.tanh(x), (-1, 6)), (2, 3), lambda x: np.tanh(x).reshape(-1, 6)),
])  # fmt: skip
def test_lambda_that_changes_the_axes(function, input_shape, expected):
    layer, x = layers.Lambda(function, dtype="float64"), np.random.default_rng(0).normal(size=(4, *input_shape))
    np.testing.assert_allclose(layer(x), expected(x), rtol=1e-14)
    assert layer(x[:0]).shape == expected(x[:0]).shape
    assert layer.compute_output_shape((None, *input_shape)) == (None, *expected(x).shape[1:])
    testing.check_layer(lambda: layers.Lambda(function), input_shape)


def test_lambda_of_the_batch_and_activations_that_change_the_axes():
    with pytest.raises(RuleError, match=r"over the batch \(axis 0\) mixes samples"):
        layers.Lambda(lambda x: x - ops.mean(x, axis=0))
    with pytest.raises(ValueError, match="keep the axes"):
        layers.Dense(2, activation=lambda x: ops.sum(x, axis=-1))(np.ones((3, 2)))


@pytest.mark.parametrize("function, message", [
    (lambda t, p: p if p.sum(axis=-1) > 0 else t, "`if`, `and`, .*line .* of test_formulas.py.* ops.where"),
    (lambda t, p: math.log(p) + math.gamma(t), "functions of math need a number"),
    (lambda t, p: sum(q for q in p), "a loop over an array"),
    (lambda t, p: np.linalg.inv(p), "np.inv is not an operation of a formula"),
    (lambda t, p: np.median(p, axis=-1), "np.median is not an operation of a formula.*ops.mean"),
    (lambda t, p: p[::2, 0], "takes single samples"),
    (lambda t, p: ops.mean(t - p, axis=-1) * np.random.default_rng().normal(), "another formula when it is called"),
    (lambda t, p: "loss", "no array of numbers"),
])  # fmt: skip
def test_what_cannot_be_compiled(function, message):
    with pytest.raises(RuleError, match=message):
        losses.get(function)


@pytest.mark.parametrize("function, message", [
    (lambda t, p: ops.mean(t, axis=-1) - p, r"\(n,\) and \(n, 3\) would move the axis|do not broadcast"),
    (lambda t, p: t + np.ones(2), r"\(n, 3\) and \(2,\) do not broadcast"),
    (lambda t, p: p[:, 4], "index 4 of an axis of size 3"),
    (lambda t, p: ops.mean(p, axis=2), r"an array of shape \(n, 3\) has no axis 2"),
    (lambda t, p: ops.concatenate([t, p]), "has no concatenate|concatenate"),
])  # fmt: skip
def test_shapes_that_do_not_fit(function, message):
    model = fastnet.Sequential([layers.Input((2,)), layers.Dense(3)])
    with pytest.raises((ValueError, AttributeError), match=message):
        model.compile("sgd", function)
        model.fit(np.ones((4, 2)), np.ones((4, 3)), verbose=0)


def test_nan_is_kept_and_ties_are_shared():
    loss = losses.get(lambda t, p: ops.max(p, axis=-1) + 0.0 * ops.sum(t, axis=-1))
    values, dy = value_and_gradient(loss, np.zeros((2, 3)), np.array([[1.0, 2.0, 2.0], [1.0, math.nan, 0.0]]))
    assert values[0] == 2.0 and math.isnan(values[1])
    assert dy[0].tolist() == [0.0, 0.25, 0.25]  # half of 1 / 2 rows each
