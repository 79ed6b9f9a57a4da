"""Optimizers in Keras's form: `build` and `update_step` in array code, against loops of NumPy in float64."""

import copy
import pickle

import numpy as np
import pytest

import fastnet
from fastnet import callbacks, layers, ops, optimizers, testing
from fastnet._kernels.errors import RuleError
from tests import optimizer_forms as forms
from tests.small_network import check_kernels_and_biases, data, fitted, network

CLASSES = forms.classes_of(fastnet, ops)
MAKE = forms.makers(CLASSES)
Adam, Momentum, NAdam, NovoGrad, Centralized = (
    CLASSES[name] for name in ("Adam", "Momentum", "NAdam", "NovoGrad", "Centralized")
)
SHAPES = [(1,), (7,), (13, 3), (1, 1), (2, 1, 5)]


# ---- oracles: one weight in float64, written from the papers


def adam_steps(w, gradients, rate=0.001, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = w - rate * np.sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (np.sqrt(v) + epsilon)
    return w


def nadam_steps(w, gradients, rate=0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-6):
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t, g in enumerate(gradients, 1):
        u, after = (beta_1 * (1 - 0.5 * 0.96**s) for s in (t, t + 1))
        product *= u
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        direction = after * m / (1 - product * after) + (1 - u) * g / (1 - product)
        w = w - rate * direction / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
    return w


def novograd_steps(w, gradients, rate=0.01, beta_1=0.9, beta_2=0.5, decay=0.01):
    m, v = np.zeros_like(w), None
    for g in gradients:
        square = float((g**2).sum())
        v = square if v is None else beta_2 * v + (1 - beta_2) * square
        m = beta_1 * m + g / (np.sqrt(v) + 1e-8) + decay * w
        w = w - rate * m
    return w


def centralized_steps(w, gradients, rate=0.01, beta_1=0.9, beta_2=0.99):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for g in gradients:
        g = g - g.mean() if g.ndim > 1 else g
        g = g / max(np.sqrt((g**2).sum()), 1.0)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = w - rate * m / (np.sqrt(v) + 1e-3)
    return w


def schedule_free_steps(w, gradients, rate=0.001):
    z = w - rate * np.cumsum(gradients, axis=0)
    return 0.1 * z[-1] + 0.9 * z.mean(axis=0)


ORACLES = {
    "Adam": adam_steps,
    "NAdam": nadam_steps,
    "NovoGrad": novograd_steps,
    "Centralized": centralized_steps,
    "ScheduleFree": schedule_free_steps,
}


def given(shapes, dtype="float64", steps=6):
    """Weights, and their gradients in each step."""
    rng = np.random.default_rng(3)
    return [rng.normal(size=s).astype(dtype) for s in shapes], [
        [3 * rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(steps)
    ]


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float32", 3e-5)])  # 6 steps of float32
@pytest.mark.parametrize("name", ORACLES)
def test_steps_of_arrays(name, dtype, tolerance):
    weights, gradients = given(SHAPES, dtype)
    first = [w.astype(float) for w in weights]
    optimizer = CLASSES[name]()
    for each in gradients:
        optimizer.apply(each, weights)
    for i, (weight, start) in enumerate(zip(weights, first, strict=True)):
        expected = ORACLES[name](start, [each[i].astype(float) for each in gradients])
        np.testing.assert_allclose(weight, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_has_the_bits_and_the_launches_of_the_built_in(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 5)).astype(dtype), rng.normal(size=(40, 2)).astype(dtype)
    models = []
    for optimizer in (
        Adam(0.01, weight_decay=0.1, clipvalue=0.2),
        optimizers.Adam(0.01, weight_decay=0.1, clipvalue=0.2),
    ):
        model = network(optimizer, dtype)
        model.fit(x, y, epochs=3, batch_size=16, shuffle=False, verbose=0)
        models.append(model)
    for weight, other in zip(*(m.get_weights() for m in models), strict=True):
        np.testing.assert_array_equal(weight, other)
    ours, theirs = (m.optimizer.state(m.trainable_weights) for m in models)
    assert ours.keys() == theirs.keys()


FEW = ("AMSGrad", "NAdam", "NovoGrad", "Lookahead")


@pytest.mark.parametrize("name", [n if n in FEW else pytest.param(n, marks=pytest.mark.slow) for n in MAKE])
def test_goes_on_after_saving(name, tmp_path):
    whole = fitted(MAKE[name](), 4)
    half = fitted(MAKE[name]())
    half.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet", custom_objects=CLASSES)
    assert type(again.optimizer) is type(half.optimizer)
    assert again.optimizer.get_config() == half.optimizer.get_config()
    copied = copy.deepcopy(half)
    for model in (again, copied, half):
        model.fit(*data(), epochs=4, initial_epoch=2, batch_size=5, shuffle=False, verbose=0)
        for weight, expected in zip(model.get_weights(), whole.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_names_and_order_of_the_state():
    model = fitted(NAdam())
    found = list(model.optimizer.state(model.trainable_weights))
    assert found[:5] == ["iterations", "learning_rate", "0/m", "0/v", "0/product"]
    assert [v.shape for v in model.optimizer.variables[2:5]] == [(5, 3), (5, 3), ()]
    assert model.optimizer.variables[4].dtype == "float64"
    weights = [v.numpy() for v in model.optimizer.variables]
    other = NAdam()
    other.build(model.trainable_weights)
    other.set_weights(weights)
    assert float(other.variables[4]) == float(model.optimizer.variables[4]) < 1


def test_the_options_of_all_optimizers():
    """A traced Adam with each option trains as the built-in does, bit for bit."""
    schedule = optimizers.schedules.CosineDecay(0.02, 12)
    for more in (
        {"learning_rate": schedule},
        {"learning_rate": lambda step: 0.01 / (1 + step)},
        {"weight_decay": 0.1, "global_clipnorm": 0.5},
        {"clipnorm": 0.1, "gradient_accumulation_steps": 2},
        {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    ):
        ours, theirs = fitted(Adam(**more)), fitted(optimizers.Adam(**more))
        for weight, expected in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("name", ["NAdam", "NovoGrad"])
def test_accumulated_gradients_update_numbers_of_weights_once(name):
    weights, gradients = given([(5,)], steps=6)
    expected = weights[0].copy()
    optimizer = CLASSES[name](gradient_accumulation_steps=2)
    for each in gradients:
        optimizer.apply(each, weights)
    means = [(a[0] + b[0]) / 2 for a, b in zip(gradients[::2], gradients[1::2], strict=True)]
    np.testing.assert_allclose(weights[0], ORACLES[name](expected, means), rtol=1e-12)


def test_several_optimizers():
    for make in (lambda: NovoGrad(0.02), lambda: NAdam(0.02)):
        check_kernels_and_biases(make, lambda: Momentum(0.1))
    scaled = fitted(optimizers.LossScaleOptimizer(Adam(0.02)))
    np.testing.assert_array_equal(scaled.get_weights()[0], fitted(Adam(0.02)).get_weights()[0])


def test_a_changed_number_counts_from_the_next_step_on():
    """A rule has arguments for the numbers of an object: another value is no other kernel."""
    weights, gradients = given([(4,)])
    expected = weights[0].copy()
    optimizer = Momentum(0.1, momentum=0.9)
    optimizer.apply(gradients[0], weights)
    before = optimizer.row_of(next(iter(optimizer.states))).f
    optimizer.momentum = 0.5
    optimizer.apply(gradients[1], weights)
    assert optimizer.row_of(next(iter(optimizer.states))).f is before
    m = -0.1 * gradients[0][0]
    expected += m
    m = 0.5 * m - 0.1 * gradients[1][0]
    np.testing.assert_allclose(weights[0], expected + m, rtol=1e-12)


class Scaled(optimizers.Optimizer):
    """A number that is no argument, and one that follows from an argument."""

    def __init__(self, learning_rate=0.1, power=1, **kwargs):
        super().__init__(learning_rate, **kwargs)
        self.power, self.half = power, 0.5**power
        self.factor = 1.0
        self.before = []

    def build(self, variables):
        super().build(variables)
        for variable in variables:
            self.before.append(self.add_variable(variable.shape, name="before"))

    def update_step(self, gradient, variable, learning_rate):
        before = self.before[self._get_variable_index(variable)]
        variable.assign_sub(self.learning_rate * self.half * self.factor * (gradient + before))
        before.assign(gradient)


@pytest.mark.parametrize("name", ["factor", "power"])
def test_numbers_in_a_callback(name):
    class Changing(callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            setattr(self.model.optimizer, name, 1 + batch)

    model, other = network(Scaled()), network("sgd")
    model.fit(*data(), batch_size=8, shuffle=False, verbose=0, callbacks=[Changing()])
    x, y = data()
    before = [0.0] * 4
    for batch in range(3):
        rows = slice(8 * batch, 8 * batch + 8)
        by_layer = other.gradients(x[rows], y[rows])
        found = [g for layer in other.layers for g in by_layer.get(layer.name, {}).values()]
        share = 0.5 * (1 + batch) if name == "factor" else 0.5 ** (1 + batch)
        for w, g, b in zip(other.trainable_weights, found, before, strict=True):
            w.assign_sub(0.1 * share * (g + b))
        before = found
    for weight, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(weight, expected, rtol=1e-12)


def test_lists_of_init_begin_anew():
    """More weights later, copies without states, and pickles."""
    optimizer, (a, b) = Scaled(), (np.ones(3), np.ones(2))
    optimizer.apply([np.ones(3)], [a])
    optimizer.apply([np.ones(3), np.ones(2)], [a, b])
    assert len(optimizer.before) == 2
    np.testing.assert_allclose(a, 1 - 0.05 * 3)
    np.testing.assert_allclose(b, 1 - 0.05)
    fresh = optimizer.anew()
    c = np.ones(3)
    fresh.apply([np.ones(3)], [c])
    np.testing.assert_allclose(c, 0.95)
    again = pickle.loads(pickle.dumps(optimizer))
    assert len(again.states) == 2 and again.before[0] in again.states[next(iter(again.states))]


def test_a_change_that_needs_other_states_is_refused():
    optimizer = Adam(0.1)
    optimizer.amsgrad = True
    optimizer.amsgrad = False
    w = np.ones(2)
    optimizer.apply([np.ones(2)], [w])
    with pytest.raises(AttributeError, match="amsgrad cannot be changed to True any more"):
        optimizer.amsgrad = True
    with pytest.raises(AttributeError, match="use_ema cannot be changed"):
        optimizer.use_ema = True
    optimizer.apply([np.ones(2)], [w])
    assert not optimizer.amsgrad and (w < 1).all()


def test_nan_stays_in_its_own_weight():
    weights = [np.ones(5), np.ones(3)]
    NovoGrad().apply([np.array([1.0, np.nan, 1, 1, 1]), np.ones(3)], weights)
    assert np.isnan(weights[0]).all() and np.isfinite(weights[1]).all()
    weights = [np.ones(5, "f")]
    Adam().apply([np.array([1.0, np.nan, np.inf, 1, 0], "f")], weights)
    assert np.isnan(weights[0]).tolist() == [False, True, True, False, False]


def test_a_step_that_is_not_finite_leaves_everything():
    x, y = data()
    model = fitted(NovoGrad())
    before, state = model.get_weights(), model.optimizer.state(model.trainable_weights)
    x[3, 2] = np.inf
    with pytest.raises(fastnet.NonFiniteError):
        model.fit(x, y, batch_size=23, verbose=0)
    for weight, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, expected)
    for name, value in model.optimizer.state(model.trainable_weights).items():
        np.testing.assert_array_equal(value, state[name])


@pytest.mark.parametrize("name", ["Adam", "Lion", "Adagrad", "SignSGD"])
def test_check_optimizer(name):
    report = testing.check_optimizer(MAKE[name]())
    assert "in its own weight" in str(report)


@pytest.mark.parametrize("name", ["LAMB", "NovoGrad", "NAdam"])
def test_check_optimizer_of_sums_and_numbers(name):
    testing.check_optimizer(MAKE[name]())


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Adam", "LAMB", "NovoGrad", "NAdam", "Centralized"])
def test_the_same_bits_on_a_gpu(name):
    assert "the CPU's bits" in str(testing.check_optimizer(MAKE[name](), device="cuda"))


def row_of(optimizer, shape=(3,)):
    optimizer.build([np.ones(shape)])
    return optimizer.row_of(next(iter(optimizer.states)))


def test_rules_do_not_depend_on_numbers_or_shapes():
    """Not even on numbers that are equal by chance."""
    first, second = row_of(Centralized(0.1, beta_1=0.5), (3, 4)), row_of(Centralized(0.1, beta_1=0.25), (6, 1))
    assert first.f is second.f and first.scalars.source == second.scalars.source
    assert [s.f for s in first.stages] == [s.f for s in second.stages]
    assert [s.parameters for s in first.stages] == [(12.0,), ()]
    assert [len(s.sums) for s in first.stages] == [1, 1]
    first, second = row_of(Adam(beta_1=0.9, beta_2=0.999)), row_of(Adam(beta_1=0.75, beta_2=0.75))
    assert first.f is second.f and first.scalars.source == second.scalars.source


@pytest.mark.parametrize(
    "name, arguments",
    [("Adam", {}), ("Adam", {"amsgrad": True}), ("SGD", {"momentum": 0.9}), ("RMSprop", {}), ("Adagrad", {})],
    ids=str,
)
def test_a_subclass_of_a_built_in_goes_on_with_its_rule(name, arguments):
    built_in = getattr(optimizers, name)

    class Halved(built_in):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(0.5 * gradient, variable, learning_rate)

    weights, gradients = given([(5,), (3, 2)])
    expected = copy.deepcopy(weights)
    ours, theirs = Halved(0.1, **arguments), built_in(0.1, **arguments)
    for each in gradients:
        ours.apply(each, weights)
        theirs.apply([0.5 * g for g in each], expected)
    for weight, wanted in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(weight, wanted)
    assert [v.name for v in ours.variables] == [v.name for v in theirs.variables]
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}


def test_built_ins_that_are_more_than_a_rule():
    class Orthogonal(optimizers.Muon):
        def update_step(self, gradient, variable, learning_rate):
            pass

    with pytest.raises(TypeError, match="Orthogonal defines update_step, and inherits row_of"):
        Orthogonal()

    class Normed(optimizers.Lamb):
        def update_step(self, gradient, variable, learning_rate):
            super().update_step(gradient, variable, learning_rate)

    with pytest.raises(RuleError, match="the rule 'lamb' is of more than the elements of a weight"):
        Normed().apply([np.ones(2)], [np.ones(2)])


# ---- what is refused


def step(body):
    """An optimizer with this step."""

    class Given(optimizers.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.m = self.add_optimizer_variables(variables, "m")
            self.number = self.add_variable((), name="number")
            self.calls = 0

        def update_step(self, gradient, variable, learning_rate):
            body(self, gradient, variable, learning_rate)

    return Given(learning_rate=0.1)


def python_if(self, g, w, rate):
    if g > 0:
        w.assign(g)


def python_if_of_the_step(self, g, w, rate):
    w.assign_sub(g if self.iterations < 3 else rate * g)


def other_state(self, g, w, rate):
    self.m[0].assign(g[:1] if False else self.m[0] + 1.0)


def other_weight(self, g, w, rate):
    w.assign(w + ops.sum(next(iter(self._form.indices))))


def shared_number(self, g, w, rate):
    self.number.assign(0.5 * self.number)


OUTSIDE = layers.Dense(3)
OUTSIDE.build((None, 2))


def foreign(self, g, w, rate):
    OUTSIDE.bias.assign_add(np.ones(3))


def random_number(self, g, w, rate):
    w.assign_sub(rate * g * np.random.default_rng().normal())


def counter(self, g, w, rate):
    self.calls += 1
    w.assign_sub(g / self.calls)


def wrong_shape(self, g, w, rate):
    w.assign(rate)


def elements(self, g, w, rate):
    w.assign(np.linalg.norm(w) * g)


def python_number(self, g, w, rate):
    w.assign_sub(float(rate) * g)


def product(self, g, w, rate):
    w.assign(ops.matmul(g, g))


def axis_that_is_not_there(self, g, w, rate):
    w.assign(g - ops.mean(g, axis=1, keepdims=True))


def late_state(self, g, w, rate):
    self.add_variable((), name="late")


@pytest.mark.parametrize(
    "body, message",
    [
        (
            python_if,
            r"Given.update_step for 'variable' .*`if`.* \(line \d+ of test_array_optimizers.py, in python_if\)",
        ),
        (python_if_of_the_step, "`if`.*ops.where"),
        (other_state, "'m', a state of 'variable', is read in the update of 'variable_1'.*_get_variable_index"),
        (other_weight, "the weight 'variable', is read in the update of 'variable_1'"),
        (shared_number, "'number', a state that the update of 'variable' uses, .* a list"),
        (foreign, "'bias', not a variable of this optimizer"),
        (random_number, "something else when it is called again"),
        (counter, "a counter.*self.iterations"),
        (wrong_shape, r"shape \(3,\), and is assigned an array of shape \(\)"),
        (elements, "the elements of 'variable' are read"),
        (python_number, r"float\(\)"),
        (product, r"shape \(3,\), and is assigned an array of shape \(\)"),
        (axis_that_is_not_there, r"an array of shape \(3,\) has no axis 1 \(line \d+ of test_array_optimizers.py"),
        (late_state, r"'late' must be made in build"),
    ],
    ids=lambda case: getattr(case, "__name__", ""),
)
def test_refused(body, message):
    optimizer, weights = step(body), [np.ones(3), np.ones((4, 3))]
    with pytest.raises(ValueError, match=message) as caught:
        optimizer.apply([np.ones(3), np.ones((4, 3))], weights)
    assert isinstance(caught.value, RuleError) or body is late_state
    assert not optimizer.states and not optimizer.built and "m" not in vars(optimizer)
    assert all((w == 1).all() for w in weights)
    OUTSIDE.bias.assign(np.zeros(3))  # as a layer's weights are after an error


def test_a_state_of_another_weight():
    class Strange(optimizers.Optimizer):
        def build(self, variables):
            super().build(variables)
            self.add_variable_from_reference(OUTSIDE.bias, "m")

        def update_step(self, gradient, variable, learning_rate):
            variable.assign_sub(gradient)

    with pytest.raises(ValueError, match=r"the state 'm' is of .*not among the variables"):
        Strange(learning_rate=0.1).build([np.ones((3, 2))])


def test_an_update_that_assigns_nothing_is_named():
    def forgetful(self, gradient, variable, learning_rate):
        variable - learning_rate * gradient  # without assign_sub

    weights = [np.ones(3)]
    with pytest.warns(UserWarning, match="update_step assigns no weight.*assign_sub"):
        step(forgetful).apply([np.ones(3)], weights)
    assert (weights[0] == 1).all()


def test_methods_that_are_not_called():
    class Empty(optimizers.Optimizer):
        pass

    with pytest.raises(TypeError, match="class defines update_step"):
        Empty(0.1)

    class Positional(optimizers.Optimizer):
        def __init__(self):
            super().__init__(0.1, None, 1.0)

        def update_step(self, gradient, variable, learning_rate):
            pass

    with pytest.raises(TypeError, match="what follows the learning rate by name"):
        Positional()
    with pytest.raises(TypeError, match="whose class defines update_step"):
        optimizers.SGD().add_variable((2,))
    with pytest.raises(NotImplementedError, match="SGD: no parent has"):
        optimizers.SGD().update_step(None, None, 0.1)
