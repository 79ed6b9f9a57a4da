"""check_activation, check_loss, check_optimizer, check_layer."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from fastnet import activations, config, losses, optimizers
from fastnet._kernels import registry
from fastnet.engine.plan import Buffer, Plan
from fastnet.engine.variable import Variable
from fastnet.layers.base import Layer
from fastnet.testing.running import (
    H,
    Report,
    Run,
    compare_gradient,
    compare_python,
    float32_kept,
    kind,
    same_bits,
    speed,
)

_ELEMENTS = 16_384  # for speed: a few float32 arrays of this size stay in the second-level cache
_MANY = (997, 307)  # for threads: enough work to be shared, and sizes that divide nothing


def check_activation(activation: Any, domain: tuple[float, float] = (-4.0, 4.0)) -> Report:
    """Prove an activation: its kernels run as in a model, forward and backward.

    The gradient agrees with central differences in float64 away from kinks; the float64 kernel computes what the function says
    when Python runs it; NaN stays NaN; float32 and float64 treat infinities alike; float32 kernels hold no double
    instruction; 1 and 2 threads give the same bits. The speed is reported, not judged.

    Args:
        activation: a name, or one of `fastnet.activations`, or a row of the registry.
        domain: where the gradient is looked at.

    Returns:
        A `Report`; print it.

    Raises:
        AssertionError: something is wrong; says what.

    Example:
        >>> from fastnet import testing
        >>> print(testing.check_activation("silu"))  # doctest: +SKIP
    """
    if isinstance(activation, registry.Activation):
        activation = activations.Activation(activation)
    activation = activations.get(activation)
    report, rng = Report(f"activation {activation.name!r}"), np.random.default_rng(0)
    x = np.sort(rng.uniform(*domain, (1, 509)))
    ones = np.ones_like(x)
    if hasattr(activation, "row"):
        stencil = [_activate(activation, x + k * H, ones)[0] for k in (-2, -1, 0, 1, 2)]
        compare_gradient(report, "gradient", _activate(activation, x, ones)[1], stencil)
        values = np.vectorize(activation.row.f, otypes=[float])(x, *activation.parameters.values())
        compare_python(report, "value", stencil[2], values)
    else:  # softmax: every result depends on every element of its row
        report = check_layer(lambda: _layer_of(activation), (7,))
        report.name = f"activation {activation.name!r}"
        return report
    special = np.array([[np.nan, np.inf, -np.inf]])
    y, dx = _activate(activation, special, np.full_like(special, np.nan))
    if not np.isnan(y[0, 0]) or not np.isnan(dx).all():
        raise AssertionError(
            f"{report.name}: NaN becomes {y[0, 0] if not np.isnan(y[0, 0]) else dx[0]}. Write a conditional in which NaN "
            "falls through, such as `0 if x < 0 else x`."
        )
    y32 = _activate(activation, special.astype("f"), special.astype("f"))[0]
    if kind(y[0]) != kind(y32[0]):
        raise AssertionError(f"{report.name}: at NaN, inf and -inf float64 gives {y[0]}, float32 gives {y32[0]}.")
    report.add("NaN", f"kept; inf becomes {y[0, 1]:g}, -inf becomes {y[0, 2]:g}")
    plan, source, result, dy, dx = _activation_plan(activation, "float32", _MANY[1], _MANY[0])
    float32_kept(report, plan)

    def make():
        plan, source, result, dy, dx = _activation_plan(activation, "float32", _MANY[1], _MANY[0])
        run, draw = Run(plan, _MANY[0], [source, result, dy, dx]), np.random.default_rng(1)
        run.set(source, draw.uniform(-5, 5, _MANY))
        run.set(dy, draw.standard_normal(_MANY))
        return run, lambda: (run.get(result), run.get(dx))

    same_bits(report, make)
    plan, source, result, dy, dx = _activation_plan(activation, "float32", _ELEMENTS, 1)
    run = Run(plan, 1, [source, result, dy, dx])
    run.set(source, rng.uniform(*domain, (1, _ELEMENTS)))
    run.set(dy, 1.0)
    speed(report, run, _ELEMENTS)
    return report


def _layer_of(activation: Any) -> Layer:
    from fastnet import layers

    return layers.Activation(activation)


def _activation_plan(activation: Any, dtype: str, width: int, rows: int) -> tuple[Plan, Buffer, Buffer, Buffer, Buffer]:
    plan = Plan(True, dtype, rows)
    x, dy = plan.buffer((width,), needs_gradient=True), plan.buffer((width,))
    y = activation.forward(plan, x)
    return plan, x, y, dy, activation.backward(plan, dy, x, y)


def _activate(activation: Any, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y, dx) for rows of x and dy."""
    plan, source, y, gradient, dx = _activation_plan(activation, x.dtype.name, x.shape[1], len(x))
    run = Run(plan, len(x), [source, y, gradient, dx])
    run.set(source, x)
    run.set(gradient, dy)
    run.steps()
    return run.get(y), run.get(dx)


def check_loss(
    loss: Any, predictions: tuple[float, float] = (0.05, 0.95), targets: tuple[float, float] = (0.05, 0.95)
) -> Report:
    """Prove a loss: value and gradient run as in training; see `check_activation` for what is looked at.

    Args:
        loss: a name, or one of `fastnet.losses`, or a row of the registry.
        predictions: range of the predictions.
        targets: range of the targets; rows of a loss over classes are divided by their sum, class indices are drawn.

    Raises:
        AssertionError: something is wrong; says what.
    """
    loss = losses.Loss(loss) if isinstance(loss, registry.Loss) else losses.get(loss)
    report, rng = Report(f"loss {loss.name!r}"), np.random.default_rng(0)
    rows, width = 17, 7
    x = rng.uniform(*predictions, (rows, width))
    t = _targets(loss, rng, rows, width, targets)
    for dtype in ("float64", "float32"):
        run, buffers = _loss_run(loss, dtype, rows, width)
        if dtype == "float64":
            _check_loss_gradient(report, loss, run, buffers, x, t)
        for place, wrong in ((0, x), (1, t))[: 1 if loss.sparse else 2]:
            spoilt = np.array(wrong)
            spoilt[3, 2] = np.nan
            values = _loss_values(run, buffers, *((spoilt, t) if place == 0 else (x, spoilt)))[0]
            if not np.isnan(values[3]) or np.isnan(np.delete(values, 3)).any():
                raise AssertionError(
                    f"{report.name}: with a NaN among the {('predictions', 'targets')[place]} of row 3 the losses of "
                    f"rows 2, 3, 4 are {values[2:5].ravel()}; NaN must stay, in its own row."
                )
    report.add("NaN", "kept, in its own row")
    float32_kept(report, run.plan)

    def make():
        run, buffers = _loss_run(loss, "float32", *_MANY)
        draw = np.random.default_rng(1)
        run.set(buffers[0], draw.uniform(*predictions, _MANY))
        run.set(buffers[1], _targets(loss, draw, *_MANY, targets))
        return run, lambda: (run.get(buffers[2]), run.get(buffers[3]))

    same_bits(report, make)
    shape = (_ELEMENTS // 16, 16)
    run, buffers = _loss_run(loss, "float32", *shape)
    _loss_values(run, buffers, rng.uniform(*predictions, shape), _targets(loss, rng, *shape, targets))
    speed(report, run, _ELEMENTS)
    return report


def _check_loss_gradient(report: Report, loss, run: Run, buffers, x: np.ndarray, t: np.ndarray) -> None:
    values, gradient = _loss_values(run, buffers, x, t)
    stencil = np.empty((5, *x.shape))
    for j in range(x.shape[1]):
        for k in range(5):
            moved = x.copy()
            moved[:, j] += (k - 2) * H
            stencil[k, :, j] = _loss_values(run, buffers, moved, t)[0][:, 0]
    compare_gradient(report, "gradient", gradient * len(x), stencil)
    if loss.row.f is not None:
        plain = np.vectorize(loss.row.f, otypes=[float])(t, x, *loss.parameters.values()).mean(axis=1)
        compare_python(report, "value", values[:, 0], plain)


def _targets(loss: Any, rng: np.random.Generator, rows: int, width: int, bounds: tuple[float, float]) -> np.ndarray:
    if loss.sparse:
        return rng.integers(0, width, rows)
    t = rng.uniform(*bounds, (rows, width))
    return t if loss.row.row is None else t / t.sum(axis=1, keepdims=True)


def _loss_run(loss: Any, dtype: str, rows: int, width: int) -> tuple[Run, tuple[Buffer, ...]]:
    plan = Plan(True, dtype, rows)
    prediction = plan.buffer((width,))
    target = plan.buffer((), "int32") if loss.sparse else plan.buffer((width,))
    buffers = (prediction, target, *loss.values_and_gradient(plan, prediction, target))
    return Run(plan, rows, buffers), buffers


def _loss_values(run: Run, buffers, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(loss of each row, gradient of their mean)."""
    run.set(buffers[0], x)
    run.set(buffers[1], t)
    run.steps()
    return run.get(buffers[2]), run.get(buffers[3])


def check_optimizer(optimizer: Any) -> Report:
    """Prove an optimizer: its update runs as in training.

    Ten steps in float64 are what the functions give when Python runs them, and in float32 the same within 1e-4; a bowl
    is descended; a NaN in the gradient reaches its own weight and no other; float32 kernels hold no double
    instruction; 1 and 2 threads give the same bits. The speed is reported, not judged.

    Args:
        optimizer: a name, or one of `fastnet.optimizers`, or a row of the registry. Its state is left alone.

    Raises:
        AssertionError: something is wrong; says what.
    """
    if isinstance(optimizer, registry.Update):
        optimizer = optimizers.Optimizer(optimizer, optimizer.parameters.get("learning_rate", 0.01))
    optimizer = copy.copy(optimizers.get(optimizer))
    report, rng = Report(f"optimizer {optimizer.name!r}"), np.random.default_rng(0)
    start, gradients = rng.standard_normal(53), rng.standard_normal((10, 53))
    results = {dtype: _update(optimizer, dtype, start, gradients) for dtype in ("float64", "float32")}
    compare_python(report, "ten steps", np.stack(results["float64"]), np.stack(_plain_updates(optimizer, start, gradients)))
    for name, double, single in zip(("weight", *optimizer.row.states), *results.values(), strict=True):
        if not np.abs(double - single).max() <= 1e-4 * max(1.0, np.abs(double).max()):
            raise AssertionError(f"{report.name}: the {name} in float32 is off by {np.abs(double - single).max():.2g}.")
    _check_descent(report, optimizer, rng)
    spoilt = gradients.copy()
    spoilt[0, 5] = np.nan
    weight = _update(optimizer, "float32", start, spoilt)[0]
    if not np.isnan(weight[5]) or np.isnan(np.delete(weight, 5)).any():
        raise AssertionError(
            f"{report.name}: with a NaN in the gradient of weight 5 the weights 4 to 6 become {weight[4:7]}; NaN must "
            "reach its own weight, and no other."
        )
    report.add("NaN", "kept, in its own weight")
    run, variable, gradient = _update_run(optimizer, "float32", np.zeros(_MANY[0] * _MANY[1]))
    float32_kept(report, run.plan)

    def make():
        run, variable, gradient = _update_run(optimizer, "float32", np.random.default_rng(2).standard_normal(_MANY[0] * _MANY[1]))
        run.set(gradient, np.random.default_rng(3).standard_normal(_MANY[0] * _MANY[1]))
        return run, lambda: (variable.numpy(), *(s.numpy() for s in run.states))

    same_bits(report, make)
    run, variable, gradient = _update_run(optimizer, "float32", rng.standard_normal(_ELEMENTS))
    run.set(gradient, rng.standard_normal(_ELEMENTS))
    speed(report, run, _ELEMENTS)
    return report


def _update_run(optimizer: Any, dtype: str, start: np.ndarray):
    variable = Variable(start.astype(dtype), "weight")
    own = copy.copy(optimizer)
    own.states = {}
    own.build([variable])
    plan = Plan(True, dtype, 1)
    slots = own.start(plan)
    gradient = plan.buffer(variable.shape, per_row=False)
    own.update(plan, variable, gradient, slots)
    run = Run(plan, 1, [gradient], rate=own.rates(1)[0])
    run.states = own.states[variable]
    return run, variable, gradient


def _update(optimizer: Any, dtype: str, start: np.ndarray, gradients: np.ndarray) -> list[np.ndarray]:
    """The weight and the states after steps with these gradients."""
    run, variable, buffer = _update_run(optimizer, dtype, start)
    for step, gradient in enumerate(gradients):
        run.set(buffer, gradient)
        run.steps(1, first=step)
    return [variable.numpy(), *(s.numpy() for s in run.states)]


def _plain_updates(optimizer: Any, start: np.ndarray, gradients: np.ndarray) -> list[np.ndarray]:
    """The same, by running the rules as Python."""
    row = optimizer.row
    numbers = np.array([[*start.T], *([row.starts.get(name, 0.0)] * len(start) for name in row.states)])
    for step, gradient in enumerate(gradients):
        scalars = row.scalars(optimizer.rates(1)[0], float(step + 1), *optimizer.parameters.values())
        scalars = scalars if isinstance(scalars, tuple) else (scalars,)
        for i, g in enumerate(gradient):
            numbers[:, i] = row.f(numbers[0, i], g, *numbers[1:, i], *scalars)
    return list(numbers)


def _check_descent(report: Report, optimizer: Any, rng: np.random.Generator) -> None:
    """One hundred steps on ½ |w|²: the gradient is w."""
    run, variable, gradient = _update_run(optimizer, "float64", rng.uniform(0.5, 1.0, 31) * rng.choice([-1, 1], 31))
    before = 0.5 * float(np.square(variable.numpy()).mean())
    for step in range(100):
        run.set(gradient, variable.array)
        run.steps(1, first=step)
    after = 0.5 * float(np.square(variable.numpy()).mean())
    if not after < before:
        raise AssertionError(f"{report.name}: 100 steps raise ½ |w|² from {before:.4g} to {after:.4g}; is its sign right?")
    report.add("descent", f"½ |w|² from {before:.3g} to {after:.3g} in 100 steps")


def check_layer(layer_factory: Callable[[], Layer], input_shape: tuple[int, ...], domain: tuple[float, float] = (-2.0, 2.0)) -> Report:
    """Prove a layer: forward and backward run as in training.

    The gradients of every trainable weight and of the input agree with central differences in float64, away from
    kinks; float32 gives the same within 1e-4; a row of NaN is seen; float32 kernels hold no double instruction; 1 and 2
    threads give the same bits. The speed is reported, not judged.

    Args:
        layer_factory: makes a new layer at each call, without a dtype of its own.
        input_shape: of one sample.
        domain: range of the input.

    Raises:
        AssertionError: something is wrong; says what.

    Example:
        >>> from fastnet import layers, testing
        >>> print(testing.check_layer(lambda: layers.Dense(3, activation="tanh"), (5,)))  # doctest: +SKIP
    """
    rng, rows = np.random.default_rng(0), 5
    double = _Layer(layer_factory, "float64", input_shape, rows)
    report = Report(f"layer {type(double.layer).__name__}")
    x = rng.uniform(*domain, (rows, *input_shape))
    dy = rng.standard_normal(double.run.get(double.y).shape)
    gradients = double(x, dy)
    _check_layer_gradients(report, double, x, dy, gradients)
    single = _Layer(layer_factory, "float32", input_shape, rows)
    single.layer.set_weights(double.layer.get_weights())
    for name, wanted, got in zip(("result", "input gradient", *double.names), gradients, single(x, dy), strict=True):
        if not np.abs(wanted - got).max() <= 1e-4 * max(1.0, np.abs(wanted).max()):
            raise AssertionError(f"{report.name}: the {name} in float32 is off by {np.abs(wanted - got).max():.2g}.")
    report.add("float32 against float64", "agree to 1e-4")
    spoilt = x.copy()
    spoilt[2] = np.nan
    if not np.isnan(single(spoilt, dy)[0][2]).any():
        raise AssertionError(f"{report.name}: a sample of NaN gives a finite result; NaN must be seen.")
    report.add("NaN", "kept")
    float32_kept(report, single.run.plan)
    many = max(17, 200_000 // max(1, int(np.prod(input_shape)))) | 1
    weights = single.layer.get_weights()

    def make():
        layer = _Layer(layer_factory, "float32", input_shape, many)
        layer.layer.set_weights(weights)
        draw = np.random.default_rng(1)
        layer.run.set(layer.x, draw.uniform(*domain, (many, *input_shape)))
        layer.run.set(layer.dy, draw.standard_normal((many, *layer.y.shape)))
        return layer.run, lambda: [layer.run.get(b) for b in layer.buffers]

    same_bits(report, make, must_share=False)
    timed = _Layer(layer_factory, "float32", input_shape, max(1, _ELEMENTS // max(1, int(np.prod(input_shape)))))
    timed.run.set(timed.x, rng.uniform(*domain, (timed.run.rows, *input_shape)))
    timed.run.set(timed.dy, 1.0)
    speed(report, timed.run, timed.run.rows * int(np.prod(input_shape)))
    return report


class _Layer:
    """A layer's training step without a loss: x and dy are given."""

    def __init__(self, factory: Callable[[], Layer], dtype: str, input_shape: tuple[int, ...], rows: int):
        before = config.floatx()
        config.set_floatx(dtype)
        try:
            self.layer = factory()
        finally:
            config.set_floatx(before)
        self.layer.connect(tuple(input_shape))
        plan = Plan(True, dtype, rows)
        self.x = plan.buffer(input_shape, needs_gradient=True)
        self.y = self.layer.forward(plan, self.x)
        self.dy = plan.buffer(self.y.shape)
        self.dx = self.layer.backward(plan, self.dy, self.x, self.y)
        missing = [v.name for v in self.layer.trainable_weights if v not in plan.gradients]
        if self.dx is None or missing:
            what = "x" if self.dx is None else " and ".join(map(repr, missing))
            raise AssertionError(f"layer {type(self.layer).__name__}: backward gives no gradient of {what}.")
        self.names = [v.name for v in self.layer.trainable_weights]
        self.buffers = [self.y, self.dx, *(plan.gradients[v] for v in self.layer.trainable_weights)]
        self.run = Run(plan, rows, [self.x, self.dy, *self.buffers])

    def __call__(self, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        """The result, the gradient of x, the gradients of the weights."""
        self.run.set(self.x, x)
        self.run.set(self.dy, dy)
        self.run.steps()
        return [self.run.get(b) for b in self.buffers]


def _check_layer_gradients(report: Report, layer: _Layer, x: np.ndarray, dy: np.ndarray, results: list[np.ndarray]) -> None:
    """Every gradient of sum(y · dy) against differences, at up to 100 elements each."""
    weights = layer.layer.trainable_weights
    for name, place, gradient in zip(["input", *layer.names], [x, *(v.array for v in weights)], results[1:], strict=True):
        chosen = np.random.default_rng(4).permutation(place.size)[:100]
        stencil = np.empty((5, len(chosen)))
        flat = place.reshape(-1)
        for i, element in enumerate(chosen):
            start = flat[element]
            for k in range(5):
                flat[element] = start + (k - 2) * H
                stencil[k, i] = (layer(x, dy)[0] * dy).sum()
            flat[element] = start
        compare_gradient(report, f"gradient of {name}", gradient.reshape(-1)[chosen], stencil)
