"""Metrics whose `update_state` is array code, counted in the compiled step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastnet import hooks
from fastnet.arrays import as_array
from fastnet.engine.view import Slot
from fastnet.symbolic import metrics
from fastnet.symbolic.array import ShapeError


class InStepBlock:
    """Numbers that the step counts: ``size`` of them from ``slot`` on."""

    slot: Slot
    size: int
    counted: np.ndarray

    def bind(self, scalars: np.ndarray) -> None:
        """Count in this step block."""
        self.counted = scalars[self.slot.index : self.slot.index + self.size]

    def read(self) -> np.ndarray:
        """A view of the numbers counted so far."""
        return self.counted

    def write(self, values: np.ndarray) -> None:
        """Go on from what `read` gave."""
        self.counted[...] = values


@dataclass(eq=False)
class TracedMetric(InStepBlock):
    """A metric of a user's class whose variables the step counts; its methods are those of a `CompiledMetric`.

    Attributes:
        counted: the numbers of its variables, and behind them the rows of the last batch.
    """

    name: str
    metric: Any
    slot: Slot
    size: int
    counted: np.ndarray = field(init=False)

    def reset(self) -> None:
        """Start from what the metric's `reset_state` gives its variables."""
        self.metric.reset_state()
        self.counted[:-1], self.counted[-1] = self.metric.accumulators(), 0

    def publish(self) -> None:
        """Give the metric what was counted."""
        self.metric.set_accumulators(self.counted[:-1])

    def result(self) -> Any:
        """What the metric's `result` makes of the numbers so far; NaN before the first batch."""
        if not self.counted[-1]:
            return math.nan
        self.publish()
        value = self.metric.result()
        return value if isinstance(value, dict) else as_array(value, f"The metric {self.name!r}: what result() returns")


def traced_metric(step: Any, name: str, metric: Any, weighted: bool) -> TracedMetric | None:
    """Add the launches that count a metric of a user's class; None if it must be shown each batch.

    Args:
        step: what is planned: its predictions, targets and weights.
        name: its key in the logs.
        metric: the metric.
        weighted: whether it is given the weights of the rows.
    """
    plan, y_true, y_pred = step.plan, step.target, step.prediction
    has_mask = metric.masked and y_pred.mask is not None
    if has_mask or y_true.dtype != y_pred.dtype or not hooks.overrides(type(metric), "update_state"):
        return None
    if metric.parts or not metric.accumulators().size:  # it may keep what it sees elsewhere
        return None
    views, more = [y_true, y_pred], {"sample_weight": None} if weighted else {}
    if weighted and step.sample_weight is not None:
        views.append(step.sample_weight.view(step.weights_shape))
    update = metrics.traced_update(metric, [(None, *view.shape) for view in views], more)
    if update is None:
        return None
    size = len(metric.accumulators()) + 1
    plan.label, slot = name, plan.slot(size)
    first = len(plan.launches)
    try:
        metrics.count(update, plan, views, slot, y_pred.dtype)
    except ShapeError:  # folds that there are no loops for
        del plan.launches[first:]
        return None
    metric.is_counted = True
    return TracedMetric(name, metric, slot, size)
