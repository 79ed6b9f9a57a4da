"""Plans for the checks: of an activation, a loss, an update and a layer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fastnet import checks, config
from fastnet._kernels.errors import quoted
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Plan
from fastnet.engine.variable import Variable
from fastnet.engine.view import View
from fastnet.layers.layer import Layer
from fastnet.testing.running import Run


def activation_plan(activation: Any, dtype: str, width: int, rows: int) -> tuple[Plan, View, View, View, View]:
    plan = Plan(True, dtype, rows)
    x, dy = plan.buffer((width,)), plan.buffer((width,))
    y = activation.forward(plan, x)
    return plan, x, y, dy, activation.backward(plan, dy, x, y)


def activate(activation: Any, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(y, dx) for rows of x and dy."""
    plan, source, y, gradient, dx = activation_plan(activation, x.dtype.name, x.shape[1], len(x))
    run = Run(plan, len(x), [source, y, gradient, dx])
    run.set(source, x)
    run.set(gradient, dy)
    run.steps()
    return run.get(y), run.get(dx)


def loss_run(loss: Any, dtype: str, rows: int, width: int) -> tuple[Run, tuple[View, ...]]:
    plan = Plan(True, dtype, rows)
    prediction = plan.buffer((width,))
    target = plan.buffer(loss.row.target_shape((width,)), "int32" if loss.sparse else dtype)
    buffers = (prediction, target, *loss.values_and_gradient(plan, prediction, target))
    return Run(plan, rows, buffers), buffers


def loss_values(run: Run, buffers, x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(loss of each row, gradient of their mean)."""
    run.set(buffers[0], x)
    run.set(buffers[1], t)
    run.steps()
    return run.get(buffers[2]), run.get(buffers[3])


def update_run(optimizer: Any, dtype: str, start: np.ndarray):
    variable = Variable(start.astype(dtype), "weight")
    fresh = optimizer.anew()
    fresh.build([variable])
    plan = Plan(True, dtype, 1)
    scalars = fresh.start(plan)
    gradient = plan.gradient(variable)
    assert gradient is not None
    fresh.launch(plan, [("weight", variable, gradient)], scalars)
    run = Run(plan, 1, [gradient], rate=fresh.rates(1)[0])
    run.states = fresh.states[variable]
    return run, variable, gradient


def update(optimizer: Any, dtype: str, start: np.ndarray, gradients: np.ndarray) -> list[np.ndarray]:
    """The weight and the states after one step with each of these gradients."""
    run, variable, buffer = update_run(optimizer, dtype, start)
    for step, gradient in enumerate(gradients):
        run.set(buffer, gradient)
        run.steps(1, first=step)
    return [variable.numpy(), *(s.numpy() for s in run.states)]


class LayerRun:
    """A layer's training step without a loss, for given x and dy."""

    def __init__(self, factory: Callable[[], Layer], dtype: str, input_shape: tuple[int, ...], rows: int):
        self.layer = make_layer(factory, dtype)
        plan = Plan(True, dtype, rows)
        self.x = plan.buffer(input_shape)
        self.x.needs_gradient = True
        with floatx(dtype):  # of the layers that its make_weights makes
            promised = self.layer.connect(tuple(input_shape))
            self.y = plan.apply(self.layer, self.x)
        owner, weights = f"layer {type(self.layer).__name__}", self.layer.trainable_weights
        if self.y.shape != promised:
            raise AssertionError(
                f"{owner}: forward gives {self.y.shape}, but sample_output_shape({tuple(input_shape)}) is {promised}."
            )
        self.names = [v.path if self.layer.sublayers else v.name for v in weights]
        self.dy = plan.buffer(self.y.shape)
        self.dx = plan.tape.backward(self.y, self.dy, self.x)
        missing = [name for name, v in zip(self.names, weights, strict=True) if v not in plan.gradients]
        if self.dx is None or missing:
            what = "x" if self.dx is None else " and ".join(map(repr, missing))
            raise AssertionError(f"{owner}: backward gives no gradient of {what}.")
        self.views = [self.y, self.dx, *map(plan.total_gradient, weights)]
        self.penalized = plan.penalized
        plan.results += [*self.views, *(penalty.view for penalty in self.penalized)]
        fuse(plan)  # as in a model
        self.run = Run(plan, rows, [self.x, self.dy])

    def __call__(self, x: np.ndarray, dy: np.ndarray) -> list[np.ndarray]:
        """The result, the gradient of x, the gradients of the weights; what the layer assigns is as before."""
        self.run.set(self.x, x)
        self.run.set(self.dy, dy)
        values = {variable: variable.numpy() for variable in self.run.plan.assigned}
        self.run.steps()
        for variable, value in values.items():
            variable.assign(value)
        return [self.run.get(view) for view in self.views]

    def loss(self, x: np.ndarray, dy: np.ndarray) -> float:
        """The function whose gradients are computed: sum(y · dy) + the penalties on activities."""
        y = self(x, dy)[0]
        penalties = [
            float(one.regularizer(self.run.get(one.view))) / (self.run.rows if one.is_mean else 1)
            for one in self.penalized
        ]
        return float((y * dy).sum()) + sum(penalties)


def make_layer(factory: Callable[[], Layer], dtype: str) -> Layer:
    """A layer of this dtype."""
    with floatx(dtype):
        return factory()


@contextlib.contextmanager
def floatx(dtype: str) -> Iterator[None]:
    """Layers made within have this dtype by default."""
    previous = config.floatx()
    config.set_floatx(dtype)
    try:
        yield
    finally:
        config.set_floatx(previous)


def check_factory(factory: Any, input_shape: Any) -> None:
    """Check the arguments of `check_layer`.

    Raises:
        TypeError: the factory is not a function, or does not make layers.
        ValueError: the factory makes the same layer again, or the shape is not a tuple of positive sizes.
    """
    if isinstance(factory, Layer) or not callable(factory):
        raise TypeError(
            f"check_layer takes a function that makes a new layer, received {quoted(factory)}: pass a class, or "
            "`lambda: Dense(3)`."
        )
    first, second = make_layer(factory, "float64"), make_layer(factory, "float64")
    if not isinstance(first, Layer):
        raise TypeError(f"check_layer: the function must return a layer, and returned {first!r}.")
    if first is second:
        raise ValueError(f"check_layer: the function must make a new layer at each call; {first!r} came twice.")
    checks.sample_shape("check_layer: input_shape", input_shape)


def scatter_weights(layer: Layer) -> None:
    """Move every trainable weight away from its initial value: with ones and zeros, wrong gradients look right.

    Weights that are not trained stay: averages must fit each other. A weight with a constraint moves up, so that one
    which must not be negative is not at its bound, and the constraint is then applied.
    """
    rng = np.random.default_rng(5)
    for variable in layer.trainable_weights:
        noise = rng.uniform(0.25, 0.75, variable.shape)
        if variable.constraint is None:
            variable.assign(variable.array + noise * rng.choice([-1.0, 1.0], variable.shape))
        else:
            variable.assign(variable.constraint(variable.array + noise))


def targets_for(loss: Any, rng: np.random.Generator, rows: int, width: int, bounds: tuple[float, float]) -> np.ndarray:
    if loss.sparse:
        return rng.integers(0, width, rows)
    t = rng.uniform(*bounds, (rows, *loss.row.target_shape((width,))))
    return t if loss.row.row is None else t / t.sum(axis=1, keepdims=True)
