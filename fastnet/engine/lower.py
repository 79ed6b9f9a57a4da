"""From a network, a loss and an optimizer to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data, reduce
from fastnet.engine.data import Inlet, outlet
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Buffer, Plan, Slot


@dataclass(eq=False)
class Lowered:
    """A plan, and where its data enters and its results are found.

    Attributes:
        x, y: inlets of data and targets; None where the plan has none.
        outputs: (layer, its result) in order.
        result: slot of the address predictions are written to.
        totals: (name, slot of a sum and its count) of the loss and the metrics.
    """

    plan: Plan
    x: Inlet
    y: Inlet | None = None
    outputs: list[tuple[Any, Buffer]] = field(default_factory=list)
    input: Buffer | None = None
    target: Buffer | None = None
    result: Slot | None = None
    totals: list[tuple[str, Slot]] = field(default_factory=list)


def lower(
    layers: Sequence[Any],
    mode: str,
    rows: int,
    x: tuple,
    y: tuple | None = None,
    loss: Any = None,
    metrics: Sequence[Any] = (),
    optimizer: Any = None,
    join: bool = True,
) -> Lowered:
    """What one step of ``mode`` does.

    Args:
        layers: the network, built.
        mode: "train", "evaluate" or "predict".
        rows: the batch's size.
        x, y: signatures of the sources (`data.Source`).
        loss, metrics, optimizer: as compiled; the optimizer has its state.
        join: whether launches may be joined; off when every layer's result is to be looked at.
    """
    plan = Plan(mode == "train", layers[0].dtype, rows)
    scalars = []
    if mode == "train":
        plan.label = optimizer.name
        scalars = optimizer.start(plan)
    plan.label = "input"
    source = plan.buffer(layers[0].input_shape)
    low = Lowered(plan, Inlet(plan, x, source), input=source)
    trace = _forward(plan, layers, source)
    low.outputs = [(layer, out) for layer, _, out in trace]
    prediction = trace[-1][2]
    if mode == "predict":
        plan.label = "output"
        low.result = outlet(plan, prediction)
        if join:
            fuse(plan)
        return low
    assert y is not None
    dy = _losses(low, prediction, y, loss, metrics)
    if mode == "train":
        plan.phase = "backward"
        _backward(plan, trace, dy)
        plan.phase = "update"
        for layer in layers:
            plan.label = layer.name
            for variable in layer.trainable_weights:
                optimizer.update(plan, variable, plan.gradients[variable], scalars)
    if join:
        fuse(plan)
    return low


def _forward(plan: Plan, layers: Sequence[Any], x: Buffer) -> list[tuple[Any, Buffer, Buffer]]:
    trace = []
    for layer in layers:
        plan.label = layer.name
        x = _cast(plan, x, layer.dtype)
        y = layer.forward(plan, x)
        trace.append((layer, x, y))
        x = y
    return trace


def _backward(plan: Plan, trace: Sequence[tuple[Any, Buffer, Buffer]], dy: Buffer | None) -> None:
    first = len(plan.launches)
    for layer, x, y in reversed(trace):
        plan.label = layer.name
        if dy is None or not y.needs_gradient:
            break
        dy = layer.backward(plan, _cast(plan, dy, layer.dtype), x, y)
    if first < len(plan.launches):
        plan.launches[first].flags |= abi.CHECK


def _cast(plan: Plan, x: Buffer, dtype: str) -> Buffer:
    if x.dtype == dtype:
        return x
    y = plan.buffer(x.shape, dtype, needs_gradient=x.needs_gradient)
    template = data.cast_float32 if x.dtype == "float32" else data.cast_float64
    plan.elements(Kernel(template, dtype=dtype), x, 200, x=x, y=y)
    return y


def _losses(low: Lowered, prediction: Buffer, signature: tuple, loss: Any, metrics: Sequence[Any]) -> Buffer | None:
    """Targets, loss and metrics; the gradient of the loss while training."""
    plan = low.plan
    plan.label = "targets"
    shape = prediction.shape[:-1] if loss.sparse else prediction.shape
    target = plan.buffer(shape, "int32" if loss.sparse else prediction.dtype)
    low.y, low.target = Inlet(plan, signature, target), target
    plan.label, dy = loss.name, None
    if plan.training:
        values, dy = loss.values_and_gradient(plan, prediction, target)
    else:
        values = loss.values(plan, prediction, target)
    total = plan.slot(2)
    kernel = Kernel(reduce.loss_total, dtype=values.dtype)
    slots = {"loss": Slot(abi.LOSS), "nonfinite": Slot(abi.NONFINITE)}
    plan.once(kernel, values=values, total=total, inner=values.width, **slots)
    low.totals.append(("loss", total))
    for metric in metrics:
        plan.label = metric.name
        values, total = metric.values(plan, prediction, target), plan.slot(2)
        plan.once(Kernel(reduce.metric_total, dtype=values.dtype), values=values, total=total, inner=values.width)
        low.totals.append((metric.name, total))
    return dy
