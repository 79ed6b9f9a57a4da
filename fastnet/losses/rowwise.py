"""Rows of the registry as launches: the number of each row, the gradient of the batch's loss; and on arrays at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastnet._kernels import registry
from fastnet._kernels.rules.scalars import unchanged
from fastnet._kernels.templates import folds, labels, rows
from fastnet.arrays import as_array, match_targets, match_weights
from fastnet.engine.bind import bind
from fastnet.engine.executable import Executable
from fastnet.engine.plan import Plan
from fastnet.engine.view import View
from fastnet.losses.axes import AlongAxis


@dataclass(frozen=True)
class RowFunction:
    """A row of the registry with values for its arguments.

    Args:
        row: the row.
        parameters: in the row's order.
        smoothing: label smoothing of "dense" targets of a row rule.
    """

    row: registry.Loss
    parameters: tuple[float, ...] = ()
    smoothing: float = 0.0

    def launch(
        self, plan: Plan, y_pred: View, y_true: View, gradient: bool = False, row_weight: View | None = None
    ) -> tuple[View, View | None]:
        """Add the launches of the number of each row, and of the gradient of the batch's loss by ``y_pred``.

        Args:
            plan: gets the launches.
            y_pred: predictions.
            y_true: targets, as the row reads them.
            gradient: whether the gradient is wanted.
            row_weight: the weight of each row's number in the loss; None if the loss is their mean.
        """
        if self.row.traced is not None:
            return self._launch_traced(plan, y_pred, y_true, gradient, row_weight)
        values = plan.buffer((y_pred.row_count,), y_pred.dtype)
        dy = plan.like(y_pred) if gradient else None
        if self.row.targets == "signs":
            signs, others = plan.like(y_true), plan.slot()
            chunk_sums, count = plan.sums(labels.count_other_labels, y_true=y_true)
            plan.call(folds.total_of, f=unchanged, chunk_sums=chunk_sums, count=count, result=others, p=[])
            plan.call(labels.signs_of_labels, y_true=y_true, others=others, signs=signs)
            signs.weights, y_true = y_true.weights, signs
        launch = self._launch_elements if self.row.row is None else self._launch_rows
        launch(plan, y_pred, y_true, values, dy, row_weight)
        return values, dy

    def _launch_traced(self, plan, y_pred, y_true, gradient, row_weight):
        form = self.row.traced.form(y_true.shape, y_pred.shape)
        if form.row is not None:
            return RowFunction(form.row).launch(plan, y_pred, y_true, gradient, row_weight)
        if y_true.weights is not None:
            raise ValueError(
                f"{self.row.name!r} gives one number for each row of samples of shape {y_pred.shape}, whose "
                "elements cannot be weighted: give a weight for each row."
            )
        return self.row.traced.launch(plan, y_pred, y_true, gradient, row_weight)

    def _launch_rows(self, plan, y_pred, y_true, values, dy, row_weight):
        row, gradient = self.row, dy is not None
        template = rows.RowTemplate(
            row.name, row.row, row.targets, value=True, element=gradient, gradient=gradient,
            scalars=len(self.parameters),
        )  # fmt: skip
        operands = {"x": y_pred.as_rows, "loss": values}
        operands |= {"labels": y_true} if row.sparse else {"t": y_true.as_rows}
        operands |= {"smoothing": self.smoothing} if row.targets == "dense" else {}
        operands |= {"p": self.parameters} if self.parameters else {}
        operands |= {"y": dy.as_rows, "row_weight": row_weight} if gradient else {}
        template.call(plan, **operands)

    def _launch_elements(self, plan, y_pred, y_true, values, dy, row_weight):
        if self.row.slopes:
            self._launch_outputs(plan, y_pred, y_true, values, dy, row_weight)
            return
        operands = {"y_true": y_true.as_rows, "y_pred": y_pred.as_rows, "p": self.parameters}
        if y_true.weights is not None:
            operands["weights"] = y_true.weights.as_rows
        plan.call(rows.mean_of_row, f=self.row.f, loss=values, **operands)
        if dy is not None:
            plan.call(rows.gradient_of_mean, df=self.row.df, dx=dy.as_rows, row_weight=row_weight, **operands)

    def _launch_outputs(self, plan, y_pred, y_true, values, dy, row_weight):
        """The launches of a formula of several predictions for each target."""
        outputs = self.row.outputs
        operands = {"y_true": y_true.as_rows, "predictions": _divided(y_pred, outputs), "p": self.parameters}
        plan.call(rows.mean_of_outputs, f=self.row.f, loss=values, **operands)
        if dy is not None:
            for slope, dx in zip(self.row.slopes, _divided(dy, outputs), strict=True):
                plan.call(rows.gradient_of_output, df=slope, dx=dx, row_weight=row_weight, **operands)

    def on_arrays(
        self, y_true: Any, y_pred: Any, name: str, elements: bool = False, axis: AlongAxis | None = None
    ) -> np.ndarray:
        """The number of each row; of the predictions' shape without the axis of rows, the last one by default."""
        once = OnArrays(
            y_true, y_pred, self.row.sparse, name, elements=elements, target_shape=self.row.target_shape, axis=axis
        )
        values, _ = self.launch(once.plan, once.prediction, once.target)
        return once.run(values).read(values, once.rows).reshape(once.shape).copy()


def _divided(x: View, count: int) -> list[View]:
    """The parts of the last axis, one behind the other."""
    width = x.shape[-1] // count
    return [x.slice(-1, k * width, (k + 1) * width) for k in range(count)]


class OnArrays:
    """A plan that is run once, for a batch of predictions, targets and perhaps weights given as arrays.

    Args:
        y_true, y_pred: the arrays; predictions of one axis are one row.
        sparse: whether a target is a class index.
        name: of the loss or metric, for errors.
        sample_weight: of each sample, or of each element (`View.weights` of the target); a number counts for all.
        elements: whether predictions of one axis are as many rows of one element; None refuses them.
        ignored: a label that is not a class.
        target_shape: from the shapes of a prediction and of a given target to that of a target; by default
            `match_targets` knows it.
        weighs_elements: whether elements may have weights.
        classes: from the last axis of the predictions to the number of classes; None stands for any integers.
        axis: the loss or metric, along whose axis rows are read; by default along the last one.

    Raises:
        ValueError: shapes that do not fit.
    """

    def __init__(
        self,
        y_true: Any,
        y_pred: Any,
        sparse: bool,
        name: str,
        sample_weight: Any = None,
        elements: bool | None = False,
        ignored: int | None = None,
        target_shape: Callable[..., tuple[int, ...]] | None = None,
        weighs_elements: bool = False,
        classes: Callable[[int], int | None] = int,
        axis: AlongAxis | None = None,
    ):
        y_pred, y_true = as_array(y_pred, "y_pred"), as_array(y_true, "y_true")
        # float64 for integers that float32 does not hold: Keras computes metrics and functions of integers exactly.
        dtype = np.result_type(y_pred.dtype, np.float32).name
        if y_pred.ndim == 0:
            raise ValueError(f"{name!r} needs predictions with at least one axis, received a number.")
        if y_pred.ndim == 1 and elements is None:
            raise ValueError(
                f"{name!r} needs predictions of shape (n, classes), received {y_pred.shape}. For one class give a "
                "threshold; one row is y[None]."
            )
        if y_pred.ndim == 1 and y_true.shape == (len(y_pred), 1) and not sparse:
            y_pred = y_pred[:, None]  # as in Keras, as many rows as the targets say
        if axis is not None and axis.moves(y_pred.shape[1:] if y_pred.ndim > 1 else y_pred.shape):
            y_pred, y_true = axis.moved_arrays(y_pred, y_true, name)
            weighs_elements = False  # the loss of a row is one number
        self.shape = y_pred.shape if y_pred.ndim == 1 and elements else y_pred.shape[:-1]
        if y_pred.ndim == 1:
            index = (..., None) if elements else (None,)
            y_pred, y_true = y_pred[index], y_true if elements and sparse else y_true[index]
        shape, self.rows = y_pred.shape[1:], len(y_pred)
        wanted = (shape[:-1] if sparse else shape) if target_shape is None else target_shape(shape, y_true.shape[1:])
        y_true = match_targets(y_true, shape, self.rows, sparse, name, ignored, wanted, classes)
        self.plan = Plan(False, dtype, max(self.rows, 1))
        self.prediction = self.plan.buffer(shape)
        self.target = self.plan.buffer(wanted, "int32" if sparse else dtype)
        self.inputs = {self.prediction: y_pred, self.target: y_true}
        self.weights: View | None = None
        if sample_weight is not None:
            self._add_weights(as_array(sample_weight, "sample_weight"), "" if weighs_elements else name)

    def _add_weights(self, given: np.ndarray, row_wise: str) -> None:
        shape = self.prediction.shape
        if self.shape == () and given.shape == (*shape, 1) != (1, 1):  # as in Keras, the weights of a column
            given = given[:, 0]
        if self.shape == () and given.shape == shape:
            if row_wise and shape != (1,):
                raise ValueError(
                    f"{row_wise!r}: predictions of one axis are one row, which has one weight; received {len(given)}. "
                    f"For {len(given)} rows of one number give targets and predictions of shape {(len(given), 1)}."
                )
            given = given[None]
        if given.ndim == 0 or len(given) == 1:
            given = np.broadcast_to(given, (self.rows, *given.shape[1:]))
        weights = match_weights(given, self.rows, shape, row_wise)
        if weights.ndim > len(shape):
            buffer = self.target.weights = self.plan.buffer(shape)
        else:
            buffer = self.weights = self.plan.buffer((self.prediction.row_count,))
        self.inputs[buffer] = weights.reshape(self.rows, *buffer.shape)

    def run(self, *results: View, state: tuple[int, np.ndarray] | None = None) -> Executable:
        """Run the plan; return its memory, from which results may be read.

        Args:
            results: buffers that will be read.
            state: a slot and its first numbers.
        """
        bound = bind(self.plan, pinned=[*self.inputs, *results])
        for buffer, value in self.inputs.items():
            bound.read(buffer, self.rows)[...] = value.reshape(self.rows, *buffer.shape)
        if state is not None:
            bound.scalars[state[0] : state[0] + len(state[1])] = state[1]
        bound.run(0, self.rows, max(self.rows, 1), 1, 0.0)
        return bound
