"""Regularizers and constraints in array code: values against the same functions on arrays, gradients against central
differences."""

import copy
import json

import numpy as np
import pytest

import fastnet
from fastnet import constraints, layers, ops, regularizers, serialization
from tests import part_cases as cases
from tests.sampling import every_second

PENALTIES, ACTIVITIES = cases.penalties_of(ops), cases.activity_penalties_of(ops)
IMAGES, CONSTRAINTS = cases.image_penalties_of(ops), cases.constraints_of(ops)
SHAPES = [(5, 3), (1, 1), (7, 1), (2, 2, 3, 5)]


def differences(weight, number, epsilon=1e-6):
    """The gradient of a number by a weight, from central differences."""
    value, found = weight.numpy(), np.zeros(weight.shape)
    for at in np.ndindex(value.shape):
        for sign in (1, -1):
            moved = value.copy()
            moved[at] += sign * epsilon
            weight.assign(moved)
            found[at] += sign * number() / (2 * epsilon)
    weight.assign(value)
    return found


def penalized(shape, function, dtype="float64", **arguments):
    """A model of one kernel of this shape, whose loss for the data that come with it is the penalty alone."""
    kernel = {"kernel_regularizer": function, **arguments, "use_bias": False, "dtype": dtype}
    if len(shape) == 2:
        layer, x = layers.Dense(shape[1], name="layer", **kernel), np.zeros((2, shape[0]))
    else:
        layer, x = layers.Conv2D(shape[3], shape[:2], name="layer", **kernel), np.zeros((2, *shape[:3]))
    model = fastnet.Sequential([layers.Input(x.shape[1:], dtype=dtype), layer])
    model.compile(fastnet.optimizers.SGD(0.0), "mse")
    model.set_weights([np.random.default_rng(3).normal(size=shape)])
    return model, x, np.zeros((2, *model.output_shape[1:]))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", every_second(PENALTIES))
def test_a_penalty_and_its_gradient(name, shape):
    model, x, y = penalized(shape, PENALTIES[name])
    weight = model.layers[0].kernel
    assert model.evaluate(x, y, verbose=0) == pytest.approx(float(PENALTIES[name](weight.numpy())), rel=1e-12)
    wanted = differences(weight, lambda: float(PENALTIES[name](weight.numpy())))
    np.testing.assert_allclose(model.gradients(x, y)["layer"]["kernel"], wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["squares", "group", "constants", "softmax"])
def test_in_float32_and_of_many_elements(name):
    model, x, y = penalized((301, 67), PENALTIES[name], "float32")
    exact, xs, ys = penalized((301, 67), PENALTIES[name])
    exact.set_weights(model.get_weights())
    assert model.evaluate(x, y, verbose=0) == pytest.approx(exact.evaluate(xs, ys, verbose=0), rel=2e-6)
    found, wanted = (each.gradients(x, y)["layer"]["kernel"] for each in (model, exact))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-7)


def test_nan_is_kept():
    model, x, y = penalized((5, 3), PENALTIES["group"])
    value = model.get_weights()[0]
    value[2, 1] = np.nan
    model.set_weights([value])
    found = model.gradients(x, y)["layer"]["kernel"]
    np.testing.assert_array_equal(np.isnan(found).all(axis=0), [False, True, False])
    assert not np.isnan(found[:, [0, 2]]).any()


def test_a_quotient_by_0_is_infinite():
    with np.errstate(divide="ignore"):
        model, x, y = penalized((5, 3), lambda w: ops.sum(ops.square(w)) / 0.0)
        assert model.evaluate(x, y, verbose=0) == np.inf


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("name", ACTIVITIES)
def test_a_penalty_of_results_is_divided_by_the_rows(name, rows):
    function, dense = ACTIVITIES[name], layers.Dense(3, dtype="float64", activity_regularizer=ACTIVITIES[name])
    model = fastnet.Sequential([layers.Input((5,), dtype="float64"), dense])
    model.compile(fastnet.optimizers.SGD(0.0), "mse")
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(rows, 5)), rng.normal(size=(rows, 3))

    def loss():
        p = x @ dense.kernel.numpy()
        return np.mean((p - y) ** 2) + float(function(p)) / rows

    assert model.evaluate(x, y, batch_size=rows, verbose=0) == pytest.approx(loss(), rel=1e-12)
    found = model.gradients(x, y)[dense.name]["kernel"]
    np.testing.assert_allclose(found, differences(dense.kernel, loss), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("name", IMAGES)
def test_a_penalty_of_images(name, rows):
    function = IMAGES[name]
    linear = layers.Activation("linear", dtype="float64", activity_regularizer=function)
    model = fastnet.Sequential([layers.Input((5, 3, 2), dtype="float64"), linear])
    model.compile("sgd", "mse")
    x = fastnet.Variable(np.random.default_rng(7).normal(size=(rows, 5, 3, 2)), "x")

    def loss():
        return float(function(x.numpy())) / rows

    assert model.evaluate(x.numpy(), x.numpy(), batch_size=rows, verbose=0) == pytest.approx(loss(), rel=1e-12)
    found = model.gradients(x.numpy(), x.numpy())["input"]
    np.testing.assert_allclose(found, differences(x, loss), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_a_constraint(name, shape):
    model, x, y = penalized(shape, None, kernel_constraint=CONSTRAINTS[name])
    wanted = CONSTRAINTS[name](model.layers[0].kernel.numpy())
    model.train_on_batch(x, y)
    np.testing.assert_allclose(model.layers[0].kernel.numpy(), wanted, rtol=1e-12, atol=1e-15)


# ---- classes


class Elastic(regularizers.Regularizer):
    def __init__(self, l1=0.1, l2=0.2):
        self.l1, self.l2 = l1, l2

    def __call__(self, x):
        return self.l1 * ops.sum(ops.abs(x)) + self.l2 * ops.sum(ops.square(x))

    def get_config(self):
        return {"l1": self.l1, "l2": self.l2}


class Longest(constraints.Constraint):
    def __init__(self, length=1.0):
        self.length = length

    def __call__(self, w):
        return w * ops.minimum(1.0, self.length / ops.norm(w, axis=0, keepdims=True))


def smooth(w):
    return 0.1 * ops.sum(ops.sqrt(1 + ops.square(w)) - 1)


def test_the_same_penalty_three_ways_is_the_same():
    found = []
    written = Elastic(0.1, 0.2), lambda w: 0.1 * ops.sum(abs(w)) + 0.2 * ops.sum(w * w), regularizers.L1L2(0.1, 0.2)
    for each in written:
        model, x, y = penalized((7, 5), each)
        found.append((model.evaluate(x, y, verbose=0), model.gradients(x, y)["layer"]["kernel"]))
    for value, gradient in found[:2]:
        assert value == pytest.approx(found[2][0], rel=1e-14)
        np.testing.assert_allclose(gradient, found[2][1], rtol=1e-14)


def test_an_attribute_that_is_set_again_counts_from_the_next_step_on():
    penalty, limit = Elastic(0.0, 1.0), Longest(10.0)
    model, x, y = penalized((5, 3), penalty, kernel_constraint=limit)
    squares = float(np.sum(model.get_weights()[0] ** 2))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(squares)
    penalty.l2, limit.length = 3.0, 0.5
    assert model.evaluate(x, y, verbose=0) == pytest.approx(3 * squares)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(np.linalg.norm(model.get_weights()[0], axis=0), 0.5)


def test_the_penalties_of_a_model_are_numbers():
    model, _, _ = penalized((5, 3), smooth)
    assert model.losses == [pytest.approx(float(smooth(model.get_weights()[0])))]
    assert isinstance(model.layers[0].kernel_regularizer, regularizers.FunctionRegularizer)


def test_descriptions_and_copies():
    with serialization.custom_object_scope({"Elastic": Elastic, "Longest": Longest, "smooth": smooth}):
        layer = layers.Dense(
            3, kernel_regularizer=Elastic(0.5), bias_regularizer=smooth, kernel_constraint=Longest(), dtype="float64"
        )
        again = layers.Dense.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.kernel_regularizer.l1 == 0.5 and again.bias_regularizer.fn is smooth
    assert isinstance(again.kernel_constraint, Longest)
    model, x, y = penalized((5, 3), Elastic(0.5))
    assert copy.deepcopy(model).evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)


def test_a_subclass_of_fastnets_own_may_be_array_code():
    class Half(regularizers.L2):
        def __call__(self, x):
            return 0.5 * self.l2 * ops.sum(ops.square(x))

    model, x, y = penalized((5, 3), Half(0.1))
    assert model.evaluate(x, y, verbose=0) == pytest.approx(0.05 * np.sum(model.get_weights()[0] ** 2))


# ---- errors


def no_number(w):
    return ops.square(w)


def asks(w):
    return ops.sum(w) if ops.sum(w) > 0 else 0.0 * ops.sum(w)


@pytest.mark.parametrize(
    "function, shape, message",
    [
        (
            no_number,
            (5, 3),
            r"'no_number' of 'layer/kernel' cannot be compiled: it gives .* \(5, 3\).*one number",
        ),
        (asks, (5, 3), r"'asks' of 'layer/kernel' cannot be compiled: `if`.*line \d+ of test_array_parts.py, in asks"),
    ],
)
def test_what_a_penalty_cannot_be_is_told_before_a_step(function, shape, message):
    model, x, y = penalized(shape, function)
    with pytest.raises(fastnet.RuleError, match=message):
        model.fit(x, y, verbose=0)
    model.layers[0].kernel.regularizer = None
    assert model.evaluate(x, y, verbose=0) == 0.0


def test_what_a_constraint_cannot_be():
    def total(w):
        return ops.sum(w, axis=0)

    model, x, y = penalized((5, 3), None, kernel_constraint=total)
    wanted = r"constraint 'total' of 'layer/kernel' cannot .*: it gives .*\(3,\).*\(5, 3\), and must keep the shape"
    with pytest.raises(fastnet.RuleError, match=wanted):
        model.train_on_batch(x, y)


def test_a_class_with_both_forms_is_refused():
    with pytest.raises(TypeError, match="Both defines __call__, array code, and penalty, a rule .*leave one"):

        class Both(regularizers.Regularizer):
            def __call__(self, x):
                return ops.sum(x)

            @staticmethod
            def penalty(x):
                return x

    with pytest.raises(ValueError, match="A regularizer is a name, a Regularizer, a function of an array or None"):
        layers.Dense(3, kernel_regularizer=3)
