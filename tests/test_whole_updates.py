"""Optimizers whose updates fold along axes, multiply matrices or have states of other shapes, against NumPy."""

import copy

import numpy as np
import pytest

import fastnet
from fastnet import layers, ops, optimizers, testing
from fastnet._kernels.errors import RuleError
from fastnet.testing.running import threads
from tests import optimizer_forms as forms
from tests.sampling import every_second
from tests.small_network import check_kernels_and_biases, data, fitted, network

CLASSES = forms.classes_of(fastnet, ops)
SM3, Shampoo, ColumnLAMB, Shared = (CLASSES[name] for name in ("SM3", "Shampoo", "ColumnLAMB", "Shared"))
SHAPES = [(7,), (13, 3), (1, 1), (2, 1, 5), (1,), (3, 8)]


# ---- oracles: one weight in float64


def sm3_steps(w, gradients, rate=0.05):
    accumulators = [np.zeros([n if i == a else 1 for i, n in enumerate(w.shape)]) for a in range(w.ndim)]
    for g in gradients:
        squares = np.minimum.reduce(np.broadcast_arrays(*accumulators)) + g**2
        w = w - rate * g / np.sqrt(squares + 1e-12)
        accumulators = [
            squares.max(axis=tuple(i for i in range(w.ndim) if i != a), keepdims=True) for a in range(w.ndim)
        ]
    return w


def shampoo_steps(w, gradients, rate=0.05):
    rows = 0.0
    for given in gradients:
        g = given if given.ndim == 2 else given.reshape(1, -1)
        rows = 0.9 * rows + g @ g.T
        size = np.linalg.norm(rows) + 1e-3
        y, z = rows / size + 1e-2 * np.eye(len(g)), np.eye(len(g))
        for _ in range(8):
            factor = 1.5 * np.eye(len(g)) - 0.5 * z @ y
            y, z = y @ factor, factor @ z
        w = w - rate * (z @ g / np.sqrt(size)).reshape(w.shape)
    return w


def column_lamb_steps(w, gradients, rate=0.01, beta_1=0.9, beta_2=0.99, epsilon=1e-6):
    m, v = np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(gradients, 1):
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        u = m / (1 - beta_1**t) / (np.sqrt(v / (1 - beta_2**t)) + epsilon)
        norms = [np.sqrt((x**2).sum(axis=0, keepdims=True)) for x in (w, u)]
        w = w - rate * np.where(norms[0] > 0, norms[0] / (norms[1] + 1e-6), 1.0) * u
    return w


def shared_steps(w, gradients, rate=0.01, beta_1=0.9, beta_2=0.99):
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t, g in enumerate(gradients, 1):
        w = w * (1 - rate * (0.1 if w.ndim > 1 else 0.05))
        product *= beta_1 * (1 - 0.5 * 0.96**t)
        m = beta_1 * m + (1 - beta_1) * g
        v = beta_2 * v + (1 - beta_2) * g**2
        w = w - rate * m / (1 - product) / (np.sqrt(v) + 0.1)
    return w


ORACLES = {"SM3": sm3_steps, "Shampoo": shampoo_steps, "ColumnLAMB": column_lamb_steps, "Shared": shared_steps}


def given(shapes, dtype="float64", steps=5):
    """Weights, and their gradients in each step."""
    rng = np.random.default_rng(3)
    return [rng.normal(size=s).astype(dtype) for s in shapes], [
        [3 * rng.normal(size=s).astype(dtype) for s in shapes] for _ in range(steps)
    ]


def make(name, **more):
    return CLASSES[name](**({"learning_rate": 0.05} if name == "SM3" else {}) | more)


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-11), ("float32", 1e-4)])
@pytest.mark.parametrize("name", ORACLES)
def test_steps_of_arrays(name, dtype, tolerance):
    tolerance *= 1000 if name == "Shampoo" else 1  # its iteration amplifies rounding
    weights, gradients = given(SHAPES, dtype)
    first = [w.astype(float) for w in weights]
    optimizer = make(name)
    for each in gradients:
        optimizer.apply(each, weights)
    for i, (weight, start) in enumerate(zip(weights, first, strict=True)):
        expected = ORACLES[name](start, [each[i].astype(float) for each in gradients])
        np.testing.assert_allclose(weight, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["SM3", "Shampoo", "Shared"])
def test_accumulated_gradients_update_states_once(name):
    weights, gradients = given([(4, 3)], steps=4)
    first = weights[0].copy()
    optimizer = make(name, gradient_accumulation_steps=2)
    for each in gradients:
        optimizer.apply(each, weights)
    means = [(a[0] + b[0]) / 2 for a, b in zip(gradients[::2], gradients[1::2], strict=True)]
    np.testing.assert_allclose(weights[0], ORACLES[name](first, means), rtol=1e-8)


# ---- in models


def assert_same(model, other):
    for weight, expected in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("name", ORACLES)
def test_goes_on_after_saving(name, tmp_path):
    whole, half = fitted(make(name), 4), fitted(make(name))
    half.save(tmp_path / "m.fastnet")
    again = fastnet.models.load_model(tmp_path / "m.fastnet", custom_objects=CLASSES)
    copied = copy.deepcopy(half)
    for model in (again, copied, half):
        model.fit(*data(), epochs=4, initial_epoch=2, batch_size=5, shuffle=False, verbose=0)
        assert_same(model, whole)


def test_names_and_order_of_the_state():
    model = fitted(SM3())
    state = model.optimizer.state(model.trainable_weights)
    assert list(state)[:5] == ["iterations", "learning_rate", "0/accumulator", "0/accumulator_1", "1/accumulator"]
    assert [v.shape for v in model.optimizer.variables[2:5]] == [(5, 1), (1, 3), (3,)]
    assert all(v.dtype == "float64" for v in model.optimizer.variables[2:])
    other = SM3()
    other.build(model.trainable_weights)
    other.set_weights([v.numpy() for v in model.optimizer.variables])
    for name, value in other.state(model.trainable_weights).items():
        np.testing.assert_array_equal(value, state[name])
    other = Shared()
    other.build([np.ones(2, "f")])
    assert [v.name for v in other.variables] == ["iteration", "learning_rate", "m", "v", "product"]
    assert other.variables[-1].dtype == "float64" and float(other.variables[-1]) == 1.0
    other.set_weights([3, 0.1, np.ones(2), np.zeros(2), 0.25])
    assert float(other._product) == 0.25 and list(other.state())[-1] == "product"


def test_more_weights_later_keep_the_states():
    weights, gradients = given([(4, 3), (2,)])
    for name in ("SM3", "Shared"):
        ours, theirs = make(name), make(name)
        first, second = copy.deepcopy(weights), copy.deepcopy(weights)
        ours.apply(gradients[0][:1], first[:1])
        ours.apply(gradients[1], first)
        theirs.build(second)
        theirs.apply([gradients[0][0]], second[:1])
        theirs.apply(gradients[1], second)
        for weight, expected in zip(first, second, strict=True):
            np.testing.assert_array_equal(weight, expected)


def test_the_options_of_all_optimizers():
    """Against the same steps of arrays, with the options computed by NumPy."""
    frozen = network(make("Shampoo"))
    frozen.layers[0].trainable = False
    before = [w.copy() for w in frozen.get_weights()]
    fitted(None, 1, frozen)
    changed = [not np.array_equal(w, b) for w, b in zip(frozen.get_weights(), before, strict=True)]
    assert changed == [False, False, True, True]
    weights, gradients = given([(4, 3)])
    expected, average, seen = weights[0].copy(), weights[0], []
    optimizer = ColumnLAMB(weight_decay=0.1, clipnorm=1.0, use_ema=True, ema_momentum=0.9)
    for each in gradients:
        optimizer.apply(each, weights)
        seen.append(each[0] / max(1.0, np.linalg.norm(each[0])))
        average = weights[0].copy() if len(seen) == 1 else 0.9 * average + 0.1 * weights[0]
    variable = next(iter(optimizer.states))
    np.testing.assert_allclose(optimizer.average(variable), average, rtol=1e-12)
    m = v = np.zeros((4, 3))
    for t, g in enumerate(seen, 1):
        expected = expected * (1 - 0.01 * 0.1)
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        u = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.99**t)) + 1e-6)
        expected = expected - 0.01 * np.linalg.norm(expected, axis=0) / (np.linalg.norm(u, axis=0) + 1e-6) * u
    np.testing.assert_allclose(weights[0], expected, rtol=1e-11)


def test_several_optimizers():
    check_kernels_and_biases(lambda: make("Shampoo"), lambda: make("Shared", learning_rate=0.02))


def test_a_changed_number_is_no_other_kernel():
    weights, gradients = given([(4, 3)])
    first, optimizer = weights[0].copy(), make("Shampoo")
    optimizer.apply(gradients[0], weights)
    optimizer.learning_rate, optimizer.steps = 0.2, 8
    optimizer.apply(gradients[1], weights)
    middle = shampoo_steps(first, [gradients[0][0]])
    both = shampoo_steps(first, [gradients[0][0], gradients[1][0]]) - middle
    np.testing.assert_allclose(weights[0], middle + 4 * both, rtol=1e-8)


def test_a_step_that_is_not_finite_leaves_everything():
    x, y = data()
    for name in ("Shampoo", "Shared"):
        model = fitted(make(name))
        before, state = model.get_weights(), model.optimizer.state(model.trainable_weights)
        spoilt = x.copy()
        spoilt[3, 2] = np.inf
        with pytest.raises(fastnet.NonFiniteError):
            model.fit(spoilt, y, batch_size=23, verbose=0)
        for weight, expected in zip(model.get_weights(), before, strict=True):
            np.testing.assert_array_equal(weight, expected)
        for key, value in model.optimizer.state(model.trainable_weights).items():
            np.testing.assert_array_equal(value, state[key])


def test_nan_goes_where_numpy_lets_it():
    weight, g = np.ones((3, 4)), np.ones((3, 4))
    g[1, 2] = np.nan
    SM3(0.05).apply([g], [weight])
    assert np.isnan(weight).sum() == 1 and np.isnan(weight[1, 2])
    Step(lambda g, w: w - ops.sum(g, axis=0)).apply([g], [weight := np.ones((3, 4))])
    assert np.isnan(weight).all(axis=0).tolist() == [False, False, True, False]


# ---- operations


class Step(optimizers.Optimizer):
    """w becomes a function of its gradient and itself."""

    def __init__(self, function, dtype=None):
        super().__init__(0.5)
        self.function = function

    def update_step(self, gradient, variable, learning_rate):
        variable.assign(self.function(gradient, variable))


MASK = np.tri(4, 3) > 0
OPERATIONS = {
    "largest of columns": lambda g, w: w - ops.max(g, axis=0),
    "least of the middle": lambda g, w: (
        w * ops.min(g, axis=1, keepdims=True) if g.ndim == 3 else w * ops.min(g, axis=1)[:, None]
    ),
    "mean of the first and last": lambda g, w: w + ops.mean(g, axis=(0, -1), keepdims=True),
    "standard deviation of columns": lambda g, w: w / (ops.std(g, axis=0) + 1.0),
    "product of all": lambda g, w: w - ops.prod(g),
    "largest of all": lambda g, w: w / ops.max(ops.abs(g)),
    "rows and columns": lambda g, w: w - ops.sum(g, axis=-1, keepdims=True) * ops.max(w, axis=-2, keepdims=True),
    "outer": lambda g, w: w - ops.expand_dims(ops.sum(g, -1), -1) * ops.expand_dims(ops.sum(g, -2), -2),
    "transposed formula": lambda g, w: w + ops.swapaxes(ops.exp(ops.swapaxes(0.1 * g, -1, -2)), -1, -2),
    "gram": lambda g, w: w - ops.matmul(g, ops.matmul(ops.swapaxes(g, -1, -2), w)),
    "gram of the other side": lambda g, w: w - ops.matmul(w @ ops.swapaxes(w, -1, -2), g),
    "transposed by name": lambda g, w: w - (g @ g.T @ g if g.ndim == 2 else g),
    "product with a constant": lambda g, w: w - ops.matmul(g, np.ones((g.shape[-1], g.shape[-1]))),
    "concatenated constants": lambda g, w: w - ops.concatenate([np.ones((*g.shape[:-1], 2)), g], axis=-1)[..., :-2],
    "norms": lambda g, w: w / (1.0 + ops.norm(g, ord=1, axis=0) + ops.logsumexp(g, axis=-1, keepdims=True)),
    "product of vectors": lambda g, w: w + ops.matmul(ops.sum(g, -1), ops.sum(g, -1)) if g.ndim == 2 else 2.0 * w,
    "slices": lambda g, w: w - ops.concatenate([g[..., 1:], g[..., :1]], axis=-1),
    "slice of a formula": lambda g, w: w - (2.0 * g + w)[..., :1],
    "running sum": lambda g, w: w - ops.cumsum(g, axis=-1) + ops.cumsum(w, axis=0),
    "equation": lambda g, w: w - ops.einsum("...ij,...kj,...k->...ij", g, w, ops.sum(w, -1)),
    "flip, roll and take": lambda g, w: ops.flip(g, -1) + ops.roll(w, 1, 0) + ops.take(g, [0], axis=0),
    "padding": lambda g, w: w + ops.pad(g, [(0, 0)] * (g.ndim - 1) + [(1, 1)])[..., :-2],
    "reshape": lambda g, w: w - ops.reshape(ops.max(ops.reshape(g, (-1, g.shape[-1])), 0), (-1,)),
    "constants": lambda g, w: w - g * MASK[: g.shape[-2], : g.shape[-1]] + np.arange(float(g.shape[-1])),
    "transposed condition": lambda g, w: ops.where(ops.swapaxes(ops.swapaxes(g > 0, -1, -2), -1, -2), w, g),
    "condition of numbers": lambda g, w: ops.where(ops.max(g) > 100.0, w, ops.max(g, -1, keepdims=True)),
    "repeat": lambda g, w: w - ops.tile(g[..., :1], (1,) * (g.ndim - 1) + (g.shape[-1],)),
    "index of the largest": lambda g, w: w - ops.cast(ops.argmax(g, axis=0), "float64"),
    "softmax": lambda g, w: w - ops.softmax(g, axis=0),
}


@pytest.mark.parametrize("name", every_second(OPERATIONS))
def test_operations(name):
    """What fastnet.ops does with symbolic arrays is what it does with NumPy's."""
    weights, (gradients,) = given([(4, 3), (2, 4, 3), (1, 1)], steps=1)
    expected = [OPERATIONS[name](g, w) for g, w in zip(gradients, weights, strict=True)]
    Step(OPERATIONS[name]).apply(gradients, weights)
    for weight, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-12, atol=1e-12)


def test_a_decay_of_the_class_goes_on_with_that_of_all_optimizers():
    class Kernels(Step):
        def _apply_weight_decay(self, variables):
            super()._apply_weight_decay([v for v in variables if len(v.shape) > 1])

    weights, (gradients,) = given([(4, 3), (2,)], steps=1)
    expected = [weights[0] * (1 - 0.5 * 0.2) - gradients[0].max(axis=0), weights[1] - gradients[1]]
    optimizer = Kernels(lambda g, w: w - (ops.max(g, axis=0) if g.ndim > 1 else g))
    optimizer.weight_decay = 0.2
    optimizer.apply(gradients, weights)
    for weight, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-14)


def test_weights_without_elements():
    weight = np.zeros((0, 3))
    Step(lambda g, w: w - ops.sum(g, axis=0)).apply([np.zeros((0, 3))], [weight])
    assert weight.shape == (0, 3)


class Swapping(optimizers.Optimizer):
    """States that are exchanged, one that is a constant, and one that becomes a part of the gradient."""

    def build(self, variables):
        super().build(variables)
        (v,) = variables
        self.a, self.b, self.c = (self.add_variable((v.shape[1],), name=n, initializer="ones") for n in "abc")
        self.fixed = fastnet.Variable(np.arange(3.0), dtype=v.dtype)

    def update_step(self, gradient, variable, learning_rate):
        first = 1.0 * self.a
        self.assign(self.a, self.b)
        self.assign(self.b, first + self.fixed)
        self.assign(self.c, gradient[0])
        self.assign_sub(variable, self.a * learning_rate)
        self.assign(self.fixed, np.array([7.0, 8.0, 9.0]))


def test_states_that_follow_from_each_other():
    optimizer, weight, g = Swapping(0.5), np.zeros((2, 3)), np.arange(6.0).reshape(2, 3)
    for _ in range(2):
        optimizer.apply([g], [weight])
    a, b, c, fixed = (v.numpy().tolist() for v in optimizer.variables[2:])
    assert (a, b, c) == ([1.0, 2.0, 3.0], [8.0, 9.0, 10.0], [0.0, 1.0, 2.0]) and fixed == [7.0, 8.0, 9.0]
    np.testing.assert_array_equal(weight, np.tile([-1.0, -1.5, -2.0], (2, 1)))


def test_a_subclass_of_a_built_in_folds_along_an_axis():
    """Gradients without the means of their columns: Yong et al. 2020, arXiv:2004.01461."""

    class Centralized(optimizers.Adam):
        def update_step(self, gradient, variable, learning_rate):
            if len(variable.shape) > 1:
                gradient = gradient - ops.mean(gradient, axis=0, keepdims=True)
            super().update_step(gradient, variable, learning_rate)

    weights, gradients = given([(5,), (3, 2)])
    expected = copy.deepcopy(weights)
    ours, theirs = Centralized(0.1), optimizers.Adam(0.1)
    for each in gradients:
        ours.apply(each, weights)
        theirs.apply([each[0], each[1] - each[1].mean(axis=0)], expected)
    for weight, wanted in zip(weights, expected, strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-12)


# ---- proofs, devices, threads


@pytest.mark.parametrize("name", ["SM3", *(pytest.param(n, marks=pytest.mark.slow) for n in ("Shampoo", "ColumnLAMB"))])
def test_check_optimizer(name):
    assert "of a matrix" in str(testing.check_optimizer(make(name)))


def test_the_same_bits_on_any_number_of_threads():
    (weight,), gradients = given([(210, 70)], "float32", steps=2)
    results = []
    for count in (1, 2, 3):
        ours, optimizer = weight.copy(), Shampoo(steps=2)
        with threads(count):
            for each in gradients:
                optimizer.apply(each, [ours])
        results.append((ours, *(v.numpy() for v in optimizer.variables)))
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SM3", "ColumnLAMB", "Shampoo", "Shared"])
def test_the_same_bits_on_a_gpu(name):
    assert "the CPU's bits" in str(testing.check_optimizer(make(name), device="cuda"))


# ---- what is refused


class Given(optimizers.Optimizer):
    """An update with states of each kind."""

    def __init__(self, step=None, shared=None):
        super().__init__(0.1)
        self.step, self.shared = step, shared

    def build(self, variables):
        super().build(variables)
        self.rows = [self.add_variable((v.shape[0],), name="rows") for v in variables]
        self.number = self.add_variable((), name="number")
        self.kernel = DENSE.kernel

    def update_step(self, gradient, variable, learning_rate):
        if self.step is not None:
            self.step(self, gradient, variable)

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if self.shared is not None:
            found = self.shared(self, grads, trainable_variables)
            grads = grads if found is None else found
        super()._backend_update_step(grads, trainable_variables, learning_rate)


def other_state(self, g, w):
    self.rows[0].assign(ops.sum(g, -1))


def wrong_shape(self, g, w):
    self.rows[self._get_variable_index(w)].assign(g)


def random_numbers(self, g, w):
    w.assign(g + fastnet.random.normal(w.shape))


def shared_in_update(self, g, w):
    self.number.assign(ops.max(g))


def halved(self, grads, variables):
    self.number.assign(0.5 * self.number)


DENSE = layers.Dense(3)
DENSE.build((None, 2))


def weight_of_a_layer(self, g, w):
    w.assign_sub(self.kernel[0] * g)


REFUSED = {
    "weight of a layer": (weight_of_a_layer, None, "'kernel', not a variable of this optimizer"),
    "other state": (other_state, None, "'rows', a state that the update of 'variable' uses.*update of 'variable_1'"),
    "wrong shape": (wrong_shape, None, r"'rows' has shape \(4,\), and is assigned an array of shape \(4, 3\)"),
    "random numbers": (random_numbers, None, "Given.update_step for 'variable'"),
    "shared": (shared_in_update, halved, "'number', a number that all weights share, is assigned in the update"),
    "gradients": (None, lambda s, g, v: [2.0 * each for each in g], "the gradients are read in _backend_update_step"),
    "weights": (None, lambda s, g, v: v[0], "the weights are read in _backend_update_step"),
    "other gradients": (None, lambda s, g, v: [1.0], "other gradients or weights"),
    "array": (None, lambda s, g, v: s.number.assign(np.ones(2)), r"is one number, and is assigned .*\(2,\)"),
    "state": (None, lambda s, g, v: s.rows[0].assign(0.0 * s.rows[0]), "'rows' is read in _backend_update_step"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    step, shared, message = REFUSED[name]
    weights = [np.ones((4, 3)), np.ones((4, 3))]
    optimizer = Given(step, shared)
    with pytest.raises(RuleError, match=message):
        optimizer.apply([np.ones((4, 3))] * 2, weights)
    assert not optimizer.built and all((w == 1).all() for w in weights)


def test_an_error_in_update_step_is_shown_once():
    def mistaken(self, g, w):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as error:
        Given(mistaken, None).apply([np.ones(3)], [np.ones(3)])
    assert error.value.__context__ is None


def test_refused_when_it_is_defined():
    for method in ("_backend_update_step", "_apply_weight_decay"):
        with pytest.raises(TypeError, match=f"defines {method}.*belongs to a class with update_step"):
            type("Old", (optimizers.Adam,), {method: lambda *_: None})

    class Twice(optimizers.Optimizer):
        def update_step(self, gradient, variable, learning_rate):
            variable.assign_sub(gradient)

        def _backend_update_step(self, *given):
            pass

    with pytest.raises(RuleError, match=r"Twice._backend_update_step cannot be compiled: .*call super\(\)"):
        Twice(0.1).apply([np.ones(2)], [np.ones(2)])


def test_states_of_another_dtype():
    class Mixed(Given):
        def update_step(self, gradient, variable, learning_rate):
            rows = self.rows[self._get_variable_index(variable)]
            rows.assign(ops.sum(gradient, -1))

    with pytest.raises(RuleError, match=r"its state 'rows' is float32, and the weight float64.*dtype=variable.dtype"):
        Mixed().build([np.ones((2, 3), "f"), np.ones((4, 3))])
