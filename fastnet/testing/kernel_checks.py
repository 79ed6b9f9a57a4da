"""The checks of activations, losses and layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fastnet import activations, layers, losses
from fastnet._kernels import registry
from fastnet.layers.layer import Layer
from fastnet.testing.devices import compare_devices
from fastnet.testing.parts import each_part_alone
from fastnet.testing.plans import (
    LayerRun,
    activate,
    activation_plan,
    check_factory,
    loss_run,
    loss_values,
    scatter_weights,
    targets_for,
)
from fastnet.testing.running import (
    H,
    Report,
    Run,
    check_single_precision,
    compare_gradient,
    compare_python,
    kind,
    same_bits,
    speed,
)

ELEMENTS = 16_384  # for speed: a few float32 arrays of this size stay in the second-level cache
_SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e30, -1e30, 200.0, -200.0])
MANY = (997, 307)  # for threads: enough work to be shared, and sizes that divide nothing


def check_activation(activation: Any, domain: tuple[float, float] = (-4.0, 4.0), device: str = "cpu") -> Report:
    """Prove an activation: its kernels run as in a model, forward and backward.

    In float64 the gradient agrees with central differences, away from kinks, and the kernel with the function run by
    Python. NaN stays NaN, and float32 and float64 treat infinities alike. The float32 kernels contain no double
    instruction. 1 and 2 threads give the same bits. The speed is reported, not judged.

    Args:
        activation: a name, or one of `fastnet.activations`, or a row of the registry.
        domain: range of the numbers at which the gradient is compared.
        device: "cuda" to compare the bits of a GPU with the CPU's too, at NaN, infinities and subnormal numbers also.
            Where there is no GPU, the PTX machine runs the kernels.

    Returns:
        A `Report`; print it.

    Raises:
        AssertionError: a check failed; the message names it.

    Example:
        >>> from fastnet import testing
        >>> print(testing.check_activation("silu").name)
        activation 'silu'
    """
    if isinstance(activation, registry.Activation):
        activation = activations.Activation(activation)
    activation = activations.get(activation)
    if not hasattr(activation, "row"):  # softmax: every result depends on every element of its row
        width = 14 if isinstance(activation, activations.GatedActivation) else 7  # a gate halves its rows
        return check_layer(lambda: layers.Activation(activation), (width,), domain, device)
    report, rng = Report(f"activation {activation.name!r}"), np.random.default_rng(0)
    x = np.sort(rng.uniform(*domain, (1, 509)))
    ones = np.ones_like(x)
    stencil = [activate(activation, x + k * H, ones)[0] for k in (-2, -1, 0, 1, 2)]
    compare_gradient(report, "gradient", activate(activation, x, ones)[1], stencil)
    values = np.vectorize(activation.row.f, otypes=[float])(x, *activation.parameters.values())
    compare_python(report, "value", stencil[2], values)
    _check_special_numbers(report, activation)
    plan, *_ = activation_plan(activation, "float32", MANY[1], MANY[0])
    check_single_precision(report, plan)

    def make():
        plan, source, result, dy, dx = activation_plan(activation, "float32", MANY[1], MANY[0])
        run, draw = Run(plan, MANY[0], [source, result, dy, dx]), np.random.default_rng(1)
        run.set(source, draw.uniform(-5, 5, MANY))
        run.set(dy, draw.standard_normal(MANY))
        return run, lambda: (run.get(result), run.get(dx))

    same_bits(report, make)
    plan, source, result, dy, dx = activation_plan(activation, "float32", ELEMENTS, 1)
    run = Run(plan, 1, [source, result, dy, dx])
    run.set(source, rng.uniform(*domain, (1, ELEMENTS)))
    run.set(dy, 1.0)
    speed(report, run, ELEMENTS)
    numbers = np.concatenate([x[0, ::9], _SPECIAL])[None]
    compare_devices(report, device, lambda dtype: activate(activation, numbers.astype(dtype), numbers.astype(dtype)))
    return report


def _check_special_numbers(report: Report, activation: Any) -> None:
    special = np.array([[np.nan, np.inf, -np.inf]])
    y, dx = activate(activation, special, np.full_like(special, np.nan))
    if not np.isnan(y[0, 0]) or not np.isnan(dx).all():
        raise AssertionError(
            f"{report.name}: NaN becomes {y[0, 0] if not np.isnan(y[0, 0]) else dx[0]}. Write a conditional in which "
            "NaN falls through, such as `0 if x < 0 else x`."
        )
    y32 = activate(activation, special.astype("f"), special.astype("f"))[0]
    if kind(y[0]) != kind(y32[0]):
        raise AssertionError(f"{report.name}: at NaN, inf and -inf float64 gives {y[0]}, float32 gives {y32[0]}.")
    report.add("NaN", f"kept; inf becomes {y[0, 1]:g}, -inf becomes {y[0, 2]:g}")


def check_loss(
    loss: Any, predictions: tuple[float, float] = (0.05, 0.95), targets: tuple[float, float] = (0.05, 0.95),
    device: str = "cpu",
) -> Report:  # fmt: skip
    """Prove a loss: value and gradient run as in training. The checks are those of `check_activation`.

    Args:
        loss: a name, or one of `fastnet.losses`, or a row of the registry.
        predictions: range of the predictions.
        targets: range of the targets; rows of a loss over classes are divided by their sum, class indices are drawn.
        device: see `check_activation`.

    Raises:
        AssertionError: a check failed; the message names it.

    Example:
        >>> print(testing.check_loss("mse").name)
        loss 'mean_squared_error'
    """
    loss = losses.get(loss)
    report, rng = Report(f"loss {loss.name!r}"), np.random.default_rng(0)
    rows, width = 17, 7 * loss.row.outputs
    x = rng.uniform(*predictions, (rows, width))
    t = targets_for(loss, rng, rows, width, targets)
    for dtype in ("float64", "float32"):
        run, buffers = loss_run(loss, dtype, rows, width)
        if dtype == "float64":
            _check_loss_gradient(report, loss, run, buffers, x, t)
        for index, wrong in ((0, x), (1, t))[: 1 if loss.sparse else 2]:
            spoilt = np.array(wrong)
            spoilt[3, 2] = np.nan
            values = loss_values(run, buffers, *((spoilt, t) if index == 0 else (x, spoilt)))[0]
            if not np.isnan(values[3]) or np.isnan(np.delete(values, 3)).any():
                raise AssertionError(
                    f"{report.name}: with a NaN among the {('predictions', 'targets')[index]} of row 3 the losses of "
                    f"rows 2, 3, 4 are {values[2:5].ravel()}; NaN must stay, in its own row."
                )
    report.add("NaN", "kept, in its own row")
    check_single_precision(report, run.plan)

    def make():
        shape = (MANY[0], MANY[1] * loss.row.outputs)
        run, buffers = loss_run(loss, "float32", *shape)
        draw = np.random.default_rng(1)
        run.set(buffers[0], draw.uniform(*predictions, shape))
        run.set(buffers[1], targets_for(loss, draw, *shape, targets))
        return run, lambda: (run.get(buffers[2]), run.get(buffers[3]))

    same_bits(report, make)
    shape = (ELEMENTS // 16, 16 * loss.row.outputs)
    run, buffers = loss_run(loss, "float32", *shape)
    loss_values(run, buffers, rng.uniform(*predictions, shape), targets_for(loss, rng, *shape, targets))
    speed(report, run, ELEMENTS)
    x[3, 2] = np.nan
    compare_devices(report, device, lambda dtype: loss_values(*loss_run(loss, dtype, rows, width), x, t))
    return report


def _check_loss_gradient(report: Report, loss, run: Run, buffers, x: np.ndarray, t: np.ndarray) -> None:
    values, gradient = loss_values(run, buffers, x, t)
    stencil = np.empty((5, *x.shape))
    for j in range(x.shape[1]):
        for k in range(5):
            moved = x.copy()
            moved[:, j] += (k - 2) * H
            stencil[k, :, j] = loss_values(run, buffers, moved, t)[0][:, 0]
    compare_gradient(report, "gradient", gradient * len(x), stencil)
    if loss.row.f is not None:
        each = np.split(x, loss.row.outputs, axis=1)
        plain = np.vectorize(loss.row.f, otypes=[float])(t, *each, *loss.parameters.values()).mean(axis=1)
        compare_python(report, "value", values[:, 0], plain)


def check_layer(
    layer_factory: Callable[[], Layer], input_shape: tuple[int, ...], domain: tuple[float, float] = (-2.0, 2.0),
    device: str = "cpu",
) -> Report:  # fmt: skip
    """Prove a layer: forward and backward run as in training.

    In float64 the gradients of the input and of every trainable weight, including those of inner layers, agree with
    central differences, away from kinks. The result has the shape that the layer promises. float32 agrees with float64
    to 1e-4. A sample of NaN gives NaN. The float32 kernels contain no double instruction. 1 and 2 threads give the same
    bits. Each part of the axis of a loop, run alone, writes its own elements, and together the parts write all of them.
    The speed is reported, not judged.

    Trainable weights are moved by random numbers from 0.25 to 0.75, up or down: with initial values such as ones and
    zeros, wrong gradients can look right. A weight that needs particular values gets a constraint
    (``add_weight(..., constraint=)``): it is moved up, and the constraint is then applied. Weights that are not trained
    keep their values.

    Args:
        layer_factory: makes a new layer at each call, without a dtype of its own.
        input_shape: of one sample.
        domain: range of the input.
        device: see `check_activation`.

    Raises:
        AssertionError: a check failed; the message names it.
        TypeError: the factory makes no layers.
        ValueError: the factory makes the same layer again, or the shape is not a tuple of positive sizes.

    Example:
        >>> from fastnet import layers, testing
        >>> print(testing.check_layer(lambda: layers.Dense(3, activation="tanh"), (5,)).name)
        layer Dense
    """
    check_factory(layer_factory, input_shape)
    rng, rows = np.random.default_rng(0), 5
    double = LayerRun(layer_factory, "float64", input_shape, rows)
    scatter_weights(double.layer)
    weights, size = double.layer.get_weights(), max(1, int(np.prod(input_shape)))
    report = Report(f"layer {type(double.layer).__name__}")

    def twin(dtype: str, rows: int) -> LayerRun:
        layer = LayerRun(layer_factory, dtype, input_shape, rows)
        layer.layer.set_weights(weights)
        return layer

    x = rng.uniform(*domain, (rows, *input_shape))
    dy = rng.standard_normal(double.run.get(double.y).shape)
    gradients = double(x, dy)
    _check_layer_gradients(report, double, x, dy, gradients)
    single = twin("float32", rows)
    _check_single_layer(report, double.names, gradients, single(x, dy))
    spoilt = x.copy()
    spoilt[2] = np.nan
    if not np.isnan(single(spoilt, dy)[0][2]).any():
        raise AssertionError(f"{report.name}: a sample of NaN gives a finite result; NaN must be seen.")
    report.add("NaN", "kept")
    check_single_precision(report, single.run.plan)
    timed = twin("float32", max(1, ELEMENTS // size))
    timed.run.set(timed.x, rng.uniform(*domain, (timed.run.rows, *input_shape)))
    timed.run.set(timed.dy, 1.0)
    timed.run.steps()
    each_part_alone(report, timed.run)
    many = max(17, 200_000 // size) | 1

    def make():
        layer = twin("float32", many)
        draw = np.random.default_rng(1)
        layer.run.set(layer.x, draw.uniform(*domain, (many, *input_shape)))
        layer.run.set(layer.dy, draw.standard_normal((many, *layer.y.shape)))
        return layer.run, lambda: [layer.run.get(view) for view in layer.views]

    same_bits(report, make, require_parallel=False)
    speed(report, timed.run, timed.run.rows * size)
    compare_devices(report, device, lambda dtype: twin(dtype, rows)(spoilt, dy))
    return report


def _check_single_layer(
    report: Report, names: Sequence[str], wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]
) -> None:
    """Compare the result and the gradients of a layer in float32 with those in float64."""
    for name, double, single in zip(("result", "input gradient", *names), wanted, got, strict=True):
        if not np.abs(double - single).max() <= 1e-4 * max(1.0, np.abs(double).max()):
            raise AssertionError(f"{report.name}: the {name} in float32 is off by {np.abs(double - single).max():.2g}.")
    report.add("float32 against float64", "agree to 1e-4")


def _check_layer_gradients(
    report: Report, layer: LayerRun, x: np.ndarray, dy: np.ndarray, results: list[np.ndarray]
) -> None:
    """Compare every gradient of `LayerRun.loss` with differences, at up to 100 elements each."""
    weights = layer.layer.trainable_weights
    for name, array, gradient in zip(
        ["input", *layer.names], [x, *(v.array for v in weights)], results[1:], strict=True
    ):
        chosen = np.random.default_rng(4).permutation(array.size)[:100]
        stencil = np.empty((5, len(chosen)))
        flat = array.reshape(-1)
        for i, element in enumerate(chosen):
            start = flat[element]
            for k in range(5):
                flat[element] = start + (k - 2) * H
                stencil[k, i] = layer.loss(x, dy)
            flat[element] = start
        compare_gradient(report, f"gradient of {name}", gradient.reshape(-1)[chosen], stencil)
