"""A user's function is read when the object that takes it is made. Objects from before keep what they read."""

import importlib
import linecache
import math
import sys
import types

import numpy as np
import pytest

import fastnet
from fastnet import constraints, extend, layers, losses, regularizers
from fastnet._kernels import compile as compiler
from fastnet._kernels import registry
from fastnet._kernels.snapshots import snapshot

FACTOR = 2.0
ELSEWHERE = types.SimpleNamespace(factor=2.0)
X, Y = np.array([[1.0]], "f"), np.array([[0.0]], "f")


@pytest.fixture(autouse=True)
def as_before():
    """Tables and numbers are as before after a test."""
    global FACTOR
    tables = [(table, dict(table)) for table in (registry.activations, registry.losses, registry.updates)]
    yield
    FACTOR = ELSEWHERE.factor = 2.0
    for table, rows in tables:
        table.clear()
        table.update(rows)


def scaled(x):
    return FACTOR * x


def by_helper(x):
    return scaled(x)


def by_default(x, factor=2.0):
    return factor * x


def by_attribute(x):
    return ELSEWHERE.factor * x


def closure():
    factor = 2.0

    def inner(x):
        return factor * x

    return inner


def set_factor(function, value):
    """Change what a function refers to, in whichever way it does."""
    global FACTOR
    FACTOR = ELSEWHERE.factor = value
    if function.__closure__:
        function.__closure__[0].cell_contents = value
    if function.__defaults__:
        function.__defaults__ = (value,)


def applied(function):
    return fastnet.Sequential([layers.Input((1,)), layers.Lambda(function)])


def result(model):
    return model.predict(X, verbose=0).item()


@pytest.mark.parametrize("name", ["scaled", "by_helper", "by_default", "by_attribute", "closure"])
def test_what_a_function_refers_to(name):
    function = closure() if name == "closure" else globals()[name]
    first, used = applied(function), applied(function)
    assert result(used) == 2
    set_factor(function, 5.0)
    second = applied(function)
    assert (result(first), result(used), result(second)) == (2, 2, 5)
    set_factor(function, 2.0)
    assert snapshot(function) is first.layers[0].activation.row.f


def squared(t, p):
    return FACTOR * (t - p) * (t - p)


class Squared(losses.Loss):
    @staticmethod
    def call(t, p):
        return FACTOR * (t - p) * (t - p)


class Weight(regularizers.Regularizer):
    @staticmethod
    def penalty(w):
        return FACTOR * w * w


class Become(constraints.Constraint):
    @staticmethod
    def project(w):
        return FACTOR + 0 * w


def descent(w, g, rate):
    return w - FACTOR * rate * g


@extend.elementwise
def times(x: extend.read, y: extend.write):
    y = FACTOR * x  # noqa: F841


class Times(layers.Layer):
    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(times, x=x, y=y)
        return y

    def backward(self, plan, dy, x, y):
        return dy


class Applied(layers.Layer):
    def forward(self, plan, x):
        y = plan.like(x)
        plan.call(extend.apply, f=scaled, x=x, y=y)
        return y

    def backward(self, plan, dy, x, y):
        return dy


def compiled(*between, loss="mae", optimizer="sgd", metrics=None, **more):
    dense = layers.Dense(1, kernel_initializer="ones", use_bias=False, **more)
    model = fastnet.Sequential([layers.Input((1,)), dense, *between])
    model.compile(optimizer, loss, metrics=metrics)
    return model


def logs(model):
    return sorted(model.evaluate(X, Y, verbose=0, return_dict=True).values())


def weight_after_a_step(model):
    model.set_weights([np.ones((1, 1))])
    model.train_on_batch(X, Y)
    return [model.get_weights()[0].item()]


def register():
    fastnet.register_activation("anew", scaled)
    fastnet.register_loss("anew", squared)
    fastnet.register_optimizer("anew", descent, learning_rate=0.1)


KINDS = {  # a model, what is seen of it, the same with the factor 2, and with 5
    "activation": (lambda: compiled(activation=scaled), logs, [2], [5]),
    "activation's gradient": (lambda: compiled(activation=scaled), weight_after_a_step, [0.98], [0.95]),
    "registered activation": (lambda: compiled(activation="anew"), weight_after_a_step, [0.98], [0.95]),
    "loss": (lambda: compiled(loss=squared), logs, [2], [5]),
    "loss's gradient": (lambda: compiled(loss=squared), weight_after_a_step, [0.96], [0.9]),
    "registered loss": (lambda: compiled(loss="anew"), logs, [2], [5]),
    "class of a loss": (lambda: compiled(loss=Squared()), logs, [2], [5]),
    "metric": (lambda: compiled(metrics=[squared]), logs, [1, 2], [1, 5]),
    "registered metric": (lambda: compiled(metrics=["anew"]), logs, [1, 2], [1, 5]),
    "regularizer": (lambda: compiled(kernel_regularizer=Weight()), logs, [3], [6]),
    "its gradient": (lambda: compiled(kernel_regularizer=Weight()), weight_after_a_step, [0.95], [0.89]),
    "constraint": (lambda: compiled(kernel_constraint=Become()), weight_after_a_step, [2], [5]),
    "registered optimizer": (lambda: compiled(optimizer="anew"), weight_after_a_step, [0.8], [0.5]),
}


@pytest.mark.parametrize("used", [False, True], ids=["made", "used"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind(kind, used):
    make, seen, before, after = KINDS[kind]
    register()
    first = make()
    if used:
        seen(first)
    set_factor(scaled, 5.0)
    second = make()
    assert seen(second) == pytest.approx(after)
    assert seen(first) == pytest.approx(before)
    assert second.evaluate(X, Y, verbose=0) is not None and seen(second) == pytest.approx(after)


@pytest.mark.parametrize("layer", [Times, Applied])
def test_a_template_is_read_when_a_model_first_uses_it(layer):
    first = compiled(layer())
    assert logs(first) == [2]
    set_factor(scaled, 5.0)
    second = compiled(layer())
    assert logs(second) == [5]
    assert logs(first) == [2] and result(first) == 2  # a new plan of the same model


def test_two_functions_of_one_factory_in_one_kernel():
    def times(factor):
        def inner(x):
            return factor * x

        return inner

    model = compiled(layers.Lambda(times(5.0)), activation=times(2.0))
    assert logs(model) == [10]
    assert weight_after_a_step(model) == pytest.approx([1 - 0.1])


def test_an_optimizer_changed_in_training_keeps_its_rule():
    class Own(fastnet.optimizers.Optimizer):
        def __init__(self, learning_rate=0.1, **more):
            super().__init__("anew", learning_rate, **more)

    register()
    model = compiled(optimizer=Own())
    assert weight_after_a_step(model) == pytest.approx([0.8])
    set_factor(scaled, 5.0)
    model.optimizer.weight_decay = 0.5
    assert weight_after_a_step(model) == pytest.approx([0.95 - 0.2])


def test_a_function_that_did_not_change_gives_the_same_kernels(monkeypatch):
    assert result(applied(scaled)) == 2

    def unexpected(*given):
        raise AssertionError("a kernel is compiled again")

    monkeypatch.setattr(compiler, "named", unexpected)
    assert result(applied(scaled)) == 2


def test_annotations():
    """They are copied, and a function with other ones has another snapshot. A tuple that is no range has no meaning."""

    def noted(x: "number", by: (int, float) = 2.0) -> "number":  # noqa: F821
        return by * x

    assert fastnet.register_activation("noted", noted).parameters == {"by": 2.0}
    assert fastnet.activations.get("noted")([1.0]) == 2
    first = snapshot(noted)
    assert first.__annotations__ == noted.__annotations__ and snapshot(noted) is first
    noted.__annotations__ = {"x": "another"}
    assert snapshot(noted).__annotations__ == {"x": "another"} and first.__annotations__ != noted.__annotations__


# ---- the text of a function


def run_cell(text, name="<cell>"):
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    namespace = {"__name__": "notebook", "math": math}
    exec(compile(text, name, "exec"), namespace)
    return namespace["f"]


def test_a_cell_that_runs_again():
    old = run_cell("def f(x):\n    return 2 * x\n")
    first = applied(old)
    new = run_cell("def f(x):\n    return 5 * x\n")
    assert (result(first), result(applied(new)), result(applied(old))) == (2, 5, 2)


def test_a_function_whose_text_is_not_its_own_is_traced():
    """The text of `old` was replaced before it was read."""
    old = run_cell("def f(x):\n    y = 3 * x\n    return y\n")
    run_cell("def f(x):\n    y = 7 * x\n    return y\n")
    assert layers.Lambda(old)([[2.0]]).tolist() == [[6.0]]
    with pytest.raises(fastnet.RuleError, match="source of the rule 'f' in <cell> is not that of this function"):
        fastnet.register_activation("replaced", old)

    def doubled(f):
        def wrapper(x):
            return 2 * x

        wrapper.__wrapped__ = f
        return wrapper

    @doubled
    def wrapped(x):
        return x

    assert layers.Lambda(wrapped)([[2.0]]).tolist() == [[4.0]]
    with pytest.raises(fastnet.RuleError, match="a decorator put another function in its place"):
        fastnet.register_activation("decorated", wrapped)


@pytest.mark.parametrize(
    "text",
    [
        "import math\ndef f(x):\n    return math.exp(x) + math.pi\n",
        "from math import exp\ndef f(x):\n    '''A text.'''\n    return exp(x) if x > 0 else 0.5\n",
        "from __future__ import annotations\ndef f(x: float) -> float:\n    y: float = x\n    return y ** 2\n",
        "def around():\n    a, b = 1.0, 2.0\n    def f(x):\n        return a * x + b\n    return f\nf = around()\n",
        "class A:\n    @staticmethod\n    def f(x, /, k=1.0):\n        return k * x\nf = A.f\n",
    ],
)
def test_the_text_of_a_function_is_recognized(text):
    f = run_cell(text, f"<cell {hash(text)}>")
    assert snapshot(f).source in text or "    def" in text
    assert snapshot(f)(0.25) == f(0.25)


def test_a_module_that_is_loaded_again(tmp_path, monkeypatch):
    file = tmp_path / "module_of_rules.py"
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    file.write_text("FACTOR = 2.0\n\n\ndef f(x):\n    return FACTOR * x\n")
    import module_of_rules

    first = applied(module_of_rules.f)
    for text, wanted in [("FACTOR = 5.0\n\n\ndef f(x):\n    return FACTOR * x\n", 5), ("def f(x):\n    return x\n", 1)]:
        file.write_text(text)
        importlib.reload(module_of_rules)
        assert result(applied(module_of_rules.f)) == wanted
    assert result(first) == 2
