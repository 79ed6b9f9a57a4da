"""The check of optimizers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet import optimizers
from fastnet._kernels import registry
from fastnet.engine.variable import Variable
from fastnet.testing.devices import compare_devices
from fastnet.testing.kernel_checks import ELEMENTS, MANY
from fastnet.testing.plans import update, update_run
from fastnet.testing.running import Report, check_single_precision, compare_python, same_bits, speed

MATRIX = 384, 96  # whose update is shared by threads


def check_optimizer(optimizer: Any, device: str = "cpu") -> Report:
    """Prove an optimizer: its update runs as in training.

    Ten steps in float64 agree with the functions run by Python, and ten steps in float32 agree with them to 1e-4. 100
    steps lower ½ |w|². A NaN in the gradient reaches its own weight, and if the rule changes each weight by itself, no
    other one. The float32 kernels contain no double instruction. 1 and 2 threads give the same bits. The speed is
    reported, not judged.

    Where an update folds along axes or multiplies matrices, the last three are proved of a matrix too; what it computes
    should be compared with NumPy in a test of its own.

    Args:
        optimizer: a name, or one of `fastnet.optimizers`, or a row of the registry. Its state does not change.
        device: see `check_activation`.

    Raises:
        AssertionError: a check failed; the message names it.

    Example:
        >>> print(testing.check_optimizer("sgd").name)
        optimizer 'sgd'
    """
    if isinstance(optimizer, registry.Update):
        optimizer = optimizers.Optimizer(optimizer, optimizer.learning_rate)
    optimizer = optimizers.get(optimizer)  # only the rule is proved, without the options of all optimizers
    optimizer = optimizer.without_options()
    report, rng = Report(f"optimizer {optimizer.name!r}"), np.random.default_rng(0)
    start, gradients = rng.standard_normal(53), rng.standard_normal((10, 53))
    results = {dtype: update(optimizer, dtype, start, gradients) for dtype in ("float64", "float32")}
    row = _built(optimizer, start)[0]
    if row.whole is None:
        expected = _plain_updates(optimizer, start, gradients)
        compare_python(report, "ten steps", _flat(results["float64"]), _flat(expected))
    names = ("weight", *row.states, *row.carried)
    for name, double, single in zip(names, *results.values(), strict=True):
        if not np.abs(double - single).max() <= 1e-4 * max(1.0, np.abs(double).max()):
            raise AssertionError(f"{report.name}: the {name} in float32 is off by {np.abs(double - single).max():.2g}.")
    _check_descent(report, optimizer, rng)
    spoilt = gradients.copy()
    spoilt[0, 5] = np.nan
    weight = update(optimizer, "float32", start, spoilt)[0]
    spreads = row.whole or row.direction or row.sums or row.total_sums or any(stage.sums for stage in row.stages)
    others = "" if spreads else ", and no other"
    if not np.isnan(weight[5]) or (others and np.isnan(np.delete(weight, 5)).any()):
        raise AssertionError(
            f"{report.name}: with a NaN in the gradient of weight 5 the weights 4 to 6 become {weight[4:7]}; NaN must "
            f"reach its own weight{others}."
        )
    report.add("NaN", "kept, in its own weight" if others else "kept")
    run, variable, gradient = update_run(optimizer, "float32", np.zeros(MANY[0] * MANY[1]))
    check_single_precision(report, run.plan)

    def make():
        run, variable, gradient = update_run(
            optimizer, "float32", np.random.default_rng(2).standard_normal(MANY[0] * MANY[1])
        )
        run.set(gradient, np.random.default_rng(3).standard_normal(MANY[0] * MANY[1]))
        return run, lambda: (variable.numpy(), *(s.numpy() for s in run.states))

    same_bits(report, make)
    run, variable, gradient = update_run(optimizer, "float32", rng.standard_normal(ELEMENTS))
    run.set(gradient, rng.standard_normal(ELEMENTS))
    speed(report, run, ELEMENTS)
    compare_devices(report, device, lambda dtype: update(optimizer, dtype, start, spoilt[:3]))
    _check_matrix(report, optimizer, device)
    return report


def _check_matrix(report: Report, optimizer: Any, device: str) -> None:
    """Check an update that is one of whole arrays, for a matrix."""
    rng = np.random.default_rng(4)
    start, gradients = rng.standard_normal((9, 6)), rng.standard_normal((3, 9, 6))
    if _built(optimizer, start)[0].whole is None:
        return
    run, variable, gradient = update_run(optimizer, "float32", start)
    check_single_precision(report, run.plan)

    def make():
        run, variable, gradient = update_run(optimizer, "float32", rng.standard_normal(MATRIX))
        run.set(gradient, np.ones(MATRIX))
        variable.assign(np.random.default_rng(2).standard_normal(MATRIX))
        return run, lambda: (variable.numpy(), *(s.numpy() for s in run.states))

    same_bits(report, make)
    compare_devices(report, device, lambda dtype: update(optimizer, dtype, start, gradients))
    report.add("folds", "also of a matrix")


def _plain_updates(optimizer: Any, start: np.ndarray, gradients: np.ndarray) -> list[np.ndarray]:
    """The weight and the states after these steps, with the rules run by Python."""
    row, given = _built(optimizer, start)
    states, carried = [s.numpy() for s in given[: len(row.states)]], [float(s) for s in given[len(row.states) :]]
    values = np.array([start, *states, *[np.zeros(start.shape)] * row.direction])
    memory = list(row.memory.values())
    parameters = (optimizer.parameters if row is optimizer.row else row.parameters).values()
    for step, gradient in enumerate(gradients):
        scalars = row.scalars(optimizer.rates(1)[0], float(step + 1), *parameters, *memory)
        scalars = scalars if isinstance(scalars, tuple) else (scalars,)
        scalars, memory = scalars[: row.scalar_count], list(scalars[row.scalar_count :])
        before, found = values.copy(), []
        for rule in (*row.sums.values(), *row.total_sums.values()):
            found.append(_sum(rule, before, gradient, scalars))
        scalars = (*scalars, *found)
        for stage in row.stages:
            sums = [_sum(f, before, gradient, scalars) for f in stage.sums]
            numbers = stage.f(*stage.parameters, *scalars, *sums, *carried)
            scalars = (*scalars, *(numbers if isinstance(numbers, tuple) else (numbers,)))
        if carried:
            scalars, carried = scalars[: -len(carried)], list(scalars[-len(carried) :])
        for i, g in enumerate(gradient):
            values[:, i] = row.f(values[0, i], g, *values[1:, i], *scalars)
        if row.direction:
            w, u = values[0], values[-1]
            w -= u * (row.factor(w @ w, u @ u, len(w), *scalars) if row.factor else scalars[0])
    return [*values[: 1 + len(row.states)], *map(np.array, carried)]


def _sum(rule: Callable[..., float], values: np.ndarray, gradient: np.ndarray, scalars: Sequence[float]) -> float:
    """A rule summed over a weight."""
    return math.fsum(rule(values[0, i], g, *values[1:, i], *scalars) for i, g in enumerate(gradient))


def _built(optimizer: Any, start: np.ndarray) -> tuple[registry.Update, list[Variable]]:
    """The row of a weight and its states."""
    fresh, variable = optimizer.anew(), Variable(start, "weight")
    fresh.build([variable])
    return fresh.row_of(variable), fresh.states[variable]


def _flat(values: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(value) for value in values])


def _check_descent(report: Report, optimizer: Any, rng: np.random.Generator) -> None:
    """Check that one hundred steps lower ½ |w|², whose gradient is w."""
    run, variable, gradient = update_run(optimizer, "float64", rng.uniform(0.5, 1.0, 31) * rng.choice([-1, 1], 31))
    before = 0.5 * float(np.square(variable.numpy()).mean())
    for step in range(100):
        run.set(gradient, variable.array)
        run.steps(1, first=step)
    after = 0.5 * float(np.square(variable.numpy()).mean())
    if not after < before:
        raise AssertionError(
            f"{report.name}: 100 steps raise ½ |w|² from {before:.4g} to {after:.4g}; is its sign right?"
        )
    report.add("descent", f"½ |w|² from {before:.3g} to {after:.3g} in 100 steps")
