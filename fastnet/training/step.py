"""From a network, a loss and an optimizer to a plan: what one step does, and where its data and results are."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from fastnet._kernels import abi
from fastnet._kernels.templates import folds
from fastnet.arrays import as_array
from fastnet.engine.bind import bind
from fastnet.engine.executable import Executable
from fastnet.engine.fuse import fuse
from fastnet.engine.plan import Plan
from fastnet.engine.sources import Inlet, outlet
from fastnet.engine.variable import Variable
from fastnet.engine.view import Slot, View
from fastnet.losses.penalties_alone import PENALTIES_ALONE
from fastnet.training.traced_metrics import InStepBlock, TracedMetric, traced_metric
from fastnet.training.unreached import warn_of_loss, warn_of_weights


class Mode(NamedTuple):
    """The kind of a step.

    Attributes:
        loss: whether it has targets, and counts the loss. Otherwise a step that goes back is given the gradient of the
            predictions.
        backward: whether gradients are computed, and layers behave as in training.
        updates: whether the optimizer changes the weights. Otherwise the gradients of the weights are results.
        input_gradient: whether the gradient of the data is a result.
    """

    loss: bool = False
    backward: bool = False
    updates: bool = False
    input_gradient: bool = False


MODES = {
    "predict": Mode(),
    "evaluate": Mode(loss=True),
    "train": Mode(loss=True, backward=True, updates=True),
    "gradients": Mode(loss=True, backward=True, input_gradient=True),
    "output_gradients": Mode(backward=True, input_gradient=True),
    "train_on_gradient": Mode(backward=True, updates=True),
    "train_through": Mode(backward=True, updates=True, input_gradient=True),
}


@dataclass(eq=False)
class CompiledMetric(InStepBlock):
    """The numbers that the loss or a metric counts, ``size`` from ``slot`` on, and their result.

    Attributes:
        counted: the numbers, in the step block that the plan is bound to.
    """

    name: str
    slot: Slot
    size: int
    value: Callable[[Any], Any]
    metric: Any = None
    counted: np.ndarray = field(init=False)

    def reset(self) -> None:
        """Count from 0 on."""
        self.counted.fill(0.0)

    def publish(self) -> None:
        """Give the metric what was counted, so that its own `result` is that of the pass."""
        if self.metric is not None:
            self.metric.set_accumulators(self.counted)

    def result(self) -> Any:
        """The result so far."""
        return self.value(self.counted)


@dataclass(eq=False)
class PythonMetric:
    """A metric that is written in Python, which counts by itself; its methods are those of a `CompiledMetric`.

    Attributes:
        weighted: whether it is given the weights of the rows.
        has_batches: whether it has seen a batch; its result may not exist before.
    """

    name: str
    metric: Any
    weighted: bool
    has_batches: bool = False

    def bind(self, scalars: np.ndarray) -> None:
        """It counts in memory of its own."""

    def read(self) -> np.ndarray:
        return self.metric.accumulators()

    def write(self, values: np.ndarray) -> None:
        self.metric.set_accumulators(values)
        self.has_batches = True

    def reset(self) -> None:
        self.metric.reset_state()
        self.has_batches = False

    def publish(self) -> None:
        """Its own `result` is that of the pass."""

    def result(self) -> Any:
        value = self.metric.result() if self.has_batches else math.nan
        if isinstance(value, dict):
            return value
        return as_array(value, f"The metric {self.name!r}: what result() returns")

    def update(
        self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: np.ndarray | None, mask: np.ndarray | None
    ) -> None:
        """Count a batch."""
        more = {"sample_weight": sample_weight} if self.weighted else {}
        if mask is not None and self.metric.masked:
            if self.weighted and sample_weight is not None:
                mask = (sample_weight.T * mask.T).T  # transposed, since weights of elements have one axis more
            more = {"sample_weight": mask}
        self.metric.update_state(y_true, y_pred, **more)
        self.has_batches = True


@dataclass(eq=False)
class Step:
    """A plan, and where its data enters and its results are found.

    Attributes:
        x, y, weights: inlets of data, targets (or the gradient of the predictions) and sample weights; None where the
            plan has none.
        gradients: the gradients of the weights that are results, and ``input_gradient`` that of the data.
        copies: of the weights that layers change, for a step that must change nothing.
        result: slot of the address predictions are written to.
        totals: what the loss and the metrics count, in the order of the logs.
        python_metrics: those of them that are written in Python; ``prediction``, ``sample_weight``, and the shape of
            the weights of a sample are for them.
        executable: the plan with memory and machine code, from `bind` on.
    """

    plan: Plan
    x: Inlet
    y: Inlet | None = None
    weights: Inlet | None = None
    input: View | None = None
    target: View | None = None
    result: Slot | None = None
    prediction: View | None = None
    sample_weight: View | None = None
    weights_shape: tuple[int, ...] = ()
    gradients: dict[Variable, View] = field(default_factory=dict)
    copies: dict[Variable, Variable] = field(default_factory=dict)
    input_gradient: View | None = None
    totals: list[CompiledMetric | TracedMetric | PythonMetric] = field(default_factory=list)
    executable: Executable = field(init=False)

    def bind(self, rows: int, reuse: bool, device: str) -> Step:
        """Give the plan memory and machine code; itself.

        Args:
            rows: the largest batch.
            reuse: whether buffers may share memory.
            device: "cpu" or "cuda".
        """
        self.executable = bind(self.plan, rows, device, reuse=reuse, weights=self.copies)
        for total in self.totals:
            total.bind(self.executable.scalars)
        return self

    @property
    def mask(self) -> View | None:
        """The mask of the predictions."""
        return None if self.prediction is None else self.prediction.mask

    @functools.cached_property
    def inlets(self) -> list[Inlet]:
        """Of x, y and sample weights, where the plan has them."""
        return [inlet for inlet in (self.x, self.y, self.weights) if inlet is not None]

    @functools.cached_property
    def python_metrics(self) -> list[PythonMetric]:
        return [total for total in self.totals if isinstance(total, PythonMetric)]


def lower(
    network: Any,
    mode: str,
    rows: int,
    x: tuple,
    y: tuple | None = None,
    loss: Any = None,
    metrics: Sequence[tuple[str, Any, bool]] = (),
    optimizer: Any = None,
    join: bool = True,
    weights: tuple | None = None,
) -> Step:
    """Make the plan of one step of ``mode``.

    Args:
        network: a layer, built: in most cases a `Sequential`.
        mode: one of `MODES`.
        rows: the largest batch.
        x, y, weights: signatures of the sources (`sources.Source`).
        loss, metrics, optimizer: as compiled; the optimizer has its state.
        join: whether launches may be joined; off when every layer's result is to be looked at.
    """
    kind, wanted = MODES[mode], network.trainable_weights
    plan = Plan(kind.backward, network.dtype, rows, frozenset(wanted if kind.backward else ()))
    plan.snapshots = network.snapshots
    scalars = None
    if kind.updates:
        plan.label = optimizer.label
        scalars = optimizer.start(plan)
    plan.label = "input"
    source = plan.buffer(x[0], "int32" if network.reads == "int32" else None)
    passes = source.dtype != "int32" and all(leaf.passes_gradient for leaf in network.leaves)
    source.needs_gradient = kind.input_gradient and passes
    step = Step(plan, Inlet(plan, x, source), input=source)
    prediction = plan.apply(network, source)
    if not (kind.loss or kind.backward):
        plan.label = "output"
        step.result = outlet(plan, prediction)
        plan.store_assigned()
        if join:
            fuse(plan)
        return step
    assert y is not None
    dy = _losses(step, prediction, y, weights, loss, metrics) if kind.loss else _given_gradient(step, prediction, y)
    _penalties(step, wanted)
    if loss is PENALTIES_ALONE and not (plan.penalized or any(v.regularizer is not None for v in wanted)):
        raise RuntimeError(
            f"The model {network.name!r} has no loss: compile was given no loss, and no layer has a penalty or calls "
            "add_loss; call model.compile(optimizer=..., loss=...) first."
        )
    if kind.backward:
        plan.phase = "backward"
        _backward(step, prediction, dy, kind)
        warn_of_weights(network, plan, wanted)
        plan.phase = "update"
        gradients = [(label_of(v), v, _gradient(plan, v)) for v in wanted]
        if kind.updates:
            optimizer.launch(plan, gradients, scalars)
        else:
            step.gradients = {v: g for _, v, g in gradients}
            step.copies = {v: Variable(v.array, v.name) for v in _written(plan)}
    else:
        plan.store_assigned()
    found = (step.target, step.input_gradient, *step.gradients.values(), *_python_metric_inputs(step))
    plan.results += [view for view in found if view is not None]
    if join:
        fuse(plan)
    return step


def label_of(variable: Variable) -> str:
    """The name of a weight's layer."""
    return variable.path.rpartition("/")[0]


def _python_metric_inputs(step: Step) -> list[View | None]:
    """The views that metrics written in Python read."""
    return [step.prediction, step.sample_weight, step.mask] if step.python_metrics else []


def _given_gradient(step: Step, prediction: View, signature: tuple) -> View:
    """Add the launch that reads the gradient of the predictions; the gradient."""
    plan = step.plan
    plan.label = "gradient"
    step.target = plan.like(prediction)
    step.y, step.prediction = Inlet(plan, signature, step.target), prediction
    return step.target


def _backward(step: Step, prediction: View, dy: View | None, kind: Mode) -> None:
    plan, source = step.plan, step.input
    assert source is not None
    first = len(plan.launches)
    found = plan.tape.backward(prediction, dy, source)
    if kind.input_gradient:
        step.input_gradient = found
    if kind.updates and first < len(plan.launches):
        plan.launches[first].flags |= abi.CHECK


def _gradient(plan: Plan, variable: Variable) -> View:
    """Add the launches of the gradient of a weight, with that of its penalty; the gradient."""
    plan.label = label_of(variable)
    g = plan.total_gradient(variable)
    if variable.regularizer is not None:
        variable.regularizer.add_gradient(plan, variable, g)
    return g


def _written(plan: Plan) -> list[Variable]:
    """The weights that launches write, such as moving averages."""
    access = (pair for launch in plan.launches for pair in launch.access)
    return list({id(v): v for v, mode in access if "w" in mode and isinstance(v, Variable)}.values())


def _losses(
    step: Step, prediction: View, y: tuple, weights: tuple | None, loss: Any, metrics: Sequence[tuple]
) -> View | None:
    """Targets, weights, loss and metrics; the gradient of the loss while training."""
    plan = step.plan
    plan.label = "targets"
    shape = loss.target_shape(prediction.shape, y[0])
    target = plan.buffer(shape, "int32" if loss.sparse else prediction.dtype)
    step.y, step.target = Inlet(plan, y, target), target
    weights_of_rows, weights_of_elements = _weights(step, loss.along(prediction.shape).shape, prediction.dtype, weights)
    step.prediction = prediction
    plan.label, dy = loss.name, None
    y_pred, y_true = loss.moved(plan, prediction, target)
    if weights_of_elements is not None:
        y_true = replace(y_true, weights=weights_of_elements)
    row_weight = loss.row_weight(plan, y_pred, y_true, weights_of_rows)
    if plan.training:
        values, dy = loss.values_and_gradient(plan, y_pred, y_true, row_weight)
        warn_of_loss(loss, plan, y_true, y_pred)
        dy = loss.moved_back(plan, dy, prediction.shape)
    else:
        values = loss.values(plan, y_pred, y_true)
    step.totals.append(CompiledMetric("loss", loss.total(plan, values, row_weight), 2, loss.mean))
    for name, metric, weighted in metrics:
        if metric.in_python:
            step.totals.append(traced_metric(step, name, metric, weighted) or PythonMetric(name, metric, weighted))
            continue
        if weighted and weights is not None and metric.along(prediction.shape) != loss.along(prediction.shape):
            raise ValueError(
                f"The weighted metric {metric.name!r} has axis={metric.axis}, and the loss {loss.name!r} "
                f"axis={loss.axis}: sample weights are of rows along one axis. Give both the same axis, or the metric "
                "in metrics=[...]."
            )
        plan.label = name
        metric.is_counted = True
        y_pred, y_true = metric.moved(plan, prediction, target)
        if weighted and weights_of_elements is not None:
            y_true = replace(y_true, weights=weights_of_elements)
        size = metric.size(y_pred.shape)
        slot = plan.slot(size)
        metric.count(plan, y_pred, y_true, weights_of_rows if weighted else None, slot)
        step.totals.append(CompiledMetric(name, slot, size, metric.value, metric))
    return dy


def _weights(
    step: Step, shape: tuple[int, ...], dtype: str, signature: tuple | None
) -> tuple[View | None, View | None]:
    """Sample weights, where there are any: of the rows of predictions of this shape, or of their elements."""
    if signature is None:
        return None, None
    by_element = len(signature[0]) == len(shape)
    step.weights_shape = shape if by_element else shape[:-1]
    given = step.plan.buffer(shape if by_element else (math.prod(shape[:-1]),), dtype)
    step.weights, step.sample_weight = Inlet(step.plan, signature, given), given
    return (None, given) if by_element else (given, None)


def _penalties(step: Step, wanted: Sequence[Variable]) -> None:
    """Add the penalties of regularizers to the loss, before the check of the loss."""
    plan = step.plan
    if not step.totals:  # there is no loss, but a penalty may compute what its gradient needs
        for variable in wanted:
            first = len(plan.launches)
            if variable.regularizer is not None:
                plan.label = label_of(variable)
                variable.regularizer.weight_penalty(plan, variable)
            if variable not in plan.penalty_state:
                del plan.launches[first:]
        return
    assert isinstance(step.totals[0], CompiledMetric)
    total = step.totals[0].slot
    for variable in wanted:
        if variable.regularizer is not None:
            plan.label = label_of(variable)
            _add_penalty(plan, total, variable.regularizer.weight_penalty(plan, variable), mean=False)
    for penalty in plan.penalized:
        plan.label = penalty.name
        _add_penalty(plan, total, penalty.regularizer.activity_penalty(plan, penalty.view), mean=penalty.is_mean)


def _add_penalty(plan: Plan, total: Slot, sums: tuple[View, int], mean: bool) -> None:
    """Add the launch that adds a penalty, given by sums of chunks and their number of elements."""
    chunk_sums, count = sums
    slots = {"loss": Slot(abi.LOSS), "nonfinite": Slot(abi.NONFINITE), "total": total}
    plan.call(folds.add_penalty, chunk_sums=chunk_sums, count=count, mean=mean, rows=-1, **slots)
