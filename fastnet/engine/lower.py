"""From a network, a loss and an optimizer to a plan."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels.generate import Kernel
from fastnet._kernels.templates import data, penalties
from fastnet.arrays import as_array
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Buffer, Plan, Slot
from fastnet.engine.sources import Inlet, outlet


@dataclass(eq=False)
class Tally:
    """What the loss or a metric counts: ``size`` numbers from ``slot`` on, and the result that follows from them.

    Attributes:
        counted: the numbers themselves, in the step block that the plan is bound to.
    """

    name: str
    slot: Slot
    size: int
    value: Callable[[Any], Any]
    metric: Any = None
    counted: np.ndarray = field(init=False)

    def bind(self, numbers: np.ndarray) -> None:
        """Count in this step block."""
        self.counted = numbers[self.slot.index : self.slot.index + self.size]

    def read(self) -> np.ndarray:
        """What was counted so far; a view."""
        return self.counted

    def write(self, values: np.ndarray) -> None:
        """Go on from what `read` gave."""
        self.counted[...] = values

    def reset(self) -> None:
        """Count from 0 on."""
        self.counted.fill(0.0)

    def tell(self) -> None:
        """Give the metric what was counted, so that its own `result` is that of the pass."""
        if self.metric is not None:
            self.metric.set_numbers(self.counted)

    def result(self) -> Any:
        """The result so far."""
        return self.value(self.counted)


@dataclass(eq=False)
class Watched:
    """A metric that is written in Python, which counts by itself; its methods are those of a `Tally`.

    Attributes:
        weighted: whether it is given the weights of the rows.
        begun: whether it has seen a batch; its result may not exist before.
    """

    name: str
    metric: Any
    weighted: bool
    begun: bool = False

    def bind(self, numbers: np.ndarray) -> None:
        """It counts in memory of its own."""

    def read(self) -> np.ndarray:
        return self.metric.numbers()

    def write(self, values: np.ndarray) -> None:
        self.metric.set_numbers(values)
        self.begun = True

    def reset(self) -> None:
        self.metric.reset_state()
        self.begun = False

    def tell(self) -> None:
        """It knows."""

    def result(self) -> Any:
        value = self.metric.result() if self.begun else math.nan
        if isinstance(value, dict):
            return value
        value = as_array(value, f"The metric {self.name!r}: what result() returns")
        return value if value.ndim else value.item()

    def see(
        self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None, mask: np.ndarray | None
    ) -> None:
        """Count a batch."""
        more = {"sample_weight": sample_weight} if self.weighted else {}
        if mask is not None and self.metric.masked:
            weighted = self.weighted and sample_weight is not None
            more = {"sample_weight": mask * sample_weight if weighted else mask}
        self.metric.update_state(y_true, y_pred, **more)
        self.begun = True


@dataclass(eq=False)
class Lowered:
    """A plan, and where its data enters and its results are found.

    Attributes:
        x, y, weights: inlets of data, targets and sample weights; None where the plan has none.
        outputs: (layer, its result) in order.
        result: slot of the address predictions are written to.
        totals: what the loss and the metrics count, in the order of the logs.
        watched: those of them that are written in Python; ``prediction`` and ``each`` (the rows' weights) are for them.
    """

    plan: Plan
    x: Inlet
    y: Inlet | None = None
    weights: Inlet | None = None
    outputs: list[tuple[Any, Buffer]] = field(default_factory=list)
    input: Buffer | None = None
    target: Buffer | None = None
    result: Slot | None = None
    prediction: Buffer | None = None
    each: Buffer | None = None
    totals: list[Tally | Watched] = field(default_factory=list)

    @property
    def mask(self) -> Buffer | None:
        """The mask of the predictions."""
        return None if self.prediction is None else self.prediction.mask

    @property
    def watched(self) -> list[Watched]:
        return [tally for tally in self.totals if isinstance(tally, Watched)]


def lower(
    layers: Sequence[Any],
    mode: str,
    rows: int,
    x: tuple,
    y: tuple | None = None,
    loss: Any = None,
    metrics: Sequence[tuple[str, Any, bool]] = (),
    optimizer: Any = None,
    join: bool = True,
    weights: tuple | None = None,
    trained: Collection[Any] | None = None,
) -> Lowered:
    """What one step of ``mode`` does.

    Args:
        layers: the network, built.
        mode: "train", "evaluate" or "predict".
        rows: the batch's size.
        x, y, weights: signatures of the sources (`sources.Source`).
        loss, metrics, optimizer: as compiled; the optimizer has its state.
        join: whether launches may be joined; off when every layer's result is to be looked at.
        trained: the weights that are penalized and updated, where not all of which their layers say so.
    """
    plan = Plan(mode == "train", layers[0].dtype, rows)
    numbers = None
    if mode == "train":
        plan.label = optimizer.name
        numbers = optimizer.start(plan)
    plan.label = "input"
    source = plan.buffer(x[0])
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
    dy = _losses(low, prediction, y, weights, loss, metrics)
    owned = [(layer, v) for layer in layers for v in layer.trainable_weights if trained is None or v in trained]
    _penalties(low, trace, owned)
    if mode == "train":
        plan.phase = "backward"
        _backward(plan, trace, dy)
        plan.phase = "update"
        optimizer.apply(plan, [(layer.name, v) for layer, v in owned], numbers)
    if join:
        fuse(plan)
    return low


def _forward(plan: Plan, layers: Sequence[Any], x: Buffer) -> list[tuple[Any, Buffer, Buffer]]:
    trace = []
    for layer in layers:
        plan.label = layer.name
        x = _cast(plan, x, layer.dtype)
        y = layer.forward(plan, x)
        _pass_mask(layer, x, y)
        trace.append((layer, x, y))
        x = y
    return trace


def _pass_mask(layer: Any, x: Buffer, y: Buffer) -> None:
    """Give the result the mask of what its layer read, unless it has one already."""
    if x.mask is None or y.mask is not None:
        return
    owner = f"Layer {layer.name!r} ({type(layer).__name__})"
    if not layer.supports_masking:
        warnings.warn(
            f"{owner} does not support masking and drops the mask of its input: from here on the steps that were left "
            "out count, in the loss and the metrics too.",
            stacklevel=2,
        )
        return
    if y.shape[:-1] != x.mask.shape:
        raise ValueError(
            f"{owner} supports masking and must keep the steps: of samples of shape {x.shape}, whose mask has the "
            f"shape {x.mask.shape}, it gives {y.shape}. A layer that changes the steps sets `y.mask` in forward."
        )
    y.mask = x.mask


def _backward(plan: Plan, trace: Sequence[tuple[Any, Buffer, Buffer]], dy: Buffer | None) -> None:
    first = len(plan.launches)
    for layer, x, y in reversed(trace):
        plan.label = layer.name
        if dy is None or not y.needs_gradient:
            break
        dy = _cast(plan, dy, layer.dtype)
        if layer.activity_regularizer is not None:
            dy = layer.activity_regularizer.activity_gradient(plan, dy, y)
        dy = layer.backward(plan, dy, x, y)
    if first < len(plan.launches):
        plan.launches[first].flags |= abi.CHECK


def _cast(plan: Plan, x: Buffer, dtype: str) -> Buffer:
    if x.dtype == dtype:
        return x
    y = plan.buffer(x.shape, dtype, needs_gradient=x.needs_gradient)
    template = data.cast_float32 if x.dtype == "float32" else data.cast_float64
    plan.elements(Kernel(template, dtype=dtype), x, 200, x=x, y=y)
    if x.mask is not None:
        y.mask = _cast(plan, x.mask, dtype)
    return y


def _losses(
    low: Lowered, prediction: Buffer, y: tuple, weights: tuple | None, loss: Any, metrics: Sequence[tuple]
) -> Buffer | None:
    """Targets, weights, loss and metrics; the gradient of the loss while training."""
    plan = low.plan
    plan.label = "targets"
    shape = prediction.shape[:-1] if loss.sparse else prediction.shape
    target = plan.buffer(shape, "int32" if loss.sparse else prediction.dtype)
    low.y, low.target = Inlet(plan, y, target), target
    each = None
    if weights is not None:
        each = plan.buffer((math.prod(prediction.shape[:-1]),), prediction.dtype)
        low.weights = Inlet(plan, weights, each)
    low.prediction, low.each = prediction, each
    plan.label, dy = loss.name, None
    shares = loss.shares(plan, prediction, target, each)
    if plan.training:
        values, dy = loss.values_and_gradient(plan, prediction, target, shares)
    else:
        values = loss.values(plan, prediction, target)
    low.totals.append(Tally("loss", loss.total(plan, values, shares), 2, loss.mean))
    for name, metric, weighted in metrics:
        if metric.in_python:
            low.totals.append(Watched(name, metric, weighted))
            continue
        plan.label = name
        size = metric.size(prediction.shape)
        slot = plan.slot(size)
        metric.count(plan, prediction, target, each if weighted else None, slot)
        low.totals.append(Tally(name, slot, size, metric.value, metric))
    return dy


def _penalties(low: Lowered, trace: Sequence[tuple[Any, Buffer, Buffer]], owned: Sequence[tuple[Any, Any]]) -> None:
    """What regularizers add to the loss, before it is looked at."""
    assert isinstance(low.totals[0], Tally)
    plan, total = low.plan, low.totals[0].slot
    slots = {"loss": Slot(abi.LOSS), "nonfinite": Slot(abi.NONFINITE)}
    for layer, _, y in trace:
        plan.label = layer.name
        weights = [v for owner, v in owned if owner is layer and v.regularizer is not None]
        found = [v.regularizer.weight_penalty(plan, v) for v in weights]
        if layer.activity_regularizer is not None:
            found.append(layer.activity_regularizer.activity_penalty(plan, y))
        for sums, extent in found:
            kernel = Kernel(penalties.add_penalty, dtype=layer.dtype)
            plan.once(kernel, sums=sums, total=total, **{"count": 0, "inner": 0, **extent}, **slots)
