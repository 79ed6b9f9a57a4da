"""Mistakes in functions and classes of users: each is refused in a sentence that names it and the remedy."""

import math
import re

import numpy as np
import pytest

import fastnet
from fastnet import layers, losses, metrics, ops, optimizers

UNMADE = "__init__ must call super().__init__(**more) first"


def train(layer=None, optimizer="sgd", loss="mse", metric=None):
    model = fastnet.Sequential([layers.Input((3,)), layer or layers.Dense(1), layers.Dense(1)])
    before = [w.numpy() for w in model.weights]
    model.compile(optimizer, loss, metrics=[metric] if metric else None)
    try:
        model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0)
    finally:
        assert all((w.numpy() == value).all() for w, value in zip(model.weights, before, strict=True))


class LayerWithoutParent(layers.Layer):
    def __init__(self):
        self.units = 3


class LossWithoutParent(losses.Loss):
    def __init__(self):
        self.factor = 2.0

    def call(self, y_true, y_pred):
        return self.factor * ops.abs(y_true - y_pred)


class MetricWithoutParent(metrics.Metric):
    def __init__(self):
        self.count = 0

    def update_state(self, y_true, y_pred, sample_weight=None):
        self.count += 1

    def result(self):
        return self.count


class Optimizer(optimizers.Optimizer):
    def __init__(self):
        super().__init__(0.1)


class OptimizerWithoutParent(optimizers.Optimizer):
    def __init__(self):
        self.rate = 0.1

    def update_step(self, gradient, variable, learning_rate):
        self.assign_sub(variable, self.rate * gradient)


class Returns(Optimizer):
    def update_step(self, gradient, variable, learning_rate):
        return variable - learning_rate * gradient


class Nothing(layers.Layer):
    pass


class ReturnsNone(layers.Layer):
    def call(self, x):
        x * 2


class ReturnsTwo(layers.Layer):
    def call(self, x):
        return x, 2 * x


class OfRows(layers.Layer):
    def build(self, input_shape):
        self.w = self.add_weight(shape=input_shape)

    def call(self, x):
        return x * self.w


class MadeInCall(layers.Layer):
    def call(self, x):
        return x @ self.add_weight(shape=(3, 2))


class Uncounted(metrics.Metric):
    def result(self):
        return 1.0


class Unread(metrics.Metric):
    def update_state(self, y_true, y_pred, sample_weight=None):
        pass


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: train(LayerWithoutParent()), f"LayerWithoutParent.{UNMADE}"),
        (lambda: train(loss=LossWithoutParent()), f"LossWithoutParent.{UNMADE}"),
        (lambda: train(metric=MetricWithoutParent()), f"MetricWithoutParent.{UNMADE}"),
        (lambda: train(optimizer=OptimizerWithoutParent()), f"OptimizerWithoutParent.{UNMADE}"),
        (lambda: Optimizer(), "class defines update_step(self, gradient, variable, learning_rate), or gives a row"),
        (lambda: train(optimizer=Returns()), "returns a value, which nothing reads: assign it"),
        (
            lambda: train(Nothing()),
            "Nothing defines neither call(self, x), which is array code, nor forward(self, plan",
        ),
        (lambda: train(ReturnsNone()), "Layer 'returns_none' (ReturnsNone): call cannot be compiled: it returns None"),
        (lambda: train(ReturnsTwo()), "it returns a tuple of arrays, and must return one array."),
        (lambda: train(OfRows()), "(OfRows): the shape of 'variable' must be a tuple of sizes, received (None, 3)."),
        (lambda: train(MadeInCall()), "call makes the weight 'variable': make it in build(input_shape)."),
        (lambda: train(layers.Dense(1, kernel_regularizer=lambda w: None)), "it returns None"),
        (lambda: train(layers.Dense(1, kernel_constraint=lambda w: [w, w])), "it returns a list of arrays"),
        (lambda: train(loss=lambda y_true, y_pred: {"loss": y_pred}), "it returns a dict of arrays"),
        (lambda: train(metric=Uncounted()), "Uncounted defines neither update_state nor size"),
        (lambda: train(metric=Unread()), "Unread defines neither result nor value"),
    ],
)
def test_a_mistake_of_a_class(make, message):
    with pytest.raises(Exception, match=re.escape(message)):
        make()


def mean_if(y_true, y_pred):
    return y_true - y_pred if ops.mean(y_pred) > 0 else y_pred - y_true


def scaled_anew(y_true, y_pred):
    return ops.mean(ops.square(y_true - y_pred) * np.random.rand(), -1)


def test_operations_of_arrays_are_no_rules():
    with pytest.raises(fastnet.RuleError, match=r"another formula.* two numbers: ops\.square is a function of arrays"):
        losses.get(scaled_anew)


def test_operations_take_arguments_by_name():
    x = np.array([-1.0, 2.0])
    np.testing.assert_array_equal(ops.where(condition=x > 0, x1=x, x2=0.0), [0.0, 2.0])
    np.testing.assert_array_equal(ops.power(x2=2.0, x1=ops.maximum(x, x2=0.5)), [0.25, 4.0])
    traced = layers.Lambda(lambda z: ops.where(z > 0, x1=ops.square(x=z), x2=ops.stop_gradient(variable=z)))
    np.testing.assert_array_equal(traced(x[None]), [[-1.0, 4.0]])
    with pytest.raises(TypeError, match=r"ops.square takes x; received 1 arguments and \['y'\]"):
        ops.square(x, y=1.0)
    with pytest.raises(fastnet.RuleError, match=r"ops.power of 1 arguments and \['y'\] \(line .* takes x1, x2"):
        losses.get(lambda y_true, y_pred: ops.power(y_true, y=y_pred))


@pytest.mark.parametrize("function", [
    lambda x: ops.einsum("...ij,...kj->...ik", x, x), lambda x: ops.matmul(np.arange(10.0).reshape(2, 5), x),
])  # fmt: skip
def test_formulas_that_need_more_axes_wait_for_the_data(function):
    """A Lambda is tried with samples of one axis first, where these would multiply rows of the batch."""
    x = np.random.default_rng(1).normal(size=(4, 5, 3)).astype("float32")
    np.testing.assert_allclose(layers.Lambda(function)(x), function(x), rtol=1e-4, atol=1e-5)


def test_a_function_that_is_neither_array_code_nor_a_rule():
    """The default of an argument of what it calls (``axis=None``) is no number."""
    with pytest.raises(fastnet.RuleError, match=r"write ops.where.* two numbers: .* defaults are not numbers"):
        losses.get(mean_if)


@pytest.mark.parametrize(
    "get", [lambda: losses.get(lambda t, y: ops.max(y), gradient=False), lambda: layers.Dense(1, activation=ops.sum)]
)
def test_what_a_lambda_cannot_be_goes_without_saying(get):
    with pytest.raises(fastnet.RuleError, match="mixes samples") as caught:
        get()
    assert "def name" not in str(caught.value)


def layer_of(call):
    return type("Traced", (layers.Layer,), {"call": lambda self, x: call(x), "__module__": __name__})()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: x << 1, "<< and >> move bits of integers (line"),
        (lambda x: 2 >> x, "<< and >> move bits of integers (line"),
        (lambda x: math.trunc(x), "int() and range() need a number (line"),
        (lambda x: x * len(f"{x:.2f}"), "a format needs a number (line"),
        (lambda x: ops.where(x > 0), "ops.where takes condition, x1, x2"),
        (lambda x: np.where(x > 0), "ops.where takes condition, x1, x2"),
        (lambda x: ops.cast(x, "floot"), "'floot' is no dtype of numbers (line"),
        (lambda x: x.astype("complex64"), "'complex64' is no dtype of numbers (line"),
        (lambda x: ops.tensordot(x, x), "(fastnet.extend). Near are dot"),
        (lambda x: ops.sofmax(x), "others can be added (fastnet.extend); did you mean softmax"),
    ],
)
def test_what_is_no_operation(call, message):
    with pytest.raises((fastnet.RuleError, AttributeError), match=re.escape(message)):
        layer_of(call)(np.ones((2, 3)))


def test_divmod_and_formats():
    x = np.array([[5.0, -3.0, 2.5]])
    found = layer_of(lambda x: ops.concatenate([*divmod(x, 2), *divmod(7.0, x)], axis=-1))(x)
    np.testing.assert_allclose(found, np.concatenate([*divmod(x, 2), *divmod(7.0, x)], axis=-1))
    shapes = []
    layer_of(lambda x: [x, shapes.append(f"{x}")][0])(x)
    assert set(shapes) == {"<symbolic array argument(n, 3)>"}


@pytest.mark.parametrize(
    ("method", "function", "wanted"),
    [
        ("forward", lambda self, x: x, "forward(self, plan, x)"),
        ("build", lambda self: None, "build(self, input_shape)"),
        ("call", lambda self, x, y: x, "call(self, x)"),
        ("backward", lambda self, dy: dy, "backward(self, plan, dy, x, y)"),
        ("make_weights", lambda self: None, "make_weights(self, input_shape)"),
        ("compute_mask", lambda self, x, mask=None: mask, "compute_mask(self, plan, x, y)"),
    ],
)
def test_parameters_of_a_layers_methods(method, function, wanted):
    with pytest.raises(TypeError, match=rf"class Wrong defines {method}\(self.*in fastnet it is {re.escape(wanted)}"):
        type("Wrong", (layers.Layer,), {method: function, "__module__": __name__})
    type("Right", (layers.Layer,), {"call": lambda self, x, *more, scale=2.0, **others: x, "__module__": __name__})


def test_parameters_of_other_functions():
    with pytest.raises(TypeError, match=r"in fastnet it is call\(self, y_true, y_pred\)"):
        type("Wrong", (losses.Loss,), {"call": lambda self, y: y, "__module__": __name__})
    with pytest.raises(TypeError, match=r"in fastnet it is update_step\(self, gradient, variable, learning_rate\)"):
        type("Wrong", (optimizers.Optimizer,), {"update_step": lambda self, g: None, "__module__": __name__})
    for wrong in (lambda: losses.get(lambda y: y), lambda: losses.get(lambda t, y, w: y)):
        with pytest.raises(fastnet.RuleError, match=r"it takes \(.*\), and is called with 2 arrays"):
            wrong()
    with pytest.raises(fastnet.RuleError, match=r"it takes \(x, y\), and is called with 1 array\b"):
        layers.Dense(1, activation=lambda x, y: x)


def test_a_number_is_no_loss():
    """Keras refuses one too."""

    class Adds(layers.Layer):
        def call(self, x):
            self.add_loss(0.1 * 3)
            return x

    with pytest.raises(fastnet.RuleError, match=r"add_loss takes one number, .* received 0\.3.*no weight depends"):
        train(Adds())


def test_names_of_functions_as_metrics_are_those_of_keras():
    class Callable:
        def __call__(self, y_true, y_pred):
            return ops.mean(ops.abs(y_true - y_pred), axis=-1)

    given = [lambda t, p: ops.mean(t - p, axis=-1), lambda t, p: ops.mean(p - t, axis=-1), Callable(), mean_difference]
    model = fastnet.Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=given)
    logs = model.evaluate(np.ones((4, 3)), np.ones((4, 1)), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "lambda", "lambda_1", "callable", "mean_difference"}


def mean_difference(y_true, y_pred):
    return ops.mean(y_true - y_pred, axis=-1)


@pytest.mark.parametrize("name, function", [
    ("any", lambda x: ops.any(x > 0, axis=0)),
    ("all", lambda x: np.all(x > 0)),
    ("softmax", lambda x: ops.softmax(x, axis=0)),
    ("log_softmax", lambda x: ops.log_softmax(x, axis=0)),
    ("logsumexp", lambda x: ops.logsumexp(x)),
    ("norm", lambda x: ops.norm(x, axis=0)),
    ("std", lambda x: x.std(axis=0)),
    ("count_nonzero", lambda x: ops.count_nonzero(x)),
    ("argmin", lambda x: ops.argmin(x, axis=0)),
    ("max", lambda x: np.maximum.reduce(x)),
])  # fmt: skip
def test_a_fold_of_the_batch_is_named_as_the_user_wrote_it(name, function):
    message = rf": {name} over the batch \(axis 0\) mixes samples \(line \d+ of test_array_errors.py"
    with pytest.raises(fastnet.RuleError, match=message):
        layers.Lambda(lambda x: x + function(x))


def test_a_loss_of_arrays_with_a_weight_from_the_formula():
    ones = np.ones((4, 2))
    for loss in (losses.MeanSquaredError(), losses.Dice()):
        with pytest.raises(fastnet.RuleError, match=f"the loss '{loss.name}' of arrays alone has a sample_weight"):
            losses.get(lambda t, p, loss=loss: loss(ones, ones, sample_weight=p[:, 0]))
    assert losses.get(lambda t, p: losses.MeanSquaredError()(ones, 3 * ones) + p)([[0.0]], [[1.0]]) == 5.0


class Library:
    """Functions that take arrays of their own, as those of jax do."""

    @staticmethod
    def exp(x):
        raise TypeError(f"exp of {type(x)}")


def test_functions_of_other_libraries():
    message = r"a function of another library needs the elements of an argument \(line \d+ of test_array_errors.py, in "

    class Exponential(layers.Layer):
        def call(self, x):
            return Library.exp(x)

    class Roots(Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, Library.exp(gradient))

    for given in ({"loss": lambda t, p: Library.exp(p)}, {"layer": Exponential()}, {"optimizer": Roots()}):
        with pytest.raises(fastnet.RuleError, match=message + r"(\w+|<lambda>)\): write it with fastnet.ops"):
            train(**given)

    def wrong(t, p):
        raise TypeError("of the user")

    with pytest.raises(TypeError, match="of the user"):
        losses.get(wrong)
